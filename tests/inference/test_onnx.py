"""Graphs of ONNX write what the model writes, whatever is asked."""

import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from random_inputs import BOS, SIDE, START, drawn_inputs
from random_models import random_config
from tiny_models import KINDS, randomise

from modeling_florenz import BUNDLED_MODEL, Captioner, FlorenzForConditionalGeneration
from modeling_florenz.inference.attention import look


pytestmark = pytest.mark.slow
for needed in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(needed)

SAMPLE = BUNDLED_MODEL / "sample.png"
MODELS, SETTINGS = 4, 25  # of each kind


@pytest.fixture(scope="module", params=[(kind, number) for kind in KINDS for number in range(MODELS)], ids=str)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int, Any, Any]:
    """Build a random model and its graphs."""
    from modeling_florenz.inference.onnx_graphs import write_graphs
    from modeling_florenz.inference.onnx_model import OnnxFlorenz

    kind, number = request.param
    model = FlorenzForConditionalGeneration(random_config(kind, number))
    randomise(model, number)
    folder = tmp_path_factory.mktemp("graphs")
    write_graphs(model.eval(), folder, SIDE)
    return kind, number, model, OnnxFlorenz(model.config, folder, SIDE, model.generation_config)


@pytest.mark.parametrize("setting", range(SETTINGS))
@torch.no_grad()
def test_random_settings_give_the_same_ids_and_scores(pair: tuple[str, int, Any, Any], setting: int) -> None:
    kind, number, model, graphs = pair
    draw = random.Random(f"{kind}/{number}/{setting}")
    batch = draw.randint(1, 16)
    inputs = drawn_inputs(draw, batch, kind)
    new = draw.randint(1, 24)
    settings: dict[str, Any] = {
        "num_beams": draw.choice((1, 1, 2, 4)),
        "min_new_tokens": draw.randint(0, new),
        "max_new_tokens": new,
        "do_sample": False,
        "suppress_tokens": [0, START, BOS] if draw.random() < 0.5 else None,
        "no_repeat_ngram_size": draw.choice((0, 2)),
    }
    if settings["num_beams"] > 1:
        settings["num_return_sequences"] = draw.choice((1, settings["num_beams"]))
    if "pixel_values" in inputs and draw.random() < 0.2:
        settings["image_guidance"] = 2.0
    found, wanted = (each.generate(**inputs, **settings) for each in (graphs, model))
    assert found.tolist() == wanted.tolist()
    prompt = {name: value for name, value in inputs.items() if not name.startswith("decoder")}
    labels = torch.randint(3, 110, (batch, draw.randint(1, 20)), generator=torch.Generator().manual_seed(setting))
    one, other = (each(**prompt, labels=labels).logits for each in (graphs, model))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-4)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the bundled model, or take a folder where that was done."""
    from modeling_florenz.inference.export import export_model

    if kept := os.environ.get("FLORENZ_ONNX"):
        return Path(kept)
    found = export_model("florenz-tiny", tmp_path_factory.mktemp("exported") / "graphs")
    assert (found.equal, found.compared) == (10, 10)
    return found.folder


def test_a_captioner_of_graphs_does_what_one_of_torch_does(exported: Path) -> None:
    graphs, torch_ = Captioner(exported), Captioner()
    images = [SAMPLE, Image.new("RGB", (50, 80), "white"), SAMPLE]
    for asked in ({}, {"num_beams": 1}, {"prefix": True}, {"via": "en"}, {"task": "detailed_caption"}):
        assert graphs.caption_languages(images, **asked) == torch_.caption_languages(images, **asked)
    texts = ["A picture of pet.", "A picture of dog, bicycle and palm tree.", "A picture of bat."]
    assert graphs.translate(images, texts, "fr") == torch_.translate(images, texts, "fr")
    assert graphs.translate(None, texts, "fr") == torch_.translate(None, texts, "fr")
    assert "".join(graphs.stream(SAMPLE, "ru")) == "".join(torch_.stream(SAMPLE, "ru"))
    candidates = ["Ein Bild: Hund.", "Ein Bild: Katze.", "Ein Bild: Hund, Fahrrad und Palme."]
    for image in (SAMPLE, None):
        ours, theirs = (each.score(image, "A picture of pet.", "de", candidates) for each in (graphs, torch_))
        assert [one.mean_log_probability for one in ours] == pytest.approx(
            [one.mean_log_probability for one in theirs], abs=1e-4
        )
    ours, theirs = (
        Captioner(model, image_guidance=2.0).score(SAMPLE, "A picture of pet.", "de", candidates)
        for model in (exported, None)
    )
    assert ours[0].perplexity == pytest.approx(theirs[0].perplexity, rel=1e-3)


def test_a_folder_of_graphs_holds_no_place_of_the_machine_and_what_it_needs(exported: Path) -> None:
    assert {"LICENSE", "NOTICE", "README.md", "florenz_onnx.json", "processor_config.json"} <= set(
        os.listdir(exported)
    )
    for path in exported.glob("*.onnx"):
        assert b".py" not in path.read_bytes(), path


def test_graphs_say_that_they_give_out_no_attention(exported: Path) -> None:
    with pytest.raises(ValueError, match="graphs of ONNX give out no attention"), Image.open(SAMPLE) as picture:
        look(Captioner(exported), picture.convert("RGB"), "en", "caption")


def test_other_sizes_of_images_are_refused_by_the_graphs(exported: Path) -> None:
    captioner = Captioner(exported)
    with pytest.raises(ValueError, match="these graphs take images of 96 x 96 px: export the model again"):
        captioner.image_features(torch.zeros(1, 3, 64, 64))


def test_8_bits_are_a_quarter_and_write_nearly_the_same(exported: Path, tmp_path: Path) -> None:
    from modeling_florenz.inference.export import export_model

    found = export_model("florenz-tiny", tmp_path / "small", image_size=96, int8=True)
    small, large = (sum(path.stat().st_size for path in folder.glob("*.onnx*")) for folder in (found.folder, exported))
    assert small < 0.45 * large
    assert found.equal >= 7
    assert Captioner(found.folder).caption([SAMPLE], "de") == ["Ein Bild: Hund, Fahrrad und Palme."]
