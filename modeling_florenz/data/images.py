"""The one door for image files: upright RGB comes out, or one sentence that names the file and says what is wrong."""

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import BinaryIO
from urllib.parse import urlsplit

from PIL import Image, TiffTags, UnidentifiedImageError, features

from ..processing_florenz import MAX_IMAGE_PIXELS, to_rgb
from .files import check_utf8, find_alike, is_inside
from .metadata import without_metadata


# PIL knows more, EPS among it, which it hands to another program.
FORMATS = (*(["AVIF"] if features.check("avif") else []), "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Also pictures, which are reported as not read.
_UNREAD = frozenset(
    ".ai .arw .avif .avifs .cr2 .cr3 .cur .dds .dng .emf .eps .exr .hdr .heic .heics .heif .heifs .hif .icns .ico "
    ".j2c .j2k .jp2 .jpc .jpf .jpm .jpx .jxl .jxr .nef .orf .pcx .pef .ps .psb .psd .qoi .raf .raw .rw2 .sgi .srw "
    ".svg .svgz .tga .wdp .wmf .xbm .xcf .xpm".split()
)


# A drive of Windows has one letter.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True)
class FoundImages:
    """Hold the images to open, pictures of kinds that are not read, and a sentence on each path that was refused."""

    images: list[Path]
    passed_over: list[Path]
    refused: list[str]


def open_image(
    file: str | Path | BinaryIO,
    name: str | None = None,
    formats: Sequence[str] = FORMATS,
    max_pixels: int = MAX_IMAGE_PIXELS,
    at_least: int | None = None,
) -> Image.Image:
    """Open an image file and read all of it: the first frame, upright, in RGB, over white where it is transparent.

    Args:
        file: path, or binary file open at its start.
        name: what errors call it; its path if left out.
        formats: those of PIL to read.
        max_pixels: the largest width times height, asked before anything is decoded.
        at_least: pixels of a side that are needed: a JPEG of at least four times as many on both sides is decoded at a
            half, a quarter or an eighth, to no fewer than twice as many; faster, with slightly other pixels.

    Raises:
        ValueError: the file is missing, a folder, not an image, damaged, too large, or has values of an unknown
            range. It is one sentence with the name.

    Example:

    ```python
    >>> open_image("photo.jpg").mode  # doctest: +SKIP
    'RGB'
    ```
    """
    name = str(file) if name is None else name
    try:
        with open(file, "rb") if isinstance(file, str | Path) else nullcontext(file) as opened:
            return _decode(opened, formats, max_pixels, at_least)
    except FileNotFoundError:
        if is_address(name):
            raise ValueError(f"{name} is an address, and nothing is downloaded: {_download(name)}") from None
        alike = find_alike(Path(str(file)).parent, Path(str(file)).name)
        other = f", but {alike} does: the names differ in letter case or Unicode form" if alike else ""
        raise ValueError(f"{name} does not exist{other}") from None
    except IsADirectoryError:
        raise ValueError(f"{name} is a folder, not an image") from None
    except UnidentifiedImageError:
        raise ValueError(f"{name} is not an image that can be read: use {', '.join(formats)}") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{name} has too many pixels: {max_pixels:,} are allowed") from None
    except _TooLargeError as error:
        raise ValueError(f"{name} has {error}: {max_pixels:,} are allowed") from None
    except Exception as error:  # decoders raise all kinds
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ValueError(f"{name} could not be read: {' '.join(reason.split()) or type(error).__name__}") from None


def is_address(name: str) -> bool:
    """Return whether a name is an address, such as `https://example.org/photo.jpg`, and not a path."""
    return _ADDRESS.match(name) is not None


def _download(address: str) -> str:
    if not address.lower().startswith(("http:", "https:", "ftp:")):
        return "fetch the file first and give its path"
    name = PurePosixPath(urlsplit(address).path).name
    return f"fetch it first with  curl --location --output {quote(name or 'image')} {quote(address)}"


def find_images(paths: Iterable[str | Path]) -> FoundImages:
    """List files as they are and the image files in folders, by name.

    Files whose names begin with a dot belong to the system and are left out, and links that lead out of their folder
    are refused.
    """
    found = FoundImages([], [], [])
    for path in map(Path, paths):
        if not os.path.isdir(path):
            found.images.append(path)
            continue
        count = len(found.images) + len(found.refused)
        passed_over: list[Path] = []
        try:
            names = sorted(os.listdir(path))
        except OSError as error:
            found.refused.append(f"the folder {path} could not be read: {error.strerror}")
            continue
        for file in (path / name for name in names if not name.startswith(".")):
            if os.path.exists(file) and not os.path.isfile(file):
                continue
            if is_read(file.name):
                if is_inside(file, path):
                    found.images.append(file)
                else:
                    found.refused.append(f"{file} is a link out of its folder: put the file itself there")
            elif file.suffix.lower() in _UNREAD:
                passed_over.append(file)
        if len(found.images) + len(found.refused) == count:
            others = ", ".join(sorted({file.suffix.lower() for file in passed_over}))
            found.refused.append(
                f"the folder {path} holds no image that can be read"
                + (f", only {others}: save them as JPEG or PNG" if others else "")
            )
        found.passed_over.extend(passed_over)
    return found


def is_read(name: str) -> bool:
    """Return whether a file's name ends as those of images that are read do, and it is not the system's."""
    path = PurePosixPath(name)
    return path.suffix.lower() in _endings() and not path.name.startswith(".")


@cache
def _endings() -> frozenset[str]:
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in FORMATS) | {".mpo"}


class _TooLargeError(Exception):
    """Tells the size."""


def _decode(file: BinaryIO, formats: Sequence[str], max_pixels: int, at_least: int | None) -> Image.Image:
    def decode(source: BinaryIO) -> Image.Image:
        with warnings.catch_warnings():
            # PIL warns of odd metadata, and of a limit that is set elsewhere.
            warnings.simplefilter("ignore")
            with Image.open(source, formats=list(formats)) as image:
                if image.width * image.height > max_pixels:
                    raise _TooLargeError(f"{image.width} x {image.height} pixels")
                if at_least is not None:
                    image.draft(None, (2 * at_least, 2 * at_least))  # does nothing to other kinds than JPEG
                if image.format == "TIFF":  # reads its further directories behind the pixels, and they may be broken
                    exif = image.getexif()
                    for tag in TiffTags.TAGS_V2_GROUPS:
                        exif.pop(tag, None)
                return to_rgb(image)

    try:
        return decode(file)
    except (Image.DecompressionBombError, _TooLargeError):
        raise
    except Exception:
        with suppress(Exception):
            if (bare := without_metadata(file)) is not None:
                return decode(bare)
        raise


def folder_images(folder: Path) -> list[Path]:
    """List the image files in a folder, by name, and warn of those that are passed over.

    Raises:
        ValueError: the folder cannot be read or holds no image, a link in it leads out of it, or a name is not UTF-8.
    """
    found = find_images([folder])
    if found.refused:
        raise ValueError(found.refused[0])
    for path in found.images:
        check_utf8(path)
    if found.passed_over:
        names = ", ".join(path.name for path in found.passed_over)
        warnings.warn(
            f"{folder}: {len(found.passed_over)} images of kinds that are not read are passed over, save them as JPEG "
            f"or PNG: {names}",
            stacklevel=3,
        )
    return found.images
