"""Run a Florenz on ONNX Runtime: its four graphs stand where the modules of torch were, the search stays the same."""

from pathlib import Path
from typing import Any

import torch
from onnxruntime import InferenceSession, SessionOptions
from torch import nn
from transformers import GenerationConfig
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling
from transformers.models.florence2.modeling_florence2 import Florence2Seq2SeqLMOutput

from ..checkpoint.loading import LoadedModel
from ..checkpoint.settings import check_generation_config, load_processor_files, read_config, sentence
from ..configuration_florenz import FlorenzConfig
from ..modeling_florenz import FlorenzForConditionalGeneration, FlorenzPreTrainedModel
from .onnx_folder import read_manifest
from .onnx_graphs import GRAPHS, OPSET, cache_shape


class OnnxFlorenz(FlorenzForConditionalGeneration):
    """Caption and translate with graphs of ONNX; see `FlorenzForConditionalGeneration`, without training.

    Args:
        config: of the model that the graphs were made of.
        folder: holds them.
        image_size: side of the images they take.
        generation_config: how to search.
    """

    def __init__(
        self, config: FlorenzConfig, folder: Path, image_size: int, generation_config: GenerationConfig
    ) -> None:
        FlorenzPreTrainedModel.__init__(self, config)  # the modules of torch are not built
        self.generation_config = generation_config
        self.image_size, self.shape = image_size, cache_shape(config)
        self._sessions = {name: _session(folder / f"{name}.onnx") for name in GRAPHS}

    @property
    def device(self) -> torch.device:
        """Return the CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Return float32, which the graphs compute in."""
        return torch.float32

    def _run(self, graph: str, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        session = self._sessions[graph]
        # What a model does not use, such as the mask of a graph without layers, is not among its inputs.
        given = {node.name: inputs[node.name].contiguous().numpy() for node in session.get_inputs()}
        names = [node.name for node in session.get_outputs()]
        return {name: torch.from_numpy(value) for name, value in zip(names, session.run(names, given), strict=True)}

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Encode images; see `FlorenzModel.get_image_features`."""
        if pixel_values.shape[2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"pixel_values have shape {tuple(pixel_values.shape)}, but these graphs take images of "
                f"{self.image_size} x {self.image_size} px: export the model again with --image-size"
            )
        tokens = self._run("vision", pixel_values=pixel_values.float())["image_tokens"]
        return BaseModelOutputWithPooling(pooler_output=tokens)

    def _encode(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
    ) -> tuple[BaseModelOutput, torch.Tensor]:
        image: Any = (mm_encoder_outputs or {}).get("image")
        if pixel_values is not None:
            image = self.get_image_features(pixel_values)
        if image is None and (input_ids is None or not input_ids.shape[1]):
            raise ValueError("there is nothing to encode: give pixel_values, input_ids or both")
        rows = len(image.pooler_output) if input_ids is None else len(input_ids)
        width = self.config.encoder_config.d_model
        tokens = torch.zeros(rows, 0, width) if image is None else image.pooler_output
        ids = torch.zeros(rows, 0, dtype=torch.long) if input_ids is None else input_ids
        if attention_mask is None:
            attention_mask = ids.ne(self.config.encoder_config.pad_token_id).long()
        if len(tokens) != rows:
            raise ValueError(f"{len(tokens)} images came with {rows} prompts: give one each")
        limit, length = self.config.encoder_config.max_position_embeddings, tokens.shape[1] + ids.shape[1]
        if length > limit:
            raise ValueError(f"image and prompt together have {length} tokens: the encoder takes {limit} at most")
        mask = nn.functional.pad(attention_mask, (tokens.shape[1], 0), value=1)
        found = self._run("prompt_encoder", image_tokens=tokens, input_ids=ids, attention_mask=mask)
        return BaseModelOutput(last_hidden_state=found["encoder_states"]), mask

    def encode_guided(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
    ) -> tuple[BaseModelOutput, torch.Tensor]:
        """Encode every prompt with its image and once more without it; see `FlorenzForConditionalGeneration`."""
        if pixel_values is None and mm_encoder_outputs is None:
            raise ValueError("image_guidance is for a prompt with an image: give pixel_values, or leave it out")
        with_image, mask = self._encode(input_ids, pixel_values, attention_mask, mm_encoder_outputs)
        without, blind = self._encode(input_ids, attention_mask=attention_mask)
        seen, unseen = with_image[0], without[0]
        missing = seen.shape[1] - unseen.shape[1]
        states = torch.cat((seen, nn.functional.pad(unseen, (0, 0, missing, 0))))
        return BaseModelOutput(last_hidden_state=states), torch.cat((mask, nn.functional.pad(blind, (missing, 0))))

    @torch.no_grad()
    def _maybe_prepare_encoder_kwargs_for_generation(
        self,
        inputs_tensor: torch.Tensor,
        model_kwargs: dict[str, Any],
        model_input_name: str | None,
        generation_config: GenerationConfig,
    ) -> dict[str, Any]:
        if model_input_name == "inputs_embeds":
            raise ValueError("these graphs embed prompts themselves: give input_ids instead of inputs_embeds")
        if model_kwargs.get("encoder_outputs") is None:
            given = {name: model_kwargs.pop(name, None) for name in ("pixel_values", "mm_encoder_outputs")}
            mask = model_kwargs.pop("attention_mask", None)
            encode = self._encode if model_kwargs.get("image_guidance") is None else self.encode_guided
            model_kwargs["encoder_outputs"], model_kwargs["attention_mask"] = encode(
                inputs_tensor, attention_mask=mask, **given
            )
        return self._check_prefixes(model_kwargs)

    def _prepare_cache_for_generation(self, generation_config: GenerationConfig, model_kwargs: Any, *rest: Any) -> Any:
        # The graphs know the sliding window themselves and are given all keys.
        model_kwargs.setdefault("cache", EncoderDecoderCache(DynamicCache(), DynamicCache()))

    @torch.no_grad()
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        cache: EncoderDecoderCache | None = None,
        labels: torch.LongTensor | None = None,
        logits_to_keep: int = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        image_guidance: float | None = None,
        **kwargs: Any,
    ) -> Florence2Seq2SeqLMOutput:
        """Predict the decoder's next tokens; see `FlorenzForConditionalGeneration`. There is never a loss."""
        if labels is not None and decoder_input_ids is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if decoder_input_ids is None:
            raise ValueError("the decoder has no input: give labels or decoder_input_ids")
        if encoder_outputs is None:
            encode = self._encode if image_guidance is None else self.encode_guided
            encoder_outputs, attention_mask = encode(
                input_ids, pixel_values, attention_mask, mm_encoder_outputs=mm_encoder_outputs
            )
        states = encoder_outputs[0]
        if image_guidance is not None:
            decoder_input_ids = torch.cat((decoder_input_ids, decoder_input_ids))
            if decoder_attention_mask is not None:
                decoder_attention_mask = torch.cat((decoder_attention_mask, decoder_attention_mask))
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache()) if cache is None else cache
        logits = self._step(decoder_input_ids, decoder_attention_mask, states, attention_mask, cache)
        if logits_to_keep:
            logits = logits[:, -logits_to_keep:]
        if image_guidance is not None:
            guided, unguided = logits.chunk(2)
            logits = torch.lerp(unguided, guided, image_guidance)
        return Florence2Seq2SeqLMOutput(logits=logits, cache=cache, encoder_last_hidden_state=states)

    def _step(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor | None,
        states: torch.Tensor,
        source_mask: torch.Tensor | None,
        cache: EncoderDecoderCache,
    ) -> torch.Tensor:
        texts, sources = len(ids), len(states)
        if texts % sources:
            raise ValueError(
                f"{texts} decoder rows came with {sources} encoder rows: give each the same number of texts"
            )
        own, cross, shape = cache.self_attention_cache, cache.cross_attention_cache, self.shape
        if not cache.is_updated.get(0):
            made = self._run("cross_cache", encoder_states=states)
            for index in shape.cross_layers:
                cross.update(made[f"cross.{index}.key"], made[f"cross.{index}.value"], index)
                cache.is_updated[index] = True
        if not own.layers:
            nothing = torch.zeros(texts, shape.heads, 0, shape.head_dim)
            for index in shape.layers:
                own.update(nothing, nothing, index)
        if source_mask is None:
            source_mask = torch.ones(sources, states.shape[1], dtype=torch.long)
        # Of the prompt alone, or with a row for each beam.
        source_mask = nn.functional.pad(source_mask, (states.shape[1] - source_mask.shape[1], 0), value=1)
        source_mask = source_mask[:: len(source_mask) // sources]
        layers: Any = own.layers
        if mask is None:
            mask = torch.ones(texts, layers[0].keys.shape[2] + ids.shape[1], dtype=torch.long)
        inputs = {"decoder_input_ids": ids, "decoder_attention_mask": mask, "attention_mask": source_mask}
        for kind, side, numbers in (("past", own, shape.layers), ("cross", cross, shape.cross_layers)):
            for index in numbers:
                layer: Any = side.layers[index]
                inputs[f"{kind}.{index}.key"], inputs[f"{kind}.{index}.value"] = layer.keys, layer.values
        found = self._run("decoder_step", **inputs)
        for index in shape.layers:
            layers[index].keys = found[f"present.{index}.key"]
            layers[index].values = found[f"present.{index}.value"]
        return found["logits"]


def _session(path: Path) -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    # Kept for the next run, what the tower needs for a moment would be half the size of a small model's weights.
    options.enable_cpu_mem_arena = False
    if path.with_name(f"{path.name}.data").exists():
        # Packed for faster products, they would stand beside the mapped ones.
        options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        return InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of its own kinds
        raise ValueError(f"{path} could not be loaded by ONNX Runtime: {sentence(error)}") from None


def load_exported(model: str | Path) -> LoadedModel:
    """Load a folder that `florenz export` wrote.

    Raises:
        ValueError: a graph is missing, changed or of another opset, or does not fit the processor beside it.
    """
    folder = Path(model).expanduser()
    manifest = read_manifest(folder, GRAPHS, OPSET)
    config = read_config(folder)
    check_generation_config(folder, config)
    processor = load_processor_files(folder, config)
    side = processor.image_processor.size["height"]
    if side != manifest.image_size:
        raise ValueError(
            f"the graphs of {folder} take images of {manifest.image_size} px, but its processor makes {side} px: "
            "write the folder again with florenz export"
        )
    generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return LoadedModel(OnnxFlorenz(config, folder, manifest.image_size, generation_config).eval(), processor)
