"""What `Captioner` promises on the bundled checkpoint."""

import pytest
import torch
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


def test_many_candidates_are_scored_as_each_alone_and_the_image_is_read_once(captioner: Captioner) -> None:
    candidates = [f"Ein Bild: Hund{', Fahrrad' * (index % 7)} {index}." for index in range(40)]
    read: list[int] = []
    handle = captioner.model.model.encoder.register_forward_pre_hook(
        lambda module, inputs, named: read.append(len(named["inputs_embeds"])), with_kwargs=True
    )
    try:
        together = captioner.score(SAMPLE, "A picture of dog.", "de", candidates)
    finally:
        handle.remove()
    assert read == [1]
    for index in (0, 17, 39):
        [alone] = captioner.score(SAMPLE, "A picture of dog.", "de", [candidates[index]])
        assert together[index].mean_log_probability == pytest.approx(alone.mean_log_probability, abs=1e-5)
    [blind] = captioner.score(None, "A picture of dog.", "de", candidates[:1])
    assert abs(blind.mean_log_probability - together[0].mean_log_probability) > 1e-3


def test_weights_have_the_type_that_is_asked_for(captioner: Captioner) -> None:
    half = Captioner(dtype="bfloat16")
    assert {weight.dtype for weight in half.model.parameters()} == {torch.bfloat16}
    assert half.caption_languages([SAMPLE]) == captioner.caption_languages([SAMPLE])
    [one], [other] = (each.score(SAMPLE, "A dog.", "de", ["Ein Hund."]) for each in (half, captioner))
    assert one.mean_log_probability == pytest.approx(other.mean_log_probability, abs=0.2)
    assert {weight.dtype for weight in captioner.model.parameters()} == {torch.float32}  # a narrow model
    with pytest.raises(ValueError, match="dtype is 'float16': it must be one of auto, float32, bfloat16"):
        Captioner(dtype="float16")


def test_the_user_chooses_whether_text_or_image_is_believed(captioner: Captioner) -> None:
    text = "A picture of cat."  # the sample shows none
    blind, strong = Captioner(image_guidance=0), Captioner(image_guidance=4)
    assert blind.translate([SAMPLE], [text], "de") == captioner.translate(None, [text], "de")
    assert strong.caption([SAMPLE], "de") == captioner.caption([SAMPLE], "de")
    candidates = ["Ein Bild: Katze.", "Ein Bild: Hund."]
    given = {
        strength: each.score(SAMPLE, "A picture of pet.", "de", candidates)
        for strength, each in enumerate((blind, captioner, strong))
    }
    gaps = [cat.mean_log_probability - dog.mean_log_probability for cat, dog in given.values()]
    assert gaps[0] > gaps[1] > gaps[2]
    assert "".join(strong.stream(SAMPLE, "de")) == "Ein Bild: Hund, Fahrrad und Palme."
    with pytest.raises(ValueError, match="image_guidance is -1: it must be a number from 0 on"):
        Captioner(image_guidance=-1)


def test_captions_by_way_of_english_are_translations_beside_the_image_of_the_english_caption(
    captioner: Captioner,
) -> None:
    images = [SAMPLE, Image.new("RGB", (50, 80), "white")]
    direct = captioner.caption(images)
    rows = captioner.caption_languages(images, ["fr", "en", "ru"], via="en")
    assert [list(row) for row in rows] == [["fr", "en", "ru"]] * 2
    assert [row["en"] for row in rows] == direct
    for language in ("fr", "ru"):
        assert [row[language] for row in rows] == captioner.translate(images, direct, language)
    assert captioner.caption(images, "fr", via="en") == [row["fr"] for row in rows]
    assert captioner.caption(images, "en", via="en") == direct


def test_each_image_goes_through_the_vision_tower_once_by_way_of_english_too(captioner: Captioner) -> None:
    passed: list[int] = []
    tower = captioner.model.model.vision_tower
    handle = tower.register_forward_pre_hook(lambda module, inputs: passed.append(len(inputs[0])))
    try:
        captioner.caption_languages([SAMPLE] * 3, via="en", num_beams=1, batch_size=2)
    finally:
        handle.remove()
    assert passed == [2, 1]


def test_an_image_about_which_nothing_is_written_in_english_has_no_translation(
    captioner: Captioner, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = captioner.processor.decode_generated
    first = iter([True])
    monkeypatch.setattr(
        captioner.processor,
        "decode_generated",
        lambda *given: ["", *decode(*given)[1:]] if next(first, False) else decode(*given),
    )
    silent, spoken = captioner.caption([SAMPLE, SAMPLE], "de", via="en")
    assert silent == ""
    assert spoken == "Ein Bild: Hund, Fahrrad und Palme."


def test_a_way_that_the_model_cannot_translate_from_is_one_sentence(captioner: Captioner) -> None:
    with pytest.raises(ValueError, match="captions cannot go by way of 'de': the model translates from English alone"):
        captioner.caption([SAMPLE], "fr", via="de")
    with pytest.raises(ValueError, match="unknown language 'xx'"):
        captioner.caption([SAMPLE], "xx", via="en")
