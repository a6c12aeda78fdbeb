"""Open image files that strangers made: failures are one sentence, and nothing is decoded before its size is known."""

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError, features

from ..processing_florenz import MAX_IMAGE_PIXELS


# PIL knows more, EPS among it, which it hands to another program.
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP", *(["AVIF"] if features.check("avif") else [])]


def open_image(path: str | Path) -> Image.Image:
    """Open an image file and read all of it.

    Raises:
        ValueError: the file is missing, a folder, no image, cut short, or larger than `MAX_IMAGE_PIXELS`.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not an image")
    try:
        with warnings.catch_warnings():
            # PIL's own limit lies elsewhere; ours is asked below, before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_IMAGE_PIXELS:
                    raise Image.DecompressionBombError
                image.load()
                return image
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not an image that can be read") from None
    except Image.DecompressionBombError:
        raise ValueError(f"{path} has too many pixels: {MAX_IMAGE_PIXELS:,} are allowed") from None
    except (OSError, SyntaxError, EOFError) as error:
        # PIL raises SyntaxError for some broken PNG files.
        raise ValueError(f"{path} could not be read: {error}") from None


def find_images(paths: list[str]) -> list[Path]:
    """List files as they are and the image files of folders, by name.

    Raises:
        ValueError: a folder holds no image.
    """
    known = {ending for ending, name in Image.registered_extensions().items() if name in FORMATS}
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in known and file.is_file())
        if not inside:
            raise ValueError(f"the folder {path} holds no image")
        found += inside
    return found
