"""Draw what is asked of a captioner, and write ids out as its texts, so that equal texts are equal ids."""

import random

import torch

from modeling_florenz.inference.together import Request


SENTENCES = ("A dog.", "A picture of bike and cat.", "A much longer sentence about a dog that runs, and a cat.", "Go")


def ids_as_text(generated: torch.Tensor, decoder_input_ids: torch.Tensor | None = None) -> list[str]:
    """Decode like a processor: each row from behind its prefix to the end of its text."""
    start = 1 if decoder_input_ids is None else decoder_input_ids.shape[1]
    rows = [row[start:] for row in generated.tolist()]
    ends = (row.index(1) + 1 if 1 in row else len(row) for row in rows)
    return [" ".join(map(str, row[:end])) for row, end in zip(rows, ends, strict=True)]


def drawn_request(draw: random.Random, images: int, languages: list[str]) -> Request:
    """Draw a caption or a translation, with first words or without; a translation if there are no images."""
    task = draw.choice(("caption", "detailed_caption", "more_detailed_caption", "translate"))
    task = task if images else "translate"
    return Request(
        draw.randrange(max(images, 1)),
        task,
        draw.choice(languages),
        draw.choice(SENTENCES) if task == "translate" else None,
        # The words that a caption begins with are for captions.
        draw.choice((False, False, task != "translate", "La", "A b")),
    )
