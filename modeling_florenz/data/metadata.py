"""Remove the metadata of an image file, for cases in which PIL refuses the pixels because of it."""

import io
import re
import struct
from typing import BinaryIO


_PNG = b"\x89PNG\r\n\x1a\n"
# What determines how the picture looks, including the orientation in eXIf.
_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")
# An entry in the list of items: flags, number and protection, then the kind that marks EXIF.
_AVIF_EXIF = re.compile(rb"(infe.{8,10}?)Exif", re.DOTALL)


def without_metadata(file: BinaryIO) -> BinaryIO | None:
    """Copy a PNG file without its texts, colour profile and the like, or an AVIF file without its EXIF.

    The orientation of an AVIF file is not in its EXIF. In the other formats, PIL ignores broken metadata by itself.

    Args:
        file: open and seekable.

    Returns:
        a file in memory with the same pixels, or None for other formats.

    Example:

    ```python
    >>> without_metadata(io.BytesIO(b"GIF89a")) is None
    True
    ```
    """
    file.seek(0)
    head = file.read(12)
    if head.startswith(_PNG):
        return _without_chunks(file)
    if head[4:8] == b"ftyp":
        return io.BytesIO(_AVIF_EXIF.sub(rb"\1none", head + file.read()))
    return None


def _without_chunks(file: BinaryIO) -> BinaryIO:
    file.seek(len(_PNG))
    kept = io.BytesIO()
    kept.write(_PNG)
    while len(start := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        if kind in _CHUNKS:
            kept.write(start + file.read(length + 4))
        else:
            file.seek(length + 4, io.SEEK_CUR)
    return kept
