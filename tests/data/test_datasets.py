"""The table of datasets: every loader, split and language in it works, and nothing in it is heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

from modeling_florenz.data.dataset_info import Part
from modeling_florenz.data.datasets import DATASETS, find_dataset
from modeling_florenz.data.emoji_scenes.wording import PREFIXES
from modeling_florenz.processing_florenz import TASKS


pytestmark = pytest.mark.filterwarnings("ignore:.*were published")
PARTS = [
    (dataset.name, split, language)
    for dataset in DATASETS.values()
    for split, languages in dataset.splits.items()
    for language in languages
    if dataset.name != "xm3600" or language in ("en", "pt", "zh")
]


@pytest.mark.parametrize(("name", "split", "language"), PARTS)
def test_every_part_in_the_table_loads(name: str, split: str, language: str, tmp_path: Path) -> None:
    dataset = DATASETS[name]
    task = dataset.tasks[-1] if language != "en" else dataset.tasks[0]
    if dataset.sample_writer:
        dataset.sample_writer(tmp_path, split, [(task, language)])
    rows = dataset.load(Part(split, language, tmp_path, task, examples=4))
    assert len(rows) == 4
    row = rows[0]
    assert row["language"] == language
    assert row["task"] in dataset.tasks
    assert row["image"].size > (1, 1)
    assert row["target"] == row["references"][0]
    assert [entry["key"] for entry in rows.without_images()] == rows.column("key")
    assert rows.column("task") == [row["task"]] * 4
    assert (rows.contrasts() is not None) == (name == "commute" or split == "ambiguous")


def test_a_folder_of_ones_own_loads_in_any_language(tmp_path: Path) -> None:
    DATASETS["folder"].sample_writer(tmp_path, "train", [("caption", "pt"), ("translate", "it")])
    rows = DATASETS["folder"].load(Part("train", "pt", tmp_path))
    assert set(zip(rows.column("task"), rows.column("language"), strict=True)) == {
        ("caption", "pt"),
        ("translate", "it"),
    }


def test_the_table_knows_the_languages_of_the_world_and_the_tasks_of_the_processor() -> None:
    assert DATASETS["emoji_scenes"].languages == tuple(PREFIXES)
    assert all(set(dataset.tasks) <= set(TASKS) for dataset in DATASETS.values())


def test_xm3600_has_34_languages_with_a_code_of_two_letters() -> None:
    languages = DATASETS["xm3600"].languages
    assert (len(languages), len(set(languages))) == (34, 34)
    assert {"en", "de", "fr", "es", "ru", "zh", "it", "pt"} < set(languages)


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("docci", Part("val", "en"), "split of docci must be one of train, test, qual_dev, qual_test, not 'val'"),
        ("docci", Part("test", "de"), "language of docci must be one of en, not 'de'"),
        ("commute", Part("dev", "de"), "language of commute must be one of fr, not 'de'"),
        ("emoji_scenes", Part("translate", "en"), "language of emoji_scenes must be one of de, fr, es, ru, zh, it"),
        ("xm3600", Part("test", "pt", Path("nowhere")), "xm3600 needs the folder nowhere: put the data there"),
    ],
)
def test_a_part_that_is_not_there_is_refused_in_one_sentence(name: str, part: Part, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DATASETS[name].load(part)


def test_an_older_name_says_the_new_one() -> None:
    with pytest.raises(ValueError, match="multi30k_captioning is called multi30k_captions: use that name"):
        find_dataset("multi30k_captioning")
    with pytest.raises(ValueError, match="dataset must be one of multi30k_translation, .*, not 'flickr'"):
        find_dataset("flickr")


def test_the_table_alone_imports_nothing_heavy() -> None:
    # The package's own __init__ is left out: what it imports is its own affair.
    code = (
        "import sys, types; package = types.ModuleType('modeling_florenz'); "
        f"package.__path__ = [{str(Path(__file__).parents[2] / 'modeling_florenz')!r}]; "
        "sys.modules['modeling_florenz'] = package; import modeling_florenz.data.datasets; "
        "print([name for name in ('torch', 'numpy', 'PIL', 'datasets', 'transformers') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
