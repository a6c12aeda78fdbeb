"""Turn checkpoints of the research code into Florenz: each tensor is placed exactly once, none is invented."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from ..configuration_florenz import FlorenzConfig
from ..modeling_florenz import FlorenzForConditionalGeneration
from .research_config import translate_config
from .sources import read_json, weight_files
from .tensor_stream import PlannedTensor, StoredTensor, equal_values, stored_tensors
from .weights import empty_model


# Research name -> ours, applied in order to the whole name. What no rule touches keeps its name.
_RENAMES = [
    (r"^language_model\.lm_head\.", "lm_head."),
    (r"^language_model\.model\.", "model."),
    (r"^vision_tower\.", "model.vision_tower."),
    (r"^image_projection$", "model.multi_modal_projector.image_projection.weight"),
    (r"^image_pos_embed\.", "model.multi_modal_projector.image_position_embed."),
    (r"^(image_proj_norm|visual_temporal_embed)\.", r"model.multi_modal_projector.\1."),
    (r"(vision_tower\.convs\.\d+)\.proj\.", r"\1.conv."),
    (r"\.(conv[12])\.fn\.dw\.", r".\1."),
    (r"\.(?:window|channel)_attn\.norm\.", ".norm1."),
    (r"\.(window_attn|channel_attn)\.fn\.", r".\1."),
    (r"_block\.ffn\.norm\.", "_block.norm2."),
    (r"_block\.ffn\.fn\.net\.", "_block.ffn."),
]
_GEMMA_RENAMES = [
    (r"\.encoder_attn_gate$", ".cross_attn_gate.weight"),
    (r"\.post_encoder_attention_layernorm\.", ".post_cross_attn_layernorm."),
    (r"\.encoder_attn\.", ".cross_attn."),
]
_TRANSPOSED = {"model.multi_modal_projector.image_projection.weight"}
_TIED = {"lm_head.weight": "model.decoder.embed_tokens.weight"}


def florenz_name(name: str, decoder_kind: str) -> str:
    """Translate one tensor name of the research code; unknown names are not checked and may come back changed.

    Example:

    ```python
    >>> florenz_name("language_model.model.decoder.layers.0.encoder_attn_gate", "gemma2")
    'model.decoder.layers.0.cross_attn_gate.weight'
    ```
    """
    for pattern, replacement in _RENAMES + (_GEMMA_RENAMES if decoder_kind == "gemma2" else []):
        name = re.sub(pattern, replacement, name)
    return name


def expected_shapes(config: FlorenzConfig) -> dict[str, tuple[int, ...]]:
    """List name and shape of every tensor that a saved Florenz of this configuration holds."""
    state = empty_model(config).state_dict()
    # The head is the embedding: files hold it once.
    return {name: tuple(tensor.shape) for name, tensor in state.items() if name not in _TIED}


def plan_conversion(folder: Path) -> tuple[FlorenzConfig, list[PlannedTensor]]:
    """Plan every tensor of the Florenz in a research checkpoint, from its headers alone.

    Raises:
        ValueError: a config value or a tensor is missing, unknown, of a wrong shape or there twice; it is named.
    """
    config = translate_config(read_json(folder / "config.json"))
    shapes = expected_shapes(config)
    stored = stored_tensors(weight_files(folder))
    placed: dict[str, StoredTensor] = {}
    heads: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        ours = florenz_name(name, config.text_config.model_type)
        if ours not in shapes and ours not in _TIED:
            raise ValueError(f"the tensor {name} is unknown: this is not a checkpoint of the research code")
        if ours in placed or ours in heads:
            twin = (placed.get(ours) or heads[ours]).name
            raise ValueError(f"the tensors {twin} and {name} are the same weight: one of them is too many")
        shape = tuple(reversed(tensor.shape)) if ours in _TRANSPOSED else tensor.shape
        if shape != shapes[_TIED.get(ours, ours)]:
            asked = list(shapes[_TIED.get(ours, ours)])
            raise ValueError(f"the tensor {name} has shape {list(shape)}, but the config asks for {asked}")
        (heads if ours in _TIED else placed)[ours] = tensor
    for head, tensor in heads.items():
        # Some writers omit the table and keep the head: they are the same tensor.
        table = placed.setdefault(_TIED[head], tensor)
        if table is not tensor and not equal_values(table.pieces(), tensor.pieces(), table.dtype):
            raise ValueError(f"the tensors {table.name} and {tensor.name} differ, but they are tied in this model")
    if missing := sorted(set(shapes) - set(placed)):
        raise ValueError(f"the checkpoint lacks {len(missing)} tensors, the first is {missing[0]}")
    return config, [
        PlannedTensor(ours, shapes[ours], tensor.dtype, _transposed(tensor) if ours in _TRANSPOSED else tensor.pieces)
        for ours, tensor in placed.items()
    ]


def _transposed(tensor: StoredTensor) -> Callable[[], Iterator[torch.Tensor]]:
    def pieces() -> Iterator[torch.Tensor]:
        yield tensor.read().T.reshape(-1)

    return pieces


def paper_generation(research: dict[str, Any], config: FlorenzConfig) -> GenerationConfig:
    """Return the paper's search settings for captions and translations, for a checkpoint of the research code."""
    # Which ids are forced differs between the sizes.
    forced = {name: research["text_config"].get(name) for name in ("forced_bos_token_id", "forced_eos_token_id")}
    return generation_settings(config, **forced)


def generation_settings(config: FlorenzConfig, **forced: int | None) -> GenerationConfig:
    """Return the paper's search (4 beams, 128 tokens, no 3-gram twice) with the ids of this configuration."""
    ids = {name: getattr(config, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    return GenerationConfig(
        **ids,
        decoder_start_token_id=config.decoder_start_token_id,
        num_beams=4,
        max_new_tokens=128,
        early_stopping=True,
        no_repeat_ngram_size=3,
        **forced,
    )


def fill_model(config: FlorenzConfig, tensors: Sequence[PlannedTensor]) -> FlorenzForConditionalGeneration:
    """Build the model in memory, in float32, and put the planned values into it; in eval mode."""
    model = FlorenzForConditionalGeneration(config)
    state = model.state_dict()
    for tensor in tensors:
        flat, start = state[tensor.name].view(-1), 0
        for piece in tensor.pieces():
            flat[start : start + len(piece)] = piece
            start += len(piece)
    return model.eval()


def load_research_checkpoint(folder: str | Path) -> FlorenzForConditionalGeneration:
    """Load a checkpoint in the format of the research code (arXiv 2503.09443), strictly, in float32.

    Args:
        folder (`str` or `Path`): holds `config.json` and safetensors, one or sharded, with or without `lm_head`.

    Returns:
        The model in eval mode.

    Raises:
        ValueError: a config value or a tensor is missing, unknown, of a wrong shape or there twice; it is named.

    Example:

    ```python
    >>> model = load_research_checkpoint("caption-via-translation-3_5B")  # doctest: +SKIP
    ```
    """
    folder = Path(folder)
    config, tensors = plan_conversion(folder)
    model = fill_model(config, tensors)
    model.generation_config = paper_generation(read_json(folder / "config.json"), config)
    return model
