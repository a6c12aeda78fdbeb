"""What stands between a model's answer and a text to learn from: cutting, finishing, splitting, filtering."""

import random

import pytest

from modeling_florenz.synthesis.filters import normal_form, repeats, wrong_with_pair
from modeling_florenz.synthesis.recipe import Filters
from modeling_florenz.synthesis.sentences import (
    cut_context,
    finish_sentence,
    one_paragraph,
    split_sentences,
    with_context,
)


@pytest.mark.parametrize(
    ("text", "language", "finished"),
    [
        ("Ein Hund", "de", "Ein Hund."),
        ("Ein Hund.", "de", "Ein Hund."),
        ("Ein Hund!", "de", "Ein Hund!"),
        ("Ein Hund?", "de", "Ein Hund?"),
        ("Ein Hund..", "de", "Ein Hund."),
        ("Ein Hund...", "de", "Ein Hund..."),
        ("Er sagt: „Ein Hund.“", "de", "Er sagt: „Ein Hund.“"),
        ("Ein\n Hund ", "de", "Ein Hund."),
        ("一只狗", "zh", "一只狗。"),
        ("一只狗.", "zh", "一只狗。"),
        ("一只狗。", "zh", "一只狗。"),
        ("一只狗。。", "zh", "一只狗。"),
        ("一只狗。.", "zh", "一只狗。"),
        ("一只狗！", "zh", "一只狗！"),
        ("一只狗！。", "zh", "一只狗！"),
        ("", "zh", None),
        (" . ", "de", None),
        ("。", "zh", None),
    ],
)
def test_a_text_ends_with_one_stop(text: str, language: str, finished: str | None) -> None:
    assert finish_sentence(text, language) == finished


@pytest.mark.parametrize(
    ("answer", "caption", "left"),
    [
        ("Ein Hund. ### (Ein Bild.)", "A dog.", "Ein Hund."),
        ("Ein Hund. (Ein Bild.)", "A dog.", "Ein Hund."),
        ("Ein Hund. # (Ein Bild.)", "A dog.", "Ein Hund."),
        ("一只狗。＃＃＃（图片）", "A dog.", "一只狗。"),
        ("Ein Hund. Ein Bild.", "A dog.", None),
        ("### (Ein Bild.)", "A dog.", None),
        ("", "A dog.", None),
        ("Ein Mann (links). ### (Ein Bild.)", "A man (left).", "Ein Mann (links)."),
        ("Platz #1 (Ein Bild.)", "Number #1.", "Platz #1"),
    ],
)
def test_the_caption_is_cut_out_of_a_translation_with_context(answer: str, caption: str, left: str | None) -> None:
    assert cut_context(answer, caption) == left


def test_random_texts_keep_every_rule_of_finishing_and_cutting() -> None:
    rng = random.Random(18)
    alphabet = "aé中。.!?！()（）#＃ \n\t\u00a0\u200b'\"…》0_-😀"
    for _ in range(200):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randint(0, 24)))
        for language in ("de", "zh"):
            finished = finish_sentence(text, language)
            if finished is None:
                assert not any(char.isalnum() or char == "_" for char in text)
                continue
            assert finished == " ".join(finished.split())
            assert finish_sentence(finished, language) == finished
            assert len(finished) - len(finished.rstrip(".。")) != 2
            assert finished.rstrip("\"'”》()（） ")[-1:] in tuple(".!?。！？…")
        if "#" not in text and "＃" not in text and "(" not in text and "（" not in text:
            joined = with_context(text, "A picture.")
            assert cut_context(joined, text) == (text.strip() or None)


def test_only_the_first_letter_of_a_description_is_made_large() -> None:
    assert one_paragraph(" a dog\nin Paris ") == "A dog in Paris"


def test_abbreviations_do_not_end_a_sentence() -> None:
    assert split_sentences("Dr. Smith came. He left!", "en") == ["Dr. Smith came.", "He left!"]
    assert split_sentences("一只狗。它在跑。", "zh") == ["一只狗。", "它在跑。"]


@pytest.mark.parametrize(
    ("english", "target", "reason"),
    [
        ("A man is riding a brown horse.", "Ein Mann reitet auf einem braunen Pferd.", None),
        ("A man.", "Ein Mann.", "English side shorter than 26 characters"),
        ("A man is riding a brown horse.", "Ja.", "one side more than 3 times as long"),
        ("A man is riding a brown horse.", "a man is riding a brown HORSE", "copy of the source"),
        ("A man is riding a brown horse.", "Un homme monte un cheval brun dehors.", "in another language"),
        ("A man is riding a brown horse.", "   ", "empty"),
        ("A man is riding a brown horse.", "ja ja ja ja ja ja ja ja ja ja ja ja", "repeats itself"),
    ],
)
def test_a_pair_is_refused_for_a_reason(english: str, target: str, reason: str | None) -> None:
    assert wrong_with_pair(english, target, "de", Filters(), ("en", "de", "fr")) == reason


def test_chinese_may_be_shorter_than_english() -> None:
    pair = ("A man is riding a brown horse on the beach.", "一个男人在海滩上骑着一匹棕色的马。")
    assert wrong_with_pair(*pair, "zh", Filters(), ("en", "zh")) is None


def test_prose_does_not_repeat_itself() -> None:
    assert not repeats("A man in a red jacket is standing on a beach beside two dogs and looks at the sea.")
    assert repeats("the the the the the the the the the the the the")


def test_case_and_punctuation_do_not_count() -> None:
    assert normal_form("A dog,  RUNNING!") == normal_form("a Dog running") != normal_form("A dog runs")
