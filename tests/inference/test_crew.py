"""Blocks are handed to whoever is free and come back in order; several writers write what one writes."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from session_workers import workers_of

from modeling_florenz.cli import main
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.inference.block_writer import Block, ImageFile, Written
from modeling_florenz.inference.crew import AT_ONCE, _Process, check_alike, hand_out, usual_processes


class Late:
    """Answer from a thread, after a random time, and remember how much there was to do at once."""

    def __init__(self) -> None:
        self.most = self.open = self.done = 0

    def submit(self, block: Block) -> "Future[Written]":
        future = Future[Written]()
        self.open += 1
        self.most = max(self.most, self.open)

        def answer() -> None:
            self.open -= 1
            self.done += 1
            future.set_result({digest: {("caption", "en"): digest} for digest in block})

        threading.Timer(random.Random(next(iter(block))).uniform(0, 0.01), answer).start()
        return future


def test_blocks_come_back_in_order_whoever_writes_them() -> None:
    workers = [Late(), Late(), Late()]
    blocks: list[Block] = [{str(number): ImageFile("", b"")} if number % 5 else {} for number in range(40)]
    written = list(hand_out(workers, iter(blocks)))
    assert [list(block) for block in written] == [list(block) for block in blocks]
    assert sum(worker.done for worker in workers) == 32
    assert all(worker.done > 3 and worker.most <= AT_ONCE for worker in workers)


def test_a_failed_block_is_told() -> None:
    class Broken:
        def submit(self, block: Block) -> "Future[Written]":
            future = Future[Written]()
            future.set_exception(ValueError("it died"))
            return future

    with pytest.raises(ValueError, match="it died"):
        list(hand_out([Broken()], iter([{"a": ImageFile("", b"")}])))


def test_blocks_that_were_written_before_a_writer_died_are_given_out() -> None:
    process = _Process.__new__(_Process)
    process.connection, theirs = multiprocessing.Pipe()
    process._waiting, process._count = {}, 0
    threading.Thread(target=process._receive, daemon=True).start()
    submitted = 0

    class Dying:
        def submit(self, block: Block) -> "Future[Written]":
            nonlocal submitted
            submitted += 1
            if submitted == 3:
                theirs.close()
            future = process.submit(block)
            if submitted < 3:
                theirs.send((submitted, {digest: {("caption", "en"): "A cat."} for digest in block}))
            return future

    written = hand_out([Dying()], iter([{str(number): ImageFile("", b"")} for number in range(5)]))
    assert [list(next(written)) for _ in range(2)] == [["0"], ["1"]]
    with pytest.raises(ValueError, match="a process that captioned died"):
        next(written)
    assert submitted == 3 or submitted == 4


def test_workers_with_different_models_are_refused_by_what_differs() -> None:
    assert check_alike([{"dtype": "float32"}, {"dtype": "float32"}]) == {"dtype": "float32"}
    with pytest.raises(ValueError, match="the workers differ in dtype: give --dtype"):
        check_alike([{"dtype": "float32", "a": 1}, {"dtype": "bfloat16", "a": 1}])


def test_there_are_as_many_processes_as_gpus_but_no_more_than_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert [usual_processes(blocks) for blocks in (None, 1, 3, 100)] == [4, 1, 3, 4]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert usual_processes(100) == 1


def test_ray_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["caption", str(tmp_path), "--ray", "local"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("florenz: ray: Ray is not installed: pip install") and error.count("\n") == 1


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, world = tmp_path_factory.mktemp("scenes"), EmojiWorld()
    for index in range(160):
        world.render(world.scene("test", index, 7)).save(folder / f"{index:03}.png")
    (folder / "050.png").write_bytes(b"?")
    (folder / "150.png").write_bytes((folder / "050.png").read_bytes())
    (folder / "140.png").write_bytes((folder / "001.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def whole(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    output = tmp_path_factory.mktemp("whole") / "captions.jsonl"
    assert start(scenes, output).wait() == 1
    return output.read_bytes()


def start(scenes: Path, output: Path, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "modeling_florenz.cli", "caption", str(scenes), "--output", str(output)]
    return subprocess.Popen(
        [*command, "--language", "en,de", "--beams", "1", "--batch-size", "4", *more],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def skipped(output: Path) -> list[str]:
    """Return the names of the images in the records of failures."""
    records = output.with_name(f"{output.name}.failures.jsonl").read_text(encoding="utf-8").splitlines()
    return [Path(json.loads(record)["image"]).name for record in records]


WAYS = {"processes": ("--processes", "2"), "actors": ("--processes", "2", "--ray", "local")}


def workers(driver: int, way: str) -> list[int]:
    """Find the processes that write for a command."""
    return workers_of(driver, "ray::_Actor" if way == "actors" else "spawn_main")


def wait_for_more(process: "subprocess.Popen[str]", output: Path, rng: random.Random) -> None:
    had, deadline = output.stat().st_size if output.exists() else 0, time.time() + 300
    while process.poll() is None and time.time() < deadline:
        if output.exists() and output.stat().st_size > had:
            break
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.3))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_several_writers_write_what_one_writes(way: str, scenes: Path, whole: bytes, tmp_path: Path) -> None:
    if way == "actors":
        pytest.importorskip("ray")
    process = start(scenes, tmp_path / "captions.jsonl", *WAYS[way])
    error = process.communicate()[1].splitlines()
    assert process.returncode == 1
    assert error[-1] == "florenz: 158 done, 2 skipped, 0 passed over"
    assert "050.png is not an image" in error[0] and "150.png has the same bytes as another file, and" in error[1]
    assert len(error) == 4
    assert (tmp_path / "captions.jsonl").read_bytes() == whole
    assert skipped(tmp_path / "captions.jsonl") == ["050.png", "150.png"]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_kills_of_the_command_and_of_writers_lose_nothing_and_double_nothing(
    way: str, scenes: Path, whole: bytes, tmp_path: Path
) -> None:
    if way == "actors":
        pytest.importorskip("ray")
    rng, output, kills, driver_kills, told = random.Random(9), tmp_path / "captions.jsonl", 0, 0, 0
    while kills < 20:
        process = start(scenes, output, *WAYS[way])
        while process.poll() is None and kills < 20:
            wait_for_more(process, output, rng)
            victims = workers(process.pid, way)
            if process.poll() is not None or not victims:
                continue
            driver = kills % 2 == 0
            os.kill(process.pid if driver else rng.choice(victims), signal.SIGKILL)
            kills, driver_kills = kills + 1, driver_kills + driver
            if driver or way == "processes":
                break
        error = process.communicate(timeout=300)[1]
        if process.returncode == 2:
            assert way == "processes" and "a process that captioned died: run the command again to go on" in error
            told += 1
        if process.returncode == 1:
            assert output.read_bytes() == whole
            output.unlink()
    assert start(scenes, output, *WAYS[way]).wait(timeout=300) == 1
    assert output.read_bytes() == whole and skipped(output) == ["050.png", "150.png"]
    assert len({json.dumps(json.loads(line)) for line in whole.splitlines()}) == 2 * 158
    assert driver_kills == 10 and (told >= 1 or way == "actors")
