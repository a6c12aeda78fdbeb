"""Captioning many files: each is done, skipped or passed over, and none of them ends the batch."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image, features

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.cli import main


SAMPLE = BUNDLED_MODEL / "sample.png"


def damaged(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, kind)
    content = bytearray(buffer.getvalue())
    start = content.index(b"mdat") + 4 if kind == "AVIF" else len(content) // 2
    content[start : start + 40] = bytes(value ^ 0x5A for value in content[start : start + 40])
    return bytes(content)


def test_a_folder_is_captioned_past_everything_odd_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "z.png"):
        (folder / name).write_bytes(SAMPLE.read_bytes())
    odd = {"b.png": SAMPLE.read_bytes()[:20], "d.ppm": b"P6\n-3 4\n255\n", "e.webp": b"RIFF\x00\x00", "f.jpg": b""}
    if features.check("avif"):
        odd["c.avif"] = damaged("AVIF")
    for name, content in odd.items():
        (folder / name).write_bytes(content)
    Image.new("1", (10_001, 10_000)).save(folder / "g.png")
    (folder / "h.png").symlink_to(SAMPLE)
    odd |= {"g.png": b"", "h.png": b""}
    for name in ("i.heic", "j.JP2"):
        (folder / name).write_bytes(b"?")
    (folder / "._a.png").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "empty").mkdir()
    arguments = [str(folder), str(tmp_path / "empty"), str(tmp_path / "none.png"), "--beams", "1"]
    assert main(["caption", *arguments, "--batch-size", "1", "--json"]) == 1
    output = capsys.readouterr()
    assert [Path(json.loads(line)["image"]).name for line in output.out.splitlines()] == ["a.png", "z.png"]
    *lines, last = output.err.splitlines()
    assert last == f"florenz: 2 done, {len(odd) + 2} skipped, 2 passed over"
    skipped = [line for line in lines if line.startswith("florenz: skipped: ")]
    assert len(skipped) == len(odd) + 2
    for name in (*odd, "empty", "none.png"):
        assert sum(name in line for line in skipped) == 1, name
    passed = [line for line in lines if line.startswith("florenz: passed over: ")]
    assert [Path(line.split()[3]).name for line in passed] == ["i.heic", "j.JP2"]
    assert "Traceback" not in output.err and "._a.png" not in output.err


def test_a_folder_without_a_good_image_is_told_of_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.heic").write_bytes(b"?")
    assert main(["caption", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "holds no image that can be read, only .heic: save them as JPEG or PNG" in lines[0]
    assert lines[-1] == "florenz: 0 done, 1 skipped, 1 passed over"
    (tmp_path / "b.png").write_bytes(b"?")
    assert main(["caption", str(tmp_path)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "florenz: 0 done, 1 skipped, 1 passed over"


def test_a_folder_of_one_image_is_a_batch_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(SAMPLE.read_bytes())
    assert main(["caption", str(tmp_path), "--beams", "1"]) == 0
    output = capsys.readouterr()
    assert output.err == "florenz: 1 done, 0 skipped, 0 passed over\n"
    assert main(["caption", str(SAMPLE), "--beams", "1"]) == 0
    assert capsys.readouterr() == (output.out, "")
