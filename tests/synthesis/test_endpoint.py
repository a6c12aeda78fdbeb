"""Descriptions from an endpoint that is slow and in trouble: each image once, or listed as skipped."""

import io
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from chat_endpoint import serve_chat
from PIL import Image

from modeling_florenz.cli import main
from modeling_florenz.synthesis.describe import DescribeImages
from modeling_florenz.synthesis.recipe import Describe, Filters


def _rows(count: int) -> list[dict]:
    rows = []
    for number in range(count):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), (number, 100, 200)).save(buffer, "PNG")
        content = buffer.getvalue()
        rows.append({"key": sha256(content).hexdigest(), "name": f"{number}.png", "bytes": content})
    return rows


def _describe(options: Describe, rows: list[dict]):
    return DescribeImages(options, Filters()).make(rows, [{"key": row["key"]} for row in rows])


def test_every_image_is_described_once_or_listed_whatever_the_server_does() -> None:
    trouble = {"error": 0.2, "limit": 0.1, "broken": 0.1, "html": 0.05}
    rows = _rows(30)
    with serve_chat(trouble, delay=0.01) as server:
        made = _describe(Describe("m", server.address, attempts=3, concurrency=4), rows)
    done, lost = [row["key"] for row in made.rows], [entry.key for entry in made.skipped]
    names = {row["name"]: row["key"] for row in rows}
    assert sorted([*done, *(names[name] for name in lost)]) == sorted(row["key"] for row in rows)
    assert Counter(done).most_common(1)[0][1] == 1
    assert len(lost) < 10
    assert all(entry.fault and entry.reason == "image not described" for entry in made.skipped)
    assert all(row["text"].startswith(f"The picture {row['key'][:8]}") for row in made.rows)
    assert set(server.described) == set(done)
    assert {"good", "error", "limit", "broken"} <= set(server.statuses)
    assert 1 < server.most_at_once <= 4


def test_a_server_that_hangs_costs_a_timeout_and_no_more() -> None:
    with serve_chat({"hang": 0.5}) as server:
        made = _describe(Describe("m", server.address, timeout=0.3, attempts=2), _rows(6))
    assert len(made.rows) + len(made.skipped) == 6
    assert all(entry.detail == "no answer within 0.3 seconds" for entry in made.skipped)


def test_empty_and_endless_descriptions_are_listed() -> None:
    with serve_chat({"empty": 0.5}) as server:
        made = _describe(Describe("m", server.address), _rows(8))
    assert {entry.reason for entry in made.skipped} == {"description empty"}
    assert len(made.rows) + len(made.skipped) == 8
    with serve_chat() as server:
        step = DescribeImages(Describe("m", server.address), Filters(max_characters=20))
        made = step.make(_rows(2), [{"key": row["key"]} for row in _rows(2)])
    assert [entry.reason for entry in made.skipped] == ["description longer than 20 characters"] * 2


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ({"error": 1.0}, "describes none of 2 images: status 500"),
        ({"html": 1.0}, "describes none of 2 images: an answer without a text"),
    ],
)
def test_an_endpoint_that_never_answers_stops_the_run(trouble: dict[str, float], sentence: str) -> None:
    with serve_chat(trouble) as server, pytest.raises(ValueError, match=sentence):
        _describe(Describe("m", server.address, attempts=1), _rows(2))


def test_an_endpoint_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="http://127.0.0.1:9/v1 cannot be reached: start the server"):
        _describe(Describe("m", "http://127.0.0.1:9/v1", attempts=1), _rows(2))


def test_the_key_comes_from_the_environment_and_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Describe("m", "", key_variable="FLORENZ_TEST_KEY")
    with serve_chat(key="very-secret") as server:
        options = replace(options, endpoint=server.address)
        with pytest.raises(ValueError, match="the environment variable FLORENZ_TEST_KEY is not set: set it"):
            _describe(options, _rows(1))
        monkeypatch.setenv("FLORENZ_TEST_KEY", "wrong")
        with pytest.raises(ValueError, match="answers with status 401: check"):
            _describe(options, _rows(1))
        monkeypatch.setenv("FLORENZ_TEST_KEY", "very-secret")
        for number in range(2):
            Image.effect_noise((40, 40), 100).convert("RGB").save(tmp_path / f"{number}.png")
        describe = f"describe={{model: m, endpoint: '{server.address}', key_variable: FLORENZ_TEST_KEY}}"
        changes = [describe, f"images.paths=[{tmp_path}]", "images.source=x", "bitexts=[]", "match=null"]
        changes += ["translate=null", "assemble={captions: [en], translations: []}"]
        changes += ["decontaminate.skip=[emoji_scenes]"]
        output = tmp_path / "out" / "made"
        arguments = ["synthesize", "photos", "--output", str(output)]
        assert main([*arguments, *(word for change in changes for word in ("--set", change))]) == 0
        assert server.requests[-1]["messages"][0]["content"][0]["image_url"]["url"].startswith(
            "data:image/png;base64,"
        )
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) > 8
    assert not any(b"very-secret" in path.read_bytes() for path in written)
    assert "very-secret" not in "".join(capsys.readouterr())
