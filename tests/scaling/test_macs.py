"""Multiply-accumulates of the published sizes are those of the research code's counter, part by part."""

import pytest
from tiny_models import tiny_model

from modeling_florenz.scaling.macs import Macs, forward_macs, sample_macs, training_compute
from modeling_florenz.sizes import config_from_size


# Of one 224 px image, 128 prompt and 128 target tokens. That counter adds layer norms, at most 0.2 % of a part.
PUBLISHED = {
    "0.4b": Macs(20_926_674_944, 39_321_600, 7_860_069_888, 7_971_962_880, 25_266_487_296),
    "1.0b": Macs(81_134_055_424, 104_857_600, 27_678_550_016, 28_014_936_064, 33_688_649_728),
    "3.5b": Macs(81_134_055_424, 104_857_600, 27_678_550_016, 26 * 11_707_351_040, 75_497_472_000),
    "11.2b": Macs(81_134_055_424, 104_857_600, 27_678_550_016, 42 * 30_192_697_344, 117_440_512_000),
}
TOTALS = {"0.4b": 62_064_708_608, "1.0b": 170_621_304_832, "3.5b": 488_806_334_464, "11.2b": 1_494_451_535_872}


@pytest.mark.parametrize("size", PUBLISHED)
def test_every_part_is_within_three_in_a_thousand(size):
    found = forward_macs(config_from_size(size), image_size=224, prompt_tokens=128, target_tokens=128)
    for part, expected in vars(PUBLISHED[size]).items():
        assert getattr(found, part) == pytest.approx(expected, rel=0.003), part
    assert found.total == pytest.approx(TOTALS[size], rel=0.003)


def test_fused_attention_would_be_missed():
    config = config_from_size("0.4b")
    decoder = [forward_macs(config, 224, 128, length).decoder for length in (128, 256, 512)]
    # Products of the attention grow with the square of the length, all else in proportion to it.
    assert decoder[2] - decoder[1] > 2.1 * (decoder[1] - decoder[0])


def test_the_compute_of_a_training_is_the_published_formula():
    macs = PUBLISHED["0.4b"]
    compute = training_compute(macs.total, macs.total - macs.tower, samples=10_000, trained_share=0.7873)
    assert compute["published"] == pytest.approx(10_000 * macs.total * 1.7873)
    assert compute["backward_twice"] == 10_000 * (macs.total + 2 * (macs.total - macs.tower))


def test_compute_of_the_paper_is_counted_from_what_training_trains_and_not_from_what_the_report_took_for_it():
    trained, reported, parameters = 337_631_232, 280_131_072, 428_838_400
    factors = [training_compute(1, 1, 1, share / parameters)["published"] for share in (trained, reported)]
    assert factors == pytest.approx([1.7873, 1.6532], abs=5e-5)


def test_a_sample_counts_the_parts_that_are_trained():
    model = tiny_model("gemma2")
    everything = sample_macs(model, 9, 7, 64)
    model.model.vision_tower.requires_grad_(False)
    without_tower = sample_macs(model, 9, 7, 64)
    macs = forward_macs(model.config, 64, 9, 7)
    assert everything == {"forward": macs.total, "trained": macs.total}
    assert without_tower == {"forward": macs.total, "trained": macs.total - macs.tower}
