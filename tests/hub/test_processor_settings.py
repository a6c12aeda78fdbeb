"""Settings of transformers in a call of the processor: taken, or refused in one sentence, never passed over."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from processor_calls import RED

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.processing_florenz import FlorenzProcessor


SAMPLE = BUNDLED_MODEL / "sample.png"
LONG = "A dog and a cat and a bird and a house. " * 3


def test_flat_and_nested_settings_are_the_same(processor: FlorenzProcessor) -> None:
    flat = processor(images=RED, text="A dog.", padding="max_length", max_length=40, do_rescale=False)
    nested = processor(
        images=RED,
        text="A dog.",
        text_kwargs={"padding": "max_length", "max_length": 40},
        images_kwargs={"do_rescale": False},
    )
    assert all(torch.equal(flat[name], nested[name]) for name in flat) and flat["input_ids"].shape == (1, 40)
    plain = processor(images=RED, text="A dog.")["pixel_values"]
    assert flat["pixel_values"].abs().max() > 100 > plain.abs().max()
    with pytest.raises(ValueError, match="do_rescale was passed two times"):
        processor(images=RED, text="A dog.", do_rescale=False, images_kwargs={"do_rescale": False})


def test_truncation_says_whether_a_cut_is_wanted(processor: FlorenzProcessor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids = processor(text=LONG, max_length=20, truncation=True)["input_ids"]
    assert ids.shape == (1, 20) and ids[0, -1] == 2
    with pytest.warns(UserWarning, match="more than 20 tokens is cut to 20"):
        assert torch.equal(processor(text=LONG, max_length=20)["input_ids"], ids)
    with pytest.raises(ValueError, match="a prompt has more than 20 tokens, and `truncation` is False"):
        processor(text=LONG, max_length=20, truncation=False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_length": 2}, "`max_length` must be from 3 to the 120 tokens of a prompt, got 2"),
        ({"max_length": 121}, "`max_length` must be from 3 to the 120"),
        ({"padding_side": "left"}, "`padding_side` must be 'right'"),
        ({"text_kwargs": {"padding_side": "left"}}, "`padding_side` must be 'right'"),
        ({"image_size": 32, "size": {"height": 64, "width": 64}}, "`image_size` and `size` were both given"),
    ],
)
def test_settings_that_would_change_the_answer_are_refused(processor, settings, words) -> None:
    with pytest.raises(ValueError, match=words):
        processor(images=RED, text="A dog.", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"return_offsets_mapping": True},
        {"text_kwargs": {"return_length": True}},
        {"text_pair": "A cat."},
        {"is_split_into_words": True},
        {"input_data_format": "channels_last"},
        {"langauge": "de"},
    ],
)
def test_settings_without_an_effect_are_named(processor: FlorenzProcessor, settings: dict) -> None:
    name = next(iter(settings.get("text_kwargs", settings)))
    with pytest.raises(TypeError, match=f"unexpected arguments: {name}$"):
        processor(images=RED, text="A dog.", **settings)


def test_tensors_come_in_the_kind_asked_for(processor: FlorenzProcessor) -> None:
    for kind, expected in (("pt", torch.Tensor), ("np", np.ndarray), (None, list)):
        for settings in ({"return_tensors": kind}, {"common_kwargs": {"return_tensors": kind}}):
            inputs = processor(images=RED, text="A dog.", target="x", **settings)
            assert all(isinstance(values, expected) for values in inputs.values()), kind


def chat(**image: object) -> list[dict]:
    return [{"role": "user", "content": [{"type": "image", **image}, {"type": "text", "text": "What is this?"}]}]


@pytest.mark.parametrize("key", ["image", "url", "path"])
def test_a_chat_has_its_image_and_reads_files_only_if_asked(processor: FlorenzProcessor, key: str) -> None:
    settings = {"tokenize": True, "return_dict": True}
    with Image.open(SAMPLE) as picture:
        expected = processor(images=picture, text="What is this?")
    inputs = processor.apply_chat_template(
        chat(**{key: str(SAMPLE)}), processor_kwargs={"load_images": True}, **settings
    )
    assert all(torch.equal(inputs[name], expected[name]) for name in expected)
    with pytest.raises(ValueError, match="nothing is fetched here unasked"):
        processor.apply_chat_template(chat(**{key: str(SAMPLE)}), **settings)


def test_an_image_that_cannot_be_loaded_is_named(processor: FlorenzProcessor, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"?")
    with pytest.raises(ValueError, match=r"^image 1: .*a\.png"):
        processor(images=[RED, str(tmp_path / "a.png")], text=["x", "y"], load_images=True)
