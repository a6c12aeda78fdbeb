"""The order of training examples: shares, repetition, and the same draws whoever makes them."""

from collections import Counter

import pytest
from torch.utils.data import DataLoader

from modeling_florenz.training.mixture import PAPER_SHARES, Mixture, target_shares


def _groups(names, size=50):
    return {name: [{"key": f"{name}#{index}"} for index in range(size)] for name in names}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("scheme", list(PAPER_SHARES))
def test_one_hundred_thousand_draws_hold_the_shares_within_a_hundredth(scheme, workers):
    mixture = Mixture(_groups(PAPER_SHARES[scheme]), scheme, 100_000, seed=1)
    loader = DataLoader(
        mixture, batch_size=1000, num_workers=workers, collate_fn=lambda rows: [row["key"] for row in rows]
    )
    found = Counter(key.partition("#")[0] for batch in loader for key in batch)
    for name, share in mixture.shares.items():
        assert abs(found[name] / 100_000 - share) < 0.01 * max(share, 0.5), name


def test_the_paper_gives_captions_and_translations_these_shares():
    shares = {scheme: target_shares(scheme, dict.fromkeys(PAPER_SHARES[scheme], 1)) for scheme in PAPER_SHARES}
    assert shares["task-lang-balancing"]["caption/de"] == pytest.approx(1 / 7)
    assert shares["task-balancing"]["caption/en"] == pytest.approx(1 / 4)
    assert shares["task-balancing"]["translate/zh"] == pytest.approx(1 / 10)
    assert shares["lang-balancing"]["caption/de"] + shares["lang-balancing"]["translate/de"] == pytest.approx(1 / 6)
    assert shares["lang-balancing"]["caption/en"] == pytest.approx(1 / 6)
    assert shares["generalist_finetune"]["caption/zh"] == pytest.approx(1 / 11)
    assert len(shares["generalist_finetune"]) == 11


def test_no_example_comes_again_before_all_of_its_group_came():
    mixture = Mixture(_groups(["caption/en", "caption/de"], 10), "rows", 100, seed=0)
    for name in ("caption/en", "caption/de"):
        keys = [mixture[draw]["key"] for draw in range(100) if mixture[draw]["key"].startswith(name)]
        assert len(set(keys[:10])) == len(set(keys[10:20])) == 10
        assert keys[:10] != keys[10:20]


def test_a_seed_gives_one_order_and_another_seed_another():
    def keys(seed):
        mixture = Mixture(_groups(["caption/en", "caption/de"]), {"caption/en": 3, "caption/de": 1}, 60, seed)
        return [mixture[draw]["key"] for draw in range(60)]

    assert keys(1) == keys(1)
    assert keys(1) != keys(2)


def test_draws_do_not_depend_on_how_many_follow():
    short, long = (Mixture(_groups(["caption/en", "caption/de"]), "rows", length, seed=3) for length in (40, 400))
    assert [short[draw] for draw in range(40)] == [long[draw] for draw in range(40)]


def test_a_broken_image_becomes_a_reason_and_not_an_end():
    class Broken(list):
        def __getitem__(self, index):
            raise OSError("image file is\ntruncated")

    mixture = Mixture({"caption/en": Broken([1])}, "rows", 2, seed=0)
    assert mixture[0] == {"skipped": "example 0 of caption/en: image file is truncated"}


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ("balanced", "shares must be rows"),
        ({"caption/en": 1}, "caption/de, for which shares has no weight"),
        ({"caption/en": 1, "caption/de": 1, "caption/fr": 1}, "caption/fr, which train_data does not hold"),
        ({"caption/en": 0, "caption/de": 1}, "must be a positive number, not 0"),
        ({"caption/en": True, "caption/de": 1}, "must be a positive number, not True"),
        ({"caption/en": float("nan"), "caption/de": 1}, "must be a positive number, not nan"),
    ],
)
def test_shares_that_do_not_fit_the_data_are_refused(shares, words):
    with pytest.raises(ValueError, match=words):
        target_shares(shares, {"caption/en": 5, "caption/de": 5})
