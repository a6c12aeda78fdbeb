"""The processor: one row or many, targets, prefixes, and the text of what was generated."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from processor_calls import RED, texts
from transformers import CLIPImageProcessorPil


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
    assert len(caught) == 1 and Path(caught[0].filename).name == Path(__file__).name
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
    with pytest.raises(ValueError, match="has no prefix of its own, only captions in"):
        processor(**arguments, prefix=True)


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
