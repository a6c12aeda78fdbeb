"""Cards: rendered from their sources, valid for the Hub, and their quick starts run."""

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from modeling_florenz import FlorenzForConditionalGeneration, FlorenzProcessor
from modeling_florenz.captioner import BUNDLED_MODEL
from modeling_florenz.cards import OWNER, check_card, render_all
from modeling_florenz.evaluation.check_paper import check_paper


CARDS = Path(__file__).parents[1] / "hub_cards"
NAMES = [f"florenz-{size}{ending}" for size in ("0.4b", "1.0b", "3.5b", "11.2b") for ending in ("", "-ft")]


@pytest.fixture(scope="module")
def rendered():
    return render_all(CARDS)


def test_committed_cards_equal_their_sources(rendered):
    assert sorted(rendered) == sorted(f"{name}.md" for name in NAMES)
    for name, text in rendered.items():
        assert (CARDS / "rendered" / name).read_text(encoding="utf-8") == text, f"run florenz card for {name}"


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


def test_scores_are_the_papers():
    table = json.loads((CARDS / "results" / "paper_v1.json").read_text(encoding="utf-8"))["tables"][
        "table_4_fine_tuned"
    ]
    card = ModelCard((CARDS / "rendered" / "florenz-11.2b-ft.md").read_text(encoding="utf-8"))
    assert [result.metric_value for result in card.data.eval_results] == table["rows"]["F-11.2B ft"]


@pytest.mark.parametrize("kind", ["transformers", "package"])
def test_the_quick_start_runs(kind, tmp_path, monkeypatch, capsys):
    folder = tmp_path / OWNER / "florenz-0.4b"
    FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    shutil.copyfile(BUNDLED_MODEL / "sample.png", tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    card = ModelCard((CARDS / "rendered" / "florenz-0.4b.md").read_text(encoding="utf-8"))
    blocks = re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)
    assert len(blocks) == 2
    block = blocks[0 if kind == "transformers" else 1]
    assert f'"{OWNER}/florenz-0.4b"' in block
    exec(compile(block, "card", "exec"), {})
    assert capsys.readouterr().out.strip()


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
        check_card(change(rendered["florenz-0.4b.md"]))


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
