"""What lies under a transparent pixel does not matter: the picture is laid over white."""

import io
import struct

import numpy as np
import pytest
from picture_files import SHARED, chunk, file_of, needs_avif, needs_shared, pixels, png
from PIL import Image

from modeling_florenz.data.images import open_image


def cut_out(hidden: tuple[int, int, int] | None) -> Image.Image:
    """A half-transparent green square on nothing; `hidden` is what lies under nothing, None for noise."""
    values = np.random.default_rng(0).integers(0, 256, (8, 12, 4), dtype=np.uint8)
    if hidden is not None:
        values[..., :3] = hidden
    values[..., 3] = 0
    values[2:6, 2:6] = (0, 200, 0, 128)
    values[2:6, 6:9] = (0, 200, 0, 255)
    return Image.fromarray(values)


OVER_WHITE = np.full((8, 12, 3), 255)


OVER_WHITE[2:6, 2:6] = (127, 227, 127)


OVER_WHITE[2:6, 6:9] = (0, 200, 0)


@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 255, 255), None], ids=["black", "white", "noise"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", pytest.param("AVIF", marks=needs_avif)])
def test_what_lies_under_nothing_does_not_matter(kind: str, hidden: tuple[int, int, int] | None) -> None:
    settings = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    opened = pixels(open_image(file_of(cut_out(hidden), kind, **settings.get(kind, {}))))
    nearness = 4 if kind == "AVIF" else 0
    assert np.abs(opened - OVER_WHITE).max() <= nearness
    if hidden == (0, 0, 0) and kind == "PNG":  # negative control: what PIL alone shows
        assert pixels(cut_out(hidden).convert("RGB"))[0, 0].tolist() == [0, 0, 0]


def grey_cut_out(hidden: int) -> Image.Image:
    values = np.zeros((2, 3, 2), dtype=np.uint8)
    values[0] = (90, 255)
    values[1] = (hidden, 0)
    return Image.fromarray(values, "LA")


@pytest.mark.parametrize("hidden", [0, 70, 255])
def test_grey_with_alpha_is_laid_over_white(hidden: int) -> None:
    opened = pixels(open_image(file_of(grey_cut_out(hidden), "PNG")))
    assert opened[0].tolist() == [[90] * 3] * 3 and opened[1].tolist() == [[255] * 3] * 3


@pytest.mark.parametrize("transparent", [0, b"\x00\xff\x80"], ids=["one entry", "an alpha for each"])
@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_entries_of_a_palette_are_white(kind: str, transparent: int | bytes) -> None:
    if kind == "GIF" and isinstance(transparent, bytes):
        pytest.skip("a GIF has one transparent entry at most")
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 200])
    last = [0, 0, 200] if transparent == 0 else [127, 127, 227]
    opened = open_image(file_of(image, kind, transparency=transparent))
    assert pixels(opened).tolist() == [[[255] * 3, [200, 0, 0], last]]


def test_a_transparent_colour_is_white_at_every_depth() -> None:
    packed = png(4, 1, 2, 0, [bytes([0b00_01_10_11])], chunk(b"tRNS", b"\0\1"))
    assert pixels(open_image(io.BytesIO(packed)))[0, :, 0].tolist() == [0, 255, 170, 255]
    packed = png(4, 1, 4, 0, [bytes([0x07, 0x8F])], chunk(b"tRNS", b"\0\7"))
    assert pixels(open_image(io.BytesIO(packed)))[0, :, 0].tolist() == [0, 255, 136, 255]
    for mode in ("1", "L"):
        plain = Image.new(mode, (2, 1))
        plain.putpixel((1, 0), 255)
        assert pixels(open_image(file_of(plain, "PNG", transparency=0))).min() == 255
    deep = png(2, 1, 16, 0, [struct.pack(">2H", 1000, 257 * 9)], chunk(b"tRNS", struct.pack(">H", 1000)))
    assert pixels(open_image(io.BytesIO(deep)))[0, :, 0].tolist() == [255, 9]
    colours = png(
        2, 1, 16, 2, [struct.pack(">6H", 300, 0, 0, 257 * 9, 0, 0)], chunk(b"tRNS", struct.pack(">3H", 300, 0, 0))
    )
    assert pixels(open_image(io.BytesIO(colours))).tolist() == [[[255] * 3, [9, 0, 0]]]


def test_opaque_images_with_an_alpha_keep_every_bit() -> None:
    image = Image.effect_noise((64, 64), 90).convert("RGB")
    for mode in ("RGBA", "LA"):
        expected = image.convert(mode).convert("RGB")
        assert open_image(file_of(image.convert(mode), "PNG")).tobytes() == expected.tobytes()


@needs_shared
def test_the_three_cut_outs_of_the_report_are_one_picture() -> None:
    shown = {open_image(path).tobytes() for path in (SHARED / "01_hidden_pixels").glob("*.png")}
    assert len(shown) == 1
