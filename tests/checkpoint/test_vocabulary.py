"""The decoder vocabulary: every entry of Gemma 2 as a mean of Florence-2's, against the golden map and by hand."""

import collections
import dataclasses
import doctest
import hashlib
import json
import lzma
from pathlib import Path

import pytest
import torch
from tiny_processor import DECODER_SPECIALS, ENCODER_SPECIALS, build_tokenizer
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from modeling_florenz.checkpoint import vocabulary
from modeling_florenz.checkpoint.assembly import load_florence_tokenizer, load_gemma_tokenizer
from modeling_florenz.checkpoint.vocabulary import FLORENCE, GEMMA, FlorenceIds, florence_text, gemma_to_florence


FILES = Path(__file__).resolve().parents[3] / "shared" / "data" / "tokenizers"
needs_files = pytest.mark.skipif(not FILES.is_dir(), reason=f"the real tokenizers are not at {FILES}")

BY_HAND = FlorenceIds(torch.tensor([2, 0, 1, 1, 2, 0, 1]), torch.tensor([0, 1, 3, 6, 7]))
TABLE = torch.tensor([[0.0, 3.0], [6.0, -3.0], [12.0, 9.0]])
MEANS = [[12.0, 9.0], [3.0, 0.0], [6.0, 3.0], [6.0, -3.0]]


@pytest.fixture(scope="module")
def real_tokenizers(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    if not FILES.is_dir():
        pytest.skip(f"the real tokenizers are not at {FILES}")
    folder = tmp_path_factory.mktemp("gemma2")
    (folder / "tokenizer.json").write_bytes(lzma.decompress((FILES / "gemma2" / "tokenizer.json.xz").read_bytes()))
    return load_gemma_tokenizer(folder), load_florence_tokenizer(FILES / "florence2")


@pytest.fixture(scope="module")
def real_ids(real_tokenizers) -> FlorenceIds:
    return gemma_to_florence(*real_tokenizers)


def lists(ids: FlorenceIds) -> list[list[int]]:
    return [part.tolist() for part in ids.ids.split(ids.offsets.diff().tolist())]


def letters(specials: list[str], words: str) -> PreTrainedTokenizerFast:
    """Build a tokenizer whose entries are the special tokens and single letters, and which drops all other letters."""
    entries = {word: index for index, word in enumerate([*specials, *words])}
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(entries, [])))
    tokenizer.add_special_tokens(
        dict(zip(names, ("<s>", "</s>", "<pad>", "<unk>"), strict=True))
        if "<s>" in specials
        else dict(zip(names, ("<bos>", "<eos>", "<pad>", "<unk>"), strict=True))
    )
    return tokenizer


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> PreTrainedTokenizerFast:
    """Expect, instead of the real vocabularies, tiny ones; give the tiny Florence-2's: a is 5, b 6 and a blank 4."""
    florence = dataclasses.replace(FLORENCE, size=7, sentence="ba", sentence_ids=[6, 5], added={})
    gemma = dataclasses.replace(GEMMA, size=8, sentence="a", sentence_ids=[4])
    monkeypatch.setattr(vocabulary, "FLORENCE", florence)
    monkeypatch.setattr(vocabulary, "GEMMA", gemma)
    return letters(["<s>", "<pad>", "</s>", "<unk>"], " ab")


def tiny_gemma(*words: str) -> PreTrainedTokenizerFast:
    tokenizer = letters(["<pad>", "<eos>", "<bos>", "<unk>"], "a")
    tokenizer.add_tokens(list(words))
    return tokenizer


# Averages


def test_averages_are_those_computed_by_hand():
    assert BY_HAND.average(TABLE, 0, 4).tolist() == MEANS
    # Negative control: lists that end one place later have other means.
    shifted = FlorenceIds(BY_HAND.ids, torch.tensor([0, 2, 4, 6, 7]))
    assert shifted.average(TABLE, 0, 4).tolist() != MEANS


def test_averages_in_pieces_are_those_in_one():
    for step in (1, 2, 3):
        pieces = [BY_HAND.average(TABLE, start, min(start + step, 4)) for start in range(0, 4, step)]
        assert torch.cat(pieces).tolist() == MEANS
    assert BY_HAND.average(TABLE, 2, 2).shape == (0, 2)


def test_half_precision_is_averaged_in_float32():
    ids = FlorenceIds(torch.tensor([0, 1, 1]), torch.tensor([0, 3]))
    table = torch.tensor([[1.0], [1.0078125]], dtype=torch.bfloat16)  # neighbours: bfloat16 has nothing between them
    mean = ids.average(table, 0, 1)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, torch.tensor([[1.0 + 2 / 3 * 0.0078125]]), rtol=0, atol=1e-7)


def test_averages_of_a_parameter_record_no_gradient():
    assert not BY_HAND.average(torch.nn.Parameter(TABLE.clone()), 0, 4).requires_grad


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (0, 5), (3, 2)])
def test_rows_that_do_not_exist_are_refused(start, stop):
    with pytest.raises(ValueError, match=f"{start} to {stop}"):
        BY_HAND.average(TABLE, start, stop)


@pytest.mark.parametrize("table", [TABLE[:2], TABLE[0], TABLE[None]])
def test_a_table_of_another_shape_is_refused(table):
    with pytest.raises(ValueError, match="51,289"):
        BY_HAND.average(table, 0, 4)


# The rule


