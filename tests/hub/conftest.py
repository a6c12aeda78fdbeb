"""Share the tiny processor among the tests of the Hub files."""

import pytest
import torch
from model_calls import Model
from real_processor import build_real_processor
from tiny_models import KINDS, tiny_inputs, tiny_model
from tiny_processor import build_tiny_processor

from modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.processing_florenz import FlorenzProcessor


@pytest.fixture(scope="module")
def processor() -> FlorenzProcessor:
    return build_tiny_processor()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> FlorenzProcessor:
    return build_real_processor(tmp_path_factory.mktemp("tokenizers"))


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Model:
    """Build one kind; tests that change the model build their own."""
    return tiny_model(request.param)


@pytest.fixture(scope="module")
def gemma2() -> FlorenzForConditionalGeneration:
    return tiny_model("gemma2")


@pytest.fixture
def inputs() -> dict[str, torch.Tensor]:
    return tiny_inputs()
