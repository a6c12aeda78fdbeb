"""Whatever gives the model the same, gives the same text: many ways of asking, over many random configurations."""

import copy
import pickle
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from decoding import encode
from tiny_models import KINDS, randomise, tiny_labels
from transformers import AutoModel
from transformers.modeling_outputs import BaseModelOutput

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration


pytestmark = pytest.mark.slow

ROWS, NEW, PADS = 3, 10, 1
CLOSE = 2e-4  # float32, on logits around 6
Check = Callable[["Case"], tuple[torch.Tensor, torch.Tensor]]


def random_config(kind: str, number: int) -> FlorenzConfig:
    """Draw the sizes of a tiny model; every width, depth, window, cap and number of heads may be another."""
    draw = random.Random(f"{kind}/{number}")
    heads = draw.choice((2, 4))
    width = draw.choice((16, 32, 48))
    bart = {
        "d_model": width,
        "encoder_layers": draw.randint(1, 4),
        "decoder_layers": draw.randint(1, 4),
        "encoder_attention_heads": heads,
        "decoder_attention_heads": draw.choice((2, 4)),
        "encoder_ffn_dim": draw.choice((24, 64)),
        "decoder_ffn_dim": draw.choice((24, 64)),
        "max_position_embeddings": 128,
        "scale_embedding": draw.random() < 0.3,
    }
    vocabulary = draw.randint(110, 140)
    text: dict[str, Any] = {"model_type": "bart", **bart, "vocab_size": vocabulary}
    if kind == "gemma2":
        text = {
            "model_type": "gemma2",
            "hidden_size": draw.choice((16, 48, 64)),
            "intermediate_size": draw.choice((32, 96)),
            "num_hidden_layers": draw.randint(1, 5),
            "num_attention_heads": 4,
            "num_key_value_heads": draw.choice((1, 2, 4)),
            "head_dim": draw.choice((8, 16)),
            "query_pre_attn_scalar": draw.choice((8, 16)),
            "sliding_window": draw.choice((3, 8, 64)),
            "attn_logit_softcapping": draw.choice((None, 20.0, 50.0)),
            "vocab_size": vocabulary,
        }
    text["final_logit_softcapping"] = draw.choice((None, 15.0, 30.0))
    depths = [draw.randint(1, 2) for _ in range(4)]
    return FlorenzConfig(
        vision_config={
            "depths": depths,
            "embed_dim": [16, 32, 64, 128],
            "num_heads": [2, 2, 4, 4],
            "num_groups": [2, 2, 4, 4],
            "window_size": draw.choice((2, 4, 5)),
        },
        encoder_config={**bart, "vocab_size": 99, "bos_token_id": 0, "pad_token_id": PADS, "eos_token_id": 2},
        text_config=text,
        cross_attention_every_n_layers=draw.choice((1, 1, 2, 3)) if kind == "gemma2" else 1,
    )


class Case:
    """Hold a random model with inputs for three rows, and what it answers to the plainest way of asking."""

    def __init__(self, kind: str, number: int, folder: Any) -> None:
        self.kind, self.number, self.folder = kind, number, folder
        self.model = FlorenzForConditionalGeneration(random_config(kind, number))
        randomise(self.model, number)
        self.model.eval()
        generator = torch.Generator().manual_seed(number)
        side = (32, 64, 96)[number % 3]
        self.pixels = torch.randn(ROWS, 3, side, side, generator=generator)
        self.lengths = [9, 9 - number % 4, 4]
        self.ids = torch.randint(3, 99, (ROWS, 9), generator=generator)
        self.mask = torch.ones(ROWS, 9, dtype=torch.long)
        for row, length in enumerate(self.lengths):
            self.ids[row, 0], self.ids[row, length - 1] = 0, 2
            self.ids[row, length:], self.mask[row, length:] = PADS, 0
        self.labels = tiny_labels(number).clamp(max=109)
        self.decoder_ids = self.model.prepare_decoder_input_ids_from_labels(self.labels)
        self.inputs = {"pixel_values": self.pixels, "input_ids": self.ids, "attention_mask": self.mask}
        self.prompt = {"input_ids": self.ids, "attention_mask": self.mask}
        self.logits = self.ask(**self.inputs, decoder_input_ids=self.decoder_ids)
        self.text = self.write(**self.inputs)

    def ask(self, model: Any = None, **given: Any) -> torch.Tensor:
        return (model or self.model)(**given).logits

    def write(self, model: Any = None, new: int = NEW, **given: Any) -> torch.Tensor:
        settings = {"num_beams": 1, "do_sample": False, "min_new_tokens": new, "max_new_tokens": new}
        return (model or self.model).generate(**{**settings, "suppress_tokens": [0, 1, 2], **given})

    def features(self) -> dict[str, Any]:
        return {"image": self.model.get_image_features(self.pixels)}

    def reloaded(self, auto: bool = False) -> Any:
        place = self.folder / "saved"
        if not place.exists():
            self.model.save_pretrained(place)
        return (AutoModel if auto else FlorenzForConditionalGeneration).from_pretrained(place).eval()


# ---- logits


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


# ---- texts


def texts_alone(case: Case) -> torch.Tensor:
    return torch.cat(
        [
            case.write(pixel_values=case.pixels[row : row + 1], input_ids=case.ids[row : row + 1, :length])
            for row, length in enumerate(case.lengths)
        ]
    )


