"""What is another version of an image or text that must not be trained on is found, and nothing else."""

import io
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from evaluated_models import write_samples
from PIL import Image

from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.data.images import open_image
from modeling_florenz.synthesis.evaluation_sets import EvaluationSets
from modeling_florenz.synthesis.near_images import NearImages, cropped_signatures, signature
from modeling_florenz.synthesis.near_texts import NearTexts


WORLD = EmojiWorld()


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _crop(image: Image.Image, share: float, across: float = 1, down: float = 1) -> Image.Image:
    left, top = round(image.width * share * across), round(image.height * share * down)
    size = round(image.width * (1 - share)), round(image.height * (1 - share))
    return image.crop((left, top, left + size[0], top + size[1]))


CHANGES = {
    "resized": lambda image: image.resize((image.width * 3 // 4, image.height * 3 // 4)),
    "compressed": lambda image: _jpeg(image, 30),
    "cropped": lambda image: _crop(image, 0.05),
}


def _scenes(split: str, count: int) -> list[Image.Image]:
    return [WORLD.render(WORLD.scene(split, index, 2025)) for index in range(count)]


def _known(images: list[Image.Image]) -> NearImages:
    near = NearImages()
    for number, image in enumerate(images):
        near.add([(*entry, str(number)) for entry in cropped_signatures(image)])
    return near


def test_changed_images_are_found() -> None:
    images = _scenes("test", 10)
    near = _known(images)
    for name, change in CHANGES.items():
        assert [near.find(*signature(change(image))) for image in images] == [str(n) for n in range(10)], name


def test_other_scenes_are_not_taken_for_known_ones() -> None:
    near = _known(_scenes("test", 20))
    assert not any(near.find(*signature(image)) for image in _scenes("train", 100))


def test_images_of_one_colour_are_equal_only_to_themselves() -> None:
    near = NearImages()
    near.add([(*signature(Image.new("RGB", (50, 50), "white")), "white")])
    assert near.find(*signature(Image.new("RGB", (80, 80), "white"))) == "white"
    assert near.find(*signature(Image.new("RGB", (50, 50), "black"))) is None


@pytest.mark.slow
def test_all_of_100_planted_images_and_at_most_5_of_5000_clean_ones_are_found() -> None:
    images = _scenes("test", 1000)
    near = _known(images)
    changes = list(CHANGES.values())
    rng = random.Random(18)
    planted = [changes[number % 2](image) for number, image in enumerate(images[:60])]
    planted += [_crop(image, 0.05, rng.random(), rng.random()) for image in images[60:100]]
    assert all(near.find(*signature(image)) for image in planted)
    clean = (WORLD.render(WORLD.scene("train", index)) for index in range(5000))
    assert sum(near.find(*signature(image)) is not None for image in clean) <= 5


def test_recased_and_repunctuated_texts_are_found_and_other_ones_are_not() -> None:
    rng = random.Random(0)
    scenes = [WORLD.scene("test", index, 2025) for index in range(60)]
    texts = [WORLD.detailed_caption(scene, language) for scene in scenes for language in ("en", "de", "zh")]
    near = NearTexts((text, "emoji_scenes") for text in texts)
    for text in rng.sample(texts, 50):
        assert near.find([text.upper()]) == near.find([text.replace(":", " -").replace(".", ";")]) == "emoji_scenes"
        assert near.find(["something else", f"  {text}!"]) == "emoji_scenes"
    clean = [WORLD.caption(WORLD.scene("train", index), "en") for index in range(200)]
    assert not any(near.find([text]) for text in clean)


def test_a_long_text_with_one_letter_changed_is_found() -> None:
    text = "Two young men are guiding a small sailing boat across the wide lake near the old town."
    near = NearTexts([(text, "commute")])
    assert near.find([text.replace("guiding", "guidinng")]) == "commute"
    assert near.find([text.replace("sailing boat", "red car").replace("lake", "road")]) is None


def test_evaluation_sets_are_read_by_the_loaders_and_can_be_sent_to_processes(tmp_path: Path) -> None:
    write_samples(tmp_path, "docci", ["en"], "test")
    sets = EvaluationSets(str(tmp_path), skip=["emoji_scenes"])
    assert sets.found == ["docci"]
    assert "multi30k_translation" in sets.missing
    image = open_image(tmp_path / "docci" / "images" / "test_0.jpg")
    text = (tmp_path / "docci" / "docci_descriptions.jsonlines").read_text().split('"description": "')[1].split('"')[0]
    for known in (sets, pickle.loads(pickle.dumps(sets))):
        assert known.images.find(*signature(_jpeg(image, 30))) == "docci"
        assert known.texts.find([text.upper()]) == "docci"
        assert known.texts.find(["Something that nobody tests on."]) is None


def test_signatures_do_not_depend_on_the_size_of_an_image() -> None:
    image = _scenes("test", 1)[0]
    first, second = signature(image), signature(image.resize((192, 192)))
    assert sum(bin(a ^ b).count("1") for a, b in zip(first[0], second[0], strict=True)) <= 2
    grey = [np.frombuffer(entry[1], np.uint8).astype(int) for entry in (first, second)]
    assert abs(grey[0] - grey[1]).mean() < 2
