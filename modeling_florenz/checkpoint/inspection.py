"""Report what a checkpoint is and what it needs, from its configuration alone."""

from dataclasses import dataclass
from pathlib import Path

from ..processing_florenz import LANGUAGES
from .freezing import freeze_as_in_paper
from .licences import license_of
from .model_folder import size_of
from .research_config import translate_config
from .settings import read_config, read_settings
from .weights import empty_model


# Bytes a parameter: float32 weight, gradient and both moments of AdamW.
_TRAINED_BYTES = 16
# A LoRA of rank 16 on every linear layer of the decoder comes to about this share of it.
_LORA_SHARE = 0.01


@dataclass(frozen=True)
class Inspection:
    """Describe a checkpoint; memory in bytes, weights and optimiser only, activations come on top."""

    size: str
    format: str
    decoder: str
    dtype: str
    parameters: dict[str, int]
    trainable: int
    memory: dict[str, int]
    languages: list[str]
    license: str | None


def inspect_checkpoint(folder: Path) -> Inspection:
    """Describe a Florenz folder or a research checkpoint.

    Raises:
        ValueError: the folder holds neither.

    Example:

    ```python
    >>> from modeling_florenz import BUNDLED_MODEL

    >>> inspect_checkpoint(BUNDLED_MODEL).decoder
    'gemma2'
    ```
    """
    values = read_settings(folder / "config.json")
    kind = values.get("model_type")
    if kind == "florenz":
        config, layout = read_config(folder), "Florenz"
    elif kind == "florence2" and "encoder_vocab_size" in values:
        config, layout = translate_config(values), "research code (florenz convert makes a Florenz of it)"
    else:
        raise ValueError(f"{folder} is a {kind!r} model: give a Florenz folder or a checkpoint of the research code")
    model = empty_model(config)
    parts = {
        "vision tower": model.model.vision_tower,
        "projector": model.model.multi_modal_projector,
        "encoder": model.model.encoder,
        "decoder": model.model.decoder,
    }
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    total = sum(parameters.values())
    freeze_as_in_paper(model)
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    adapter = int(_LORA_SHARE * parameters["decoder"])
    memory = {
        "inference, float32": 4 * total,
        "inference, bfloat16": 2 * total,
        "LoRA training, bfloat16 base": 2 * total + _TRAINED_BYTES * adapter,
        "training as in the paper, float32": 4 * (total - trainable) + _TRAINED_BYTES * trainable,
        "full training, float32": _TRAINED_BYTES * total,
    }
    dtype = str(values.get("dtype") or values.get("torch_dtype") or "float32").removeprefix("torch.")
    processor = folder / "processor_config.json"
    languages = read_settings(processor).get("languages") if processor.exists() else None
    if not isinstance(languages, dict | None):
        raise ValueError(f"{processor}: `languages` must map codes of languages to texts, got {str(languages)[:80]}")
    return Inspection(
        size=size_of(config) or "custom",
        format=layout,
        decoder=config.text_config.model_type,
        dtype=dtype,
        parameters={**parameters, "total": total},
        trainable=trainable,
        memory=memory,
        languages=list(languages or LANGUAGES),
        license=license_of(folder),
    )
