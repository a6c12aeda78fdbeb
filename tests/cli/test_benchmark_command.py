"""`florenz benchmark`: one table, one file, one sentence for what cannot be timed."""

import json

import pytest

from modeling_florenz.cli import main


@pytest.mark.slow
def test_the_bundled_model_is_timed_beside_the_limits_of_the_machine(tmp_path, capsys):
    path = tmp_path / "speed.json"
    assert main(["benchmark", "--repeats", "2", "--tokens", "2", "--output", str(path)]) == 0
    output = capsys.readouterr().out
    for work in ("tower", "prompt encoder", "token, batch 16, 4 beams", "token without a cache, greedy", "limit: "):
        assert f"| {work}" in output
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["label"] == "measured-here"
    assert record["protocol"]["repeats"] == 2
    assert all(value["median"] > 0 for name, value in record["seconds"].items() if not name.startswith("token"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--repeats", "1"],
            "--repeats is 1: take 2 or more, for one does not show how much rounds differ",
        ),
        (["--model", "not/here"], "not/here"),
        (["--against", "no-such-model", "--repeats", "2"], "no-such-model cannot be timed beside it"),
    ],
)
def test_what_cannot_be_timed_is_one_sentence(arguments, sentence, capsys):
    assert main(["benchmark", *arguments]) == 2
    errors = capsys.readouterr().err
    assert sentence in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("batches", ["4,16", "1,1", "1,x", ""])
def test_batches_that_are_no_growing_list_from_1_are_one_sentence(batches, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["benchmark", "--batch", batches])
    assert f"--batch: invalid list of growing numbers, 1 the first value: '{batches}'" in capsys.readouterr().err
