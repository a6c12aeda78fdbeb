"""Runs of benchmarks: what models are shown and asked, what is kept, and what ends in the file of results."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from evaluated_models import GREEDY, Stub, write_samples

from modeling_florenz.cli import main
from modeling_florenz.data.commute import load_commute
from modeling_florenz.evaluation.benchmarks import BENCHMARKS
from modeling_florenz.evaluation.predictions import shown_images
from modeling_florenz.evaluation.run import EvaluationOptions, markdown, run_benchmark
from modeling_florenz.inference.baselines import FlorenzModel
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.inference.evaluated import SearchProtocol
from modeling_florenz.resumable import JsonLines, hold


SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.filterwarnings("ignore:.*were published")


def _blind(row, target):
    return 1 + int.from_bytes(hashlib.sha256(f"{row['source']}{target}".encode()).digest()[:6], "big")


SCORERS = {
    "blind": (_blind, 50.0),
    "oracle": (lambda row, target: 1.0 if target == row["target"] else 2.0, 100.0),
    "constant": (lambda row, target: 3.0, 0.0),
    "broken": (lambda row, target: float("nan"), 0.0),
}


@pytest.mark.skipif(not (SHARED / "commute").is_dir(), reason="../shared/data/commute is missing")
@pytest.mark.parametrize("scorer", list(SCORERS))
def test_on_commute_a_blind_model_gets_half_an_oracle_all_and_a_constant_nothing(scorer, tmp_path):
    perplexity, wanted = SCORERS[scorer]
    options = EvaluationOptions(scorer, SHARED, tmp_path, GREEDY, languages=["de", "zh"], stand_in=True, batch_size=50)
    results = run_benchmark("commute", Stub(perplexity=perplexity), options)
    assert [results["scores"][f"test/{language}"]["accuracy"] for language in ("de", "zh")] == [wanted, wanted]
    assert results["scores"]["test/de"]["bleu"] == pytest.approx(100)


@pytest.mark.parametrize("image", ["on", "blank", "shuffled"])
def test_rows_show_the_image_that_was_asked_for(image, tmp_path):
    data = write_samples(tmp_path / "data", "commute", ["de"], "test")
    seen = {}

    def look(row, target):
        seen[row["key"]] = row["image"].convert("RGB").tobytes()
        return 1.0

    protocol = SearchProtocol(num_beams=1, image=image)
    options = EvaluationOptions("stub", data, tmp_path / image, protocol, languages=["de"])
    run_benchmark("commute", Stub(perplexity=look), options)
    own = {row["key"]: row["image"].convert("RGB").tobytes() for row in load_commute(data / "commute", "de")}
    if image == "on":
        assert seen == own
    elif image == "blank":
        assert all(set(pixels) == {128} for pixels in seen.values())
    else:
        assert sorted(seen.values()) == sorted(own.values())
        assert all(seen[key] != own[key] for key in own)


def test_shuffled_no_row_keeps_its_image():
    for count in (2, 3, 50):
        shown = shown_images(count, "shuffled")
        assert sorted(shown) == list(range(count))
        assert all(index != other for index, other in enumerate(shown))
    with pytest.raises(ValueError, match="one image alone cannot be shuffled"):
        shown_images(1, "shuffled")


def test_a_second_run_generates_only_what_is_missing_and_ends_with_the_same_file(tmp_path):
    data = write_samples(tmp_path / "data", "coco_karpathy", ["en"], "test")
    options = EvaluationOptions("stub", data, tmp_path / "out", GREEDY, batch_size=2)
    whole, again = Stub(), Stub()
    first = run_benchmark("coco_karpathy", whole, options)
    path = tmp_path / "out" / "coco_karpathy" / "test.en.caption.jsonl"
    complete = path.read_bytes()
    lines = complete.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:10])
    second = run_benchmark("coco_karpathy", again, options)
    assert path.read_bytes() == complete
    assert again.asked == [json.loads(line)["key"] for line in lines[3:]]
    assert second["scores"] == first["scores"]
    with pytest.raises(ValueError, match=r"predictions with other settings \(image\): give another --output"):
        run_benchmark("coco_karpathy", again, replace(options, protocol=replace(GREEDY, image="blank")))


def test_predictions_for_grey_stand_ins_are_not_taken_for_those_of_the_images(tmp_path):
    data = write_samples(tmp_path / "data", "coco_karpathy", ["en"], "test")
    options = EvaluationOptions("stub", data, tmp_path / "out", GREEDY, stand_in=True)
    run_benchmark("coco_karpathy", Stub(), options)
    with pytest.raises(
        ValueError, match=r"predictions with other settings \(stand_in_images\): give another --output"
    ):
        run_benchmark("coco_karpathy", Stub(), replace(options, stand_in=False))


@pytest.mark.parametrize("broken", [b'{"key":"b","te', b"\0" * 40])
def test_a_line_of_kept_predictions_that_is_broken_in_the_middle_is_named(broken, tmp_path, capsys):
    command = ["evaluate", "florenz-tiny", "--benchmark", "emoji_scenes", "--languages", "de", "--split", "caption"]
    command += ["--limit", "3", "--beams", "1", "--output", str(tmp_path)]
    assert main(command) == 0
    path = tmp_path / "emoji_scenes" / "caption.de.scene.jsonl"
    whole = path.read_bytes()
    first, rest = whole.split(b"\n", 1)
    path.write_bytes(first + b"\n" + broken + b"\n" + rest)
    capsys.readouterr()
    assert main(command) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.endswith(f"{path}, line 2 is broken: remove that line, and what it held is made again")
    path.write_bytes(first + b"\n\n" + rest.split(b"\n", 1)[1])
    assert main(command) == 0
    assert sorted(path.read_bytes().split()) == sorted(whole.split())


def test_two_runs_do_not_add_to_one_file_of_predictions(tmp_path):
    data = write_samples(tmp_path / "data", "coco_karpathy", ["en"], "test")
    path = tmp_path / "out" / "coco_karpathy" / "test.en.caption.jsonl"
    with hold(path), pytest.raises(ValueError, match=r"another run is writing .*test\.en\.caption\.jsonl"):
        run_benchmark("coco_karpathy", Stub(), EvaluationOptions("stub", data, tmp_path / "out", GREEDY))
    assert not path.exists()


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_stopped(tmp_path):
    command = ["evaluate", "florenz-tiny", "--benchmark", "emoji_scenes"]
    command += ["--languages", "de,fr", "--split", "caption", "--limit", "24", "--beams", "1", "--batch-size", "2"]
    command += ["--data", str(tmp_path), "--output"]
    process = subprocess.Popen(
        [sys.executable, "-m", "modeling_florenz.cli", *command, str(tmp_path / "killed")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    path = tmp_path / "killed" / "emoji_scenes" / "caption.de.scene.jsonl"
    deadline = time.time() + 600
    while time.time() < deadline and not (path.exists() and path.read_bytes().count(b"\n") >= 4):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = JsonLines(path, "key").entries
    assert 4 <= len(kept) <= 24
    assert not (tmp_path / "killed" / "emoji_scenes.json").exists()
    assert main([*command, str(tmp_path / "killed")]) == 0
    assert main([*command, str(tmp_path / "whole")]) == 0
    assert path.read_bytes() == (tmp_path / "whole" / "emoji_scenes" / path.name).read_bytes()
    scores = [
        json.loads((tmp_path / name / "emoji_scenes.json").read_text())["scores"] for name in ("killed", "whole")
    ]
    assert scores[0] == scores[1]


def test_a_made_up_model_gets_the_table_computed_by_hand(tmp_path):
    data = write_samples(tmp_path / "data", "multi30k_translation", ["de", "fr"], "test_2016_flickr")
    half = Stub(text=lambda row: row["target"] if int(row["key"].rpartition("/")[2][0]) < 3 else "")
    options = EvaluationOptions("half", data, tmp_path / "out", GREEDY, splits=["test_2016_flickr"])
    results = run_benchmark("multi30k_translation", half, options)
    assert results["scores"]["test_2016_flickr/de"]["exact"] == 50.0
    assert results["aggregate"] == {}
    assert "tok:13a" in results["signatures"]["test_2016_flickr/de"]["bleu"]
    table = markdown(results)
    assert "| test_2016_flickr/de |" in table
    assert results["label"] == "measured-here"


def test_losses_are_cross_entropies_of_the_targets_unweighted_over_rows(tmp_path):
    options = EvaluationOptions(
        "florenz-tiny",
        tmp_path,
        tmp_path / "out",
        GREEDY,
        languages=["de"],
        splits=["caption"],
        limit=3,
        batch_size=2,
        losses=True,
    )
    results = run_benchmark("emoji_scenes", FlorenzModel("florenz-tiny"), options)
    captioner, wanted = Captioner(), []
    rows = BENCHMARKS["emoji_scenes"].rows(tmp_path, "caption", "de", limit=3)
    for row in (rows[index] for index in range(3)):
        columns = {"images": row["image"], "task": "caption", "language": "de", "target": row["target"]}
        with torch.no_grad():
            wanted.append(captioner.model(**captioner.processor(**columns)).loss.item())
    assert results["scores"]["caption/de"]["loss"] == pytest.approx(sum(wanted) / 3, abs=1e-5)
    with pytest.raises(ValueError, match="has no cross-entropies"):
        run_benchmark("emoji_scenes", Stub(), replace(options, model="stub", output=tmp_path / "stub"))
