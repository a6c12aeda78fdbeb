"""Small image files of ten kinds, and damage done to them."""

import io
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image, features


def good_files() -> dict[str, bytes]:
    """Write one small file of each kind, by a name with its ending."""
    values = np.random.default_rng(0).integers(0, 256, (18, 24, 4), dtype=np.uint8)
    rgba = Image.fromarray(values)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    deep = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    real = Image.fromarray(values[..., 0].astype(np.float32))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a picture"
    files = {
        "bmp": _write(rgb, "BMP"),
        "gif": _write(rgb.quantize(16), "GIF", save_all=True, append_images=[grey.quantize(8)], transparency=0),
        "jpg": _write(rgb, "JPEG", exif=exif, icc_profile=b"profile" * 9, comment=b"a picture"),
        "png": _write(rgba, "PNG", exif=exif, icc_profile=b"profile" * 9),
        "palette.png": _write(rgb.quantize(16), "PNG", transparency=b"\0\x80"),
        "deep.png": _write(deep, "PNG"),
        "ppm": _write(rgb, "PPM"),
        "tif": _write(rgba, "TIFF", compression="tiff_lzw"),
        "real.tif": _write(real, "TIFF"),
        "webp": _write(rgba, "WEBP", exif=exif, quality=50),
    }
    if features.check("avif"):
        files["avif"] = _write(rgba, "AVIF", exif=exif, speed=10)
    return files


def damaged_files(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield files with bytes changed, cut off, put in, taken out or repeated, of all kinds in turn."""
    good = list(good_files().items())
    for number in range(count):
        kind, content = good[number % len(good)]
        yield f"{number:05}.{kind}", damage(content, random.Random(f"{seed}/{number}"))


def damage(content: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to four places, headers more often than the rest."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(changed), rng.choice((32, 128, *[len(changed)] * 4)))) if changed else 0
        length = rng.choice((1, 1, 2, 4, 16))
        match rng.randrange(6):
            case 0 | 1:
                changed[place : place + length] = rng.randbytes(length)
            case 2:
                changed[place : place + length] = rng.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * length
            case 3:
                del changed[place : place + length]
            case 4:
                changed[place:place] = changed[place : place + 4 * length]
            case 5:
                del changed[rng.randrange(len(changed) + 1) :]
    return bytes(changed)


def _write(image: Image.Image, kind: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()
