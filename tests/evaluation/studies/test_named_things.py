"""Names are found in captions of every language, and a name that the image does not show is less likely."""

import pytest

from modeling_florenz.checkpoint.loading import load
from modeling_florenz.data.emoji_scenes.wording import LANGUAGES, PREFIXES
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.evaluation.scene_generation import image_tokens
from modeling_florenz.evaluation.studies.named_things import Names, name_spans, score_names


WORLD = EmojiWorld()
SCENES = [WORLD.scene("test", index, seed=7) for index in range(4)]


@pytest.mark.parametrize("language", PREFIXES)
def test_every_name_of_a_caption_is_found_in_order(language):
    for index in range(100):
        scene = WORLD.scene("test", index, seed=1)
        caption = WORLD.caption(scene, language)
        found = [caption[start:end] for start, end in name_spans(caption)]
        assert found == [WORLD.nouns[noun].names[language] for noun in scene.nouns]


def test_a_caption_speaks_the_language_of_its_names_whatever_its_frame():
    names = Names(WORLD)
    french = WORLD.caption(SCENES[0], "fr")
    assert names.speaks(french, "fr") and not names.speaks(french, "ru")
    mixed = f"{PREFIXES['en']} {french.removeprefix(PREFIXES['fr'])}"
    assert names.speaks(mixed, "fr") and not names.speaks(mixed, "en")
    assert not names.speaks("", "fr") and not names.speaks(PREFIXES["fr"], "fr")


def test_a_name_means_the_things_that_share_it_in_that_language_only():
    names, noun = Names(WORLD), SCENES[0].nouns[0]
    german = WORLD.nouns[noun].names["de"]
    assert names.means(german.upper(), "de", [noun])
    assert not names.means(german, "ru", [noun]) and not names.means(german, "de", [noun + 1])


def test_names_of_what_is_shown_are_likelier_than_names_of_what_is_not():
    loaded = load()
    loaded.model.set_attn_implementation("eager")
    shown = image_tokens(loaded.model, WORLD, SCENES)
    for language in LANGUAGES:
        captions = [WORLD.caption(scene, language) for scene in SCENES]
        own = score_names(loaded.model, loaded.processor, shown, language, captions, attention=True)
        others = score_names(loaded.model, loaded.processor, shown.roll(1, 0), language, captions)
        assert min(min(row) for row in own.log_probabilities) > -1
        assert max(max(row) for row in others.log_probabilities) < -1
        assert [look.shape for look in own.attention] == [(len(scene.nouns), 36) for scene in SCENES]
