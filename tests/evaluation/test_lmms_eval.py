"""lmms-eval, with this package's tasks and model, gives the scores of `florenz evaluate`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml


datasets = pytest.importorskip("datasets")
pytest.importorskip("lmms_eval", reason="lmms-eval is not installed")

import lmms_eval.models  # noqa: E402
from lmms_eval.api.instance import Instance  # noqa: E402
from lmms_eval.evaluator import simple_evaluate  # noqa: E402
from lmms_eval.tasks import TaskManager  # noqa: E402

import modeling_florenz.evaluation.lmms_eval as adapter  # noqa: E402
from modeling_florenz.data.emoji_scenes.world import EmojiWorld  # noqa: E402
from modeling_florenz.evaluation.lmms_eval.commute import write_commute  # noqa: E402
from modeling_florenz.evaluation.lmms_eval.model import Florenz, manifest  # noqa: E402
from modeling_florenz.evaluation.run import EvaluationOptions, run_benchmark  # noqa: E402
from modeling_florenz.inference.baselines import FlorenzModel  # noqa: E402
from modeling_florenz.inference.evaluated import SearchProtocol  # noqa: E402


ROWS = 20
LANGUAGES = ("de", "fr")


def lines(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write scenes in the layouts of the three benchmarks, and as the copies on the Hub have them."""
    folder, world = tmp_path_factory.mktemp("data"), EmojiWorld()
    scenes = [world.scene("test", index) for index in range(ROWS)]
    others = scenes[1:] + scenes[:1]
    images = [world.render(scene) for scene in scenes]
    text = {language: [world.caption(scene, language) for scene in scenes] for language in ("en", *LANGUAGES)}
    wrong = {language: [world.caption(scene, language) for scene in others] for language in LANGUAGES}
    names = [f"{index:04}.jpg" for index in range(ROWS)]
    for place in ("xm3600", "multi30k", "commute"):
        (folder / place / "images").mkdir(parents=True)
        for image, name in zip(images, names, strict=True):
            image.save(folder / place / "images" / name, "PNG")
    references = {language: [[f"{one} ", one.lower()] for one in text[language]] for language in LANGUAGES}
    records = [
        {"image/key": name[:-4], **{language: {"caption": references[language][row]} for language in LANGUAGES}}
        for row, name in enumerate(names)
    ]
    lines(folder / "xm3600" / "captions.jsonl", [json.dumps(record) for record in records])
    raw = folder / "multi30k" / "data" / "task1"
    lines(raw / "image_splits" / "test_2016_flickr.txt", names)
    for language, texts in text.items():
        lines(raw / "raw" / f"test_2016_flickr.{language}", texts)
    for language in LANGUAGES:
        pairs = folder / "commute" / f"en-{language}"
        lines(pairs / "img.order", names)
        lines(pairs / "src.en", text["en"])
        lines(pairs / f"correct.{language}", text[language])
        lines(pairs / f"incorrect.{language}", wrong[language])
    shown = datasets.Features({"image": datasets.Image()})
    column = datasets.Dataset.from_dict({"image": images}, features=shown)
    for language in LANGUAGES:
        copy = column.add_column("captions", references[language])
        copy.to_parquet(folder / "hub" / "xm3600" / f"{language}-00000-of-00001.parquet")
    splits = "".join(f"  - split: {language}\n    path: {language}-*.parquet\n" for language in LANGUAGES)
    card = f"---\nconfigs:\n- config_name: default\n  data_files:\n{splits}---\n"
    (folder / "hub" / "xm3600" / "README.md").write_text(card)
    copy = column
    for language, texts in text.items():
        copy = copy.add_column(language, texts)
    copy.to_parquet(folder / "hub" / "multi30k" / "test-00000-of-00001.parquet")
    write_commute(folder / "commute", folder / "hub" / "commute", LANGUAGES)
    return folder


@pytest.fixture(scope="module")
def tasks(data: Path) -> Path:
    """Copy the tasks, with the stubs in the place of the Hub's copies."""
    folder = data / "tasks"
    shutil.copytree(Path(adapter.__file__).parent / "tasks", folder)
    for name, stub in (("xm3600", "xm3600"), ("multi30k_translation", "multi30k"), ("commute", "commute")):
        template = folder / name / "_default_template_yaml"
        text = template.read_text(encoding="utf-8")
        [place] = [line for line in text.splitlines() if line.startswith("dataset_path: ")]
        text = text.replace(place, f"dataset_path: {data / 'hub' / stub}")
        template.write_text(text.replace("  revision: ", "  # revision: ").replace("dataset_kwargs:\n", ""))
    return folder


@pytest.fixture(scope="module")
def harness(tasks: Path) -> dict[str, dict[str, Any]]:
    lmms_eval.models.MODEL_REGISTRY_V2.register_manifest(manifest(), overwrite=True)
    names = [f"{name}_{language}" for name in ("xm3600", "multi30k_translation", "commute") for language in LANGUAGES]
    manager = TaskManager(include_path=str(tasks), include_defaults=False, model_name="florenz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(tasks / "cache"))
        found = simple_evaluate(model="florenz", model_args="", tasks=names, batch_size=8, task_manager=manager)
    return found["results"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("task", "benchmark", "measures"),
    [
        ("xm3600", "xm3600", ("cider", "bleu_4", "rouge_l")),
        ("multi30k_translation", "multi30k_translation", ("bleu", "chrf")),
        ("commute", "commute", ("accuracy",)),
    ],
)
def test_scores_equal_the_packages_own(harness, data, tmp_path, task, benchmark, measures, language):
    options = EvaluationOptions(
        "florenz-tiny", data, tmp_path, SearchProtocol(num_beams=1), languages=[language], limit=ROWS,
        splits=["test_2016_flickr"] if task == "multi30k_translation" else [],
    )  # fmt: skip
    [own] = run_benchmark(benchmark, FlorenzModel(None), options)["scores"].values()
    found = harness[f"{task}_{language}"]
    for measure in measures:
        assert found[f"{measure},none"] == pytest.approx(own[measure], abs=1e-9), measure
    assert any(own[measure] > 0 for measure in measures)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Describe the image.", "asked by TASK:LANGUAGE, such as caption:de, not 'Describe the image.'"),
        ("caption:pt", "the model writes en, de, fr, es, ru, zh, not 'pt'"),
    ],
)
def test_a_request_of_another_kind_is_refused_in_one_sentence(text, sentence):
    request = Instance(
        "generate_until", (text, {}, None, 0, "other", "test"), 0, {"task": "other", "doc_id": 0, "repeats": 1}
    )
    with pytest.raises(ValueError, match=sentence):
        Florenz().generate_until([request])


def test_every_task_asks_a_florenz_for_its_own_language():
    for path in (Path(adapter.__file__).parent / "tasks").glob("*/*_??.yaml"):
        prompt = yaml.safe_load(path.read_text().replace("!function ", ""))["lmms_eval_specific_kwargs"]["florenz"]
        task = "caption" if path.parent.name == "xm3600" else "translate"
        assert prompt["prompt"].strip() == f"{task}:{path.stem[-2:]}"
