"""Put the LoRA adapter of a folder onto a model, wholly or not at all; no pattern of the file is run unwatched."""

import re
import time
from pathlib import Path
from typing import Any

import regex
from safetensors.torch import load_file

from ..extras import install_command
from ..modeling_florenz import FlorenzForConditionalGeneration
from .fingerprint import stored_digest
from .settings import read_settings, sentence
from .sources import read_json
from .tensor_stream import StoredTensor, stored_tensors
from .weights import check_values, compare


# What decides about an adapter's numbers, and of which kind it is.
_FLAGS = ("use_dora", "use_rslora", "fan_in_fan_out", "lora_bias", "ensure_weight_tying")
_NAMES = ("exclude_modules", "layers_pattern", "modules_to_save")
_PATTERNS = ("rank_pattern", "alpha_pattern")
_USED = (
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "layers_to_transform",
    "trainable_token_indices",
    "bias",
    *_FLAGS,
    *_NAMES,
    *_PATTERNS,
)
# What says where an adapter came from and how it was trained. Whatever else a file sets is refused: it would change
# the model in a way that is not known here.
_OF_ITS_TRAINING = (
    "auto_mapping",
    "base_model_name_or_path",
    "eva_config",
    "inference_mode",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
)
# The others change the base beside the adapter.
_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
_PREFIX = "base_model.model."
_PLAIN = re.compile(r"\^?[\w.-]+")
_MAX_PATTERN, _SECONDS = 2000, 2.0


def base_of_adapter(folder: Path) -> tuple[str, str | None]:
    """Read which model an adapter belongs to, and at which commit.

    Raises:
        ValueError: the folder holds no adapter, or one whose weights are pickled.
    """
    settings = read_settings(folder / "adapter_config.json")
    base, revision = settings.get("base_model_name_or_path"), settings.get("revision")
    if not isinstance(base, str) or not base:
        raise ValueError(f"{folder}/adapter_config.json names no base model: give one beside the adapter")
    _weights(folder)
    return base, revision if isinstance(revision, str) else None


def check_adapter(folder: Path) -> dict[str, Any]:
    """Refuse an adapter that cannot be loaded into any model, before its base is.

    Returns:
        the settings that decide about it, for `peft.LoraConfig`.

    Raises:
        ValueError: it is not LoRA, a setting is not one that is known, or a tensor is broken.
    """
    try:
        settings = read_settings(folder / "adapter_config.json")
        stored = stored_tensors([_weights(folder)])
        check_values(stored)
        return _used(settings, stored)
    except ValueError as error:
        raise ValueError(f"the adapter {folder} could not be loaded: {error}") from None


def fits_base(folder: Path, base: Path) -> bool:
    """Return whether an adapter was trained on the weights of a folder, as far as its record tells.

    Args:
        folder: the adapter's; `results.json` in it holds the digest of its base, if the package wrote it.
        base: folder of the model that the adapter is to be put on.

    Raises:
        ValueError: the record or the weights cannot be read.
    """
    path = folder / "results.json"
    record = read_json(path) if path.exists() else None
    trained_on = record.get("base_digest") if isinstance(record, dict) else None
    return trained_on is None or trained_on == stored_digest(base)


def load_adapter(model: FlorenzForConditionalGeneration, folder: Path) -> None:
    """Load a LoRA adapter into a model, in place.

    Args:
        model: the adapter's base.
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.

    Raises:
        ValueError: peft is not installed, or the adapter is not LoRA, is broken, or does not fit the model; with the
            names and counts of its tensors that fit nowhere or are missing.
    """
    used = check_adapter(folder)
    try:
        import peft
    except ModuleNotFoundError:
        raise ValueError(f"an adapter needs peft, which is not installed: {install_command('train')}") from None
    try:
        if isinstance(pattern := used["target_modules"], str) and pattern != "all-linear":
            used["target_modules"] = matching_names(pattern, [name for name, _ in model.named_modules()])
        peft.inject_adapter_in_model(peft.LoraConfig(**used), model)
        # By peft alone, as the loader of transformers drops the magnitudes of DoRA.
        expected = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
        path = _weights(folder)
        found = {name.removeprefix(_PREFIX): tensor for name, tensor in stored_tensors([path]).items()}
        compare(found, {name: tuple(tensor.shape) for name, tensor in expected.items()}, "the model with its settings")
        values = {name.removeprefix(_PREFIX): tensor for name, tensor in load_file(path).items()}
        peft.set_peft_model_state_dict(model, values)
    except Exception as error:  # peft and transformers raise many kinds for what does not fit
        raise ValueError(f"the adapter {folder} could not be loaded: {sentence(error)}") from error


