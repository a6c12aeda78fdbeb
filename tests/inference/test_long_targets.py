"""What is longer than a target may be cannot be scored: two texts that differ after a cut would tie."""

import warnings

import pytest

from modeling_florenz.inference.captioner import BUNDLED_MODEL, Captioner
from modeling_florenz.inference.scoring import perplexities


SAMPLE = BUNDLED_MODEL / "sample.png"
LONG = "Ein Bild: " + "Hund, " * 150
SENTENCE = r"^the text 'Ein Bild: Hund, .*'\.\.\. has more than the 128 tokens, with its begin and end, that"


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner()


def test_candidates_that_differ_after_the_cut_are_refused(captioner: Captioner) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # one sentence, and no warning besides
        for candidates in ([LONG + "Katze.", LONG + "Zebra."], ["Ein Bild: Hund.", LONG]):
            with pytest.raises(ValueError, match=SENTENCE) as found:
                captioner.score(SAMPLE, "A picture of pet.", "de", candidates)
            assert "\n" not in str(found.value)


def test_the_longest_candidate_that_fits_is_scored(captioner: Captioner) -> None:
    text = "x"
    limit = captioner.processor.max_target_length
    text *= 1 + limit - captioner.processor.target_lengths([text])[0]
    assert captioner.processor.target_lengths([text]) == [limit]
    [score] = captioner.score(SAMPLE, "A picture of pet.", "de", [text])
    assert score.perplexity > 1
    with pytest.raises(ValueError, match=f"has more than the {limit} tokens"):
        captioner.score(SAMPLE, "A picture of pet.", "de", [text + "x"])


def test_contrasts_that_would_be_cut_are_refused(captioner: Captioner) -> None:
    with pytest.raises(ValueError, match=SENTENCE):
        perplexities(captioner.model, captioner.processor, [None], ["A picture of pet."], [LONG], "de")
