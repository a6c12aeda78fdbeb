"""Bad images, files and folders: what is broken is listed with its reason, and the rest is used."""

import errno
import html
import json
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chat_endpoint import serve_chat
from PIL import Image

from modeling_florenz.cli import main
from modeling_florenz.synthesis import pool
from modeling_florenz.synthesis.shards import write_shard


def _photos(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.effect_noise((60, 60), 120).convert("RGB").save(folder / f"{number}.png")
    return folder


def _run(output: Path, address: str, *changes: str) -> int:
    base = [
        f"describe={{model: m, endpoint: '{address}', attempts: 1}}",
        "images.source=x",
        "bitexts=[]",
        "match=null",
        "translate=null",
        "assemble={captions: [en], translations: []}",
        "decontaminate.skip=[emoji_scenes]",
    ]
    words = [word for change in (*base, *changes) for word in ("--set", change)]
    return main(["synthesize", "photos", "--output", str(output), *words])


def _skipped(output: Path) -> list[dict]:
    lines = output.with_name(f"{output.name}.work").joinpath("skipped.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_broken_images_and_archives_are_listed_and_the_rest_is_used(tmp_path: Path) -> None:
    folder, output = _photos(tmp_path / "photos"), tmp_path / "made"
    (folder / "broken.jpg").write_bytes((folder / "0.png").read_bytes()[:200])
    (folder / "again.png").write_bytes((folder / "1.png").read_bytes())
    more = _photos(tmp_path / "more", 4)
    with tarfile.open(tmp_path / "more.tar", "w") as archive:
        for path in sorted(more.iterdir()):
            archive.add(path, path.name)
    size = (tmp_path / "more.tar").stat().st_size
    with (tmp_path / "more.tar").open("r+b") as file:
        file.truncate(size - 14_000)
    with serve_chat() as server:
        assert _run(output, server.address, f"images.paths=[{folder}, {tmp_path / 'more.tar'}]") == 1
    found = {(entry["reason"], entry["fault"]) for entry in _skipped(output)}
    assert found == {("image not read", True), ("the same image file again", False)}
    details = [entry["detail"] for entry in _skipped(output) if entry["fault"]]
    assert len(details) == 2
    assert any("broken.jpg" in detail for detail in details)
    assert any("more.tar could not be read to its end" in detail for detail in details)
    statistics = json.loads((output / "statistics.json").read_text())
    assert 3 < statistics["groups"]["caption/en"]["images"] < 8


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["images.paths=[missing]"], "no image could be read: missing does not exist"),
        (["decontaminate.skip=[flickr]"], "there is no dataset 'flickr', only multi30k_translation"),
        (["images.captions=missing.jsonl"], "missing.jsonl does not exist"),
    ],
)
def test_what_nothing_can_be_made_of_is_refused_in_one_sentence(
    changes: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [f"images.paths=[{_photos(tmp_path / 'photos', 1)}]"]
    assert _run(tmp_path / "made", "http://127.0.0.1:9/v1", *paths, *changes) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_files_of_unequal_lines_are_refused_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.en").write_text("One.\nTwo.\n")
    (tmp_path / "x.de").write_text("Eins.\n")
    bitexts = {"source": "x", "license": "x", "english": str(tmp_path / "x.en")}
    bitexts["translations"] = {"de": str(tmp_path / "x.de")}
    arguments = ["--set", f"bitexts={json.dumps([bitexts])}", "--set", f"images.paths=[{tmp_path}]"]
    assert main(["synthesize", "photos", "--output", str(tmp_path / "made"), *arguments]) == 2
    assert "x.de has 1 lines, but" in capsys.readouterr().err
    assert not list(tmp_path.glob("made.work/*"))


def test_finished_shards_stay_when_the_endpoint_goes_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = _photos(tmp_path / "photos", 4), tmp_path / "made"
    changes = [f"images.paths=[{folder}]", "shard=2"]
    with serve_chat({"error": 1.0}) as server:
        assert _run(output, server.address, *changes) == 2
        assert "describes none of 2 images: status 500" in capsys.readouterr().err
        assert not output.exists()
        server.trouble = {}
        assert _run(output, server.address, *changes) == 0
        asked = len(server.requests)
        assert _run(output, server.address, *changes) == 0
        assert len(server.requests) == asked
    assert sum(path.stat().st_size > 0 for path in output.glob("data/*.parquet")) == 2


def test_what_a_table_says_of_its_images_goes_into_the_data(tmp_path: Path) -> None:
    files = [path.read_bytes() for path in sorted(_photos(tmp_path / "photos", 2).iterdir())]
    pq.write_table(pa.table({"image": files, "unsafe": [True, None]}), tmp_path / "photos.parquet")
    changes = [f"images.paths=[{tmp_path / 'photos.parquet'}]", "images.nsfw=unsafe"]
    with serve_chat() as server:
        assert _run(tmp_path / "made", server.address, *changes) == 0
        assert _run(tmp_path / "other", server.address, changes[0], "images.nsfw=nude") == 2
    (shard,) = (tmp_path / "made" / "data").iterdir()
    assert set(pq.read_table(shard, columns=["nsfw"])["nsfw"].to_pylist()) == {"True", None}
    assert "| `nsfw` | how fit for work" in (tmp_path / "made" / "README.md").read_text(encoding="utf-8")


def test_what_a_text_holds_is_shown_in_the_card_as_it_is(tmp_path: Path) -> None:
    with serve_chat() as server:
        server.thing = "**one** <b>thing</b> & $other | `code` #1"
        assert _run(tmp_path / "made", server.address, f"images.paths=[{_photos(tmp_path / 'photos', 1)}]") == 0
    card = (tmp_path / "made" / "README.md").read_text(encoding="utf-8")
    line = next(line for line in card.splitlines() if line.startswith("| caption | en |"))
    assert line.count("|") == 5
    assert "shows **one** <b>thing</b> & $other | `code` #1." in html.unescape(line)
    assert not set("*<>$`") & set(line)


def test_a_full_disk_is_told_and_finished_shards_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, output = _photos(tmp_path / "photos", 4), tmp_path / "made"
    changes = [f"images.paths=[{photos}]", "shard=2"]

    def write(*arguments: object) -> None:
        if len(list(output.with_name("made.work").glob("*/part-*.parquet"))) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_shard(*arguments)

    with serve_chat() as server:
        with monkeypatch.context() as full:
            full.setattr(pool, "write_shard", write)
            assert _run(output, server.address, *changes) == 2
        assert "made.work is full: make room and run the command again" in capsys.readouterr().err
        assert len(list(output.with_name("made.work").glob("*/part-*.parquet"))) == 3
        assert _run(output, server.address, *changes) == 0
