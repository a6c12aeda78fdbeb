"""A folder of images with captions in a file, or in a text file beside each image."""

from pathlib import Path

import pytest


pytest.importorskip("datasets")

from made_up_datasets import COLOURS, paint, shown, tiny_folder, write  # noqa: E402

from modeling_florenz.data.folder import load_folder  # noqa: E402


# Every made-up folder is smaller than the published dataset.
pytestmark = pytest.mark.filterwarnings("ignore:.*were published")


def test_rows_of_a_file_say_their_own_language_source_and_task(tmp_path: Path) -> None:
    rows = load_folder(tiny_folder(tmp_path), task="caption", language="de")
    assert rows["task"][:] == ["caption", "translate"]
    assert rows["language"][:] == ["de", "fr"]
    assert rows["source"][:] == ["", "Blue."]
    assert rows["target"][:] == ["Rot.", "Bleu."]
    assert rows["key"][:] == ["a.png#1", "more/b.png#2"]
    assert shown(rows) == [COLOURS["red"], COLOURS["blue"]]


def test_csv_and_json_lines_of_the_same_captions_give_the_same_rows(tmp_path: Path) -> None:
    expected = load_folder(tiny_folder(tmp_path), "caption", "de").remove_columns("image")[:]
    (tmp_path / "captions.jsonl").unlink()
    write(
        tmp_path / "captions.csv",
        "file_name,caption,language,source,task",
        'a.png," Rot. ",,,',
        "more/b.png,Bleu.,fr,Blue.,translate",
    )
    assert load_folder(tmp_path, "caption", "de").remove_columns("image")[:] == expected


def test_a_cell_may_hold_commas_and_lines(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", "red")
    write(tmp_path / "captions.csv", "image,text", '"a.png","Rot, sehr rot.', 'Wirklich."')
    assert load_folder(tmp_path, "caption", "de")["target"][:] == ["Rot, sehr rot.\nWirklich."]


def test_a_text_file_beside_each_image_is_enough(tmp_path: Path) -> None:
    for name in ("b", "a"):
        paint(tmp_path / f"{name}.png", "red")
        write(tmp_path / f"{name}.txt", f"{name}!")
    rows = load_folder(tmp_path, "detailed_caption", "zh")
    assert rows["key"][:] == ["a.png", "b.png"]
    assert rows["target"][:] == ["a!", "b!"]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("image,text\na.png\n", "captions.csv line 2 does not have as many cells as the header"),
        ("image,text\na.png,A dog, a cat.\n", "captions.csv line 2 does not have as many cells as the header"),
        ("image,text,text\na.png,A,B\n", "captions.csv line 1 names a column twice"),
        ('image,text\n\na.png,"A" dog\n', "captions.csv line 3 is not CSV"),
        ("image,text\n,A dog.\n", "line 2: the image '' is not inside"),
        ("", "captions.csv holds no row"),
    ],
)
def test_a_broken_csv_is_told_in_one_sentence(cells: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text(cells)
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path, "caption", "de", stand_in=True)
