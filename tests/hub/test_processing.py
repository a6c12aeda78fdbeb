"""The processor: prompts, images, targets, prefixes, decoding, saving; with tiny and with the real tokenizers."""

import copy
import doctest
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import tiny_model
from tiny_processor import DECODER_SPECIALS, ENCODER_SPECIALS, build_tiny_processor, build_tokenizer
from transformers import AutoProcessor, AutoTokenizer, CLIPImageProcessorPil, pipeline
from transformers.image_processing_utils import BaseImageProcessor

from modeling_florenz import processing_florenz
from modeling_florenz.processing_florenz import (
    LANGUAGES,
    MAX_IMAGE_PIXELS,
    PREFIXES,
    FlorenzProcessor,
    florenz_image_processor,
)


SHARED = Path(__file__).resolve().parents[3] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason=f"reference data is not at {SHARED}")
RED = Image.new("RGB", (20, 10), (255, 0, 0))


@pytest.fixture(scope="module")
def processor() -> FlorenzProcessor:
    return build_tiny_processor()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> FlorenzProcessor:
    if not SHARED.exists():
        pytest.skip(f"reference data is not at {SHARED}")
    folder = tmp_path_factory.mktemp("tokenizers")
    shutil.copytree(SHARED / "data/tokenizers/florence2", folder / "florence2")
    gemma = folder / "gemma2"
    gemma.mkdir()
    gemma.joinpath("tokenizer.json").write_bytes(
        lzma.decompress((SHARED / "data/tokenizers/gemma2/tokenizer.json.xz").read_bytes())
    )
    shutil.copy(SHARED / "data/tokenizers/gemma2/tokenizer_config.json", gemma)
    encoder = AutoTokenizer.from_pretrained(folder / "florence2")
    tokens = ["<od>", "</od>", "<ocr>", "</ocr>", *(f"<loc_{i}>" for i in range(1000)), "<cap>", "</cap>", "<sep>"]
    encoder.add_special_tokens({"extra_special_tokens": tokens})
    return FlorenzProcessor(florenz_image_processor(), AutoTokenizer.from_pretrained(gemma), encoder)


def by_hand(image: Image.Image, size: int) -> torch.Tensor:
    """The released preprocessing, step by step in float32."""
    pixels = np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels - mean[:, None, None]) / std[:, None, None]


def pixels(processor: FlorenzProcessor, image: object, **kwargs: object) -> torch.Tensor:
    return processor(images=image, task="caption", **kwargs)["pixel_values"]


def texts(tokenizer: object, ids: torch.Tensor) -> list[str]:
    return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids]


# Prompts


@pytest.mark.parametrize(
    ("task", "language", "text", "expected"),
    [
        ("caption", "de", None, "The target language is German. What does the image describe?"),
        ("caption", None, None, "What does the image describe?"),
        ("caption", "en", None, "The target language is English. What does the image describe?"),
        (
            "detailed_caption",
            "fr",
            None,
            "The target language is French. Describe in detail what is shown in the image.",
        ),
        (
            "more_detailed_caption",
            "es",
            None,
            "The target language is Spanish. Describe with a paragraph what is shown in the image.",
        ),
        (
            "translate",
            "zh",
            "A dog.",
            "The target language is simplified Chinese. Translate the following text: A dog.",
        ),
        ("translate", "ru", " A dog. ", "The target language is Russian. Translate the following text:  A dog. "),
        ("translate", None, "{source} {0} {}", "Translate the following text: {source} {0} {}"),
        (None, None, "What is <this>?", "What is <this>?"),
    ],
)
def test_prompts_are_the_published_sentences(processor, task, language, text, expected):
    assert processor.prompt(task, language, text) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("capton",), ["'capton'", "caption, detailed_caption, more_detailed_caption, translate"]),
        (("Caption",), ["'Caption'"]),
        (("caption", "it"), ["'it'", "en, de, fr, es, ru, zh"]),
        (("caption", "DE"), ["'DE'"]),
        (("caption", "de", "A dog."), ["'caption'", "takes no text", "A dog."]),
        (("translate", "de"), ["'translate'", "needs a text"]),
        (("translate", "de", ""), ["needs a text"]),
        (("translate", "de", " \n"), ["needs a text"]),
        ((None, "de", "A dog."), ["only a text with no language needs no task"]),
        ((None,), ["task None"]),
        (("translate", "de", 7), ["must be a string", "7"]),
    ],
)
def test_a_prompt_that_makes_no_sense_is_refused_in_one_sentence(processor, arguments, words):
    with pytest.raises(ValueError) as caught:
        processor.prompt(*arguments)
    assert all(word in str(caught.value) for word in words) and "\n" not in str(caught.value)


