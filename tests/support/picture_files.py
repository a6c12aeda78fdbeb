"""Write pictures as files, byte by byte where a library would not."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features


SHARED = Path(__file__).parents[3] / "shared" / "bugreports" / "files"


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the files of public bug reports are not at {SHARED}")


needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


def file_of(image: Image.Image, kind: str, **settings: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(
    width: int, height: int, bits: int, colour: int, rows: list[bytes], *before: bytes, after: bytes = b""
) -> bytes:
    """Write a PNG by hand, with chunks before and after its pixels."""
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), *before]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", data), after, chunk(b"IEND", b"")])
