"""Cut a Florenz into the four graphs that ONNX Runtime runs: tower, prompt encoder, keys and values, decoder step."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
import torch
from torch import nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from ..configuration_florenz import FlorenzConfig
from ..modeling_florenz import FlorenzForConditionalGeneration


GRAPHS = ("vision", "prompt_encoder", "cross_cache", "decoder_step")
OPSET = 20
# A file of protobuf ends at 2 GB and is read into memory whole; weights beside it are mapped.
_MOST_INSIDE = 64 * 2**20
# Smaller ones are not worth a node.
_LEAST_IN_8_BITS = 1024


@dataclass(frozen=True)
class CacheShape:
    """Hold what of a decoder decides about its keys and values."""

    layers: range
    cross_layers: range
    heads: int
    head_dim: int

    def names(self, kind: str) -> list[str]:
        """Return the names of the keys and values in the graphs; `kind` is `past`, `present` or `cross`."""
        layers = self.cross_layers if kind == "cross" else self.layers
        return [f"{kind}.{index}.{part}" for index in layers for part in ("key", "value")]


def cache_shape(config: FlorenzConfig) -> CacheShape:
    """Read the shape of a decoder's keys and values."""
    decoder = config.text_config
    if decoder.model_type == "bart":
        layers, heads = range(decoder.decoder_layers), decoder.decoder_attention_heads
        return CacheShape(layers, layers, heads, decoder.d_model // heads)
    layers = range(decoder.num_hidden_layers)
    every = config.cross_attention_every_n_layers
    return CacheShape(layers, layers[::every], decoder.num_key_value_heads, decoder.head_dim)


class _Vision(nn.Module):
    def __init__(self, model: FlorenzForConditionalGeneration) -> None:
        super().__init__()
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        tokens: torch.Tensor = self.projector(self.tower(pixel_values).last_hidden_state)
        return tokens


class _PromptEncoder(nn.Module):
    def __init__(self, model: FlorenzForConditionalGeneration) -> None:
        super().__init__()
        self.encoder = model.model.encoder

    def forward(
        self, image_tokens: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        embeds = torch.cat((image_tokens, self.encoder.embed_tokens(input_ids)), dim=1)
        states: torch.Tensor = self.encoder(inputs_embeds=embeds, attention_mask=attention_mask).last_hidden_state
        return states


def _cross_attention(layer: Any) -> Any:
    return layer.encoder_attn if hasattr(layer, "encoder_attn") else layer.cross_attn


class _CrossCache(nn.Module):
    def __init__(self, model: FlorenzForConditionalGeneration) -> None:
        super().__init__()
        shape, layers = cache_shape(model.config), model.model.decoder.layers
        blocks = [_cross_attention(layers[index]) for index in shape.cross_layers]
        self.projections = nn.ModuleList(part for block in blocks for part in (block.k_proj, block.v_proj))
        self.head_dim = shape.head_dim

    def forward(self, encoder_states: torch.Tensor) -> list[torch.Tensor]:
        split = (*encoder_states.shape[:2], -1, self.head_dim)
        return [project(encoder_states).view(split).transpose(1, 2) for project in self.projections]


class _DecoderStep(nn.Module):
    def __init__(self, model: FlorenzForConditionalGeneration, gaze: bool) -> None:
        super().__init__()
        self.decoder, self.lm_head = model.model.decoder, model.lm_head
        self.shape, self.cap = cache_shape(model.config), model.config.text_config.final_logit_softcapping
        self.looked_at: list[torch.Tensor] = []
        if gaze:
            half = self.shape.cross_layers[len(self.shape.cross_layers) // 2 :]
            for index in half:
                block = _cross_attention(self.decoder.layers[index])
                block.register_forward_hook(lambda module, given, found: self.looked_at.append(found[1].mean(1)))

    def forward(
        self,
        decoder_input_ids: torch.Tensor,
        decoder_attention_mask: torch.Tensor,
        attention_mask: torch.Tensor,
        past: list[torch.Tensor],
        cross: list[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        self.looked_at.clear()
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        for place, index in enumerate(self.shape.layers):
            cache.self_attention_cache.update(past[2 * place], past[2 * place + 1], index)
        for place, index in enumerate(self.shape.cross_layers):
            cache.cross_attention_cache.update(cross[2 * place], cross[2 * place + 1], index)
            cache.is_updated[index] = True
        states = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_attention_mask=attention_mask,
            cache=cache,
            use_cache=True,
        ).last_hidden_state
        # As rows of one matrix: the head is then the stored table itself, and not a second, transposed one.
        logits = self.lm_head(states.flatten(0, 1)).view(*states.shape[:2], -1)
        if self.cap is not None:
            logits = torch.tanh(logits / self.cap) * self.cap
        layers: Any = cache.self_attention_cache.layers
        present = [part for layer in layers for part in (layer.keys, layer.values)]
        gaze = [torch.stack(self.looked_at).mean(0)] if self.looked_at else []
        return (logits, *present, *gaze)


@dataclass(frozen=True)
class _Plan:
    """Hold how a graph is traced: example inputs whose sizes are all different, the names of their axes."""

    module: nn.Module
    inputs: tuple[Any, ...]
    axes: tuple[Any, ...]
    input_names: list[str]
    output_names: list[str]


def _plans(model: FlorenzForConditionalGeneration, image_size: int, gaze: bool) -> Iterator[tuple[str, _Plan]]:
    config, shape = model.config, cache_shape(model.config)
    width, sources, texts, source, prompt, new, seen = config.encoder_config.d_model, 3, 6, 11, 7, 5, 4
    pixels = torch.zeros(2, config.vision_config.in_channels, image_size, image_size)
    yield "vision", _Plan(_Vision(model), (pixels,), ({0: "images"},), ["pixel_values"], ["image_tokens"])
    yield (
        "prompt_encoder",
        _Plan(
            _PromptEncoder(model),
            (
                torch.zeros(sources, source - prompt, width),
                torch.full((sources, prompt), 3),
                torch.ones(sources, source, dtype=torch.long),
            ),
            (
                {0: "sources", 1: "image"},
                {0: "sources", 1: "prompt"},
                {0: "sources", 1: "source"},
            ),
            ["image_tokens", "input_ids", "attention_mask"],
            ["encoder_states"],
        ),
    )
    states = torch.zeros(sources, source, width)
    axes: Any = ({0: "sources", 1: "source"},)
    yield "cross_cache", _Plan(_CrossCache(model), (states,), axes, ["encoder_states"], shape.names("cross"))
    past = [torch.zeros(texts, shape.heads, seen, shape.head_dim) for _ in shape.names("past")]
    cross = [torch.zeros(sources, shape.heads, source, shape.head_dim) for _ in shape.names("cross")]
    yield (
        "decoder_step",
        _Plan(
            _DecoderStep(model, gaze),
            (
                torch.full((texts, new), 3),
                torch.ones(texts, seen + new, dtype=torch.long),
                torch.ones(sources, source, dtype=torch.long),
                past,
                cross,
            ),
            (
                {0: "texts", 1: "new"},
                {0: "texts", 1: "written"},
                {0: "sources", 1: "source"},
                [{0: "texts", 2: "seen"} for _ in past],
                [{0: "sources", 2: "source"} for _ in cross],
            ),
            [
                "decoder_input_ids",
                "decoder_attention_mask",
                "attention_mask",
                *shape.names("past"),
                *shape.names("cross"),
            ],
            ["logits", *shape.names("present"), *(["gaze"] if gaze else [])],
        ),
    )


@torch.no_grad()
def write_graphs(
    model: FlorenzForConditionalGeneration, folder: Path, image_size: int, int8: bool = False, gaze: bool = False
) -> list[Path]:
    """Write the graphs of a model, each as `NAME.onnx`, with its weights in `NAME.onnx.data` if they are large.

    Args:
        model: in float32, on a CPU.
        image_size: side of the square images in pixels; every other axis stays free, and nothing may have been written
            yet (a past of length 0).
        int8: store matrices in 8 bits, with a scale for each row that is an output; they are computed with in float32.
        gaze: also give out where each token looked, `(texts, new, source)`: the mean of the heads and of the last half
            of the layers.
    """
    if gaze:
        model.model.decoder.set_attn_implementation("eager")  # the fast one of BART has no weights to give out
    paths = []
    for name, plan in _plans(model, image_size, gaze):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about its own insides
            program: Any = torch.onnx.export(
                plan.module.eval(),
                plan.inputs,
                dynamo=True,
                dynamic_shapes=plan.axes,
                input_names=plan.input_names,
                output_names=plan.output_names,
                opset_version=OPSET,
                verbose=False,
            )
        _forget_origin(program.model)
        if int8:
            _store_in_8_bits(program.model)
        paths.append(folder / f"{name}.onnx")
        size = sum(weight.const_value.nbytes for weight in program.model.graph.initializers.values())
        program.save(str(paths[-1]), external_data=size > _MOST_INSIDE)
    return paths


def _forget_origin(model: Any) -> None:
    """Drop the stack traces that each node carries: they are larger than a small model, and name folders of here."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                value.metadata_props.clear()


def _store_in_8_bits(model: Any) -> None:
    """Store the matrices of a graph as whole numbers, with a scale for each output."""
    graph = model.graph
    for name, weight in list(graph.initializers.items()):
        # Where a matrix is read as a table or turned round, its rows are the outputs; else its columns are.
        uses = {(use.node.op_type, use.idx) for use in weight.uses()}
        if uses == {("MatMul", 1)}:
            axis = 1
        elif uses and uses <= {("Gather", 0), ("Gemm", 1)}:
            axis = 0
        else:
            continue
        values = weight.const_value.numpy()
        if values.ndim != 2 or values.size < _LEAST_IN_8_BITS:
            continue
        scale = np.maximum(np.abs(values).max(1 - axis), np.finfo(np.float32).tiny) / np.float32(127)
        whole = np.rint(values / np.expand_dims(scale, 1 - axis)).astype(np.int8)
        stored = [
            onnx_ir.val(f"{name}.{part}", const_value=onnx_ir.tensor(array, name=f"{name}.{part}"))
            for part, array in (("int8", whole), ("scale", scale))
        ]
        for value in stored:
            graph.register_initializer(value)
        node = onnx_ir.node("DequantizeLinear", stored, {"axis": axis})
        graph.insert_before(graph[0], node)
        weight.replace_all_uses_with(node.outputs[0])
        del graph.initializers[name]