def test_the_docstring_examples_hold(processor):
    globs = {**vars(processing_florenz), "processor": processor}
    tests = [test for test in doctest.DocTestFinder().find(processing_florenz, globs=globs) if test.examples]
    assert len(tests) >= 2
    assert sum(doctest.DocTestRunner().run(test).failed for test in tests) == 0


# Batches


def test_a_single_row_still_has_a_batch_dimension(processor):
    inputs = processor(images=RED, task="caption", language="de", target="Ein Hund.", prefix=True)
    assert set(inputs) == {"pixel_values", "input_ids", "attention_mask", "labels", "decoder_input_ids"}
    assert inputs["pixel_values"].shape == (1, 3, 64, 64) and inputs["pixel_values"].dtype == torch.float32
    for name in ("input_ids", "attention_mask", "labels", "decoder_input_ids"):
        assert inputs[name].ndim == 2 and inputs[name].dtype == torch.int64 and inputs[name].is_contiguous()


def test_prompts_begin_and_end_and_are_padded_on_the_right(processor):
    inputs = processor(task="translate", text=["A dog.", "A much longer text."])
    first, second = inputs["input_ids"].tolist()
    assert first[0] == second[0] == second[-1] - 2 == 0
    length = first.index(2) + 1
    assert set(first[length:]) == {1} and inputs["attention_mask"].tolist()[0] == [1] * length + [0] * (
        len(first) - length
    )
    assert 1 not in second and texts(processor.encoder_tokenizer, inputs["input_ids"])[0].endswith("text: A dog.")


def test_every_column_may_differ_by_row(processor):
    inputs = processor(
        images=[RED, RED],
        task=["caption", "translate"],
        language=["de", None],
        text=[None, "A dog."],
        target=["Rot", "Un chien"],
        prefix=[True, "Un"],
    )
    assert texts(processor.encoder_tokenizer, inputs["input_ids"]) == [
        "The target language is German. What does the image describe?",
        "Translate the following text: A dog.",
    ]
    assert texts(processor.tokenizer, inputs["decoder_input_ids"]) == ["Das Bild zeigt", "Un"]


def test_one_image_serves_many_texts_and_one_task_many_images(processor, monkeypatch):
    calls = []
    original = CLIPImageProcessorPil.preprocess
    monkeypatch.setattr(
        CLIPImageProcessorPil,
        "preprocess",
        lambda self, *args, **kw: (calls.append(1), original(self, *args, **kw))[1],
    )
    inputs = processor(images=RED, task="translate", text=["One.", "Two.", "Three."], language="de")
    assert inputs["pixel_values"].shape[0] == inputs["input_ids"].shape[0] == 3 and len(calls) == 1
    assert torch.equal(inputs["pixel_values"][0], inputs["pixel_values"][2])
    inputs = processor(images=[RED, RED], task="caption", language=["de", "fr"])
    assert inputs["pixel_values"].shape[0] == inputs["input_ids"].shape[0] == 2
    inputs = processor(images=RED, task="caption", language=["de", "fr"], prefix=True)
    assert texts(processor.tokenizer, inputs["decoder_input_ids"]) == ["Das Bild zeigt", "La photo montre"]


def test_lists_of_different_lengths_are_refused_with_both_lengths(processor):
    with pytest.raises(ValueError, match=r"`images` has 2, `text` has 3"):
        processor(images=[RED, RED], task="translate", text=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"`images` has 1, `text` has 2"):
        processor(images=[RED], task="translate", text=["a", "b"])
    with pytest.raises(ValueError, match=r"`text` has 0"):
        processor(task="translate", text=[])


def test_errors_name_the_row(processor):
    with pytest.raises(ValueError, match=r"row 1: .*'xx'"):
        processor(images=RED, task="caption", language=["de", "xx"])
    with pytest.raises(ValueError, match=r"row 1: .*target"):
        processor(task="translate", text=["a", "b"], target=["a", None])


