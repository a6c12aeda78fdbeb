"""Cards: rendered from their sources, valid for the Hub, and their quick starts run."""

import json
import re
import shutil
from pathlib import Path
from statistics import mean

import datasets
import huggingface_hub
import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard, parse_eval_result_entries
from pyarrow.parquet import read_schema

from modeling_florenz import FlorenzForConditionalGeneration, FlorenzProcessor
from modeling_florenz.card_template import OWNER, check_card
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.checkpoint.model_folder import CODE_FILES
from modeling_florenz.cli import main
from modeling_florenz.publishing.check_paper import check_paper
from modeling_florenz.publishing.companion_files import write_papers
from modeling_florenz.publishing.published import render_all
from modeling_florenz.training.card import CURVES
from modeling_florenz.training.recipe_file import read_recipe, recipe_path


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
def test_model_index_holds_the_papers_scores_and_the_table_shows_them_beside_others(name):
    card = ModelCard((CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8"))
    check_card(card.content)
    tables = json.loads((CARDS / "results" / "paper_v1.json").read_text(encoding="utf-8"))["tables"]
    overview = tables["table_4_fine_tuned" if name.endswith("-ft") else "table_4_zero_shot"]
    model = f"F-{name.split('-')[1].upper()}{' ft' if name.endswith('-ft') else ''}"
    assert [result.metric_value for result in card.data.eval_results] == overview["rows"][model]
    shown = re.findall(r"^\| \w+ \| (.+?) \| (.+?) \| \*\*([\d.]+)\*\* \| (.+) \|$", card.text, re.MULTILINE)
    results = [(result.dataset_name, result.metric_name, result.metric_value) for result in card.data.eval_results]
    assert [(data, metric, float(value)) for data, metric, value, _ in shown] == results
    head = re.search(rf"^\| task \| data \| metric \| {re.escape(name)} \| (.+) \|$", card.text, re.MULTILINE)[1]
    for column, other in enumerate(head.split(" | ")):
        printed = [None if (text := row[3].split(" | ")[column]) == "–" else float(text) for row in shown]
        assert printed == overview["rows"][other]
    assert card.data.license == ("gemma" if "3.5b" in name or "11.2b" in name else "mit")
    assert all(result.source_url for result in card.data.eval_results)


@pytest.mark.parametrize("name", [*NAMES, "florenz-tiny", "florenz-tiny-it"])
def test_metadata_say_what_the_hub_knows(name):
    card = ModelCard((CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8"))
    bases = card.data.base_model if isinstance(card.data.base_model, list) else [card.data.base_model]
    relation = card.data.to_dict().get("base_model_relation")
    assert relation == {
        "florenz-tiny": None,
        "florenz-tiny-it": "adapter",
    }.get(name, "merge" if len(bases) > 1 else "finetune")
    for result in card.data.eval_results:
        assert result.task_type in ("image-to-text", "translation", "image-text-to-text")
        assert result.metric_type in ("sacrebleu", "accuracy", "exact_match", "cider", "clipscore")
        assert result.metric_type in (card.data.metrics or [result.metric_type])
        assert (result.metric_type == "sacrebleu") == (result.task_type == "translation")
    # No measure has two values for one task, data set, configuration and split.
    keys = [(*result.unique_identifier, result.metric_name) for result in card.data.eval_results]
    assert len(set(keys)) == len(keys)
    unknown = card.data.to_dict().keys() - {
        *("language", "license", "library_name", "pipeline_tag", "tags", "datasets", "metrics", "base_model"),
        *("base_model_relation", "model-index", "widget", "inference"),
    }
    assert not unknown


def test_scores_of_florenz_tiny_are_equal_in_both_forms_that_the_hub_reads():
    cells = json.loads((CARDS / "results" / "florenz-tiny.json").read_text(encoding="utf-8"))["cells"]
    entries = parse_eval_result_entries(
        yaml.safe_load((CARDS / "rendered" / "florenz-tiny.eval_results.yaml").read_text())
    )
    benchmark = yaml.safe_load((CARDS / "rendered" / "emoji_scenes.eval.yaml").read_text())
    assert [entry.task_id for entry in entries] == [task["id"] for task in benchmark["tasks"]]
    assert {entry.dataset_id for entry in entries} == {f"{OWNER}/emoji_scenes"}
    given, taught, readings = (entry.value for entry in entries)
    exact = {language: cell["exact"] for language, cell in cells["caption"].items()}
    assert given == round(mean(exact[language] for language in ("en", "de")), 3)
    assert taught == round(mean(exact[language] for language in ("fr", "es", "ru", "zh")), 3)
    assert readings == round(mean(cell["image"] for cell in cells["ambiguous"].values()), 3)
    card = ModelCard((CARDS / "rendered" / "florenz-tiny.md").read_text(encoding="utf-8"))
    index = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert index["captions in en, de: exact"] == given
    assert index["captions in fr, es, ru, zh: exact"] == taught
    assert index["readings chosen by the image"] == readings
    configs = {
        config["config_name"] for config in DatasetCard.load(CARDS / "rendered" / "emoji_scenes.md").data.configs
    }
    assert {task["config"] for task in benchmark["tasks"]} <= configs


@pytest.mark.parametrize("name", ["florenz-tiny", "florenz-tiny-it"])
def test_captions_at_the_top_are_those_of_the_result_file(name):
    card = ModelCard((CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8"))
    known = json.loads((CARDS / "results" / "sample-captions.json").read_text(encoding="utf-8"))["captions"][name]
    top = card.text.partition("## What is new")[0]
    shown = dict(re.findall(r"^\| ([a-z]{2}) \| (.+?) \|$", top, re.MULTILINE))
    assert shown == known["direct" if name == "florenz-tiny" else "by way of English"]
    assert "resolve/main/sample.png" in top


@pytest.mark.parametrize("name", NAMES)
def test_cards_without_captions_say_so(name):
    text = (CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8")
    assert "No captions of this model are shown here" in text.partition("## What is new")[0]


@pytest.mark.parametrize("name", [*NAMES, "florenz-tiny", "florenz-tiny-it", "emoji_scenes", "scaling_runs"])
def test_links_live_on_the_hub_and_lead_to_files_that_are_put_beside_the_card(name, tmp_path):
    write_papers(CARDS, name, tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    body = text.partition("\n---\n")[2]
    assert not re.findall(r"hub_cards/|modeling_florenz/\w+\.", body)
    own = re.findall(rf"https://huggingface\.co/(?:datasets/)?{OWNER}/{name}/(?:resolve|blob)/main/([\w./-]+)", text)
    there = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    # The code of a model is beside its weights.
    assert set(own) - set(CODE_FILES) <= there
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)\s]+)\)", body) if link != CURVES)


@pytest.mark.parametrize("name", [*NAMES, "florenz-tiny"])
def test_recipes_are_offered_for_models_that_they_fit(name):
    text = (CARDS / "rendered" / f"{name}.md").read_text(encoding="utf-8")
    offered = re.findall(r"^florenz train (\w+)", text, re.MULTILINE)
    assert offered
    for recipe in offered:
        values = read_recipe(recipe_path(recipe))
        knows_emoji = any(source["dataset"] == "emoji_scenes" for source in values["train_data"])
        assert knows_emoji == (name == "florenz-tiny")
        assert values.get("method") != "qlora" or "3.5b" in name or "11.2b" in name


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


@pytest.mark.parametrize(
    "name",  # all but one have the same template
    [
        "florenz-3.5b",
        "florenz-tiny",
        *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name != "florenz-3.5b"),
    ],
)
def test_the_snippets_run_as_printed(name, tmp_path, monkeypatch, capsys):
    folder = tmp_path / OWNER / name  # where the model is looked for, in the place of the Hub
    FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    assert main(["card", name, str(folder)]) == 0
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    stored = tmp_path / "cache" / f"models--{OWNER}--{name}"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, stored / "snapshots" / ("0" * 40))
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    card = ModelCard((folder / "README.md").read_text(encoding="utf-8"))
    shown = []
    for block in re.findall(r"```python\n(.*?)```", card.text, re.DOTALL):
        exec(compile(block, "card", "exec"), {})
        shown.append(capsys.readouterr().out.strip())
    captions, french, translated = shown
    if name == "florenz-tiny":
        known = json.loads((CARDS / "results" / "sample-captions.json").read_text(encoding="utf-8"))["captions"]
        assert captions == str(known["florenz-tiny"]["direct"])
        assert french == "['Une image : chien, vélo et palmier.']"
        spanish, scores = translated.splitlines()
        assert spanish == "['Una imagen: perro, bicicleta y palmera.']"
        assert scores.index("Palme") < scores.index("Fabrik")
    else:
        assert captions.startswith("{'en': ")
        assert "hien, vélo et palmier.']" in french


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
