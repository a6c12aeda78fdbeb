"""Share checkpoints and published tokenizers among the tests."""

import lzma
import shutil
from pathlib import Path

import pytest
from published_tokenizers import FILES, FLORENCE
from tiny_models import KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def gemma_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not FILES.is_dir():
        pytest.skip(f"the real tokenizers are not at {FILES}")
    folder = tmp_path_factory.mktemp("gemma2")
    (folder / "tokenizer.json").write_bytes(lzma.decompress((FILES / "gemma2" / "tokenizer.json.xz").read_bytes()))
    shutil.copyfile(FILES / "gemma2" / "tokenizer_config.json", folder / "tokenizer_config.json")
    return folder


@pytest.fixture
def florence_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "florence"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "config.json"):
        shutil.copyfile(FLORENCE / name, folder / name)
    return folder