def test_captions_need_an_image(processor):
    for task in ("caption", "detailed_caption", "more_detailed_caption"):
        with pytest.raises(ValueError, match=f"'{task}' needs an image"):
            processor(task=task, language="de")
    assert "pixel_values" not in processor(task="translate", text="A dog.")


def test_nothing_at_all_is_refused_and_so_is_an_unknown_argument(processor):
    with pytest.raises(ValueError, match="only a text with no language needs no task"):
        processor()
    with pytest.raises(TypeError, match="langauge"):
        processor(images=RED, task="caption", langauge="de")
    with pytest.raises(TypeError, match="videos"):
        processor(text="Hi", videos=[1])


def test_padding_and_tensor_kinds(processor):
    two = {"task": "translate", "text": ["A.", "A longer text."], "target": ["B", "BB BB"]}
    assert processor(**two, padding="max_length")["input_ids"].shape == (2, processor.max_prompt_length)
    assert processor(**two, padding="max_length")["labels"].shape == (2, processor.max_target_length)
    lists = processor(**two, images=RED, padding=False, return_tensors=None)
    assert len({len(row) for row in lists["input_ids"]}) == 2 and isinstance(lists["input_ids"][0], list)
    arrays = processor(**two, images=RED, return_tensors="np")
    assert isinstance(arrays["input_ids"], np.ndarray) and arrays["pixel_values"].dtype == np.float32
    with pytest.raises(ValueError, match="padding"):
        processor(**two, padding="shortest")


def test_a_long_prompt_is_cut_with_a_warning_and_keeps_its_end(processor):
    limit = processor.max_prompt_length
    with pytest.warns(UserWarning, match=f"tokens is cut to {limit}") as caught:
        ids = processor(task="translate", text="long " * 200)["input_ids"]
    assert Path(caught[0].filename).name == "test_processing.py"
    assert ids.shape == (1, limit) and ids[0, 0] == 0 and ids[0, -1] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processor(task="translate", text="short")


# Targets and prefixes


def test_labels_are_not_shifted_and_padded_with_minus_100(processor):
    labels = processor(task="translate", text=["a", "b"], target=["Ein Hund.", "Zwei kleine Hunde."])[
        "labels"
    ].tolist()
    plain = processor.tokenizer("Ein Hund.", add_special_tokens=False)["input_ids"]
    assert labels[0][: len(plain) + 2] == [2, *plain, 1] and set(labels[0][len(plain) + 2 :]) == {-100}
    assert labels[1][0] == 2 and labels[1][-1] == 1 and 0 not in labels[0] + labels[1]


def test_a_long_target_is_cut_without_an_end_and_with_one_warning(processor):
    limit = processor.max_target_length
    with pytest.warns(UserWarning, match=f"^targets of more than {limit} tokens are cut, without an end") as caught:
        labels = processor(task="translate", text="a", target=["Hund " * 200, "Hund"])["labels"]
    assert len(caught) == 1 and Path(caught[0].filename).name == "test_processing.py"
    assert labels.shape == (2, limit) and labels[0, 0] == 2 and 1 not in labels[0] and -100 not in labels[0]
    assert [index for index in labels[1].tolist() if index != -100][-1] == 1


