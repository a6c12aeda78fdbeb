"""The command `florenz evaluate` refuses in one sentence what it cannot do."""

import pytest

from modeling_florenz.cli import main


BAD = {
    "language": (["--benchmark", "emoji_scenes", "--languages", "pt"], "language of emoji_scenes must be one of en"),
    "split": (["--benchmark", "emoji_scenes", "--split", "train"], "split of emoji_scenes must be one of caption"),
    "data": (["--benchmark", "xm3600", "--data", "nowhere"], "xm3600 needs the folder nowhere/xm3600"),
    "benchmark": (["--benchmark", "flickr"], "invalid choice: 'flickr'"),
    "older name": (
        ["--benchmark", "multi30k_captioning"],
        "multi30k_captioning is called multi30k_captions",
    ),
    "limit": (["--benchmark", "emoji_scenes", "--limit", "0"], "invalid whole number of at least 1 value: '0'"),
    "none": ([], "one of the arguments --benchmark --all is required"),
    "beams": (["--benchmark", "emoji_scenes", "--beams", "x"], "invalid whole number of at least 1 value: 'x'"),
    "no such language anywhere": (["--all", "--languages", "xx"], "language must be one of"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_a_bad_evaluation_is_refused_in_one_sentence(case, capsys):
    arguments, words = BAD[case]
    try:
        code = main(["evaluate", "florenz-tiny", *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    captured = capsys.readouterr().err
    assert words in captured
    assert "Traceback" not in captured


def test_a_model_that_does_not_exist_is_refused_in_one_sentence(capsys):
    assert main(["evaluate", "./nowhere", "--benchmark", "emoji_scenes"]) == 2
    assert "could not be read" in capsys.readouterr().err
