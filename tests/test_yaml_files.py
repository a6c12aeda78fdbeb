"""YAML from anywhere is data: words are words, and nothing runs, hangs or swells."""

import time
from pathlib import Path

import pytest
import yaml

from modeling_florenz.yaml_files import parse_yaml, read_yaml, to_yaml


@pytest.mark.parametrize("word", "no NO on off yes y n 1:30 0x1F 1_000 2026-11-25 <<".split())
def test_a_word_is_a_word(word: str) -> None:
    assert parse_yaml(f"{word}: [{word}]", "it") == {word: [word]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("a:", {"a": None}),
        ("12", 12),
        ("-012", -12),
        ("1e-4", 1e-4),
        ("1.5", 1.5),
        (".5", 0.5),
        ("+1E3", 1000.0),
        ("'no'", "no"),
        ('"12"', "12"),
        ("nan", "nan"),
        ("!!str 12", "12"),
    ],
)
def test_flags_numbers_and_nothing_are_read_as_such(text: str, value: object) -> None:
    found = parse_yaml(text, "it")
    assert found == value
    assert type(found) is type(value)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 12)
)
REFUSED = {
    "an alias bomb": (BOMB, "an alias"),
    "an alias": ("a: &a [1]\nb: *a", "an alias"),
    "an alias to itself": ("a: &a [*a]", "an alias"),
    "a merge": ("a: &a {b: 1}\nc: {<<: *a}", "an alias"),
    "a key twice": ("lora_rank: 8\nlora_rank: 16", "'lora_rank' stands twice"),
    "a key twice inside": ("a: {b: 1, b: 2}", "'b' stands twice"),
    "a list as key": ("? [1]\n: 2", "a key is not text"),
    "code": ("!!python/object/apply:os.system [echo ran]", "could not determine a constructor"),
    "bytes": ("!!binary aGk=", "could not determine a constructor"),
    "deep lists": ("[" * 100_000, "nested more than 32 deep"),
    "deep mappings": ("a: " + "{a: " * 200 + "1" + "}" * 200, "nested more than 32 deep"),
    "a long number": ("9" * 10_000, "Exceeds the limit"),
    "a number that is none": ("!!int x", "invalid literal"),
    "two documents": ("a: 1\n---\nb: 2", "expected a single document"),
    "much": ("x" * 300_000, "has 300,000 characters"),
    "broken": ("a: [1", "is not YAML"),
    "control characters": ("a: \x00", "is not YAML"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_plain_data_is_refused_in_one_sentence(case: str) -> None:
    text, words = REFUSED[case]
    start = time.process_time()
    with pytest.raises(ValueError) as error:
        parse_yaml(text, "the recipe")
    assert words in str(error.value)
    assert str(error.value).startswith("the recipe ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert time.process_time() - start < 5


def test_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(ValueError, match="recipe.yaml is not YAML: it is not text in UTF-8"):
        read_yaml(path)
    path.write_text("x" * 2_000_000)
    with pytest.raises(ValueError, match="recipe.yaml has 2,000,000 bytes"):
        read_yaml(path)


def test_what_is_written_is_read_back_by_any_reader() -> None:
    twice = ["de", "no", "1e-4", "1:30", "true", "~", "", "=", "-1", "a: b"]
    value = {"no": twice, "other": twice, "rate": 1e-05, "steps": 8, "flag": True, "none": None, "zh": "图为"}
    assert parse_yaml(to_yaml(value), "it") == value == yaml.safe_load(to_yaml(value))
    assert list(parse_yaml(to_yaml(value, sort_keys=True), "it")) == sorted(value)