@pytest.mark.parametrize(
    ("token", "text"),
    [("▁dog", " dog"), ("dog", "dog"), ("▁", " "), ("▁▁▁", " ▁▁"), ("a▁b", "a▁b"), ("▁a▁b", " a▁b"), (" a", " a")],
)
def test_only_a_mark_in_front_becomes_a_blank(token, text):
    assert florence_text(token) == text


def test_a_tiny_vocabulary_is_split_as_by_hand(tiny):
    ids = gemma_to_florence(tiny_gemma("▁b", "ba▁", "▁a▁b"), tiny)
    # pad, eos, bos, unk, a, then the three words; a mark inside a word has no letter here and falls out.
    assert lists(ids) == [[1], [2], [0], [3], [5], [4, 6], [6, 5], [4, 5, 6]]
    assert len(ids) == 8
    assert ids.average(torch.arange(7.0)[:, None], 4, 8).flatten().tolist() == [5.0, 5.0, 5.5, 5.0]


def test_an_entry_that_splits_into_nothing_is_refused(tiny):
    with pytest.raises(ValueError, match=r"'xyz' \(id 6\) splits into nothing"):
        gemma_to_florence(tiny_gemma("b", "xyz", "a▁b"), tiny)


def test_a_truncating_tokenizer_loses_nothing(tiny):
    tiny("ab", truncation=True, max_length=1, padding="max_length")
    tiny.backend_tokenizer.enable_truncation(1)
    assert lists(gemma_to_florence(tiny_gemma("bab", "c▁a", "aaaa"), tiny))[5:] == [[6, 5, 6], [5], [5, 5, 5, 5]]


# Other tokenizers


def test_tokenizers_of_another_size_are_refused():
    gemma, florence = build_tokenizer(DECODER_SPECIALS, 120), build_tokenizer(ENCODER_SPECIALS, 99)
    with pytest.raises(ValueError, match="given as Gemma-2's is another: it has 120 entries, not Gemma-2's 256,000"):
        gemma_to_florence(gemma, florence)


def test_gaps_in_the_ids_are_refused(tiny):
    entries = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, " ": 4, "a": 5, "b": 7}
    gap = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(entries, [])))
    with pytest.raises(ValueError, match="Florence-2's is another: it has no entry with id 6"):
        gemma_to_florence(tiny_gemma("b", "ab", "ba"), gap)


def test_other_special_ids_are_refused(tiny):
    other = letters(["<pad>", "<s>", "</s>", "<unk>"], " ab")
    with pytest.raises(ValueError, match="it has id 1 for bos, not Florence-2's 0"):
        gemma_to_florence(tiny_gemma("b", "ab", "ba"), other)


def test_a_tokenizer_that_splits_otherwise_is_refused(tiny):
    other = letters(["<s>", "<pad>", "</s>", "<unk>"], " ba")
    with pytest.raises(ValueError, match=r"splits 'ba' into the ids \[5, 6\], not Florence-2's \[6, 5\]"):
        gemma_to_florence(tiny_gemma("b", "ab", "ba"), other)


@needs_files
def test_real_tokenizers_in_the_wrong_order_are_refused(real_tokenizers):
    gemma, florence = real_tokenizers
    with pytest.raises(ValueError, match="it has 51,289 entries, not Gemma-2's 256,000"):
        gemma_to_florence(florence, gemma)


# The whole map


@pytest.mark.slow
@needs_files
def test_the_map_is_the_golden_one_in_every_entry(real_ids):
    golden = json.loads((FILES / "golden_gemma_to_bart.json").read_text(encoding="utf-8"))
    found = lists(real_ids)
    assert len(found) == len(real_ids) == 256_000
    assert {str(size): count for size, count in collections.Counter(map(len, found)).items()} == golden["lengths"]

    def digest(entries: list[list[int]]) -> str:
        return hashlib.sha256(json.dumps(entries, separators=(",", ":")).encode()).hexdigest()

    assert digest(found) == golden["sha256_of_json_list_of_lists_compact"]
    assert len(golden["sample"]) == 150
    for index, entry in golden["sample"].items():
        assert found[int(index)] == entry["bart_ids"], entry["gemma"]
    found[-1] = [*found[-1], 5]  # negative control: one id more in one entry
    assert digest(found) != golden["sha256_of_json_list_of_lists_compact"]


@pytest.mark.slow
@needs_files
def test_special_tokens_have_their_namesakes_and_html_tags_the_special_ones(real_ids):
    found = lists(real_ids)
    assert found[:5] == [[1], [2], [0], [3], [50264]]  # pad, eos, bos, unk, mask
    assert found[204] == [0] and found[213] == [2]  # the tags <s> and </s> of Gemma


@pytest.mark.slow
@needs_files
def test_rows_of_the_real_map_are_means_of_single_rows(real_ids):
    table = torch.randn(51_289, 16, generator=torch.Generator().manual_seed(0))
    found = lists(real_ids)
    chosen = range(0, 256_000, 997)
    rows = torch.cat([real_ids.average(table, index, index + 1) for index in chosen])
    expected = torch.stack([table[found[index]].double().mean(0) for index in chosen])
    torch.testing.assert_close(rows.double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(real_ids.average(table, 1000, 2000)[994:995], real_ids.average(table, 1994, 1995))


def test_examples_in_the_docstrings_run():
    tests = [
        test
        for test in doctest.DocTestFinder().find(vocabulary, globs={**vars(vocabulary)})
        if any(doctest.SKIP not in example.options for example in test.examples)
    ]
    assert len(tests) == 2
    assert sum(doctest.DocTestRunner().run(test).failed for test in tests) == 0
