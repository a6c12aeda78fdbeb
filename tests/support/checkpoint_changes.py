"""Copy a small checkpoint of the research code, and change one thing in it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


GOLDEN = Path(__file__).parents[3] / "shared" / "golden"


HEAD, TABLE = "language_model.lm_head.weight", "language_model.model.decoder.embed_tokens.weight"


def copy_checkpoint(kind: str, folder: Path) -> Path:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / kind / name, folder / name)
    return folder


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def change_config(folder: Path, path: str, value: Any) -> None:
    """Set one value, or delete it if it is `...`; `path` has dots between its levels."""
    config = json.loads((folder / "config.json").read_text())
    *parents, name = path.split(".")
    section = config
    for parent in parents:
        section = section[parent]
    if value is ...:
        del section[name]
    else:
        section[name] = value
    (folder / "config.json").write_text(json.dumps(config))


def shard(folder: Path, shards: int = 3) -> dict[str, str]:
    """Split the only file, give the map from tensor to shard and write it as index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    weight_map = {name: f"model-{index % shards + 1}.safetensors" for index, name in enumerate(sorted(tensors))}
    for file in set(weight_map.values()):
        save_file({name: tensors[name] for name in tensors if weight_map[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return weight_map
