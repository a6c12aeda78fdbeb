"""What is killed while it writes leaves nothing that looks whole, and the next run goes on from there."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from modeling_florenz.resumable import (
    JsonLines,
    check_settings,
    hold,
    keep_settings,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)


# A fork starts at once, where a new interpreter would load torch first.
PROCESSES = multiprocessing.get_context("fork")


@contextmanager
def running(work: Callable, *arguments):
    """Run work in another process up to the point where it says `ready`; it is killed in the end."""
    ready = PROCESSES.Event()
    process = PROCESSES.Process(target=work, args=(ready, *arguments))
    process.start()
    assert ready.wait(600)
    try:
        yield process
    finally:
        process.kill()
        process.join()


def write_slowly(ready, folder: Path) -> None:
    with whole_folder(folder) as partial:
        (partial / "first").write_text("half of it")
        ready.set()
        time.sleep(60)


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path):
    with whole_folder(tmp_path / "out") as partial:
        (partial / "one").write_text("1")
        assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_after_a_kill_a_second_run_starts_and_a_third_is_refused_without_harm_to_it(tmp_path):
    out = tmp_path / "out"
    with running(write_slowly, out) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.join()
    assert not out.exists()
    with running(write_slowly, out) as second:
        for _ in range(2):  # also not by a lock that the first refusal removed
            with pytest.raises(ValueError, match="another run is writing .*out: wait"), whole_folder(out):
                pass
            assert second.is_alive()
            assert not out.exists()
            assert (tmp_path / "out.partial" / "first").read_text() == "half of it"
    assert not out.exists()
    with whole_folder(out) as partial:
        assert not list(partial.iterdir())
        (partial / "all").write_text("all of it")
    assert [path.name for path in out.iterdir()] == ["all"]


def test_an_error_leaves_neither_the_folder_nor_a_part_of_it(tmp_path):
    with pytest.raises(KeyError), whole_folder(tmp_path / "out") as partial:
        (partial / "one").write_text("1")
        raise KeyError
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_work_that_has_a_name_goes_on_in_what_it_left(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyError), whole_folder(out, work="a") as partial:
        (partial / "one").write_text("1")
        raise KeyError
    with pytest.raises(KeyError), whole_folder(out, work="b") as partial:
        assert not list(partial.iterdir())
        raise KeyError
    with whole_folder(out, work="a") as partial:
        assert (partial / "one").read_text() == "1"
    assert (out / "one").read_text() == "1"


def test_an_older_folder_stays_unless_it_is_empty_or_to_be_replaced(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with whole_folder(out) as partial:
        (partial / "old").touch()
    with pytest.raises(ValueError, match="out exists already: remove it or give another name"), whole_folder(out):
        pass
    assert (out / "old").exists()
    with whole_folder(out, replace=True) as partial:
        (partial / "new").touch()
        assert (out / "old").exists()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert not list(tmp_path.glob("*.partial"))


def test_a_folder_is_never_seen_half_removed(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with whole_folder(out) as partial:
        (partial / "old").touch()

    def killed(folder, ignore_errors):
        assert folder != out
        if folder.exists():
            raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt), whole_folder(out, replace=True) as partial:
        (partial / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]


def test_a_lock_refuses_a_second_process_and_ends_with_its_own(tmp_path):
    def keep(ready):
        with hold(tmp_path / "rows.jsonl"):
            ready.set()
            time.sleep(60)

    with running(keep) as first:
        for _ in range(2):
            with (
                pytest.raises(ValueError, match=r"another run is writing .*rows\.jsonl"),
                hold(tmp_path / "rows.jsonl"),
            ):
                pass
        os.kill(first.pid, signal.SIGKILL)
        first.join()
        with hold(tmp_path / "rows.jsonl"):
            pass


def test_a_process_that_waits_gets_the_lock_when_the_other_ends(tmp_path):
    def keep(ready):
        with hold(tmp_path / "rows.jsonl"):
            ready.set()
            time.sleep(0.3)
            (tmp_path / "done").touch()

    with running(keep), hold(tmp_path / "rows.jsonl", wait=True):
        assert (tmp_path / "done").exists()


def test_a_file_keeps_its_old_content_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "made" / "notes.txt"
    write_text(path, "old\n")
    with whole_file(path) as partial:
        partial.write_text("new")
        assert path.read_bytes() == b"old\n"
    with pytest.raises(KeyError), whole_file(path) as partial:
        partial.write_text("newer")
        raise KeyError
    assert [file.read_text() for file in path.parent.iterdir()] == ["new"]


def test_two_processes_that_write_one_file_do_not_mix_it(tmp_path):
    def write(ready):
        ready.set()
        while True:
            write_text(tmp_path / "notes.txt", "b" * 100_000)

    with running(write):
        for _ in range(50):
            write_text(tmp_path / "notes.txt", "a" * 100_000)
            assert set((tmp_path / "notes.txt").read_text()) in ({"a"}, {"b"})
            assert (tmp_path / "notes.txt").stat().st_size == 100_000


def test_a_name_that_is_no_unicode_is_written_as_json_and_read_again(tmp_path):
    value = {"key": "caf\udce9 \u2028 \u00fc", "text": "Grüße"}
    write_json(tmp_path / "one.json", value)
    assert json.loads((tmp_path / "one.json").read_text(encoding="utf-8")) == value
    JsonLines(tmp_path / "lines.jsonl", "key").append([value])
    assert JsonLines(tmp_path / "lines.jsonl", "key").entries == {value["key"]: value}
    assert "Grüße" in (tmp_path / "lines.jsonl").read_text(encoding="utf-8")


ROWS = [{"arm": "a", "seed": seed, "text": f"Ein Bild: {seed}"} for seed in range(3)]


@pytest.fixture
def lines(tmp_path) -> Path:
    path = tmp_path / "rows.jsonl"
    JsonLines(path, "arm", "seed").append(ROWS)
    return path


def test_entries_are_read_by_the_values_of_their_key(lines):
    assert JsonLines(lines, "arm", "seed").entries == {("a", seed): ROWS[seed] for seed in range(3)}
    assert list(JsonLines(lines, "seed").entries) == [0, 1, 2]
    with pytest.raises(ValueError, match="line 2: arm a is there twice"):
        JsonLines(lines, "arm")


@pytest.mark.parametrize("torn", [b'{"arm": "a", "se', b"\0" * 50, '{"arm": "ü'.encode()[:-1]])
def test_a_torn_last_line_is_dropped_and_leaves_no_trace_once_entries_are_added(torn, lines):
    whole = lines.read_bytes()
    lines.write_bytes(whole + torn)
    store = JsonLines(lines, "arm", "seed")
    assert len(store.entries) == 3
    assert lines.read_bytes() == whole + torn  # another process may be writing it
    store.append([{"arm": "b", "seed": 0}])
    store.append([{"arm": "b", "seed": 1}])
    assert lines.read_bytes() == whole + b'{"arm": "b", "seed": 0}\n{"arm": "b", "seed": 1}\n'


def test_a_last_line_without_a_line_break_is_kept_and_gets_one(lines):
    lines.write_bytes(lines.read_bytes()[:-1])
    store = JsonLines(lines, "arm", "seed")
    assert len(store.entries) == 3
    store.append([{"arm": "b", "seed": 0}])
    assert list(JsonLines(lines, "arm", "seed").entries)[2:] == [("a", 2), ("b", 0)]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"key":"b","te',
        b"\0" * 40,
        b"\xff\xfe",
        b"[" * 100_000,
        b'"a"',
        b'{"arm": "a"}',
        b'{"arm": ["a"], "seed": 1}',
    ],
)
def test_a_line_broken_in_the_middle_is_named_with_its_file(broken, lines):
    first, rest = lines.read_bytes().split(b"\n", 1)
    lines.write_bytes(first + b"\n" + broken + b"\n" + rest)
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2 is broken: remove that line") as raised:
        JsonLines(lines, "arm", "seed")
    assert len(str(raised.value)) < len(str(lines)) + 100
    lines.write_bytes(first + b"\n\n" + rest)  # as an editor may leave it
    assert len(JsonLines(lines, "arm", "seed").entries) == 3


def test_a_key_that_is_there_twice_is_named(lines):
    JsonLines(lines, "arm", "seed").append([{**ROWS[0], "text": "another"}])
    with pytest.raises(ValueError, match="line 4: arm a, seed 0 is there twice: remove one of them"):
        JsonLines(lines, "arm", "seed")


def test_entries_added_up_to_a_kill_are_whole(tmp_path):
    path = tmp_path / "rows.jsonl"

    def add(ready):
        store = JsonLines(path, "number")
        for number in range(10**9):
            store.append([{"number": number, "text": "ü" * 1000}])
            if number == 20:
                ready.set()

    with running(add):
        pass
    entries = JsonLines(path, "number").entries
    assert len(entries) > 20
    assert list(entries) == list(range(len(entries)))


def test_other_settings_are_refused_by_the_names_of_those_that_differ(tmp_path):
    path = tmp_path / "settings.json"
    settings = {"beams": 4, "sizes": (1, 2), "note": None}
    arguments = (f"{tmp_path} holds predictions", "remove it")
    keep_settings(path, settings, *arguments)
    keep_settings(path, {"beams": 4, "sizes": (1, 2)}, *arguments)
    with pytest.raises(ValueError, match=r"holds predictions with other settings \(beams, image\): remove it"):
        keep_settings(path, {**settings, "image": "blank", "beams": 1}, *arguments)
    assert json.loads(path.read_text())["beams"] == 4
    for broken in (b"\0\0\0", b"[1]", b""):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"settings\.json is broken: remove it"):
            keep_settings(path, settings, *arguments)


def test_settings_that_only_say_where_may_differ():
    check_settings({"folder": "a", "steps": 1}, {"folder": "b", "steps": 1}, "a holds a run", "remove it", ["folder"])