def test_a_target_at_the_limit_is_whole_and_one_above_it_is_not(processor):
    limit = processor.max_target_length
    at, above = ("x" * (limit + count) for count in (-3, -2))
    assert processor.target_lengths([at, above]) == [limit, limit + 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert processor(task="translate", text="a", target=at)["labels"][0, -1] == 1
    with pytest.warns(UserWarning):
        labels = processor(task="translate", text="a", target=above)["labels"]
    assert labels.shape == (1, limit) and labels[0, -1] != 1


def test_an_empty_target_is_begin_and_end(processor):
    assert processor(task="translate", text="a", target="")["labels"].tolist() == [[2, 1]]


def test_a_prefix_starts_with_start_and_begin_and_has_no_end(processor):
    inputs = processor(images=RED, task="caption", language="de", prefix=True)
    plain = processor.tokenizer("Das Bild zeigt", add_special_tokens=False)["input_ids"]
    assert inputs["decoder_input_ids"].tolist() == [[1, 2, *plain]] and "decoder_attention_mask" not in inputs
    assert "decoder_input_ids" not in processor(images=RED, task="caption", prefix=False)
    free = processor(task="translate", text="a", prefix="Ein Hund")["decoder_input_ids"]
    assert texts(processor.tokenizer, free) == ["Ein Hund"]
    assert processor(task="translate", text="a", prefix="")["decoder_input_ids"].tolist() == [[1, 2]]


def test_ragged_prefixes_are_padded_on_the_left_with_a_mask(processor):
    inputs = processor(images=RED, task="caption", language=["de", "zh", "de"], prefix=[True, True, False])
    ids, mask = inputs["decoder_input_ids"].tolist(), inputs["decoder_attention_mask"].tolist()
    assert any(row[0] != 0 for row in ids)
    for row, row_mask in zip(ids, mask, strict=True):
        pads = row.index(1)
        assert row[:pads] == [0] * pads and row[pads : pads + 2] == [1, 2]
        assert row_mask == [0] * pads + [1] * (len(row) - pads)
    same = processor(images=RED, task="caption", language=["de", "de"], prefix=True)
    assert "decoder_attention_mask" not in same


@pytest.mark.parametrize(
    "arguments",
    [
        {"images": RED, "task": "caption"},
        {"task": "translate", "text": "A dog.", "language": "de"},
        {"images": RED, "text": "What?"},
    ],
)
def test_the_standard_prefix_is_for_captions_in_a_language(processor, arguments):
    with pytest.raises(ValueError, match="prefix=True is for captions"):
        processor(**arguments, prefix=True)


def test_languages_and_prefixes_can_be_replaced():
    tiny = build_tiny_processor()
    custom = FlorenzProcessor(
        tiny.image_processor, tiny.tokenizer, tiny.encoder_tokenizer, languages={"it": "Italian"}, prefixes={}
    )
    assert custom.prompt("caption", "it").startswith("The target language is Italian. ")
    with pytest.raises(ValueError, match="'de', expected one of it"):
        custom.prompt("caption", "de")
    with pytest.raises(ValueError, match="prefix"):
        custom(images=RED, task="caption", language="it", prefix=True)
    assert "it" not in LANGUAGES and set(LANGUAGES) == set(PREFIXES) == {"en", "de", "fr", "es", "ru", "zh"}


# Text is data


def test_special_tokens_in_user_text_stay_text(processor):
    text = "a <s> b </s> c <pad> d <unk> e <eos> f <bos> g"
    inputs = processor(text=text, target=text)
    translated = processor(task="translate", text="x", prefix=text)
    assert not {0, 1, 2, 3} & set(inputs["input_ids"][0, 1:-1].tolist())
    assert not {0, 1, 2, 3} & set(inputs["labels"][0, 1:-1].tolist())
    assert not {0, 1, 2, 3} & set(translated["decoder_input_ids"][0, 2:].tolist())
    assert texts(processor.tokenizer, inputs["labels"]) == [text]
    parsed = processor.encoder_tokenizer(text, add_special_tokens=False)["input_ids"]  # negative control
    assert {0, 1, 2} <= set(parsed)


def test_the_tokenizers_are_left_as_they_were(processor):
    for tokenizer in (processor.tokenizer, processor.encoder_tokenizer):
        before = tokenizer.backend_tokenizer.to_str()
        processor(text="a </s> b <eos>", target="c <eos>", prefix="d")
        assert tokenizer.backend_tokenizer.to_str() == before
        assert tokenizer.backend_tokenizer.encode_special_tokens is False


def test_threads_take_turns_at_a_tokenizer_so_that_no_special_token_slips_through(processor, monkeypatch):
    found, active, most = [], [], []
    encode = type(processor.tokenizer)._encode_plus

    def slow(self: object, *args: object, **kwargs: object) -> object:
        active.append(1)
        most.append(len(active))
        time.sleep(0.002)  # lets another thread in, if anything does
        encoded = encode(self, *args, **kwargs)
        active.pop()
        return encoded

    def work() -> None:
        for _ in range(5):
            ids = processor(text="a </s> b <pad>", return_tensors=None)["input_ids"][0]
            found.extend(index for index in ids[1:-1] if index < 4)

    monkeypatch.setattr(type(processor.tokenizer), "_encode_plus", slow)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 20 and max(most) == 1 and not found


def test_a_tokenizer_without_an_end_token_is_refused(processor):
    lacking = copy.deepcopy(processor.encoder_tokenizer)
    lacking.eos_token = None
    with pytest.raises(ValueError, match="`encoder_tokenizer` needs a bos, an eos and a pad token"):
        FlorenzProcessor(processor.image_processor, processor.tokenizer, lacking)


# Decoding


def test_decoding_cuts_the_prefix_by_position_and_capitalises(processor):
    prefix = processor(images=RED, task="caption", language=["de", "zh"], prefix=True)["decoder_input_ids"]
    tail = processor.tokenizer("ein Hund", add_special_tokens=False)["input_ids"]
    generated = torch.cat([prefix, torch.tensor([[*tail, 1]] * 2)], 1)
    assert processor.decode_generated(generated, prefix) == ["Ein Hund"] * 2
    assert processor.decode_generated(generated)[0].startswith("Das Bild zeigt")
    assert processor.decode_generated(generated, prefix.tolist()) == ["Ein Hund"] * 2


def test_decoding_survives_empty_and_padded_output(processor):
    assert processor.decode_generated(torch.tensor([[1, 2, 1, 0, 0]])) == [""]
    assert processor.decode_generated([[1, 2], [1, 2, 1]]) == ["", ""]
    assert processor.decode_generated([]) == []
    row = [*processor.tokenizer("hund", add_special_tokens=False)["input_ids"], 1, -100, -100]
    assert processor.decode_generated(row) == processor.decode_generated(np.array([row])) == ["Hund"]
    prefix = torch.tensor([[1, 2, 9]])
    assert processor.decode_generated(prefix, prefix) == [""]


# Images


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


# Chat and pipeline

CHAT = [{"role": "user", "content": [{"type": "image", "image": RED}, {"type": "text", "text": "What <s> is this?"}]}]


def test_a_chat_becomes_its_texts(processor):
    assert processor.apply_chat_template(CHAT) == "What <s> is this?"
    plain = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is this?"}]
    assert processor.apply_chat_template(plain, add_generation_prompt=True) == "Be kind. What is this?"


@pytest.mark.parametrize("batched", [False, True])
def test_a_tokenized_chat_equals_the_plain_call(processor, batched):
    settings = {"tokenize": True, "return_dict": True, "return_tensors": "pt", "add_generation_prompt": True}
    inputs = processor.apply_chat_template(copy.deepcopy([CHAT, CHAT] if batched else CHAT), **settings)
    expected = processor(images=[RED] * (1 + batched), text=["What <s> is this?"] * (1 + batched))
    assert set(inputs) == set(expected)
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)


