"""Collect the suites of transformers only where they are asked for: they are fetched first."""

from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    flash = [f"flash_attn{number}_test" for number in ("", "_3", "_4")]
    for name in ("accelerate_tests", "generate", "torch_compile_test", *flash):
        config.addinivalue_line("markers", f"{name}: of transformers")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    wanted = config.option.markexpr
    return True if "peers" not in wanted or "not peers" in wanted else None
