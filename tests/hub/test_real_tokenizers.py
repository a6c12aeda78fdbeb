"""The processor with the tokenizers of the released models."""

import json

import pytest
import torch
from processor_calls import RED, SHARED
from tiny_processor import DECODER_SPECIALS, ENCODER_SPECIALS, build_tokenizer
from transformers import AutoProcessor

from modeling_florenz.processing_florenz import (
    PREFIXES,
)


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


@pytest.mark.slow
def test_real_tokenizers_survive_saving(real, tmp_path):
    real.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    texts_ = ["Ein Mann schläft.\n\nЗдесь 图为 é", SPECIALS]
    before, after = (one(text=texts_, target=texts_, prefix=texts_) for one in (real, loaded))
    assert all(torch.equal(before[name], after[name]) for name in before)