def test_the_pipeline_runs_on_images_batches_and_chats(processor):
    pipe = pipeline("image-text-to-text", model=tiny_model("bart"), processor=processor)
    settings = {"max_new_tokens": 4, "return_full_text": False}
    prompt = processor.prompt("caption", "de")
    single = pipe(images=RED, text=prompt, **settings)
    assert isinstance(single[0]["generated_text"], str) and single[0]["input_text"] == prompt
    batch = pipe(images=[RED, RED], text=[prompt, prompt], **settings)
    assert [row["generated_text"] for row in batch] == [single[0]["generated_text"]] * 2
    chat = copy.deepcopy(CHAT)
    chat[0]["content"][1]["text"] = prompt
    assert pipe(text=chat, **settings)[0]["generated_text"] == single[0]["generated_text"]


def test_pipeline_output_is_clean_unless_special_tokens_are_asked_for(processor):
    ids = torch.tensor([[1, 2, *processor.tokenizer("hund", add_special_tokens=False)["input_ids"], 1]])
    assert processor.post_process_image_text_to_text(ids) == ["Hund"]
    assert "<bos>" in processor.post_process_image_text_to_text(ids, skip_special_tokens=False)[0]


# Saving


def test_model_input_names_have_no_duplicates(processor):
    names = processor.model_input_names
    assert len(names) == len(set(names)) and {"pixel_values", "input_ids", "decoder_input_ids"} <= set(names)


