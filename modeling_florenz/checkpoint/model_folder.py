"""Write a complete model folder (weights, processor, code, licences) without ever holding the model in memory."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from transformers import GenerationConfig

from ..configuration_florenz import FlorenzConfig
from ..processing_florenz import FlorenzProcessor
from ..resumable import whole_folder
from ..sizes import SIZES
from .licences import UNKNOWN, write_licences
from .tensor_stream import PlannedTensor, compare_tensors, write_tensors


PACKAGE = Path(__file__).parents[1]
CODE_FILES = ("configuration_florenz.py", "modeling_florenz.py", "processing_florenz.py")
# What the small files of a folder may take beside the weights: two tokenizers are 20 MB.
_SPARE_BYTES = 64 << 20

_CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
license: {license}
language: [en, de, fr, es, ru, zh]
base_model: [{bases}]
tags: [florenz, image-captioning, translation]
---

# {title}

{origin}

```python
from transformers import AutoModel, AutoProcessor

model = AutoModel.from_pretrained("PATH_OR_REPO", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("PATH_OR_REPO", trust_remote_code=True)
```

Read the files named LICENSE and NOTICE beside this card before passing the weights on. Paper: arXiv 2503.09443.
"""


def size_of(config: FlorenzConfig) -> str | None:
    """Name the published size that a configuration has the shape of, if any."""
    for size, parts in SIZES.items():
        sections = [(getattr(config, part), values) for part, values in parts.items()]
        if all(getattr(section, key) == value for section, values in sections for key, value in values.items()):
            return size
    return None


def write_model_folder(
    out: Path,
    config: FlorenzConfig,
    tensors: Sequence[PlannedTensor],
    generation_config: GenerationConfig,
    processor: FlorenzProcessor | None,
    origin: str,
    license: str | None = None,
    max_shard_bytes: int = 5 * 10**9,
    verify: bool = False,
) -> Path:
    """Write a Florenz folder that is there whole or not at all; see `whole_folder`.

    Args:
        out: the new folder; it must not exist, or be empty.
        tensors: one for every name of the saved model.
        origin: one sentence for the card.
        license: the Hub's identifier of the licence that the sources state, if they do.
        verify: read the result again and compare every tensor with its source before it gets its name.

    Raises:
        ValueError: the folder exists, another run is writing it, the disk is too small, or verification fails.
    """
    needed = sum(tensor.num_bytes for tensor in tensors) + _SPARE_BYTES
    with whole_folder(out) as partial:
        if (free := shutil.disk_usage(partial).free) < needed:
            raise ValueError(
                f"{out.parent} has {free / 1e9:.1f} GB free, but {needed / 1e9:.1f} GB are needed: "
                "free some or choose another disk"
            )
        files = write_tensors(partial, tensors, max_shard_bytes)
        _write_small_files(partial, config, tensors, generation_config, processor, origin, out.name, license)
        if verify:
            compare_tensors(tensors, files)
    return out


def _write_small_files(
    folder: Path,
    config: FlorenzConfig,
    tensors: Sequence[PlannedTensor],
    generation_config: GenerationConfig,
    processor: FlorenzProcessor | None,
    origin: str,
    title: str,
    license: str | None,
) -> None:
    config.architectures = ["FlorenzForConditionalGeneration"]
    config.dtype = max((tensor.dtype for tensor in tensors), key=lambda dtype: dtype.itemsize)
    for part in (config.vision_config, config.encoder_config, config.text_config):
        part.dtype = config.dtype
    config.save_pretrained(folder)
    generation_config.save_pretrained(folder)
    if processor is not None:
        processor.save_pretrained(folder)
        settings = folder / "tokenizer_config.json"
        _strip_local_marks(settings)
        _strip_local_marks(folder / "encoder_tokenizer" / settings.name)
    for name in CODE_FILES:
        shutil.copyfile(PACKAGE / name, folder / name)
    is_gemma = config.text_config.model_type == "gemma2"
    write_licences(folder, license or UNKNOWN)
    size = size_of(config)
    bases = ["microsoft/Florence-2-base" if size == "0.4b" else "microsoft/Florence-2-large"]
    bases += ["google/gemma-2-9b" if size == "11.2b" else "google/gemma-2-2b"] if is_gemma else []
    card = _CARD.format(license=license or UNKNOWN, bases=", ".join(bases), title=title, origin=origin)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _strip_local_marks(path: Path) -> None:
    """Forget that a tokenizer came from a folder here: whoever loads the result fetches it from elsewhere."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    for key in ("is_local", "local_files_only", "name_or_path"):
        settings.pop(key, None)
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
