"""Tokenizers and image settings that are not the released ones are refused in one sentence."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from published_tokenizers import FLORENCE, add_native_tokens, change, needs_files, split_files
from tokenizers import Tokenizer, models

from modeling_florenz.checkpoint.assembly import assemble_processor, load_florence_tokenizer, load_gemma_tokenizer
from modeling_florenz.checkpoint.vocabulary import FLORENCE_TOKENS


LOADERS = [load_florence_tokenizer, load_gemma_tokenizer]


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ValueError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


@needs_files
def test_swapped_folders_are_refused(gemma_folder):
    message = refusal(lambda: load_florence_tokenizer(gemma_folder))
    assert f"{gemma_folder} does not hold Florence-2's tokenizer: it has 256,000 entries, not the 50,265" in message
    message = refusal(lambda: load_gemma_tokenizer(FLORENCE))
    assert f"{FLORENCE} does not hold Gemma-2's tokenizer: it has 50," in message
    message = refusal(lambda: assemble_processor(gemma_folder, FLORENCE))
    assert f"{gemma_folder} does not hold" in message and "give the folder of microsoft/Florence-2-base" in message


def test_the_tokenizer_of_gemma_3_is_refused(tmp_path):
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *map(str, range(262_139))]
    entries = {word: index for index, word in enumerate(words)}
    Tokenizer(models.WordLevel(entries, "<unk>")).save(str(tmp_path / "tokenizer.json"))
    message = refusal(lambda: load_gemma_tokenizer(tmp_path))
    assert "it has 262,144 entries, not Gemma-2's 256,000; give the folder of google/gemma-2-2b" in message


@needs_files
def test_vocabularies_in_another_order_are_refused(florence_folder):
    def exchange(first: str, second: str) -> None:
        def swap(content: dict[str, Any]) -> None:
            vocab = content["model"]["vocab"]
            vocab[first], vocab[second] = vocab[second], vocab[first]

        change(florence_folder / "tokenizer.json", swap)

    exchange("<s>", "<pad>")
    assert "it has id 1 for bos, not Florence-2's 0" in refusal(lambda: load_florence_tokenizer(florence_folder))
    exchange("<s>", "<pad>")
    load_florence_tokenizer(florence_folder)
    exchange("What", "Ġimage")
    assert "not Florence-2's [2264, 473" in refusal(lambda: load_florence_tokenizer(florence_folder))


@needs_files
def test_gaps_and_lost_merges_are_refused(florence_folder):
    path = florence_folder / "tokenizer.json"
    change(path, lambda content: content["model"]["vocab"].update(dog=60_000))
    assert "it has no entry with id" in refusal(lambda: load_florence_tokenizer(florence_folder))
    shutil.copyfile(FLORENCE / "tokenizer.json", path)
    change(path, lambda content: content["model"]["merges"].__delitem__(slice(None, None, 2)))
    assert "it splits 'What does the image describe?'" in refusal(lambda: load_florence_tokenizer(florence_folder))


@needs_files
@pytest.mark.parametrize("tokens", [["<mine>"], [*FLORENCE_TOKENS, "<mine>"], ["</od>", "<od>"], ["<image>"]])
def test_words_that_a_fine_tuning_added_are_refused(florence_folder, tokens):
    add_native_tokens(florence_folder, tokens)
    assert "which Florence-2's does not" in refusal(lambda: load_florence_tokenizer(florence_folder))


@needs_files
def test_words_added_beside_vocab_and_merges_are_refused(florence_folder):
    folder = split_files(florence_folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<od>": 50265}))
    assert len(load_florence_tokenizer(folder)) == 51_289
    (folder / "added_tokens.json").write_text(json.dumps({"<mine>": 50265}))
    assert "it adds '<mine>' with id 50265" in refusal(lambda: load_florence_tokenizer(folder))


@pytest.mark.parametrize("load", LOADERS)
def test_a_folder_that_is_not_there_is_refused(load, tmp_path):
    message = refusal(lambda: load(tmp_path / "nowhere"))
    assert f"{tmp_path / 'nowhere'} does not hold" in message and "there is no such folder; give the folder" in message
    (tmp_path / "file").write_text("{}")
    assert "there is no such folder" in refusal(lambda: load(tmp_path / "file"))


@pytest.mark.parametrize("load", LOADERS)
def test_a_missing_file_is_named(load, tmp_path):
    message = refusal(lambda: load(tmp_path))
    assert str(tmp_path) in message and "it lacks tokenizer.json" in message and "; give the folder of " in message


def test_a_vocabulary_without_merges_is_refused(tmp_path):
    (tmp_path / "vocab.json").write_text("{}")
    assert "it lacks merges.txt" in refusal(lambda: load_florence_tokenizer(tmp_path))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    assert "it has 0 entries, not the 50,265" in refusal(lambda: load_florence_tokenizer(tmp_path))
    (tmp_path / "vocab.json").write_text("{")
    assert str(tmp_path) in refusal(lambda: load_florence_tokenizer(tmp_path))


ODD_FILES = [
    "",
    "{",
    "[]",
    "null",
    "{}",
    '{"model": 3}',
    '{"model": {"vocab": [], "merges": []}}',
    '{"version": "1.0"}',
]


@pytest.mark.parametrize("load", LOADERS)
@pytest.mark.parametrize("content", [*ODD_FILES, b"\xff\xfe\x00"])
def test_broken_tokenizer_files_are_refused_in_one_sentence(load, content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(lambda: load(tmp_path))
    assert message.startswith(f"{tmp_path} does not hold ") and "; give the folder of " in message


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (None, "it lacks preprocessor_config.json"),
        ("{", "could not be read"),
        ("[]", "holds no object"),
        ("{}", "sets do_center_crop to True, not False"),
        ('{"do_center_crop": false, "resample": 2}', "sets resample to"),
        ('{"do_center_crop": false, "image_mean": 3}', "sets image_mean to"),
        ('{"do_center_crop": false, "do_normalize": false}', "sets do_normalize to False, not True"),
    ],
)
def test_other_image_settings_are_refused(settings, reason, tmp_path):
    if settings is not None:
        (tmp_path / "preprocessor_config.json").write_text(settings)
    message = refusal(lambda: assemble_processor(tmp_path, tmp_path))
    assert message.startswith(f"{tmp_path} does not hold Florence-2's image settings: ") and reason in message


def test_right_image_settings_are_accepted_whatever_their_size(tmp_path):
    settings = {"do_center_crop": False, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    settings |= {"resample": 3, "size": {"height": 32, "width": 99}, "auto_map": {"AutoProcessor": "evil.Evil"}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    assert "does not hold Gemma-2's tokenizer" in refusal(lambda: assemble_processor(tmp_path, tmp_path))


@pytest.mark.parametrize("size", [0, -1, 2.5, "768", True, None])
def test_odd_image_sizes_are_refused(size, tmp_path):
    assert f"image_size is {size!r}: give" in refusal(lambda: assemble_processor(tmp_path, tmp_path, size))
