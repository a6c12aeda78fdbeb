"""Synthesis recipes: those of the package can be read, and what does not fit is refused in one sentence."""

from pathlib import Path

import pytest

from modeling_florenz.synthesis.recipe_file import RECIPES, read_recipe, recipe_path


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_every_recipe_of_the_package_can_be_read(name: str) -> None:
    assert read_recipe(recipe_path(name)).assemble.captions == ["en", "de"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("describe.promt=x", "has the unknown key 'promt': did you mean prompt?"),
        ("seeed=1", "has the unknown key 'seeed': did you mean seed?"),
        ("images={source: x, license: y}", "images needs paths or a number of scenes, and not both"),
        ("assemble.captions=[en, fr]", "nothing is translated into 'fr'"),
        ("assemble.translations=[xx]", "'xx' is not an ISO 639-1 code"),
        ("translate.languages=[en]", "translations are from English into another language"),
        ("match=null", "bitexts and match go together"),
        ("match.top=0", "top must be at least 1, not 0"),
        ("shard=many", "shard must be of type int, not 'many'"),
        ("describe={model: m, endpoint: 'http://me:secret@host/v1'}", "holds a key or password"),
        ("describe={model: m, endpoint: 'host:80'}", "must begin with http:// or https://"),
        ("images.license=null", "license must be of type str, not None"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(change: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("(", "\\(").replace("?", "\\?")):
        read_recipe(recipe_path("emoji"), [change])


def test_an_unknown_recipe_names_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one of the recipes emoji, paper_cc12m, photos"):
        recipe_path("emojis")
