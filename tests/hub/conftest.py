"""Share the tiny processor among the tests of the Hub files."""

import pytest
from tiny_processor import build_tiny_processor

from modeling_florenz.processing_florenz import FlorenzProcessor


@pytest.fixture(scope="module")
def processor() -> FlorenzProcessor:
    return build_tiny_processor()
