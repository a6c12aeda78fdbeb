"""Texts that are written in one search equal those written alone, of both decoder kinds."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_models import KINDS, tiny_model
from tiny_processor import build_tiny_processor

from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.inference.together import (
    MOST_TEXTS,
    Request,
    image_tokens,
    texts_at_a_time,
    write_captions,
    write_texts,
)


@pytest.fixture(params=KINDS)
def captioner(request: pytest.FixtureRequest, tmp_path: Path) -> Captioner:
    model = tiny_model(request.param).eval()
    model.generation_config.max_new_tokens = 12
    model.save_pretrained(tmp_path)
    build_tiny_processor().save_pretrained(tmp_path)
    return Captioner(tmp_path)


@pytest.fixture
def features(captioner: Captioner) -> torch.Tensor:
    images = [Image.effect_noise((64 + 8 * row, 64), 90).convert("RGB") for row in range(3)]
    return image_tokens(captioner, captioner.processor(images=images, text="")["pixel_values"])


ASKED = [
    Request(0, "caption", "en"),
    Request(2, "translate", "ru", "A dog."),
    Request(1, "more_detailed_caption", "zh", prefix=True),
    Request(0, "caption", "de", prefix=True),
    Request(1, "caption", "fr", prefix="La"),
    Request(2, "detailed_caption", "es"),
    Request(0, "translate", "de", "A much longer sentence about a dog that runs."),
]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_text_is_the_same_whatever_it_is_written_together_with(
    captioner: Captioner, features: torch.Tensor, num_beams: int
) -> None:
    together = write_texts(captioner, features, ASKED, num_beams)
    alone = [write_texts(captioner, features, [request], num_beams)[0] for request in ASKED]
    assert together == alone
    assert len(set(together)) > 1
    assert write_texts(captioner, features.flip(0), ASKED, num_beams) != together


def test_searches_hold_no_more_texts_than_memory_allows(
    captioner: Captioner, features: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_texts(captioner, features, ASKED, 1)
    counts: list[int] = []
    generate = captioner.model.generate

    def count(**inputs: torch.Tensor) -> torch.Tensor:
        counts.append(len(inputs["input_ids"]))
        return generate(**inputs)

    monkeypatch.setattr(captioner.model, "generate", count)
    monkeypatch.setattr("modeling_florenz.inference.together.texts_at_a_time", lambda *given: 2)
    assert write_texts(captioner, features, ASKED, 1) == whole
    assert max(counts) == 2 and sum(counts) == len(ASKED)


def test_the_number_of_texts_falls_with_beams_and_is_never_0(captioner: Captioner) -> None:
    model = captioner.model
    assert texts_at_a_time(model, 582, 1) == MOST_TEXTS
    assert texts_at_a_time(model, 10**6, 1) > texts_at_a_time(model, 10**6, 64)
    assert texts_at_a_time(model, 10**12, 4) == 1


def test_captions_of_several_tasks_come_by_task_and_language(captioner: Captioner, features: torch.Tensor) -> None:
    tasks, languages = ["caption", "detailed_caption"], ["de", "fr"]
    found = write_captions(captioner, features, tasks, languages, num_beams=1)
    assert [list(row) for row in found] == [[(task, code) for task in tasks for code in languages]] * 3
    for task in tasks:
        [row] = write_captions(captioner, features[1:2], [task], ["fr"], num_beams=1)
        assert row[task, "fr"] == found[1][task, "fr"]


@pytest.mark.parametrize(("task", "language", "text"), [("caption", "zh", None), ("translate", "de", "A dog.")])
def test_a_text_without_a_prefix_of_its_own_is_one_sentence_here_as_in_the_processor(
    captioner: Captioner, features: torch.Tensor, task: str, language: str, text: str | None
) -> None:
    del captioner.processor.prefixes["zh"]
    says = f"task '{task}' in '{language}' has no prefix of its own, only captions in de, en, es, fr, ru have: give"
    with pytest.raises(ValueError, match=says):
        write_texts(captioner, features, [Request(0, task, language, text, prefix=True)])
    with pytest.raises(ValueError, match=says):
        image = Image.new("RGB", (64, 64))
        captioner.processor(images=image, task=task, language=language, text=text, prefix=True)
