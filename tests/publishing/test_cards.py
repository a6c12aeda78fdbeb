"""Cards: rendered from their sources, valid for the Hub, and their quick starts run."""

import json
import re
import shutil
from pathlib import Path

import datasets
import pytest
from huggingface_hub import DatasetCard, ModelCard
from pyarrow.parquet import read_schema

from modeling_florenz import FlorenzForConditionalGeneration, FlorenzProcessor
from modeling_florenz.card_template import OWNER, check_card
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main
from modeling_florenz.publishing.check_paper import check_paper
from modeling_florenz.publishing.published import render_all


CARDS = Path(__file__).parents[2] / "hub_cards"
NAMES = [f"florenz-{size}{ending}" for size in ("0.4b", "1.0b", "3.5b", "11.2b") for ending in ("", "-ft")]


@pytest.fixture(scope="module")
def rendered():
    return render_all(CARDS)


def test_committed_cards_equal_their_sources(rendered):
    assert sorted(rendered) == sorted([*NAMES, "florenz-tiny", "florenz-tiny-it", "emoji_scenes", "scaling_runs"])
    for name, text in rendered.items():
        assert (CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8") == text, "run florenz card"
    assert (BUNDLED_MODEL / "README.md").read_text(encoding="utf-8") == rendered["florenz-tiny"], "run florenz card"
    assert main(["card", "--check"]) == 0


@pytest.mark.parametrize("name", NAMES)
def test_metadata_and_model_index_are_read_back_equal(name):
    card = ModelCard((CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8"))
    check_card(card.content)
    results = {(r.dataset_name, r.metric_name): r.metric_value for r in card.data.eval_results}
    table = dict(re.findall(r"^\| \w+ \| (.+? \| .+?) \| ([\d.]+) \|$", card.text, re.MULTILINE))
    shown = {tuple(key.split(" | ")): float(value) for key, value in table.items()}
    assert results == shown
    assert len(results) >= 12
    assert card.data.license == ("gemma" if "3.5b" in name or "11.2b" in name else "mit")
    assert all(result.source_url for result in card.data.eval_results)


@pytest.mark.parametrize("name", ["florenz-tiny", "florenz-tiny-it"])
def test_scores_measured_here_are_in_the_metadata_and_in_the_table(name):
    card = ModelCard((CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8"))
    check_card(card.content)
    assert len(card.data.eval_results) >= 3
    for result in card.data.eval_results:
        assert f"{result.metric_value:.3f}" in card.text
    again = ModelCard(f"---\n{card.data.to_yaml()}\n---\n").data
    assert [one.__dict__ for one in again.eval_results] == [one.__dict__ for one in card.data.eval_results]


def test_the_dataset_card_is_valid_and_names_the_files_that_are_written(tmp_path):
    assert main(["dataset", str(tmp_path / "d"), "--train", "3", "--test", "2", "--pairs", "1"]) == 0
    card = DatasetCard((CARDS / "rendered" / "emoji_scenes.md").read_text(encoding="utf-8"))
    check_card(card.content)
    assert card.data.task_categories == ["image-to-text", "translation"]
    for config in card.data.configs:
        for files in config["data_files"]:
            assert len(list((tmp_path / "d").glob(files["path"]))) == 1
    columns = {name for path in (tmp_path / "d").rglob("*.parquet") for name in read_schema(path).names}
    described = set(re.findall(r"^\| `(.+?)` \|", card.text, re.MULTILINE))
    described = {name for entry in described for name in entry.split(", ")}
    assert {re.sub(r"_(en|de|fr|es|ru|zh|it)$", "_XX", name) for name in columns} == described


def test_the_card_of_the_runs_describes_their_table_and_its_quick_start_runs(tmp_path, monkeypatch, capsys):
    folder = tmp_path / OWNER / "scaling_runs"  # where the quick start looks for it, in the place of the Hub
    folder.mkdir(parents=True)
    shutil.copyfile(CARDS / "studies" / "law.jsonl", folder / "runs.jsonl")
    assert main(["card", "scaling_runs", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} >= {"README.md", "LICENSE", "scaling_runs.png", "runs.jsonl"}
    rows = [json.loads(line) for line in (folder / "runs.jsonl").read_text(encoding="utf-8").splitlines()]
    card = DatasetCard((folder / "README.md").read_text(encoding="utf-8"))
    described = {
        name for entry in re.findall(r"^\| (`.+?`) \|", card.text, re.MULTILINE) for name in entry.split(", ")
    }
    assert {f"`{name}`" for row in rows for name in row} == described
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    capsys.readouterr()
    [block] = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    exec(compile(block, "card", "exec"), {})
    assert capsys.readouterr().out.count("('") == len(rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["card", "florenz-7b", "."], "'florenz-7b' is not published: use one of"),
        (["card", "florenz-tiny"], "needs a folder"),
        (["card", "florenz-tiny", "nowhere"], "nowhere is not a folder"),
        (["dataset", "new", "--train", "0"], "train must be a positive number, not 0"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error


def test_scores_are_the_papers():
    table = json.loads((CARDS / "results" / "paper_v1.json").read_text(encoding="utf-8"))["tables"][
        "table_4_fine_tuned"
    ]
    card = ModelCard((CARDS / "rendered" / "florenz-11.2b-ft.md").read_text(encoding="utf-8"))
    assert [result.metric_value for result in card.data.eval_results] == table["rows"]["F-11.2B ft"]


@pytest.mark.parametrize("kind", ["transformers", "package"])
@pytest.mark.parametrize(
    "name",  # all but one have the same template
    [
        "florenz-3.5b",
        "florenz-tiny",
        *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name != "florenz-3.5b"),
    ],
)
def test_the_quick_start_runs(name, kind, tmp_path, monkeypatch, capsys):
    folder = tmp_path / OWNER / name  # where the quick start looks for it, in the place of the Hub
    FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    assert main(["card", name, str(folder)]) == 0
    for sample in ("photo.jpg", "sample.png"):
        shutil.copyfile(BUNDLED_MODEL / "sample.png", tmp_path / sample)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    card = ModelCard((folder / "README.md").read_text(encoding="utf-8"))
    blocks = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    assert len(blocks) == 2
    block = blocks[0 if kind == "transformers" else 1]
    assert f'"{OWNER}/{name}"' in block
    exec(compile(block, "card", "exec"), {})
    shown = capsys.readouterr().out.strip()
    if kind == "transformers":
        assert shown == "['Chien, vélo et palmier.']"  # without the prefix
    elif name == "florenz-tiny":
        german, spanish, scores = shown.splitlines()
        assert german == "['Ein Bild: Hund, Fahrrad und Palme.']"
        assert spanish == "['Una imagen: perro, bicicleta y palmera.']"
        assert scores.index("Palme") < scores.index("Fabrik")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("license: mit\n", ""), "the card has no license"),
        (lambda text: text.replace("# florenz-0.4b", "# $name"), "unfilled field \\$name"),
        (lambda text: text + "\n[More Information Needed]", "unfilled field More Information Needed"),
    ],
)
def test_an_unfinished_card_is_refused(change, words, rendered):
    with pytest.raises(ValueError, match=words):
        check_card(change(rendered["florenz-0.4b"]))


def test_the_papers_means_are_recomputed_and_its_two_known_slips_found():
    report = json.loads((CARDS / "results" / "paper_v1.json").read_text(encoding="utf-8"))
    findings = check_paper(report)
    assert [finding.partition(":")[0] for finding in findings] == [
        "F-11.2B 30K ft, XM En C",
        "F-11.2B 30K ft, XM De C",
        "F-11.2B 30K ft, XM Unseen C",
        "F-11.2B 30K, COCO En CS",
    ]
    report["tables"]["table_9"]["rows"]["F-1.0B"][2][0] += 3.0
    assert len(check_paper(report)) == 5
