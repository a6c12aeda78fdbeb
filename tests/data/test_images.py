"""The door for image files: what looks alike comes out alike, and what cannot be read is one sentence."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from picture_files import SHARED, chunk, file_of, needs_avif, needs_shared, pixels, png
from PIL import Image, ImageFile, PngImagePlugin

from modeling_florenz.data import images
from modeling_florenz.data.images import FORMATS, open_image
from modeling_florenz.processing_florenz import MAX_IMAGE_PIXELS


WITH_METADATA = ["JPEG", "PNG", "TIFF", "WEBP", pytest.param("AVIF", marks=needs_avif)]


def picture(size: tuple[int, int] = (12, 8)) -> Image.Image:
    """A left half in red and a right half in blue."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    return image


def tiff(
    values: np.ndarray,
    bits: int = 0,
    white_is_zero: bool = False,
    order: str = "<",
    more: dict[int, int] | None = None,
) -> io.BytesIO:
    """Write a grey TIFF by hand, of whole or floating-point values or of 12 bits packed, with more tags."""
    height, width = values.shape
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    if bits == 12:
        text = "".join(f"{value:012b}" for value in values.ravel())
        data = bytes(int(text[place : place + 8].ljust(8, "0"), 2) for place in range(0, len(text), 8))
    bits = bits or values.dtype.itemsize * 8
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 0 if white_is_zero else 1, 273: 8, 277: 1, 278: height}
    tags |= {279: len(data), 339: kind, **(more or {})}
    short = (258, 259, 262, 277, 339)
    entries = b"".join(
        struct.pack(order + "HHI", tag, 3 if tag in short else 4, 1)
        + (struct.pack(order + "HH", value, 0) if tag in short else struct.pack(order + "I", value))
        for tag, value in sorted(tags.items())
    )
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(data))
    return io.BytesIO(head + data + struct.pack(order + "H", len(tags)) + entries + bytes(4))


LEVELS = np.array([[0, 50, 128, 255]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("f4", 1 / 255), ("f4", 1), ("f4", 257), ("i4", 1), ("i4", 257), ("u2", 257)],
)
def test_deep_values_are_taken_by_the_range_they_fill(dtype: str, scale: float, order: str) -> None:
    file = tiff((LEVELS * scale).astype(dtype), order=order)
    assert pixels(open_image(file))[0, :, 0].tolist() == LEVELS[0].tolist()


