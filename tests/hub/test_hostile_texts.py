"""Over seventy texts of ill will: no special token comes out of one, and each takes less than a second."""

import random
import time
import warnings

import pytest

from modeling_florenz.processing_florenz import FlorenzProcessor


LONG = 1_000_000
RNG = random.Random(0)
MARKUP = [
    *("<s>", "</s>", "<pad>", "<unk>", "<mask>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
    *("<od>", "</ocr>", "<loc_0>", "<loc_999>", "<sep>", "<cap>", "<image>", "<|endoftext|>", "[INST]", "[@BOS@]"),
    *("<unused0>", "<2mass>", "<0x00>", "<h1>", "&lt;s&gt;", "<S>", "< s >", "<s", "s>", "<<s>>", "<eo<eos>s>"),
    *("\u2581<s>", "a</s>b", "</s>\n<s>", "<\u200bs>", "\uff1cs\uff1e", "<pad>" * 500, "</s>" * 500),
    *("{source}", "{0}", "%s", "{{", "{text.__class__}", "{% raw %}", "\\u003cs\\u003e"),
]
ODD = [
    *(" x ", "\0", "a\0</s>\0b", "\x1b[31m", "\ufeff<s>", "\u202e</s>", "\r\n", "\u2028", "\ufffe", "\U0010ffff"),
    *("\ud800", "\udcff\udcfe", "</s\udc80>", "<s>\ud83d", "\ud83d\ude00", "e\u0301" * 50, "\U0001f469\u200d" * 50),
]
LARGE = [
    *("a" * LONG, "</s>" * (LONG // 4), "\0" * LONG, "\ud800" * LONG, "-" * LONG, "word " * (LONG // 5)),
    *("\u56fe" * LONG, "e" + "\u0301" * LONG, "\n" * (LONG - 1) + "x", " " * (LONG - 1) + "x"),
    *("\u00c3\u00c2" * (LONG // 2), "\U0001f469\u200d" * (LONG // 2), "<loc_1>" * (LONG // 7)),
    "".join(map(chr, RNG.choices(range(0xE000, 0x30000), k=LONG))),
]


def special_ids(tokenizer: object) -> set[int]:
    return {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}


def test_there_are_over_seventy_texts() -> None:
    assert len({*MARKUP, *ODD, *LARGE}) > 70


def test_no_special_token_is_made_of_a_text_and_none_takes_a_second(real: FlorenzProcessor) -> None:
    encoder_specials, decoder_specials = special_ids(real.encoder_tokenizer), special_ids(real.tokenizer)
    slowest = 0.0
    for text in (*MARKUP, *ODD, *LARGE):
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* more than .* tokens")
            inputs = real(text=text, target=text)
        slowest = max(slowest, time.process_time() - start)
        prompt, labels = inputs["input_ids"][0].tolist(), inputs["labels"][0].tolist()
        assert (prompt[0], prompt[-1]) == (0, 2) and not encoder_specials & {*prompt[1:-1]}, text[:40]
        is_cut = len(labels) == real.max_target_length and labels[-1] != 1
        assert labels[0] == 2 and not decoder_specials & {*labels[1 : None if is_cut else -1]}, text[:40]
    assert slowest < 1
    # The tokenizers do make special tokens of such texts.
    assert encoder_specials & {*real.encoder_tokenizer("a</s>b", add_special_tokens=False)["input_ids"]}
    assert decoder_specials & {*real.tokenizer("a<eos>b", add_special_tokens=False)["input_ids"]}


@pytest.mark.parametrize(
    "text", ["Ein Hund. " * 20_000, "-" * 200_000, "\u56fe\u4e3a\u72d7 " * 50_000, "\U0001f415" * 90_000]
)
def test_the_tokens_that_are_kept_are_those_of_the_whole_text(real: FlorenzProcessor, text: str) -> None:
    with pytest.warns(UserWarning, match="more than"):
        inputs = real(text=text, target=text)
    prompt = real.encoder_tokenizer(text, add_special_tokens=False)["input_ids"]
    target = real.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert inputs["input_ids"][0].tolist() == [0, *prompt[: real.max_prompt_length - 2], 2]
    assert inputs["labels"][0].tolist() == [2, *target[: real.max_target_length - 1]]


def test_half_a_surrogate_pair_is_read_as_a_replacement_character(real: FlorenzProcessor) -> None:
    for broken, whole in (("a\udcffb", "a\ufffdb"), ("\ud83d\ude00", "\U0001f600"), ("x\ud83d", "x\ufffd")):
        assert real(text=broken)["input_ids"].tolist() == real(text=whole)["input_ids"].tolist()


def test_a_long_prefix_is_refused_as_it_cannot_be_cut(real: FlorenzProcessor) -> None:
    for text in ("Ein Hund " * 100, "a" * LONG):
        with pytest.raises(ValueError, match="^row 1: the prefix has more than 128 tokens$"):
            real(text="x", prefix=["Ein", text])
    with pytest.raises(ValueError, match="^row 0: `prefix` must be True, False or a string, got 5$"):
        real(text="x", prefix=5)


def test_errors_about_a_long_text_are_short(real: FlorenzProcessor) -> None:
    large = "a" * LONG
    calls = [
        {"task": large},
        {"task": "caption", "text": large},
        {"task": "translate", "text": "x", "language": large},
    ]
    for arguments in (*calls, {"text": [large.encode()]}, {"text": "x", "target": [large.encode()]}):
        with pytest.raises(ValueError) as caught:
            real(**arguments)
        assert len(str(caught.value)) < 200