def written_from_states(case: Case) -> torch.Tensor:
    states, mask = encode(case.model, case.inputs)
    return case.write(encoder_outputs=BaseModelOutput(last_hidden_state=states.last_hidden_state), attention_mask=mask)


def continued(case: Case) -> torch.Tensor:
    first = case.write(**case.inputs, new=4, return_dict_in_generate=True)
    return case.write(**case.inputs, new=NEW - 4, cache=first.cache, decoder_input_ids=first.sequences)


def ragged(case: Case) -> torch.Tensor:
    """Write on from prefixes of two lengths, padded on the left in one batch."""
    prefix, mask = case.text[:, :5].clone(), torch.ones(ROWS, 5, dtype=torch.long)
    prefix[1] = torch.cat((torch.zeros(2, dtype=torch.long), case.text[1, :3]))
    mask[1, :2] = 0
    return case.write(**case.inputs, new=5, decoder_input_ids=prefix, decoder_attention_mask=mask)[:, 5:]


def ragged_alone(case: Case) -> torch.Tensor:
    return torch.stack([case.text[0, 5:10], case.text[1, 3:8], case.text[2, 5:10]])


def features_alone(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    return case.write(mm_encoder_outputs=case.features()), case.write(pixel_values=case.pixels)


def assisted(case: Case) -> torch.Tensor:
    other = FlorenzForConditionalGeneration(case.model.config)
    randomise(other, case.number + 1)
    one = {name: value[:1] for name, value in case.inputs.items()}
    return case.write(**one, assistant_model=other.eval())


def looked_up(case: Case) -> torch.Tensor:
    one = {name: value[:1] for name, value in case.inputs.items()}
    return case.write(**one, prompt_lookup_num_tokens=2)


def beams(case: Case, **given: Any) -> torch.Tensor:
    return case.write(**case.inputs, num_beams=3, **given)


TEXTS: dict[str, Check] = {
    "without a cache": lambda c: (c.write(**c.inputs, use_cache=False), c.text),
    "a static cache": lambda c: (c.write(**c.inputs, cache_implementation="static"), c.text),
    "rows alone": lambda c: (texts_alone(c), c.text),
    "image features": lambda c: (c.write(**c.prompt, mm_encoder_outputs=c.features()), c.text),
    "image features alone": features_alone,
    "encoder states": lambda c: (written_from_states(c), c.text),
    "prompts as embeddings": lambda c: (c.write(**embedded(c)), c.text),
    "on from its own words": lambda c: (c.write(**c.inputs, new=NEW - 5, decoder_input_ids=c.text[:, :6]), c.text),
    "on from a finished cache": lambda c: (continued(c), c.text),
    "an assistant": lambda c: (assisted(c), c.text[:1]),
    "words looked up in its own": lambda c: (looked_up(c), c.text[:1]),
    "beams without a cache": lambda c: (beams(c, use_cache=False), beams(c)),
    "beams with a static cache": lambda c: (beams(c, cache_implementation="static"), beams(c)),
    "loaded by AutoModel": lambda c: (c.write(c.reloaded(auto=True), **c.inputs), c.text),
}
ONLY = {"gemma2": {"ragged prefixes": lambda c: (ragged(c), ragged_alone(c))}, "bart": {}}


@torch.no_grad()
@pytest.mark.parametrize("number", range(30))
@pytest.mark.parametrize("kind", KINDS)
def test_equal_questions_get_equal_answers(kind: str, number: int, tmp_path: Any) -> None:
    case = Case(kind, number, tmp_path)
    off = {}
    for name, ask in LOGITS.items():
        off[name] = (ask(case) - case.logits).abs().max().item()
    for name, both in OTHERS.items():
        found, wanted = both(case)
        off[name] = (found - wanted).abs().max().item() if found.shape == wanted.shape else float("inf")
    wrong = [f"{name}: {distance:.1e}" for name, distance in off.items() if not distance < CLOSE]
    half = (in_dtype(case, torch.bfloat16) - case.logits).abs().mean().item()
    spread = case.logits.std().item()
    if not half < 0.25 * spread:
        wrong.append(f"bfloat16: {half:.2f} of {spread:.2f}")
    for name, both in {**TEXTS, **ONLY[kind]}.items():
        found, wanted = both(case)
        if not torch.equal(found, wanted):
            wrong.append(f"text, {name}: {found.tolist()} for {wanted.tolist()}")
    assert not wrong, "\n".join(wrong)


@torch.no_grad()
@pytest.mark.parametrize("kind", KINDS)
def test_other_questions_get_other_answers(kind: str, tmp_path: Any) -> None:
    case = Case(kind, 0, tmp_path)
    changed = {
        "another image": {**case.inputs, "pixel_values": case.pixels.flip(0)},
        "pads that are read": {**case.inputs, "attention_mask": torch.ones_like(case.mask)},
        "another prompt": {**case.inputs, "input_ids": case.ids.clamp(max=50)},
        "no image": case.prompt,
    }
    for name, given in changed.items():
        found = case.ask(**given, decoder_input_ids=case.decoder_ids)
        assert (found - case.logits).abs().max() > 100 * CLOSE, name
    assert not torch.equal(case.write(**changed["another image"]), case.text)
