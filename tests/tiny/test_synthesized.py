"""A model that learned from a synthesized dataset is compared with one that learned from the world itself."""

from pathlib import Path

import pytest

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL, load_model
from modeling_florenz.tiny.synthesized import compare, translations, write_untrained


@pytest.mark.parametrize(("world", "dataset", "as_good"), [(0.9, 0.88, True), (0.9, 0.87, False), (0.4, 0.4, None)])
def test_as_good_means_at_most_two_points_less_and_says_nothing_of_low_scores(
    world: float, dataset: float, as_good: bool | None
) -> None:
    assert compare({"de": world + 0.05, "fr": world - 0.05}, {"de": dataset, "fr": dataset})["as_good"] is as_good


def test_the_bundled_model_translates_to_the_letter_and_the_untrained_one_has_its_tower(tmp_path: Path) -> None:
    write_untrained(tmp_path / "untrained")
    towers = [load_model(folder).model.vision_tower.state_dict() for folder in (tmp_path / "untrained", BUNDLED_MODEL)]
    assert all((towers[0][name] == value).all() for name, value in towers[1].items())
    assert translations(BUNDLED_MODEL, ["de"], 2) == {"de": 1.0}