def matching_names(pattern: str, names: list[str]) -> list[str]:
    """List the names that a pattern matches as a whole; a pattern made to take for ever is stopped.

    Raises:
        ValueError: the pattern is broken, too long, takes more than two seconds or matches nothing.

    Example:

    ```python
    >>> matching_names(r"layers\\.\\d", ["layers.0", "layers.1", "norm"])
    ['layers.0', 'layers.1']
    ```
    """
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"target_modules is a pattern of {len(pattern):,} characters: use at most {_MAX_PATTERN:,}")
    end = time.monotonic() + _SECONDS
    try:
        compiled = regex.compile(pattern)
        matching = [name for name in names if compiled.fullmatch(name, timeout=max(end - time.monotonic(), 1e-3))]
    except TimeoutError:
        raise ValueError("target_modules is a pattern that takes for ever: list the modules by name") from None
    except Exception as error:  # broken, or nested without end
        raise ValueError(f"target_modules is not a pattern: {sentence(error)}") from None
    if not matching:
        raise ValueError("target_modules matches no module of the model")
    return matching


def _weights(folder: Path) -> Path:
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise ValueError(f"{folder} holds no adapter_model.safetensors: pickled adapters are not opened")
    return path


def _used(settings: dict[str, Any], stored: dict[str, StoredTensor]) -> dict[str, Any]:
    """Return the settings that decide about an adapter, each of a kind that peft can be given."""
    if settings.get("peft_type") != "LORA":
        raise ValueError(f"it is of the kind {settings.get('peft_type')!r}, and only LoRA can be loaded")
    if settings.get("init_lora_weights") not in _STARTS:
        start = str(settings["init_lora_weights"])[:80]
        raise ValueError(f"init_lora_weights is {start}, which changes the base too: convert it to plain LoRA")
    for name, value in settings.items():
        if name not in (*_USED, *_OF_ITS_TRAINING, "init_lora_weights") and value:
            raise ValueError(f"it sets {name[:80]}, which is not known here")
    used = {name: settings[name] for name in _USED if settings.get(name) is not None}
    for name in _FLAGS:
        if type(used.get(name, False)) is not bool:
            raise ValueError(f"{name} is {str(used[name])[:80]!r}, not true or false")
    for name in _NAMES:
        entries = used.get(name, [])
        if not _are_plain([entries] if isinstance(entries, str) else entries):
            raise ValueError(f"{name} must be names without patterns, not {str(entries)[:80]}")
    for name in _PATTERNS:
        if not isinstance(used.get(name, {}), dict) or not _are_plain(list(used.get(name, {}))):
            raise ValueError(f"the keys of {name} must be names without patterns")
    targets = used.get("target_modules")
    if not targets or not (isinstance(targets, str) or _are_plain(targets)):
        raise ValueError("target_modules must be a list of names or one pattern")
    _check_numbers(used, stored)
    return used


def _check_numbers(used: dict[str, Any], stored: dict[str, StoredTensor]) -> None:
    ranks = [tensor.shape[0] for name, tensor in stored.items() if ".lora_A." in name and tensor.shape]
    largest = max(ranks, default=1)
    for name, rank in {"r": used.get("r", 8), **used.get("rank_pattern", {})}.items():
        if type(rank) is not int or not 1 <= rank <= largest:
            raise ValueError(f"the rank {name} is {rank!r}, but the tensors have at most {largest}")
    for name, alpha in {"lora_alpha": used.get("lora_alpha", 8), **used.get("alpha_pattern", {})}.items():
        if type(alpha) not in (int, float) or not 0 < alpha < 1e6:
            raise ValueError(f"{name} is {alpha!r}: it must be a number above 0")
    rows = used.get("trainable_token_indices", [])
    for indices in rows.values() if isinstance(rows, dict) else [rows]:
        if not isinstance(indices, list) or any(type(index) is not int or index < 0 for index in indices):
            raise ValueError("trainable_token_indices must be lists of ids")


def _are_plain(entries: Any) -> bool:
    # peft runs these as patterns too.
    return isinstance(entries, list) and all(isinstance(entry, str) and _PLAIN.fullmatch(entry) for entry in entries)
