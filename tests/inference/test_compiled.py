"""Compiled steps write the ids of the plain path, and no batch makes torch compile again."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from random_requests import drawn_request, ids_as_text
from tiny_models import KINDS, tiny_model
from tiny_processor import build_tiny_processor
from torch._dynamo.utils import counters

from modeling_florenz.inference import compiled
from modeling_florenz.inference.captioner import SAMPLE_IMAGE, Captioner
from modeling_florenz.inference.together import write_texts


BATCHES = 100
VARIANTS = len(compiled._SHAPES)


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Captioner]]:
    """Load a random model plainly and compiled; a window in which some texts end and some do not."""
    folder = tmp_path_factory.mktemp("model")
    more = {"sliding_window": 16} if request.param == "gemma2" else {}
    tiny_model(request.param, 3, **more).save_pretrained(folder)
    build_tiny_processor().save_pretrained(folder)
    torch._dynamo.reset()
    counters.clear()
    captioners = [Captioner(folder, device="cpu"), Captioner(folder, device="cpu", compile=True)]
    for captioner in captioners:
        captioner.processor.decode_generated = ids_as_text
        captioner.model.generation_config.suppress_tokens = [0]
    assert counters["stats"]["unique_graphs"] == VARIANTS
    yield captioners
    torch._dynamo.reset()


@pytest.mark.slow
def test_a_hundred_mixed_batches_have_the_ids_of_the_plain_path_and_compile_nothing(
    both: list[Captioner], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, fast = both
    draw = random.Random(17)
    torch.manual_seed(1)  # of other features, texts may be equally likely within rounding
    steps = 0
    step = fast.model.model._compiled_step

    def counted(*given: object) -> object:
        nonlocal steps
        steps += 1
        return step(*given)

    monkeypatch.setattr(fast.model.model, "_compiled_step", counted)
    compiled_before = counters["stats"]["unique_graphs"]
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(BATCHES):
            images, num_beams, most = draw.randint(0, 6), draw.randint(1, 5), draw.choice((1, 3, 64))
            settings = {
                "max_new_tokens": draw.randint(1, 30),
                "early_stopping": draw.random() < 0.5,
                "no_repeat_ngram_size": draw.choice((0, 2)),
            }
            guidance = draw.choice((1.0, 1.0, 0.0, 2.0))
            monkeypatch.setattr("modeling_florenz.inference.together.texts_at_a_time", lambda *given, n=most: n)
            features = torch.randn(images, draw.randint(2, 8), 32) if images else None
            asked = [drawn_request(draw, images, plain.languages) for _ in range(draw.randint(1, 12))]
            found = []
            for captioner in both:
                for name, value in settings.items():
                    setattr(captioner.model.generation_config, name, value)
                captioner.image_guidance = guidance
                found.append(write_texts(captioner, features, asked, num_beams))
            assert found[0] == found[1]
    with capsys.disabled():
        print(
            f"\n{BATCHES} batches: {steps} compiled steps, "
            f"{counters['stats']['unique_graphs'] - compiled_before} recompiles"
        )
    assert steps > 5 * BATCHES
    assert counters["stats"]["unique_graphs"] == compiled_before
    assert not counters["graph_break"]


@pytest.mark.slow
def test_streams_in_threads_compile_nothing(both: list[Captioner]) -> None:
    fast = both[1]
    fast.image_guidance = 1.0
    fast.model.generation_config.max_new_tokens = 12
    texts: list[str] = []
    with torch._dynamo.config.patch(error_on_recompile=True):
        thread = threading.Thread(target=lambda: texts.append("".join(fast.stream(SAMPLE_IMAGE))))
        thread.start()
        thread.join()
    assert len(texts) == 1


@pytest.mark.slow
def test_a_shape_that_was_not_warmed_is_a_recompile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_model("bart", 3).save_pretrained(tmp_path)
    build_tiny_processor().save_pretrained(tmp_path)
    monkeypatch.setattr(compiled, "_SHAPES", ((1, 1),))
    captioner = Captioner(tmp_path, device="cpu", compile=True)
    with (
        torch._dynamo.config.patch(error_on_recompile=True),
        pytest.raises(torch._dynamo.exc.RecompileError),
    ):
        captioner.caption([SAMPLE_IMAGE], num_beams=3)


def test_what_cannot_be_compiled_is_told_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="quantize='int4' cannot be compiled: leave quantize or compile out"):
        Captioner(quantize="int4", compile=True)
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("no-such-compiler",))
    with pytest.raises(ValueError, match="compile=True needs a C.. compiler and there is none: install g"):
        Captioner(device="cpu", compile=True)
