"""Images given to the processor: pixels, modes, kinds, and what is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from processor_calls import RED, SHARED
from transformers import CLIPImageProcessorPil
from transformers.image_processing_utils import BaseImageProcessor

from modeling_florenz.processing_florenz import (
    MAX_IMAGE_PIXELS,
    FlorenzProcessor,
    florenz_image_processor,
)


needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=f"reference data is not at {SHARED}")


def by_hand(image: Image.Image, size: int) -> torch.Tensor:
    """The released preprocessing, step by step in float32."""
    pixels = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels - mean[:, None, None]) / std[:, None, None]


def pixels(processor: FlorenzProcessor, image: object, **kwargs: object) -> torch.Tensor:
    return processor(images=image, task="caption", **kwargs)["pixel_values"]


@needs_shared
@pytest.mark.parametrize("size", [224, 768])
@pytest.mark.parametrize("name", ["coffee.png", "china.jpg"])
def test_pixels_are_bit_equal_to_the_released_preprocessing(processor, name, size):
    with Image.open(SHARED / "data/photos" / name) as image:
        expected = by_hand(image, size)
        assert torch.equal(pixels(processor, image, image_size=size)[0], expected)
        wrong = by_hand(image.resize((size, size), Image.Resampling.BILINEAR), size)  # negative control
        assert not torch.equal(wrong, expected)


def test_the_saved_size_holds_unless_a_call_names_another(processor):
    assert pixels(processor, RED).shape == (1, 3, 64, 64)
    assert pixels(processor, RED, image_size=32).shape == (1, 3, 32, 32)
    assert pixels(processor, RED).shape == (1, 3, 64, 64)
    assert florenz_image_processor().size["height"] == florenz_image_processor().size["width"] == 768
    for size in (0, -1, 2.5, "64", True):
        with pytest.raises(ValueError, match="image_size"):
            pixels(processor, RED, image_size=size)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "1", "CMYK", "YCbCr", "HSV"])
def test_every_8_bit_mode_is_read_as_pil_converts_it(processor, mode):
    image = Image.effect_noise((33, 21), 80).convert("RGB")
    image.paste((200, 30, 60), (0, 0, 10, 10))
    image = image.convert(mode)
    assert torch.equal(pixels(processor, image)[0], by_hand(image, 64))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_16_bit_values_are_scaled_not_saturated(processor, mode):
    levels = np.array([[0, 257 * 50 - 10, 257 * 128 + 10, 65535]])  # nearest level, not the one below
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4", "F": "<f4"}
    image = Image.frombytes(mode, (4, 1), levels.astype(kinds[mode]).tobytes())
    eight = Image.fromarray(np.array([[0, 50, 128, 255]], dtype=np.uint8))
    assert torch.equal(pixels(processor, image), pixels(processor, eight))
    if mode.startswith("I;16"):  # negative control: what PIL makes of it
        assert image.convert("I").convert("L").getpixel((1, 0)) == 255


def test_exif_rotation_is_honoured(processor):
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    for kind, mode in (("JPEG", "RGB"), ("PNG", "RGB"), ("TIFF", "RGB")):
        buffer = io.BytesIO()
        image.convert(mode).save(buffer, kind, exif=exif, **({"quality": 100} if kind == "JPEG" else {}))
        with Image.open(buffer) as turned:
            values = pixels(processor, turned)[0]
            upright = by_hand(image.rotate(-90, expand=True), 64)
            assert (values - upright).abs().mean() < 0.05, kind
            assert (by_hand(image, 64) - upright).abs().mean() > 1
    sixteen = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    buffer = io.BytesIO()
    sixteen.save(buffer, "PNG", exif=exif)
    with Image.open(buffer) as turned:
        expected = image.convert("L").rotate(-90, expand=True)
        assert turned.mode == "I;16" and torch.equal(pixels(processor, turned)[0], by_hand(expected, 64))


@pytest.mark.parametrize("size", [(1, 1), (10_000, 50), (50, 10_000), (1, 3000)])
def test_extreme_shapes_work(processor, size):
    image = Image.new("RGB", size, (12, 200, 99))
    assert torch.equal(pixels(processor, image)[0], by_hand(image, 64))


def test_arrays_and_tensors_equal_the_pil_image(processor):
    array = np.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=np.uint8)
    image = Image.fromarray(array)
    expected = pixels(processor, image)
    first = np.ascontiguousarray(array.transpose(2, 0, 1))
    batch = torch.stack([torch.from_numpy(first)] * 2)
    for value in (array, first, torch.from_numpy(array), torch.from_numpy(first), [array], [[image]], (image,)):
        assert torch.equal(pixels(processor, value), expected)
    assert torch.equal(pixels(processor, batch), expected.repeat(2, 1, 1, 1))
    assert torch.equal(pixels(processor, [[image], [image]]), expected.repeat(2, 1, 1, 1))
    grey = array[..., 0]
    expected = pixels(processor, Image.fromarray(grey))
    for value in (grey, grey[None], grey[..., None], torch.from_numpy(grey)):
        assert torch.equal(pixels(processor, value), expected)


def test_the_channel_axis_follows_the_library_where_both_fit(processor):
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    assert torch.equal(pixels(processor, array), pixels(processor, Image.fromarray(array)))
    tensor = torch.from_numpy(array)
    assert torch.equal(pixels(processor, tensor), pixels(processor, Image.fromarray(array.transpose(1, 2, 0).copy())))
    dot = np.array([[[1, 2, 3]]], dtype=np.uint8)
    assert torch.equal(pixels(processor, dot), pixels(processor, Image.fromarray(dot)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("photo.jpg", "open the file or address first"),
        ("https://example.org/photo.jpg", "open the file or address first"),
        (np.zeros((4, 4, 3), dtype=np.float32), "uint8"),
        (torch.zeros(3, 4, 4), "uint8"),
        (np.zeros((5, 5, 2), dtype=np.uint8), "1, 3 or 4 channels"),
        (np.zeros((0, 4, 3), dtype=np.uint8), "(0, 4, 3)"),
        (np.zeros(4, dtype=np.uint8), "(4,)"),
        ({"image": RED}, "dict"),
        (None, "NoneType"),
        (b"bytes", "bytes"),
    ],
)
def test_what_is_no_image_is_refused_with_its_index(processor, value, words):
    with pytest.raises(ValueError, match=r"^image 1: ") as caught:
        processor(images=[RED, value], task="caption")
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_row_with_no_or_two_images_is_refused(processor):
    with pytest.raises(ValueError, match="every row takes exactly one image, row 1 has 2"):
        processor(images=[[RED], [RED, RED]], task="caption")
    with pytest.raises(ValueError, match="row 0 has 0"):
        processor(images=[[], [RED]], task="caption")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(processor, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # Pillow's own guard off: ours must do
    buffer = io.BytesIO()
    Image.new("1", (10_001, 10_000)).save(buffer, "PNG")
    with Image.open(buffer) as bomb:
        monkeypatch.setattr(bomb, "load", lambda: pytest.fail("decoded"))
        with pytest.raises(ValueError, match=r"image 0: 10001 x 10000 pixels are more than the limit of 100,000,000"):
            pixels(processor, bomb)
    assert MAX_IMAGE_PIXELS == 100_000_000


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_file_is_refused_with_its_index(processor, kind):
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(buffer, kind)
    half = Image.open(io.BytesIO(buffer.getvalue()[: len(buffer.getvalue()) // 2]))
    with pytest.raises(ValueError, match=r"^image 2: .*(truncated|broken)"):
        processor(images=[RED, RED, half], task="caption")


def test_a_closed_file_is_refused_with_its_index(processor, tmp_path):
    RED.save(tmp_path / "red.png")
    with Image.open(tmp_path / "red.png") as image:
        pass
    with pytest.raises(ValueError, match=r"^image 0: "):
        pixels(processor, image)


def test_the_image_given_is_not_changed(processor):
    image = Image.fromarray(np.full((4, 4), 65535, dtype=np.uint16))
    before = image.tobytes(), image.mode, image.size
    pixels(processor, image)
    assert (image.tobytes(), image.mode, image.size) == before


class OtherBackend(BaseImageProcessor):
    """Stands in for the class that transformers loads where torchvision is installed."""

    def to_dict(self) -> dict:
        return {**florenz_image_processor(96).to_dict(), "image_processor_type": "CLIPImageProcessor"}


def test_an_image_processor_of_another_back_end_is_rebuilt_on_pil(processor):
    other = OtherBackend()
    assert not isinstance(other, CLIPImageProcessorPil)
    rebuilt = FlorenzProcessor(other, processor.tokenizer, processor.encoder_tokenizer)
    assert type(rebuilt.image_processor) is CLIPImageProcessorPil
    assert torch.equal(pixels(rebuilt, RED)[0], by_hand(RED, 96))
    kept = florenz_image_processor(96)
    assert FlorenzProcessor(kept, processor.tokenizer, processor.encoder_tokenizer).image_processor is kept
