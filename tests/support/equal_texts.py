"""Ways of asking a model for a text that must not matter, each with what it must be equal to."""

from typing import Any

import torch
from decoding import encode
from equal_logits import Check, embedded
from random_models import NEW, ROWS, Case
from tiny_models import randomise
from transformers.modeling_outputs import BaseModelOutput

from modeling_florenz import FlorenzForConditionalGeneration


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