def assert_same(first: FlorenzProcessor, second: FlorenzProcessor) -> None:
    call = {"images": RED, "task": ["caption", "translate"], "language": "de", "text": [None, "A </s> dog."]}
    left = first(**call, target=["Ein Hund.", "x"], prefix=[True, "Un"])
    right = second(**call, target=["Ein Hund.", "x"], prefix=[True, "Un"])
    assert set(left) == set(right) and all(torch.equal(left[name], right[name]) for name in left)
    for name in ("languages", "prefixes", "max_prompt_length", "max_target_length", "chat_template"):
        assert getattr(first, name) == getattr(second, name)


def test_a_saved_processor_comes_back_whole_and_without_a_warning(tmp_path, caplog):
    tiny = build_tiny_processor()
    saved = FlorenzProcessor(
        tiny.image_processor,
        tiny.tokenizer,
        tiny.encoder_tokenizer,
        languages={**LANGUAGES, "it": "Italian"},
        prefixes={"de": "Auf dem Bild"},
        max_prompt_length=99,
        max_target_length=33,
        chat_template="{{ messages[0].content }}",
    )
    saved.save_pretrained(tmp_path / "one")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = AutoProcessor.from_pretrained(tmp_path / "one")
    assert type(loaded) is FlorenzProcessor and type(loaded.image_processor) is CLIPImageProcessorPil
    assert_same(saved, loaded)
    assert loaded.chat_template == "{{ messages[0].content }}" and loaded.prefixes == {"de": "Auf dem Bild"}
    assert (loaded.max_prompt_length, loaded.max_target_length) == (99, 33) and loaded.languages["it"] == "Italian"
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    loaded.save_pretrained(tmp_path / "two")
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert {Path("chat_template.jinja"), Path("processing_florenz.py"), Path("processor_config.json")} <= set(files)
    assert {Path("tokenizer.json"), Path("encoder_tokenizer/tokenizer.json")} <= set(files)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    for folder in ("two", "two/encoder_tokenizer"):
        config = json.loads((tmp_path / folder / "tokenizer_config.json").read_text())
        assert not {"is_local", "local_files_only"} & set(config)
    config = json.loads((tmp_path / "two/processor_config.json").read_text())
    assert config["auto_map"]["AutoProcessor"] == "processing_florenz.FlorenzProcessor"


def test_one_tokenizer_may_serve_both_ends(tmp_path, processor):
    both = FlorenzProcessor(processor.image_processor, processor.tokenizer, processor.tokenizer)
    both.save_pretrained(tmp_path)
    assert_same(both, FlorenzProcessor.from_pretrained(tmp_path))


REMOTE = """
import sys, warnings
from pathlib import Path
from transformers import AutoProcessor
processor = AutoProcessor.from_pretrained(sys.argv[1], trust_remote_code=True)
assert "modeling_florenz" not in sys.modules
assert type(processor).__module__.startswith("transformers_modules"), type(processor)
processor.save_pretrained(sys.argv[2])
again = AutoProcessor.from_pretrained(sys.argv[2], trust_remote_code=True)
print(again(text="a </s> b", target="c", prefix="d")["input_ids"].tolist())
"""


def test_remote_code_loads_without_the_package_and_saves_a_whole_folder_again(tmp_path, processor):
    processor.save_pretrained(tmp_path / "one")
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    arguments = [sys.executable, "-c", REMOTE, str(tmp_path / "one"), str(tmp_path / "two")]
    done = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == processor(text="a </s> b")["input_ids"].tolist()
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path


def test_the_hub_module_imports_only_what_a_hub_user_has():
    source = Path(processing_florenz.__file__).read_text(encoding="utf-8")
    imports = [line.strip() for line in source.splitlines() if line.strip().startswith(("import ", "from "))]
    assert {line.split()[1].split(".")[0] for line in imports} == {"copy", "threading", "warnings", "typing"} | {
        "torch",
        "transformers",
    }
    assert "modeling_florenz" not in "".join(imports) and len(source.splitlines()) < 450


# The real tokenizers


def test_real_prompts_and_targets_equal_the_golden_ids(real):
    golden = json.loads((SHARED / "data/tokenizers/golden_ids.json").read_text(encoding="utf-8"))
    special = "<s> </s> <mask>"  # the golden ids read these as special tokens, a prompt must not
    cases = [case for case in golden["computed"] if case["text"] != special]
    assert len(cases) == len(golden["computed"]) - 1 >= 40
    inputs = real(text=[case["text"] for case in cases], target=[case["text"] for case in cases], return_tensors=None)
    for row, case in enumerate(cases):
        length = sum(inputs["attention_mask"][row])
        assert inputs["input_ids"][row][:length] == case["florence2_bos_eos"], case
        assert [index for index in inputs["labels"][row] if index != -100] == case["gemma2_bos_eos"], case
    for text, ids in golden["published_gemma"]["cases"]:
        assert real(text="x", prefix=text)["decoder_input_ids"].tolist() == [[1, *ids]]


