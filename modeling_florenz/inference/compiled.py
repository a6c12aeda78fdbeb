"""Compile the steps of a search with `torch.compile`, once for all batches."""

from typing import Any

import torch
from torch._dynamo.exc import TorchDynamoException
from transformers.cache_utils import EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from ..modeling_florenz import FlorenzForConditionalGeneration, FlorenzModel


# What a step carries that only continues a search; attentions, for one, are left to the plain model.
_OF_A_STEP = {
    "decoder_input_ids",
    "attention_mask",
    "decoder_attention_mask",
    "encoder_outputs",
    "cache",
    "use_cache",
    "return_dict",
}
# Rows and beams of the warm-up. torch writes code of its own for a size of 1, and beams of a row stand in line; all
# other sizes are read at run time. They differ from one another and from numbers of heads, as torch could take a size
# for one that it equals.
_SHAPES = ((1, 1), (1, 5), (7, 1), (7, 5))
_SOURCE, _PREFIX = 23, 11  # encoder tokens and first tokens


class CompiledFlorenzModel(FlorenzModel):
    """Run the steps of a search that come after the first two by compiled code, and anything else as before.

    The sizes of rows, beams, prompts and texts stay open in the compiled code, so that a batch of any shape runs
    without padding. The keys and values of a text grow as in the plain model: with the room for the longest text, each
    step would read and, for beams, copy all of it.

    Args:
        model: whose parts are used, not copied.
    """

    def __init__(self, model: FlorenzModel) -> None:
        super(FlorenzModel, self).__init__(model.config)  # without parts of its own
        for name, part in model.named_children():
            self.add_module(name, part)
        self.eval()
        self._compiled_step = torch.compile(self._step, dynamic=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model; see `FlorenzModel.forward`."""
        if args or not self._is_step(kwargs):
            return super().__call__(*args, **kwargs)
        ids, cache = kwargs["decoder_input_ids"], kwargs["cache"]
        mask = kwargs.get("decoder_attention_mask")
        if mask is None:  # one variant for texts with and without padding
            mask = ids.new_ones(len(ids), cache.get_seq_length() + 1)
        states = kwargs["encoder_outputs"].last_hidden_state
        # A cache whose rows leave it would be a variant.
        plain = EncoderDecoderCache(cache.self_attention_cache, cache.cross_attention_cache)
        # The mask of a prompt alone is the caller's own, which made outside inference mode would be a variant.
        outputs = self._compiled_step(ids, mask, states, kwargs["attention_mask"].clone(), plain)
        outputs["cache"] = cache
        return outputs

    def _is_step(self, given: dict[str, Any]) -> bool:
        names = {name for name, value in given.items() if value is not None}
        if not {"decoder_input_ids", "attention_mask", "encoder_outputs", "cache"} <= names <= _OF_A_STEP:
            return False
        cache = given["cache"]
        if given["decoder_input_ids"].shape[1] != 1 or cache.is_compileable or not torch.is_inference_mode_enabled():
            return False
        # A length of 1 would be a variant, and so would a text that leaves the sliding window.
        window = getattr(self.config.text_config, "sliding_window", None)
        seen = cache.get_seq_length()
        return bool(cache.is_updated.get(0)) and seen > 1 and (window is None or seen + 2 < window)

    def _step(
        self,
        decoder_input_ids: torch.Tensor,
        decoder_attention_mask: torch.Tensor,
        states: torch.Tensor,
        attention_mask: torch.Tensor,
        cache: Any,
    ) -> Any:
        return self.forward(
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=attention_mask,
            cache=cache,
            use_cache=True,
            return_dict=True,
        )


def check_compiler(device: torch.device, quantize: str | None) -> None:
    """Check that models can be compiled, before one is loaded.

    Raises:
        ValueError: the compiler for the device is missing, or fewer bits are asked for.
    """
    if quantize is not None:
        raise ValueError(f"quantize={quantize!r} cannot be compiled: leave quantize or compile out")
    if device.type == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise ValueError(
                "compile=True needs a C++ compiler and there is none: install g++ or clang++, set CXX to another, or "
                "leave compile out"
            ) from None
    elif device.type == "cuda" and not torch.utils._triton.has_triton():
        raise ValueError("compile=True needs triton on a GPU: install it, or leave compile out")


@torch.inference_mode()
def compile_steps(model: FlorenzForConditionalGeneration) -> None:
    """Compile the steps of a model's searches, in place, and run every variant of the code once.

    The head stays as it is: it is one product, for which a CPU has a faster way with few rows.

    Args:
        model: ready to run, on its device.

    Raises:
        ValueError: the compiler fails; its first line says why.

    Example:

    ```python
    >>> compile_steps(captioner.model)  # doctest: +SKIP
    ```
    """
    model.model = CompiledFlorenzModel(model.model)
    generation: Any = model
    for rows, num_beams in _SHAPES:
        states = torch.zeros(rows, _SOURCE, model.config.encoder_config.d_model, dtype=model.dtype).to(model.device)
        first = torch.full((rows, _PREFIX), model.config.decoder_start_token_id, device=model.device)
        try:
            generation.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=torch.ones(rows, _SOURCE, dtype=torch.long, device=model.device),
                decoder_input_ids=first,
                num_beams=num_beams,
                early_stopping=False,
                do_sample=False,
                min_new_tokens=3,
                max_new_tokens=3,
            )
        except TorchDynamoException as error:
            line = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ValueError(f"the model cannot be compiled here: {line}; leave compile out") from error
