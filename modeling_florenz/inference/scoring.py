"""Score given targets: how likely a model finds a text, for contrasts as in CoMMuTE and for ranking candidates."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn


@torch.no_grad()
def mean_log_probabilities(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Average the log-probability of each row's real tokens, bos and eos counted, in float32.

    Args:
        logits (`(batch, length, vocabulary)`): of the model, soft-capped, for these labels.
        labels (`(batch, length)`): target ids, -100 for padding.

    Returns:
        `(batch,)`, in nats per token.
    """
    losses = nn.functional.cross_entropy(logits.float().transpose(1, 2), labels, reduction="none")
    real = labels.ne(-100)
    return -(losses * real).sum(-1) / real.sum(-1)


@torch.no_grad()
def score_candidates(
    model: Any,
    inputs: Mapping[str, torch.Tensor],
    labels: torch.Tensor,
    at_a_time: int = 16,
    image_guidance: float | None = None,
) -> torch.Tensor:
    """Average the log-probabilities of several targets of one prompt, which is read once for all of them.

    Args:
        model: a Florenz, with an adapter or not.
        inputs: of one prompt, with its image or without.
        labels (`(candidates, length)`): target ids, -100 for padding.
        at_a_time: targets whose logits exist at the same time.
        image_guidance: see the model; left out, the image counts as the model was trained.

    Returns:
        `(candidates,)`, in nats per token.
    """
    if image_guidance is not None:
        encoded, mask = model.encode_guided(**inputs)
        given = {"encoder_outputs": encoded, "attention_mask": mask, "image_guidance": image_guidance}
    else:
        start = torch.full((1, 1), model.config.decoder_start_token_id, device=labels.device)
        states = model(**inputs, decoder_input_ids=start, use_cache=False).encoder_last_hidden_state
        given = {"encoder_outputs": (states,), "attention_mask": inputs["attention_mask"]}
    parts = labels.split(at_a_time)
    return torch.cat([mean_log_probabilities(model(**given, labels=part).logits, part) for part in parts])


def check_whole(processor: Any, targets: Sequence[str]) -> None:
    """Refuse targets that would be cut: two that differ after the cut would get the same score.

    Raises:
        ValueError: a target has more tokens than the processor's `max_target_length`.
    """
    for target, length in zip(targets, processor.target_lengths(list(targets)), strict=True):
        if length > processor.max_target_length:
            raise ValueError(
                f"the text {target[:40]!r}... has more than the {processor.max_target_length} tokens, with its begin "
                "and end, that can be scored: shorten it"
            )


@torch.no_grad()
def perplexities(
    model: Any,
    processor: Any,
    images: Sequence[Any],
    sources: Sequence[str],
    targets: Sequence[str],
    language: str | Sequence[str],
    batch_size: int = 32,
) -> list[float]:
    """Return the perplexity of each target as the translation of its source beside its image, as in CoMMuTE.

    Args:
        language: ISO 639-1 code of all targets, or one for each.

    Raises:
        ValueError: a target is too long to be scored whole.
    """
    check_whole(processor, targets)
    values: list[float] = []
    for start in range(0, len(sources), batch_size):
        batch = slice(start, start + batch_size)
        inputs = processor(
            images=list(images[batch]),
            text=list(sources[batch]),
            task="translate",
            language=language if isinstance(language, str) else list(language[batch]),
            target=list(targets[batch]),
            return_tensors="pt",
        )
        labels = inputs["labels"].to(model.device)
        logits = model(**inputs.to(model.device)).logits
        values += mean_log_probabilities(logits, labels).neg().exp().tolist()
    return values
