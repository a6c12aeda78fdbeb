"""Captions and translations that arrive piece by piece."""

import threading
from collections.abc import Iterator

import pytest
from forked import run_code

from modeling_florenz import BUNDLED_MODEL, Captioner
from modeling_florenz.inference.stream import stream_captions


SAMPLE = BUNDLED_MODEL / "sample.png"
LEAVE = """
from modeling_florenz import BUNDLED_MODEL, Captioner

captioner = Captioner()
config = captioner.model.generation_config
config.eos_token_id, config.max_new_tokens = captioner.model.config.text_config.vocab_size - 1, 500  # never done
"""
WAYS = {
    "by a break": "for piece in captioner.stream(BUNDLED_MODEL / 'sample.png'): break",
    "with the stream still held": "held = captioner.stream(BUNDLED_MODEL / 'sample.png'); next(held)",
}


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner()


@pytest.fixture
def endless(captioner: Captioner) -> Iterator[Captioner]:
    """A model that never comes to an end by itself."""
    config = captioner.model.generation_config
    kept = config.eos_token_id, config.max_new_tokens
    config.eos_token_id, config.max_new_tokens = captioner.model.config.text_config.vocab_size - 1, 500
    yield captioner
    config.eos_token_id, config.max_new_tokens = kept


def leave_early(way: str) -> None:
    """Leave a stream in a process of its own, and watch how that ends."""
    done = run_code(LEAVE + WAYS[way])
    assert done.returncode == 0, done.stderr
    assert not any(word in done.stderr for word in ("terminate", "Traceback", "Exception")), done.stderr


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "florenz-stream"]


def test_streamed_pieces_make_the_greedy_caption(captioner: Captioner) -> None:
    assert "".join(captioner.stream(SAMPLE, "es")) == captioner.caption([SAMPLE], "es", num_beams=1)[0]


def test_stream_raises_what_the_model_raised(captioner: Captioner) -> None:
    with pytest.raises(ValueError, match="'xx'"):
        list(captioner.stream(SAMPLE, "xx"))


def test_a_reader_who_leaves_stops_the_model(endless: Captioner) -> None:
    for pieces in (endless.stream(SAMPLE), stream_captions(endless, SAMPLE, ["en", "de"])):
        next(pieces)
        [writer] = writers()
        assert writer.is_alive()
        pieces.close()
        writer.join(600)
        assert not writer.is_alive()


@pytest.mark.parametrize("way", list(WAYS))
def test_a_stream_left_early_ends_the_process_quietly(way: str) -> None:
    leave_early(way)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(20))
def test_twenty_streams_left_early_end_twenty_processes_quietly(attempt: int) -> None:
    leave_early(list(WAYS)[attempt % len(WAYS)])


def test_streamed_captions_are_the_greedy_captions_directly_and_by_way_of_english(captioner: Captioner) -> None:
    for via in (None, "en"):
        states = list(stream_captions(captioner, SAMPLE, ["de", "en"], via=via))
        [greedy] = captioner.caption_languages([SAMPLE], ["de", "en"], num_beams=1, via=via)
        assert states[-1] == greedy
        assert len(states) > 4
        assert all(list(state) == ["de", "en"] for state in states)
