"""Tell models apart by what they hold and not by where they come from."""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .sources import weight_files
from .tensor_stream import stored_tensors


# What peft adds to a model, and how it renames what it wraps.
_ADAPTER = re.compile(r"(^|\.)(lora_\w+|modules_to_save|trainable_tokens\w*)(\.|$)")
_WRAPPED = re.compile(r"\.(base_layer|original_module)\b")
# Of a configuration, what says where a model came from and by what it was written.
_ORIGIN = ("_commit_hash", "_name_or_path", "name_or_path", "transformers_version")
_SAMPLE = 64  # values of each tensor: training moves all of them
DIGEST_LENGTH = 16  # hexadecimal digits: enough that no two models of one folder of results share them


def digest(parts: Iterable[bytes | memoryview]) -> str:
    """Shorten pieces of bytes to the few digits that stand for them."""
    found = hashlib.sha256()
    for part in parts:
        found.update(memoryview(part).nbytes.to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()[:DIGEST_LENGTH]


def weights_digest(*modules: nn.Module) -> str:
    """Digest names, shapes, dtypes and values of all tensors of modules, an adapter's left out."""
    tensors = (item for module in modules for item in _tensors(module))
    return _digest((_WRAPPED.sub("", name), tensor) for name, tensor in tensors if not _ADAPTER.search(name))


def fingerprint(model: Any, processor: Any) -> dict[str, str | None]:
    """Return the digests of a loaded model and of what makes its inputs.

    Args:
        model: of transformers, with an adapter of peft in it or not.
        processor: processor or tokenizer with `save_pretrained`.

    Returns:
        `weights_digest`, `adapter_digest` (None without an adapter), `config_digest` and `processor_digest`.

    Example:

    ```python
    >>> from modeling_florenz.checkpoint.loading import load

    >>> loaded = load()
    >>> fingerprint(loaded.model, loaded.processor)["adapter_digest"] is None
    True
    ```
    """
    adapters = getattr(model, "peft_config", None)
    added = [(name, tensor) for name, tensor in _tensors(model) if _ADAPTER.search(name)]
    settings = [model.config.to_dict(), model.generation_config.to_dict() if model.can_generate() else None]
    return {
        "weights_digest": weights_digest(model),
        # The scale of a LoRA is in no tensor.
        "adapter_digest": digest([_digest(added).encode(), _words(adapters)]) if adapters else None,
        "config_digest": digest([_words(settings)]),
        "processor_digest": _processor_digest(processor),
    }


def stored_digest(folder: Path) -> str:
    """Digest names, shapes and the first values of the tensors in a folder's files, in bfloat16.

    Little is read, and a copy in other shards or in bfloat16 has the same digest.

    Raises:
        ValueError: the folder holds no weights, or broken ones.
    """
    tensors = sorted(stored_tensors(weight_files(folder)).items())
    return _digest(
        (f"{name} {tensor.shape}", tensor.first(_SAMPLE).to(torch.bfloat16))
        for name, tensor in tensors
        if name != "lm_head.weight"  # tied: some writers repeat it
    )


def _tensors(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield what `state_dict` holds, one part after another, so that packed matrices are unpacked one by one."""
    for name, part in module.named_modules(remove_duplicate=False):
        own: dict[str, Any] = {}
        part._save_to_state_dict(own, f"{name}." if name else "", keep_vars=False)
        yield from own.items()


def _digest(tensors: Iterable[tuple[str, Any]]) -> str:
    return digest(part for name, tensor in tensors for part in _parts(name, tensor))


def _parts(name: str, tensor: Any) -> Iterator[bytes | memoryview]:
    if not isinstance(tensor, torch.Tensor):
        yield f"{name} {tensor}".encode()
    elif hasattr(tensor, "__tensor_flatten__"):  # quantised layers hold tensors in a tensor
        names, settings = tensor.__tensor_flatten__()
        yield f"{name} {settings}".encode()
        for inner in names:
            yield from _parts(f"{name}.{inner}", getattr(tensor, inner))
    else:
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode()
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        yield flat.view(torch.uint8).numpy().data if flat.numel() else b""


def _words(value: Any) -> bytes:
    def plain(inner: Any) -> Any:
        if isinstance(inner, dict):
            return {str(key): plain(entry) for key, entry in inner.items() if key not in _ORIGIN}
        if isinstance(inner, set | frozenset):
            return sorted(map(str, inner))
        if isinstance(inner, list | tuple):
            return [plain(entry) for entry in inner]
        return plain(inner.to_dict()) if hasattr(inner, "to_dict") else inner

    return json.dumps(plain(value), sort_keys=True, default=str).encode()


def _processor_digest(processor: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        parts = []
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                parts += [path.name.encode(), _words(json.loads(content)) if path.suffix == ".json" else content]
    return digest(parts)
