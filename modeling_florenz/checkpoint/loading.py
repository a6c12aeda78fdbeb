"""Load a Florenz, its processor and an adapter on it: the one place where files become a model, strictly."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..configuration_florenz import FlorenzConfig
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from .adapter import base_of_adapter, check_adapter, fits_base, load_adapter
from .quantization import check_device, quantization_config
from .settings import check_generation_config, load_processor_files, read_config, sentence
from .sources import resolve_source
from .weights import check_weights


logger = logging.getLogger(__name__)
BUNDLED_MODEL = Path(__file__).parents[1] / "florenz_tiny"
BUNDLED_NAME = "florenz-tiny"  # what recipes and adapters call it


@dataclass(frozen=True)
class LoadedModel:
    """Hold a model that is ready to run and the processor that makes its inputs."""

    model: FlorenzForConditionalGeneration
    processor: FlorenzProcessor


def is_bundled(model: str | Path) -> bool:
    """Return whether a model is the bundled one, by its name or by its folder."""
    return str(model) == BUNDLED_NAME or Path(model).expanduser().resolve() == BUNDLED_MODEL


def check_model(model: str | Path, revision: str | None = None) -> FlorenzConfig:
    """Refuse what is not a Florenz, before its weights are fetched or read.

    Args:
        model: a folder, a Hub repository, or `florenz-tiny`, the bundled model.
        revision: branch, tag or commit of the repository.

    Returns:
        the model's configuration.

    Raises:
        ValueError: there is no such model, or it is of another kind or broken.
    """
    return read_config(find_model(model, revision, weights=False))


def load_processor(
    model: str | Path | None = None, revision: str | None = None, adapter: str | Path | None = None
) -> FlorenzProcessor:
    """Load the processor of a model without its weights.

    Args:
        model: a folder, a Hub repository, or `florenz-tiny`, the bundled model; as in `load` if left out.
        revision: branch, tag or commit of the repository.
        adapter: folder or Hub repository of a LoRA adapter; its processor is loaded then.

    Raises:
        ValueError: there is no such model or adapter, or the processor is broken or does not fit it.
    """
    if adapter is not None:
        folder = resolve_source(adapter)
        model, revision = base_of_adapter(folder) if model is None else (model, revision)
        return load_processor_files(folder, check_model(model, revision))
    model = BUNDLED_NAME if model is None else model
    folder = find_model(model, revision, weights=False)
    return load_processor_files(folder, read_config(folder))


def load_model(
    model: str | Path,
    revision: str | None = None,
    dtype: torch.dtype | str = torch.float32,
    quantize: str | None = None,
    device: torch.device | str | None = None,
) -> FlorenzForConditionalGeneration:
    """Load a model whose files hold exactly what its configuration asks for.

    Args:
        model: a folder, a Hub repository, or `florenz-tiny`, the bundled model.
        revision: branch, tag or commit of the repository.
        dtype: of the weights; `"auto"` for the file's, on a CPU for the faster one.
        quantize: `int4`, or on a GPU `int8`, for encoder and decoder layers in fewer bits, the rest in bfloat16.
        device: where to put it; left out, where transformers puts it.

    Raises:
        ValueError: there is no such model, or it is of another kind, broken or incomplete; tensors are named and
            counted.

    Example:

    ```python
    >>> load_model("florenz-tiny").config.text_config.model_type
    'gemma2'
    ```
    """
    folder = find_model(model, revision)
    config = read_config(folder)
    check_generation_config(folder, config)
    if dtype == "auto" and str(device).startswith("cpu"):
        dtype = _cpu_dtype(config)
    settings: dict[str, Any] = {"dtype": dtype}
    if quantize is not None:
        check_device(quantize, device)
        settings = {
            "dtype": torch.bfloat16,
            "quantization_config": quantization_config(quantize, torch.bfloat16, config),
        }
        if device is not None:  # quantised layers are made where they stay
            settings["device_map"] = {"": str(device)}
    try:
        check_weights(folder, config)
        loaded: Any = FlorenzForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **settings,
        )
    except Exception as error:  # safetensors, transformers and the quantisers raise many kinds
        raise ValueError(f"the model {model} could not be loaded: {sentence(error)}") from error
    # A snapshot of the Hub's cache is called by its commit.
    loaded.config._commit_hash = folder.name if folder.parent.name == "snapshots" else None
    if device is not None and quantize is None:
        loaded.to(device)
    return loaded.eval()


def _cpu_dtype(config: FlorenzConfig) -> torch.dtype:
    # Where products take the time, bfloat16 halves it on a CPU that has it; in narrow models the rest takes the time.
    is_wide = config.encoder_config.d_model >= 512
    return torch.bfloat16 if is_wide and torch.cpu._is_avx512_bf16_supported() else torch.float32


def load(
    model: str | Path | None = None,
    revision: str | None = None,
    adapter: str | Path | None = None,
    dtype: torch.dtype | str = torch.float32,
    quantize: str | None = None,
    device: torch.device | str | None = None,
) -> LoadedModel:
    """Load a model with its processor, and an adapter on it.

    An adapter that the package trained knows the weights it was trained on. If its base has other ones by now, it is
    refused; on a model that was named beside it, it is loaded with a warning.

    Args:
        model: a folder or a Hub repository; the adapter's base, or else the bundled `florenz-tiny`, if left out.
        revision: branch, tag or commit of the model's repository.
        adapter: folder or Hub repository of a LoRA adapter; it brings its processor.
        dtype, quantize, device: as in `load_model`.

    Raises:
        ValueError: model or adapter is missing, broken, incomplete or of another kind, or the adapter's base has
            changed.
    """
    is_named = model is not None
    adapter_folder = None if adapter is None else resolve_source(adapter)
    if adapter_folder is not None and model is None:
        model, revision = base_of_adapter(adapter_folder)
    model = BUNDLED_NAME if model is None else model
    config = check_model(model, revision)
    if adapter_folder is None:
        processor = load_processor(model, revision)
    else:
        check_adapter(adapter_folder)
        processor = load_processor_files(adapter_folder, config)
        if not fits_base(adapter_folder, find_model(model, revision)):
            if not is_named:
                raise ValueError(
                    f"the adapter {adapter} was trained on other weights than {model} has now: name the model it was "
                    f"trained on, or name {model} to put it there all the same"
                )
            logger.warning("the adapter %s was trained on other weights than those of %s", adapter, model)
    loaded = load_model(model, revision, dtype, quantize, device)
    if adapter_folder is not None:
        load_adapter(loaded, adapter_folder)
        loaded.eval()
    return LoadedModel(loaded, processor)


def find_model(model: str | Path, revision: str | None = None, weights: bool = True) -> Path:
    """Return the folder of a model, fetched first if it is a repository; see `resolve_source`."""
    return BUNDLED_MODEL if str(model) == BUNDLED_NAME else resolve_source(model, revision, weights)
