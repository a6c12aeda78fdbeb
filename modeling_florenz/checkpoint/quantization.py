"""Fit a model into less memory: encoder and decoder layers in 8 or 4 bits, everything delicate unchanged."""

import importlib.util

import torch
from transformers import BitsAndBytesConfig, PreTrainedConfig, TorchAoConfig


PRESETS = ("int8", "int4")
# The tower and the projector are small and see every pixel; the head decides every word. Norms, gates and embeddings
# are not linear layers, so no preset touches them.
KEPT = ["model.vision_tower", "model.multi_modal_projector", "lm_head"]
# NF4 keeps one scale for this many values of a row.
_INT4_BLOCK = 64
_NEEDS = {"int8": "torchao", "int4": "bitsandbytes"}


def quantization_config(
    preset: str, dtype: torch.dtype, config: PreTrainedConfig
) -> TorchAoConfig | BitsAndBytesConfig:
    """Return the settings of a preset for `from_pretrained(quantization_config=...)`.

    `int8` is torchao's weight-only 8 bits, for GPUs; `int4` the NF4 of bitsandbytes, for CPUs too.

    Args:
        preset: `int8` or `int4`.
        dtype: of the computation, and of everything that is not quantised.
        config: of the model.

    Raises:
        ValueError: there is no such preset, its library is not installed, or the model is too narrow for it.

    Example:

    ```python
    >>> import torch
    >>> from transformers import AutoConfig, AutoModel

    >>> config = AutoConfig.from_pretrained("florenz-3.5b")  # doctest: +SKIP
    >>> settings = quantization_config("int8", torch.bfloat16, config)  # doctest: +SKIP
    >>> model = AutoModel.from_pretrained("florenz-3.5b", quantization_config=settings)  # doctest: +SKIP
    ```
    """
    if preset not in PRESETS:
        raise ValueError(f"there is no quantisation {preset!r}: use one of {', '.join(PRESETS)}")
    if importlib.util.find_spec(_NEEDS[preset]) is None:
        raise ValueError(f"{preset} needs {_NEEDS[preset]}, which is not installed: pip install {_NEEDS[preset]}")
    if preset == "int8":
        from torchao.quantization import Int8WeightOnlyConfig

        return TorchAoConfig(Int8WeightOnlyConfig(), modules_to_not_convert=KEPT)
    for width in _input_widths(config):
        if width % _INT4_BLOCK:
            raise ValueError(
                f"int4 needs widths that {_INT4_BLOCK} divides, but this model has {width}: leave it out, or use "
                "int8 on a GPU"
            )
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype, llm_int8_skip_modules=KEPT
    )


def check_device(preset: str, device: torch.device | str | None) -> None:
    """Refuse a preset on a device where it is slower than the weights it was made of.

    Args:
        device: where the layers will be; None for where transformers puts them.

    Raises:
        ValueError: it is `int8` and the device is a CPU.
    """
    given = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if preset == "int8" and given.type == "cpu":
        raise ValueError(
            "int8 is for GPUs, because on a CPU it is several times slower than bfloat16: leave it out, or use int4 "
            "for less memory"
        )


def _input_widths(config: PreTrainedConfig) -> list[int]:
    encoder, decoder = config.encoder_config, config.text_config
    widths = [encoder.d_model, encoder.encoder_ffn_dim]
    if decoder.model_type == "bart":
        return [*widths, decoder.decoder_ffn_dim]
    return [*widths, decoder.hidden_size, decoder.intermediate_size, decoder.num_attention_heads * decoder.head_dim]