def test_twelve_bits_are_twelve_and_white_may_be_zero() -> None:
    values = np.array([[0, 50 * 4095 // 255, 128 * 4095 // 255, 4095]], dtype=np.uint16)
    assert np.abs(pixels(open_image(tiff(values, bits=12)))[0, :, 0] - LEVELS[0]).max() <= 1
    values = (LEVELS * 257).astype(np.uint16)
    assert pixels(open_image(tiff(values, white_is_zero=True)))[0, :, 0].tolist() == [255, 205, 127, 0]


def test_a_dark_sixteen_bit_picture_stays_dark() -> None:
    for kind in ("PNG", "PPM", "TIFF"):
        dark = Image.fromarray((LEVELS // 4 * 257).astype(np.uint16))
        assert pixels(open_image(file_of(dark, kind)))[0, :, 0].tolist() == [0, 12, 32, 63], kind
    ten_bits = b"P2 4 1 1023 0 200 512 1023"
    assert pixels(open_image(io.BytesIO(ten_bits)))[0, :, 0].tolist() == [0, 50, 128, 255]


@pytest.mark.parametrize(
    "values",
    [
        np.array([[-1.0, 0.5]], dtype="f4"),
        np.array([[0.0, np.nan]], dtype="f4"),
        np.array([[0.0, np.inf]], dtype="f4"),
        np.array([[0.0, 4.7]], dtype="f4"),
        np.array([[0.0, 300.0]], dtype="f4"),
        np.array([[0.0, 1e9]], dtype="f4"),
        np.array([[0, 2000]], dtype="i4"),
        np.array([[0, 2_000_000]], dtype="i4"),
        np.array([[-5, 5]], dtype="i2"),
        np.array([[0, 2**32 - 1]], dtype="u4"),
    ],
)
def test_values_whose_range_cannot_be_told_are_refused(values: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    path.write_bytes(tiff(values).getvalue())
    with pytest.raises(
        ValueError, match=r"deep\.tif could not be read: its values from .*save it with 8 or 16"
    ) as found:
        open_image(path)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)])
def test_the_first_of_many_frames_is_shown(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    file = file_of(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    with Image.open(file) as moving:
        assert moving.n_frames == 2
    assert np.abs(pixels(open_image(file)) - (200, 0, 0)).max() < 8


def turned(kind: str, orientation: int = 6, **more: object) -> io.BytesIO:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file_of(picture((48, 32)), kind, exif=exif, **more)


@pytest.mark.parametrize("kind", WITH_METADATA)
def test_every_orientation_is_respected_once(kind: str) -> None:
    ways = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    for orientation, way in ways.items():
        upright = picture((48, 32)) if way is None else picture((48, 32)).transpose(Image.Transpose(way))
        opened = open_image(turned(kind, orientation))
        assert np.abs(pixels(opened) - pixels(upright)).mean() < 12, orientation
        assert opened.getexif().get(0x0112) is None, orientation


@pytest.mark.parametrize("kind", WITH_METADATA)
def test_broken_exif_and_colour_profiles_do_not_matter(kind: str) -> None:
    for content in (b"\xff" * 40, b"II*\0\x08\0\0\0\xff\xff", b"II*\0\x08\0\0\0\x01\0\x12\x01\x07\0\xff\xff\xff\xff"):
        if kind == "TIFF":  # has directories in its place, see below
            continue
        if kind == "AVIF":
            exif = Image.Exif()
            exif[0x010E] = "a picture " * 4
            file = bytearray(file_of(picture((48, 32)), kind, exif=exif).getvalue())
            place = file.index(b"a picture") - 30
            start = max(file.rfind(b"II*\0", 0, place + 30), file.rfind(b"MM\0*", 0, place + 30))
            file[start : start + 8] = (content * 8)[:8]
        else:
            file = bytearray(file_of(picture((48, 32)), kind, exif=b"Exif\0\0" + content).getvalue())
        opened = open_image(io.BytesIO(bytes(file)))
        assert np.abs(pixels(opened) - pixels(picture((48, 32)))).mean() < 12
    for profile in (b"\0", b"not a profile", bytes(range(256)) * 300):
        opened = open_image(file_of(picture((48, 32)), kind, icc_profile=profile))
        assert np.abs(pixels(opened) - pixels(picture((48, 32)))).mean() < 12


@pytest.mark.parametrize("place", [0, 7, 9, 60, 5_000, 0xFFFFFFFF])
@pytest.mark.parametrize("tag", [0x8769, 0x8825, 0xA005, 0x014A])
def test_directories_that_lead_nowhere_do_not_matter(tag: int, place: int) -> None:
    opened = open_image(tiff(LEVELS.astype("u1"), more={tag: place}))
    assert pixels(opened)[0, :, 0].tolist() == LEVELS[0].tolist()


SETTINGS = zlib.compress(b"steps: 20, " * 200_000)


TEXTS = {
    "packed": chunk(b"zTXt", b"parameters\0\0" + SETTINGS),
    "international": chunk(b"iTXt", b"parameters\0\1\0\0\0" + SETTINGS),
    "a large profile": chunk(b"iCCP", b"p\0\0" + SETTINGS),
    "a profile without a name": chunk(b"iCCP", b""),
    "an odd compression": chunk(b"zTXt", b"parameters\0\7xx"),
    "a short size": chunk(b"pHYs", b"\0"),
    "a short gamma": chunk(b"gAMA", b""),
    "odd colours": chunk(b"cHRM", b"\0\0\0"),
    "a wrong sum": chunk(b"tEXt", b"parameters\0steps")[:-1] + b"?",
    "an odd film": chunk(b"acTL", b"\0"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_png_says_besides_its_pixels_does_not_matter(name: str) -> None:
    rows = [bytes(picture().crop((0, y, 12, y + 1)).tobytes()) for y in range(8)]
    for file in (png(12, 8, 8, 2, rows, TEXTS[name]), png(12, 8, 8, 2, rows, after=TEXTS[name])):
        assert open_image(io.BytesIO(file)).tobytes() == picture().tobytes()
    if name == "packed":  # negative control: what PIL alone makes of it
        with pytest.raises(ValueError, match="MAX_TEXT_CHUNK"):
            Image.open(io.BytesIO(png(12, 8, 8, 2, rows, TEXTS[name])))


def test_a_png_without_its_texts_is_still_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "steps: 20, " * 200_000, zip=True)
    opened = open_image(file_of(picture((48, 32)), "PNG", exif=exif, pnginfo=text))
    assert opened.tobytes() == picture((48, 32)).transpose(Image.Transpose.ROTATE_270).tobytes()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Failed to decode frame 0"),
        ValueError("Truncated IHDR\nchunk"),
        MemoryError(),
        RecursionError("too deep"),
        struct.error("unpack requires"),
        KeyError(7),
        OverflowError("too large"),
        zlib.error("Error -3"),
        AssertionError(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("late", [False, True])
def test_whatever_a_decoder_raises_is_one_sentence_with_the_name(
    error: Exception, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise error

    picture().save(tmp_path / "a.gif")
    monkeypatch.setattr(*((ImageFile.ImageFile, "load") if late else (Image, "open")), fail)
    with pytest.raises(ValueError, match=r"^.*a\.gif could not be read: \S") as found:
        open_image(tmp_path / "a.gif")
    assert "\n" not in str(found.value) and found.type is ValueError


@needs_avif
def test_a_damaged_avif_is_refused_by_its_name(tmp_path: Path) -> None:
    content = bytearray(file_of(Image.effect_noise((64, 64), 90), "AVIF").getvalue())
    start = content.index(b"mdat") + 4
    content[start : start + 40] = bytes(value ^ 0x5A for value in content[start : start + 40])
    (tmp_path / "m.avif").write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.avif could not be read: "):
        open_image(tmp_path / "m.avif")


def test_size_is_asked_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (10_001, 10_000)).save(tmp_path / "large.png")
    Image.new("1", (20_000, 10_000)).save(tmp_path / "larger.png")
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"large\.png has 10001 x 10000 pixels: 100,000,000 are allowed"):
        open_image(tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"larger\.png has too many pixels: 100,000,000 are allowed"):
        open_image(tmp_path / "larger.png")
    with pytest.raises(ValueError, match=r"^that has 10001 x 10000 pixels: 1,000 are allowed"):
        open_image(tmp_path / "large.png", name="that", max_pixels=1000)
    assert MAX_IMAGE_PIXELS == 100_000_000


def test_a_kind_that_is_not_read_names_those_that_are(tmp_path: Path) -> None:
    picture().save(tmp_path / "a.ico")
    with pytest.raises(ValueError, match=r"a\.ico is not an image that can be read: use .*JPEG, PNG") as found:
        open_image(tmp_path / "a.ico")
    assert all(kind in str(found.value) for kind in FORMATS)
    picture().save(tmp_path / "a.bmp")
    with pytest.raises(ValueError, match="is not an image that can be read: use PNG$"):
        open_image(tmp_path / "a.bmp", formats=["PNG"])
    assert "EPS" not in images.FORMATS


def test_nothing_is_warned_of(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    Image.new("1", (9_900, 9_900)).save(tmp_path / "a.png")
    open_image(tmp_path / "a.png")
    open_image(io.BytesIO(turned("JPEG").getvalue().replace(b"Exif\0\0MM", b"Exif\0\0??")))
    assert not recwarn.list


@needs_shared
def test_the_floating_point_pictures_of_the_report_are_the_grey_one() -> None:
    folder = SHARED / "02_float_tiff"
    grey = open_image(folder / "grey8.png").tobytes()
    assert {open_image(folder / f"float_0_{top}.tif").tobytes() for top in (1, 255)} == {grey}


@needs_shared
def test_the_picture_with_settings_of_the_report_is_the_plain_one() -> None:
    folder = SHARED / "03_text_chunk"
    assert open_image(folder / "settings.png").tobytes() == open_image(folder / "plain.png").tobytes()


@needs_shared
def test_the_damaged_avif_of_the_report_is_named() -> None:
    with pytest.raises(ValueError, match=r"14_damaged_avif/m\.avif could not be read: "):
        open_image(SHARED / "14_damaged_avif" / "m.avif")


@pytest.mark.parametrize(
    ("size", "decoded"), [((400, 300), (200, 150)), ((199, 400), (199, 400)), ((900, 810), (113, 102))]
)
def test_large_jpegs_are_decoded_smaller_where_that_is_enough(size, decoded) -> None:
    files = {kind: io.BytesIO() for kind in ("JPEG", "PNG")}
    for kind, file in files.items():
        picture(size).save(file, kind)
    assert open_image(files["JPEG"], "a", at_least=50).size == decoded
    assert open_image(files["PNG"], "a", at_least=50).size == size
    files["JPEG"].seek(0)
    assert open_image(files["JPEG"], "a").size == size
