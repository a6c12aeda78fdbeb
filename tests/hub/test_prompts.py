"""Prompts are the published sentences, and user text stays text."""

import copy
import doctest
import threading
import time
import warnings
from pathlib import Path

import pytest
from processor_calls import RED, texts
from tiny_processor import build_tiny_processor

from modeling_florenz import processing_florenz
from modeling_florenz.processing_florenz import (
    LANGUAGES,
    PREFIXES,
    FlorenzProcessor,
)


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


def test_a_long_prompt_is_cut_with_a_warning_and_keeps_its_end(processor):
    limit = processor.max_prompt_length
    with pytest.warns(UserWarning, match=f"tokens is cut to {limit}") as caught:
        ids = processor(task="translate", text="long " * 200)["input_ids"]
    assert Path(caught[0].filename).name == Path(__file__).name
    assert ids.shape == (1, limit) and ids[0, 0] == 0 and ids[0, -1] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        processor(task="translate", text="short")


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
