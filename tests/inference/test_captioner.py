"""What `Captioner` promises on the bundled checkpoint."""

import pytest
from PIL import Image

from modeling_florenz import BUNDLED_MODEL, Captioner


SAMPLE = BUNDLED_MODEL / "sample.png"


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner()


def test_batches_give_what_single_images_give(captioner: Captioner) -> None:
    images = [SAMPLE, Image.new("RGB", (50, 80), "white"), SAMPLE]
    together = captioner.caption(images, language="ru", batch_size=2)
    assert together == [captioner.caption([image], language="ru")[0] for image in images]


def test_languages_share_image_features_and_give_the_same_captions(captioner: Captioner) -> None:
    [row] = captioner.caption_languages([SAMPLE])
    assert row == {language: captioner.caption([SAMPLE], language)[0] for language in captioner.languages}


def test_score_equals_the_models_own_loss(captioner: Captioner) -> None:
    [score] = captioner.score(SAMPLE, "A dog.", "de", ["Ein Hund."])
    inputs = captioner.processor(
        images=Image.open(SAMPLE), text="A dog.", task="translate", language="de", target="Ein Hund."
    )
    assert score.mean_log_probability == pytest.approx(-captioner.model(**inputs).loss.item(), abs=1e-4)
