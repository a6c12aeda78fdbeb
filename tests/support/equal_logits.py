"""Ways of asking a model for logits that must not matter, each with what it must be equal to."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import torch
from decoding import encode
from random_models import PADS, Case


Check = Callable[[Case], tuple[torch.Tensor, torch.Tensor]]


def steps(case: Case, sizes: list[int], **given: Any) -> torch.Tensor:
    found, cache, start = [], None, 0
    for size in sizes:
        piece = case.decoder_ids[:, start : start + size]
        output = case.model(**case.inputs, decoder_input_ids=piece, cache=cache, use_cache=True, **given)
        found.append(output.logits)
        cache, start = output.cache, start + size
    return torch.cat(found, dim=1)


def rows_alone(case: Case) -> torch.Tensor:
    found = []
    for row, length in enumerate(case.lengths):
        one = slice(row, row + 1)
        given = {"pixel_values": case.pixels[one], "input_ids": case.ids[one, :length]}
        found.append(case.ask(**given, decoder_input_ids=case.decoder_ids[one]))
    return torch.cat(found)


def more_pads(case: Case) -> torch.Tensor:
    pad = torch.nn.functional.pad
    given = {"input_ids": pad(case.ids, (0, 5), value=PADS), "attention_mask": pad(case.mask, (0, 5))}
    return case.ask(pixel_values=case.pixels, **given, decoder_input_ids=case.decoder_ids)


def encoded(case: Case, full_mask: bool, as_tuple: bool = False) -> torch.Tensor:
    states, mask = encode(case.model, case.inputs)
    given = {"encoder_outputs": (states.last_hidden_state,) if as_tuple else states}
    given["attention_mask"] = mask if full_mask else case.mask
    return case.ask(**given, decoder_input_ids=case.decoder_ids)


def embedded(case: Case) -> dict[str, Any]:
    return {
        "pixel_values": case.pixels,
        "inputs_embeds": case.model.model.encoder.embed_tokens(case.ids),
        "attention_mask": case.mask,
    }


def checkpointed(case: Case) -> torch.Tensor:
    model = copy.deepcopy(case.model)
    for part in model.modules():
        if hasattr(part, "dropout") and isinstance(part.dropout, float):
            part.dropout = 0.0
    model.gradient_checkpointing_enable()
    return case.ask(model, **case.inputs, decoder_input_ids=case.decoder_ids)


def resized(case: Case) -> torch.Tensor:
    model = copy.deepcopy(case.model)
    size = model.config.text_config.vocab_size
    model.resize_token_embeddings(size + 7, mean_resizing=False)
    return case.ask(model, **case.inputs, decoder_input_ids=case.decoder_ids)[..., :size]


def in_dtype(case: Case, dtype: torch.dtype) -> torch.Tensor:
    model = copy.deepcopy(case.model).to(dtype)
    inputs = {**case.inputs, "pixel_values": case.pixels.to(dtype)}
    return case.ask(model, **inputs, decoder_input_ids=case.decoder_ids).float()


def on_eager(case: Case) -> torch.Tensor:
    model = copy.deepcopy(case.model)
    model.set_attn_implementation("eager")
    return case.ask(model, **case.inputs, decoder_input_ids=case.decoder_ids)


def right_pads(case: Case) -> torch.Tensor:
    return case.ask(**case.inputs, decoder_input_ids=torch.nn.functional.pad(case.decoder_ids, (0, 4)))


def losses(case: Case, **given: Any) -> torch.Tensor:
    return case.model(**case.inputs, labels=case.labels, **given).loss


LOGITS: dict[str, Callable[[Case], torch.Tensor]] = {
    "step by step with a cache": lambda c: steps(c, [1] * c.decoder_ids.shape[1]),
    "in pieces with a cache": lambda c: steps(c, [5, 1, c.decoder_ids.shape[1] - 6]),
    "rows alone": rows_alone,
    "without a mask": lambda c: c.ask(pixel_values=c.pixels, input_ids=c.ids, decoder_input_ids=c.decoder_ids),
    "more pads": more_pads,
    "image features": lambda c: c.ask(**c.prompt, mm_encoder_outputs=c.features(), decoder_input_ids=c.decoder_ids),
    "encoder states, mask of the prompt": lambda c: encoded(c, False),
    "encoder states, whole mask": lambda c: encoded(c, True),
    "encoder states as a tuple": lambda c: encoded(c, True, as_tuple=True),
    "prompts as embeddings": lambda c: c.ask(**embedded(c), decoder_input_ids=c.decoder_ids),
    "targets as embeddings": lambda c: c.ask(
        **c.inputs, decoder_inputs_embeds=c.model.get_input_embeddings()(c.decoder_ids)
    ),
    "labels": lambda c: c.ask(**c.inputs, labels=c.labels),
    "a tuple": lambda c: c.model(**c.inputs, decoder_input_ids=c.decoder_ids, return_dict=False)[0],
    "without a cache": lambda c: c.ask(**c.inputs, decoder_input_ids=c.decoder_ids, use_cache=False),
    "saved and loaded": lambda c: c.ask(c.reloaded(), **c.inputs, decoder_input_ids=c.decoder_ids),
    "pickled": lambda c: c.ask(pickle.loads(pickle.dumps(c.model)), **c.inputs, decoder_input_ids=c.decoder_ids),
    "copied": lambda c: c.ask(copy.deepcopy(c.model), **c.inputs, decoder_input_ids=c.decoder_ids),
    "a larger vocabulary": resized,
    "double precision": lambda c: in_dtype(c, torch.float64),
    "eager attention": on_eager,
    "gradient checkpointing": checkpointed,
}
OTHERS: dict[str, Check] = {
    "the last logits alone": lambda c: (
        c.ask(**c.inputs, decoder_input_ids=c.decoder_ids, logits_to_keep=2),
        c.logits[:, -2:],
    ),
    "right pads of the target": lambda c: (right_pads(c)[:, : c.decoder_ids.shape[1]], c.logits),
    "the loss in chunks": lambda c: (losses(c, loss_chunk_size=5), losses(c)),
    "features as a tuple": lambda c: (
        c.model.get_image_features(c.pixels, return_dict=False)[1],
        c.model.get_image_features(c.pixels).pooler_output,
    ),
    "an image without a prompt": lambda c: (
        c.ask(pixel_values=c.pixels, decoder_input_ids=c.decoder_ids),
        c.ask(pixel_values=c.pixels, input_ids=c.ids[:, :0], decoder_input_ids=c.decoder_ids),
    ),
}
