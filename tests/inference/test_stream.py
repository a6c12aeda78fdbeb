"""Captions and translations that arrive piece by piece."""

import pytest

from modeling_florenz import BUNDLED_MODEL, Captioner


SAMPLE = BUNDLED_MODEL / "sample.png"


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner()


def test_streamed_pieces_make_the_greedy_caption(captioner: Captioner) -> None:
    assert "".join(captioner.stream(SAMPLE, "es")) == captioner.caption([SAMPLE], "es", num_beams=1)[0]


def test_stream_raises_what_the_model_raised(captioner: Captioner) -> None:
    with pytest.raises(ValueError, match="'xx'"):
        list(captioner.stream(SAMPLE, "xx"))
