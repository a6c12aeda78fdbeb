"""Assemble processor and vocabulary from the real tokenizer files of Florence-2 and Gemma-2."""

import collections
import hashlib
import json
import lzma
import shutil
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models

from modeling_florenz import FlorenzProcessor
from modeling_florenz.assembly import assemble_processor, load_florence_tokenizer, load_gemma_tokenizer
from modeling_florenz.vocabulary import FlorenceIds, gemma_to_florence


FILES = Path(__file__).parents[2] / "shared" / "data" / "tokenizers"
FLORENCE = FILES / "florence2"

real = pytest.mark.skipif(not FILES.is_dir(), reason="the real tokenizers are not beside the repository, in ../shared")


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gemma2")
    (folder / "tokenizer.json").write_bytes(lzma.decompress((FILES / "gemma2" / "tokenizer.json.xz").read_bytes()))
    shutil.copyfile(FILES / "gemma2" / "tokenizer_config.json", folder / "tokenizer_config.json")
    return folder


@real
def test_saved_and_reloaded_processor_gives_the_golden_ids(gemma: Path, tmp_path: Path) -> None:
    golden = json.loads((FILES / "golden_ids.json").read_text())
    processor = assemble_processor(FLORENCE, gemma)
    processor.save_pretrained(tmp_path)
    for found in (processor, FlorenzProcessor.from_pretrained(tmp_path)):
        for case in golden["computed"]:
            assert found.tokenizer(case["text"])["input_ids"] == case["gemma2_bos_eos"]
            assert found.encoder_tokenizer(case["text"])["input_ids"] == case["florence2_bos_eos"]
        for text, ids in golden["published_gemma"]["cases"]:
            assert found.tokenizer(text)["input_ids"] == [*ids, 1]
        assert found.tokenizer.padding_side == found.encoder_tokenizer.padding_side == "right"
        assert found.encoder_tokenizer.convert_tokens_to_ids(["<od>", "<loc_0>", "<and>"]) == [50265, 50269, 51288]


@real
def test_vocabulary_map_agrees_with_every_golden_entry(gemma: Path) -> None:
    golden = json.loads((FILES / "golden_gemma_to_bart.json").read_text())
    found = gemma_to_florence(load_gemma_tokenizer(gemma), load_florence_tokenizer(FLORENCE))
    ids, offsets = found.ids.tolist(), found.offsets.tolist()
    spelled = [ids[start:stop] for start, stop in zip(offsets[:-1], offsets[1:], strict=True)]
    assert {str(length): count for length, count in collections.Counter(map(len, spelled)).items()} == golden[
        "lengths"
    ]
    text = json.dumps(spelled, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == golden["sha256_of_json_list_of_lists_compact"]
    assert all(spelled[int(index)] == entry["bart_ids"] for index, entry in golden["sample"].items())


def test_averages_are_those_written_by_hand() -> None:
    table = torch.tensor([[0.0, 0.0], [2.0, 4.0], [4.0, 8.0]])
    ids = FlorenceIds(ids=torch.tensor([1, 1, 2, 0, 1, 2]), offsets=torch.tensor([0, 1, 3, 6]))
    whole = ids.average(table, 0, 3)
    assert whole.tolist() == [[2.0, 4.0], [3.0, 6.0], [2.0, 4.0]]
    assert torch.equal(torch.cat([ids.average(table, index, index + 1) for index in range(3)]), whole)


@real
def test_swapped_folders_are_refused(gemma: Path) -> None:
    with pytest.raises(ValueError, match="does not hold Florence-2's tokenizer"):
        load_florence_tokenizer(gemma)
    with pytest.raises(ValueError, match="not Gemma-2's 256,000|could not be loaded"):
        load_gemma_tokenizer(FLORENCE)


@pytest.mark.parametrize("load", [load_florence_tokenizer, load_gemma_tokenizer])
@pytest.mark.parametrize("content", [None, "{", '{"version": "1.0"}', "small"])
def test_odd_tokenizer_files_are_refused_in_one_sentence(load, content: str | None, tmp_path: Path) -> None:
    if content == "small":
        Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "<bos>": 2}, "<pad>")).save(
            str(tmp_path / "tokenizer.json")
        )
    elif content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError) as error:
        load(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@real
def test_no_code_of_the_folder_is_run(gemma: Path, tmp_path: Path) -> None:
    folder = tmp_path / "florence"
    shutil.copytree(FLORENCE, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    settings = {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    assert len(load_florence_tokenizer(folder)) == 51289
    for name in ("tokenizer_config.json", "evil.py"):
        shutil.copyfile(folder / name, gemma / name)
    try:
        assert len(load_gemma_tokenizer(gemma)) == 256000
    finally:
        (gemma / "evil.py").unlink()
        shutil.copyfile(FILES / "gemma2" / "tokenizer_config.json", gemma / "tokenizer_config.json")
    assert not (tmp_path / "ran").exists()