def test_real_prefixes_are_start_begin_and_the_words(real):
    for language, words in PREFIXES.items():
        inputs = real(images=RED, task="caption", language=language, prefix=True, image_size=32)
        official = real.tokenizer(words, add_special_tokens=False)["input_ids"]
        assert inputs["decoder_input_ids"].tolist() == [[1, 2, *official]]
        assert real.tokenizer.decode(official) == words


def test_real_output_after_a_prefix_loses_its_leading_blank(real):
    prefix = real(images=RED, task="caption", language="de", prefix=True, image_size=32)["decoder_input_ids"]
    tail = real.tokenizer(" einen Hund. ", add_special_tokens=False)["input_ids"]
    assert real.tokenizer.decode(tail) == " einen Hund. "
    generated = torch.tensor([[*prefix[0].tolist(), *tail, 1, 0]])
    assert real.decode_generated(generated, prefix) == ["Einen Hund."]


SPECIALS = "<s> </s> <pad> <mask> <unk> <od> <loc_5> <sep> <CAPTION> <eos> <bos> <start_of_turn> <end_of_turn>x<eos>y"


def test_no_special_id_comes_out_of_real_user_text(real):
    inputs = real(text=SPECIALS, target=SPECIALS, prefix=SPECIALS)
    encoder_specials = {index for index, token in real.encoder_tokenizer.added_tokens_decoder.items() if token.special}
    decoder_specials = {index for index, token in real.tokenizer.added_tokens_decoder.items() if token.special}
    assert len(encoder_specials) > 1000 and {0, 1, 2, 3} <= decoder_specials
    assert not encoder_specials & set(inputs["input_ids"][0, 1:-1].tolist())
    assert not decoder_specials & set(inputs["labels"][0, 1:-1].tolist())
    assert not decoder_specials & set(inputs["decoder_input_ids"][0, 2:].tolist())
    assert real.tokenizer.decode(inputs["labels"][0, 1:-1]) == SPECIALS
    assert real.encoder_tokenizer.decode(inputs["input_ids"][0, 1:-1]) == SPECIALS
    parsed = real.encoder_tokenizer(SPECIALS, add_special_tokens=False)["input_ids"]  # negative control
    assert encoder_specials & set(parsed)


def test_the_flags_of_the_real_tokenizers_do_not_matter(real, monkeypatch):
    row = {"text": "x", "target": ["A dog.", "A very small dog."], "prefix": ["Un", "Un chien"]}
    expected = real(**row)
    assert expected["labels"][0, 0] == 2 and expected["labels"][0, -1] == -100 and expected["labels"][1, -1] == 1
    for flag in (True, False):
        monkeypatch.setattr(real.tokenizer, "add_bos_token", flag)
        monkeypatch.setattr(real.tokenizer, "add_eos_token", flag)
        monkeypatch.setattr(real.tokenizer, "padding_side", "right" if flag else "left")
        assert len(real.tokenizer("A dog.")["input_ids"]) == (5 if flag else 3)
        assert all(torch.equal(values, expected[name]) for name, values in real(**row).items())


def test_tiny_and_real_tokenizers_share_their_special_ids(processor, real):
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
        assert getattr(processor.tokenizer, name) == getattr(real.tokenizer, name)
        assert getattr(processor.encoder_tokenizer, name) == getattr(real.encoder_tokenizer, name)
    assert len(build_tokenizer(ENCODER_SPECIALS, 99)) == 99 and len(build_tokenizer(DECODER_SPECIALS, 120)) == 120


def test_real_tokenizers_survive_saving(real, tmp_path):
    real.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    texts_ = ["Ein Mann schläft.\n\nЗдесь 图为 é", SPECIALS]
    before, after = (one(text=texts_, target=texts_, prefix=texts_) for one in (real, loaded))
    assert all(torch.equal(before[name], after[name]) for name in before)
