"""Compose an untrained Florenz from Florence-2 and Gemma-2 (spec 1.10): the start of the paper's training."""

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from transformers.models.florence2.modeling_florence2 import Florence2VisionPositionalEmbeddingCosine1D

from ..configuration_florenz import FlorenzConfig
from .assembly import load_florence_tokenizer, load_gemma_tokenizer
from .conversion import expected_shapes, florenz_name
from .sources import read_json, weight_files
from .tensor_stream import PIECE_BYTES, PlannedTensor, StoredTensor, equal_values, stored_tensors
from .vocabulary import FlorenceIds, gemma_to_florence


INIT_STD = 0.02
_NATIVE = [("model.language_model.", "model."), ("model.", "model."), ("lm_head.", "lm_head.")]
_ENCODER_TABLE, _DECODER_TABLE = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
_SHARED = "model.shared.weight"
_TIED_FLORENCE = (_ENCODER_TABLE, _DECODER_TABLE, "lm_head.weight")
# A bias of zeros that Florence-2's head has and Florenz's does not.
_DROPPED = ("final_logits_bias",)
_SINUSOID = "model.multi_modal_projector.visual_temporal_embed.pos_idx_to_embed"
_GEMMA_FIELDS = (
    "hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
    "query_pre_attn_scalar sliding_window rms_norm_eps attn_logit_softcapping final_logit_softcapping vocab_size"
).split()


def read_florence(folder: Path) -> dict[str, StoredTensor]:
    """List the tensors of a Florence-2 under our names, from the old remote-code layout or from the native one.

    The three names of its one vocabulary table come back as `model.shared.weight`.

    Raises:
        ValueError: it is not a Florence-2, or two copies of the table differ.
    """
    stored = stored_tensors(weight_files(folder))
    native = any(name.startswith("model.vision_tower.") for name in stored)
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in stored.items():
        if name.split(".")[-1] in _DROPPED:
            continue
        if native:
            ours = next((new + name[len(old) :] for old, new in _NATIVE if name.startswith(old)), name)
        else:
            ours = florenz_name(name, "bart")
        if ours in _TIED_FLORENCE:
            ours = _SHARED
        if ours not in tensors:
            tensors[ours] = tensor
        elif ours != _SHARED or not equal_values(tensors[ours].pieces(), tensor.pieces(), tensor.dtype):
            raise ValueError(f"{folder}: the tensors {tensors[ours].name} and {name} should be one weight, but differ")
    if _SHARED not in tensors or not any(name.startswith("model.vision_tower.") for name in tensors):
        raise ValueError(f"{folder} is not a Florence-2 checkpoint: it holds {min(stored, default='nothing')}")
    return tensors


def read_gemma(folder: Path, config: FlorenzConfig) -> dict[str, StoredTensor]:
    """List the tensors of a Gemma-2 under our names, after comparing its configuration with the one asked for.

    Raises:
        ValueError: it is not a Gemma-2, or has another size.
    """
    found = read_json(folder / "config.json")
    if not isinstance(found, dict) or found.get("model_type") != "gemma2":
        kind = found.get("model_type") if isinstance(found, dict) else None
        raise ValueError(f"{folder} is a {kind!r} model: --gemma must be a Gemma-2")
    for field in _GEMMA_FIELDS:
        asked = getattr(config.text_config, field)
        if found.get(field, asked) != asked:
            raise ValueError(f"{folder}: {field} is {found[field]}, but this size of Florenz needs {asked}")
    tensors: dict[str, StoredTensor] = {}
    for name, tensor in stored_tensors(weight_files(folder)).items():
        if name.endswith("rotary_emb.inv_freq"):
            continue  # older files hold what is computed
        ours = name.replace("model.", "model.decoder.", 1) if name.startswith("model.") else name
        ours = _DECODER_TABLE if ours == "lm_head.weight" else ours
        if ours in tensors and not equal_values(tensors[ours].pieces(), tensor.pieces(), tensor.dtype):
            raise ValueError(f"{folder}: the tensors {tensors[ours].name} and {name} should be tied, but differ")
        tensors.setdefault(ours, tensor)
    return tensors


