"""What is read of the attention: whole captions, words with their tokens, languages together as alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_models import KINDS, tiny_model
from tiny_processor import build_tiny_processor

from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.inference.attention import look, look_in_languages
from modeling_florenz.inference.captioner import Captioner


@pytest.fixture(scope="module")
def captioner() -> Captioner:
    return Captioner()


@pytest.fixture(scope="module")
def scene() -> Image.Image:
    """A cat at the left, a mushroom at the right."""
    world = EmojiWorld(image_size=384)
    return world.render(world.from_emoji(["🐈", "🍄"], "green", seed=7))


def test_captions_that_are_looked_into_are_those_that_are_written(captioner: Captioner, scene: Image.Image) -> None:
    gazes = look_in_languages(captioner, scene, captioner.languages)
    [texts] = captioner.caption_languages([scene])
    assert {language: gaze.text for language, gaze in gazes.items()} == texts
    for language, gaze in gazes.items():
        joined = ("" if language == "zh" else " ").join(gaze.words)
        assert joined.replace(" :", ":") == gaze.text.replace(" :", ":")


def test_languages_together_show_what_each_shows_alone(captioner: Captioner, scene: Image.Image) -> None:
    grown: dict[str, list[str]] = {"en": [], "zh": []}
    gazes = look_in_languages(
        captioner, scene, ["en", "zh"], num_beams=1, watch=lambda code, text: grown[code].append(text)
    )
    for language, gaze in gazes.items():
        assert len(grown[language]) > 3 and grown[language][-1] == gaze.text
        alone = look(captioner, scene, language, "caption")
        assert gaze.words == alone.words
        assert np.allclose(gaze.maps.astype(np.float32), alone.maps.astype(np.float32), atol=1e-3)
        assert np.allclose(gaze.probabilities, alone.probabilities, atol=1e-4)


def test_words_look_at_their_things(captioner: Captioner, scene: Image.Image) -> None:
    gaze = look_in_languages(captioner, scene, ["en"])["en"]
    for word, half in (("cat", 0), ("mushroom.", 1)):
        heat = gaze.over(gaze.words.index(word))
        columns = heat.shape[1] // 2
        sides = (heat[:, :columns].sum(), heat[:, -columns:].sum())
        assert sides[half] > 2 * sides[1 - half]
        assert gaze.probabilities[gaze.words.index(word)] > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_the_model(kind: str, tmp_path: Path) -> None:
    model = tiny_model(kind).eval()
    model.generation_config.max_new_tokens = 12
    model.save_pretrained(tmp_path)
    build_tiny_processor().save_pretrained(tmp_path)
    captioner = Captioner(tmp_path)
    image = Image.effect_noise((64, 64), 90).convert("RGB")
    gaze = look(captioner, image, "en", "caption")
    inputs = captioner.processor(images=image, task="caption", language="en")
    ids = captioner.model.generate(
        **inputs, num_beams=1, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    chances = [
        step.log_softmax(-1)[0, token].item() for step, token in zip(ids.logits, ids.sequences[0, 1:], strict=True)
    ]
    assert all(0 < chance <= 1 for chance in gaze.probabilities)
    # Punctuation and the end belong to no word: the words cannot be less likely than all tokens together.
    assert sum(np.log(gaze.probabilities)) >= sum(chances) - 1e-4
    assert torch.tensor(gaze.maps).float().sum((-1, -2)).max() <= 1.001
