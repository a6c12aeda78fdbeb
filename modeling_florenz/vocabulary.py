"""Rebuild a decoder vocabulary: Gemma's tokens as means of Florence-2's embeddings (spec 1.10, kind B)."""

from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase


_WORD_START = "\u2581"  # Gemma's mark of a blank


@dataclass(frozen=True)
class FlorenceIds:
    """Hold, for every Gemma id, the Florence-2 ids it is made of: `ids[offsets[i]:offsets[i + 1]]`."""

    ids: torch.Tensor
    offsets: torch.Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def average(self, table: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Give the embeddings (stop - start, width) of Gemma ids `start` to `stop` from Florence's (rows, width)."""
        bags = self.offsets[start : stop + 1]
        ids = self.ids[bags[0] : bags[-1]]
        return torch.nn.functional.embedding_bag(ids, table, bags[:-1] - bags[0], mode="mean")


def gemma_to_florence(gemma: PreTrainedTokenizerBase, florence: PreTrainedTokenizerBase) -> FlorenceIds:
    """Spell every Gemma token with Florence-2's tokenizer.

    A leading mark of a blank becomes a blank, the rest of the string stays; the special tokens have fixed partners.

    Raises:
        ValueError: an id of Gemma has no string, or a string no Florence-2 token.
    """
    strings = gemma.convert_ids_to_tokens(list(range(len(gemma))))
    if (gap := next((index for index, string in enumerate(strings) if string is None), None)) is not None:
        raise ValueError(f"the Gemma tokenizer has no token {gap}: it is not Gemma-2's")
    texts = [" " + string[1:] if string.startswith(_WORD_START) else string for string in strings]
    spelled = florence(texts, add_special_tokens=False, verbose=False)["input_ids"]
    for kind in ("bos", "eos", "unk", "pad"):
        spelled[getattr(gemma, f"{kind}_token_id")] = [getattr(florence, f"{kind}_token_id")]
    lengths = torch.tensor([len(ids) for ids in spelled])
    if not lengths.all():
        empty = int(lengths.argmin())
        raise ValueError(f"the Gemma token {strings[empty]!r} has no Florence-2 tokens: give Florence-2's tokenizer")
    offsets = torch.cat((torch.zeros(1, dtype=torch.long), lengths.cumsum(0)))
    return FlorenceIds(ids=torch.tensor([index for ids in spelled for index in ids]), offsets=offsets)
