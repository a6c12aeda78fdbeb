"""Whatever is asked, together with whatever: the ids are those of `model.generate` on one row alone."""

import random

import pytest
import torch
from PIL import Image
from random_inputs import drawn_inputs, row_alone
from random_models import random_config
from random_requests import drawn_request, ids_as_text
from tiny_models import KINDS, randomise, tiny_model
from tiny_processor import build_tiny_processor

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.inference.captioner import Captioner
from modeling_florenz.inference.together import Request, image_tokens, write_captions, write_texts


pytestmark = pytest.mark.slow
MODELS, SETTINGS = 4, 25  # of each kind


@pytest.fixture(scope="module", params=[(kind, number) for kind in KINDS for number in range(MODELS)], ids=str)
def captioner(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Captioner:
    """Load a random model whose texts are its ids, written out, so that equal texts are equal ids."""
    kind, number = request.param
    folder = tmp_path_factory.mktemp("model")
    more = {"cross_attention_every_n_layers": 2} if kind == "gemma2" and number % 2 else {}
    tiny_model(kind, number, **more).save_pretrained(folder)
    build_tiny_processor().save_pretrained(folder)
    captioner = Captioner(folder)
    captioner.processor.decode_generated = ids_as_text
    return captioner


def alone(captioner: Captioner, image: Image.Image | None, asked: Request, num_beams: int) -> str:
    """Write one text the plain way."""
    inputs = captioner.processor(
        images=image, text=asked.text, task=asked.task, language=asked.language, prefix=asked.prefix
    )
    guidance = {} if image is None or captioner.image_guidance == 1 else {"image_guidance": captioner.image_guidance}
    ids = captioner.model.generate(**inputs, **guidance, **captioner.search(num_beams))
    return captioner.processor.decode_generated(ids, inputs.get("decoder_input_ids"))[0]


@pytest.mark.parametrize("setting", range(SETTINGS))
@torch.inference_mode()
def test_random_settings_give_the_ids_of_the_plain_path(
    captioner: Captioner, setting: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(request.node.name)
    settings = captioner.model.generation_config
    for name, choices in (
        ("max_new_tokens", range(1, 20)),
        ("early_stopping", (True, False)),
        ("no_repeat_ngram_size", (0, 2)),
        ("cache_implementation", (None, None, "static")),
    ):
        monkeypatch.setattr(settings, name, draw.choice(choices))
    monkeypatch.setattr(captioner, "image_guidance", draw.choice((1.0, 1.0, 0.0, 2.0)))
    # A trained model writes no padding; this one would, and n-grams in the padding of prefixes count as written.
    monkeypatch.setattr(settings, "suppress_tokens", [0])
    num_beams, most = draw.randint(1, 4), draw.choice((1, 3, 64))
    monkeypatch.setattr("modeling_florenz.inference.together.texts_at_a_time", lambda *given: most)
    count = draw.randint(0, 8)
    sides = [(draw.randint(20, 99), draw.randint(20, 99)) for _ in range(count)]
    images = [Image.effect_noise(side, 90).convert("RGB") for side in sides]
    features = None
    if images:
        features = image_tokens(captioner, captioner.processor(images=images, text="")["pixel_values"])
    if features is not None and draw.random() < 0.3:
        languages = draw.sample(captioner.languages, 2)
        found = write_captions(captioner, features, ["caption"], languages, num_beams=num_beams, via="en")
        monkeypatch.setattr(settings, "cache_implementation", None)
        for image, row in zip(images, found, strict=True):
            english = alone(captioner, image, Request(0, "caption", "en"), num_beams)
            assert row == {
                ("caption", code): english
                if code == "en"
                else alone(captioner, image, Request(0, "translate", code, english), num_beams)
                for code in languages
            }
        return
    asked = [drawn_request(draw, count, captioner.languages) for _ in range(draw.randint(1, 12))]
    together = write_texts(captioner, features, asked, num_beams)
    monkeypatch.setattr(settings, "cache_implementation", None)
    for text, one in zip(together, asked, strict=True):
        assert text == alone(captioner, images[one.image] if images else None, one, num_beams), one
    if len(asked) > 1 and num_beams == 1 and settings.max_new_tokens > 8:
        assert len(set(together)) > 1  # the comparison would mean little between equal texts


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_rows_of_a_batch_in_bfloat16_are_as_near_to_float32_as_rows_alone(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    differing = compared = 0
    rounded = unlike = 0.0
    for number in range(25):
        draw = random.Random(f"half/{kind}/{number}")
        model = FlorenzForConditionalGeneration(random_config(kind, number))
        randomise(model, number)
        exact = model.eval()
        inputs = drawn_inputs(draw, draw.randint(2, 8), kind)
        labels = torch.randint(3, 110, (len(inputs["input_ids"]), 8), generator=torch.Generator().manual_seed(number))
        inputs = {name: value for name, value in inputs.items() if not name.startswith("decoder")}
        wanted = exact(**inputs, labels=labels).logits
        half = FlorenzForConditionalGeneration(model.config)
        half.load_state_dict(model.state_dict())
        half.to(torch.bfloat16).eval()
        if "pixel_values" in inputs:
            inputs["pixel_values"] = inputs["pixel_values"].to(torch.bfloat16)
        together = half(**inputs, labels=labels).logits.float()
        apart = torch.cat(
            [half(**row_alone(inputs, row), labels=labels[row : row + 1]).logits for row in range(len(labels))]
        ).float()
        rounding = (apart - wanted).abs().mean()
        assert (together - wanted).abs().mean() < 1.2 * rounding
        assert (together - apart).abs().mean() < rounding
        if int(inputs["attention_mask"].min()) == 0:
            seen = inputs | {"attention_mask": torch.ones_like(inputs["attention_mask"])}
            unlike += (half(**seen, labels=labels).logits.float() - apart).abs().mean().item()
            rounded += rounding.item()
        differing += int((together.argmax(-1) != apart.argmax(-1)).sum())
        compared += together[..., 0].numel()
    with capsys.disabled():
        print(
            f"\n{kind}: {differing} of {compared} likeliest ids in bfloat16 differ between a batch and its rows alone"
        )
    assert differing < 0.05 * compared
    assert unlike > 2 * rounded  # what is not rounding is far away