def plan_composition(
    config: FlorenzConfig, florence: Path, gemma: Path, dtype: torch.dtype, seed: int = 0
) -> list[PlannedTensor]:
    """Plan every tensor of an untrained Florenz from the base models, each taken from one place (spec 1.10).

    Args:
        config: the Florenz to compose.
        florence: folder of a Florence-2 with its tokenizer.
        gemma: folder of a Gemma-2; only its tokenizer is read for a BART decoder.
        dtype: of the result.
        seed: for what is new: cross-attention projections, and vocabulary rows without a token.

    Raises:
        ValueError: a source has another kind or size, lacks a tensor or holds one that has no place; the message names
            it.
    """
    kind, shapes = config.text_config.model_type, expected_shapes(config)
    sources = read_florence(florence)
    table = sources.pop(_SHARED)
    if kind == "gemma2":
        # Gemma-2 replaces Florence-2's own decoder.
        sources = {name: tensor for name, tensor in sources.items() if not name.startswith("model.decoder.")}
        sources |= read_gemma(gemma, config)
        vocabulary = None
    else:
        tokens = load_florence_tokenizer(florence)
        vocabulary = gemma_to_florence(load_gemma_tokenizer(gemma), tokens)
    known = min(table.shape[0], shapes[_ENCODER_TABLE][0])
    if kind == "bart":
        known = min(known, len(tokens))
    elif known < shapes[_ENCODER_TABLE][0]:
        raise ValueError(f"{florence}: {table.shape[0]} vocabulary rows, but {shapes[_ENCODER_TABLE][0]} are needed")
    if table.shape[1:] != shapes[_ENCODER_TABLE][1:]:
        asked = shapes[_ENCODER_TABLE][1]
        raise ValueError(f"{florence}: {table.name} is {table.shape[1]} wide, but this size of Florenz needs {asked}")

    def random(name: str, rows: int | None = None) -> Callable[[], Iterator[torch.Tensor]]:
        """Draw a tensor, or its last rows, from its own seed, so that the order of writing does not matter."""
        shape = shapes[name] if rows is None else (rows, *shapes[name][1:])

        def pieces() -> Iterator[torch.Tensor]:
            digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
            yield torch.empty(math.prod(shape)).normal_(0.0, INIT_STD, generator=generator)

        return pieces

    def encoder_table() -> Iterator[torch.Tensor]:
        rest = known * table.shape[1]
        for piece in table.pieces():
            yield piece[:rest]
            rest -= min(rest, len(piece))
        if shapes[_ENCODER_TABLE][0] > known:
            yield from random(_ENCODER_TABLE, shapes[_ENCODER_TABLE][0] - known)()

    def decoder_table(vocabulary: FlorenceIds) -> Iterator[torch.Tensor]:
        rows, width = shapes[_DECODER_TABLE]
        embeddings, count = table.read().float(), min(len(vocabulary), rows)
        step = max(1, PIECE_BYTES // (4 * width))
        for start in range(0, count, step):
            yield vocabulary.average(embeddings, start, min(start + step, count)).reshape(-1)
        if rows > count:
            yield from random(_DECODER_TABLE, rows - count)()

    def place(name: str) -> Callable[[], Iterator[torch.Tensor]]:
        if name == _ENCODER_TABLE:
            return encoder_table
        if name == _DECODER_TABLE and vocabulary is not None:
            return partial(decoder_table, vocabulary)
        if name == _SINUSOID and name not in sources:
            module = Florence2VisionPositionalEmbeddingCosine1D(config.vision_config)
            return lambda: iter([module.pos_idx_to_embed.reshape(-1)])
        if name.endswith(".cross_attn_gate.weight"):
            return lambda: iter([torch.zeros(math.prod(shapes[name]))])
        if ".cross_attn." in name:
            return random(name)
        origin = name.replace(".post_cross_attn_layernorm.", ".post_attention_layernorm.")
        if origin not in sources:
            raise ValueError(f"{gemma if _of_gemma(name, kind) else florence} lacks the tensor {origin}")
        tensor = sources[origin]
        used.add(origin)
        # The old layout keeps the projection as the transpose of a Linear's weight.
        transposed = origin.endswith(".image_projection.weight") and tensor.name == "image_projection"
        shape = tuple(reversed(tensor.shape)) if transposed else tensor.shape
        if shape != shapes[name]:
            folder = gemma if _of_gemma(name, kind) else florence
            raise ValueError(
                f"{folder}: {tensor.name} has shape {list(shape)}, but this size of Florenz needs {list(shapes[name])}"
            )
        return (lambda: iter([tensor.read().T.reshape(-1)])) if transposed else tensor.pieces

    used: set[str] = set()
    planned = [PlannedTensor(name, shape, dtype, place(name)) for name, shape in shapes.items()]
    if unused := sorted(set(sources) - used):
        raise ValueError(f"{len(unused)} tensors of the sources have no place, the first is {sources[unused[0]].name}")
    return planned


def _of_gemma(name: str, kind: str) -> bool:
    return kind == "gemma2" and name.startswith("model.decoder.")
