"""The emoji recipe from end to end: a dataset with a card, made again with the same bytes, that training reads."""

import shutil
from pathlib import Path

import pytest
from datasets import load_dataset

from modeling_florenz.cli import main
from modeling_florenz.data.dataset_info import HubPlace, Part
from modeling_florenz.data.datasets import find_dataset
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.publishing.checks import check_folder


SMALL = ["images.scenes=24", "bitexts.0.scenes=60", "shard=10", "decontaminate.skip=[emoji_scenes]"]


def _synthesize(folder: Path, *more: str) -> int:
    changes = [argument for change in SMALL for argument in ("--set", change)]
    return main(["synthesize", "emoji", "--output", str(folder), *changes, *more])


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthesis") / "emoji"
    assert _synthesize(folder) == 0
    return folder


def test_every_translation_is_the_one_of_the_world(made: Path) -> None:
    world, rows = EmojiWorld(), load_dataset("parquet", data_files=str(made / "data" / "*.parquet"), split="train")
    known = {}
    for index in range(24):
        for language in ("de", "fr", "es", "ru", "zh"):
            for text in (world.caption, world.detailed_caption):
                scene = world.scene("train", index)
                known[text(scene, "en"), language] = text(scene, language)
    translations = [row for row in rows.remove_columns("image") if row["task"] == "translate"]
    whole = [row for row in translations if (row["source"], row["language"]) in known]
    assert len(whole) > 60
    assert all(known[row["source"], row["language"]] == row["target"] for row in whole)
    assert len(set(rows["key"])) == len(rows)
    assert {row["task"] for row in rows.remove_columns("image")} == {
        "caption", "detailed_caption", "more_detailed_caption", "translate",
    }  # fmt: skip


def test_a_second_run_changes_nothing(made: Path) -> None:
    before = _contents(made)
    times = {path: path.stat().st_mtime_ns for path in made.with_name("emoji.work").rglob("part-*")}
    assert _synthesize(made) == 0
    assert _contents(made) == before
    assert {path: path.stat().st_mtime_ns for path in made.with_name("emoji.work").rglob("part-*")} == times


def test_a_changed_seed_is_refused_and_named(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _synthesize(made, "--set", "seed=1") == 2
    assert "shards made with other settings (seed)" in capsys.readouterr().err


def test_training_reads_the_rows_of_each_language_with_their_images(made: Path) -> None:
    columns = {name: name for name in ("task", "language", "source", "target")}
    hub = HubPlace(columns=columns)
    rows = find_dataset("hub").load(Part("train", "zh", made, hub=hub))
    assert {row["task"] for row in rows.without_images()} == {"translate"}
    assert rows[0]["image"].size == (96, 96)
    assert rows[0]["target"].endswith("。")
    captions = find_dataset("hub").load(Part("train", "en", made, examples=3, hub=hub))
    assert not any(row["source"] for row in captions.without_images())


def test_the_folder_can_be_pushed_and_its_card_shows_counts_licences_and_pictures(made: Path) -> None:
    assert check_folder(made) == []
    card = (made / "README.md").read_text(encoding="utf-8")
    for words in ("![Example 1](examples/1.jpg)", "| translate | zh |", "OFL-1.1", "the closest of 60 pairs"):
        assert words in card
    assert sorted(path.name for path in (made / "examples").iterdir()) == ["1.jpg", "2.jpg", "3.jpg"]


def test_images_are_stored_once_for_all_of_their_rows(made: Path) -> None:
    rows = load_dataset("parquet", data_files=str(made / "data" / "*.parquet"), split="train")
    table = rows.with_format("arrow")[:]["image"].to_pylist()
    stored = sum(path.stat().st_size for path in (made / "data").iterdir())
    assert stored < 0.5 * sum(len(image["bytes"]) for image in table)


def test_a_dry_run_makes_nothing_and_counts_all(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _synthesize(tmp_path / "new", "--dry-run") == 0
    assert not list(tmp_path.iterdir())
    assert "(assumed)" in capsys.readouterr().out
    assert _synthesize(made, "--dry-run") == 0
    out = capsys.readouterr().out
    assert "(assumed)" not in out
    assert [line.split()[1:3] for line in out.splitlines() if line.startswith("bitexts")] == [["60", "60"]]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    assert _synthesize(tmp_path / "mine", "--set", "bitexts=[]", "--set", "match=null") == 2
    assert "holds something else than a synthesized dataset" in capsys.readouterr().err
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear diary"


def test_archives_hold_the_same_rows_and_each_image_once(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made.with_name("emoji.work"), tmp_path / "tars.work")
    assert _synthesize(tmp_path / "tars", "--set", "format=webdataset") == 0
    assert check_folder(tmp_path / "tars") == []
    card = (tmp_path / "tars" / "README.md").read_text(encoding="utf-8")
    assert "columns: {task: json.task, language: json.language, source: json.source, target: json.target}" in card
    names = ("task", "language", "source", "target")
    inside = HubPlace(columns={name: f"json.{name}" for name in names})
    plain = HubPlace(columns={name: name for name in names})
    for language in ("de", "zh"):
        tars = find_dataset("hub").load(Part("train", language, tmp_path / "tars", hub=inside))
        tables = find_dataset("hub").load(Part("train", language, made, hub=plain))
        said = [[tuple(row[name] for name in names) for row in rows.without_images()] for rows in (tars, tables)]
        assert len(said[0]) > 10
        assert said[0] == said[1]
        assert tars[0]["image"].tobytes() == tables[0]["image"].tobytes()
    streamed = load_dataset("webdataset", data_files=str(tmp_path / "tars" / "data" / "*.tar"), split="train")
    assert len(streamed) == 24
    assert streamed[0]["json"][0]["key"] == f"{streamed[0]['__key__']}#0"
