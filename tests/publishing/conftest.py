"""Share a saved florenz-tiny with its card among the tests of publishing."""

import json
import shutil
from pathlib import Path

import pytest

from modeling_florenz import FlorenzForConditionalGeneration, FlorenzProcessor
from modeling_florenz.card_template import find_cards
from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.publishing.companion_files import write_papers


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "florenz-tiny"
    FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    write_papers(find_cards(), "florenz-tiny", folder)
    for path in (folder / "tokenizer_config.json", folder / "encoder_tokenizer" / "tokenizer_config.json"):
        settings = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in settings.items() if k not in ("is_local", "local_files_only")}))
    return folder


@pytest.fixture
def folder(original, tmp_path) -> Path:
    copy = tmp_path / "florenz-tiny"
    shutil.copytree(original, copy)
    return copy
