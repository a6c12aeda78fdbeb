"""Split every entry of Gemma 2's vocabulary into the entries of Florence-2 whose vectors it starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch.nn.functional import embedding_bag
from transformers import PreTrainedTokenizerBase


BART_SIZE = 50_265
# Florence-2 adds these to BART's vocabulary, in this order; one of them is misspelt there too.
FLORENCE_TOKENS = tuple(
    ["<od>", "</od>", "<ocr>", "</ocr>"]
    + [f"<loc_{place}>" for place in range(1000)]
    + "<cap> </cap> <ncap> </ncap> <dcap> </dcap> <grounding> </grounding> <seg> </seg> <sep>".split()
    + "<region_cap> </region_cap> <region_to_desciption> </region_to_desciption>".split()
    + "<proposal> </proposal> <poly> </poly> <and>".split()
)
_WORD_START = "\u2581"
# Texts per call: a single call would hold a million small objects.
_BATCH = 16_384


@dataclass(frozen=True)
class Vocabulary:
    """Describe the one vocabulary that fits: entries, ids of special and added tokens, and the ids of a sentence."""

    name: str
    size: int
    special_ids: Mapping[str, int]
    sentence: str
    sentence_ids: list[int]
    added: Mapping[str, int] = field(default_factory=dict)

    def check(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Refuse another tokenizer, even one that only splits differently; `ValueError` names the first difference."""
        entries = tokenizer.get_vocab()
        if len(entries) != self.size:
            raise ValueError(f"it has {len(entries):,} entries, not {self.name}'s {self.size:,}")
        if gaps := set(range(self.size)) - set(entries.values()):
            raise ValueError(f"it has no entry with id {min(gaps)}")
        found = {name: getattr(tokenizer, f"{name}_token_id") for name in self.special_ids}
        found |= {token: entries.get(token) for token in self.added}
        for name, expected in {**self.special_ids, **self.added}.items():
            if found[name] != expected:
                raise ValueError(f"it has id {found[name]} for {name}, not {self.name}'s {expected}")
        ids = tokenizer(self.sentence, add_special_tokens=False)["input_ids"]
        if ids != self.sentence_ids:
            raise ValueError(f"it splits {self.sentence!r} into the ids {ids}, not {self.name}'s {self.sentence_ids}")


FLORENCE = Vocabulary(
    "Florence-2",
    BART_SIZE + len(FLORENCE_TOKENS),
    {"bos": 0, "pad": 1, "eos": 2, "unk": 3},
    "What does the image describe?",
    [2264, 473, 5, 2274, 6190, 116],
    {token: index for index, token in enumerate(FLORENCE_TOKENS, BART_SIZE)},
)
GEMMA = Vocabulary(
    "Gemma-2",
    256_000,
    {"pad": 0, "eos": 1, "bos": 2, "unk": 3},
    "The target language is German.",
    [651, 4408, 5255, 603, 5132, 235265],
)


@dataclass(frozen=True, eq=False)
class FlorenceIds:
    """Hold, for each of n ids of Gemma, the ids of Florence-2 to average.

    Args:
        ids: (total,) int64, the lists of all Gemma ids one after another.
        offsets: (n + 1,) int64; the list of Gemma id `i` is `ids[offsets[i] : offsets[i + 1]]`.

    Example:
        >>> ids = FlorenceIds(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 3]))
        >>> ids.average(torch.tensor([[1.0], [3.0]]), 0, 2).tolist()
        [[1.0], [2.0]]
    """

    ids: torch.Tensor
    offsets: torch.Tensor

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @torch.no_grad()
    def average(self, table: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Average the vectors of Gemma ids `start` to `stop`, in float32.

        Args:
            table: (rows, d), Florence-2's embeddings; not copied if in float32.

        Returns:
            (stop - start, d) in float32, on the device of the table.

        Raises:
            ValueError: the range is outside the ids, or the table has too few rows.
        """
        if not 0 <= start <= stop <= len(self):
            raise ValueError(f"the rows {start} to {stop} are asked for, but there are the rows 0 to {len(self)}")
        offsets = self.offsets[start : stop + 1]
        ids = self.ids[offsets[0] : offsets[-1]]
        if table.ndim != 2 or (len(ids) and ids.max() >= table.shape[0]):
            raise ValueError(
                f"the table of embeddings has shape {list(table.shape)}: give one row for each of Florence-2's "
                f"{FLORENCE.size:,} ids"
            )
        ids, offsets = ids.to(table.device), (offsets - offsets[0]).to(table.device)
        return embedding_bag(ids, table.float(), offsets, mode="mean", include_last_offset=True)


def florence_text(token: str) -> str:
    """Write an entry of Gemma's vocabulary as text for Florence-2: only a leading mark becomes a space.

    Example:
        >>> florence_text("\u2581new\u2581york")
        ' new\u2581york'
    """
    return f" {token[1:]}" if token.startswith(_WORD_START) else token


def gemma_to_florence(gemma: PreTrainedTokenizerBase, florence: PreTrainedTokenizerBase) -> FlorenceIds:
    """Split every entry of Gemma's vocabulary into ids of Florence-2 (spec 1.10).

    Args:
        gemma: tokenizer of Gemma 2, 256,000 entries.
        florence: tokenizer of Florence-2 with its 1,024 added tokens, 51,289 entries.

    Raises:
        ValueError: a tokenizer is not the expected one, or an entry splits into nothing.

    Example:
        >>> ids = gemma_to_florence(load_gemma_tokenizer(gemma), load_florence_tokenizer(florence))  # doctest: +SKIP
        >>> rows = ids.average(embeddings, 0, 1000)  # doctest: +SKIP
    """
    for vocabulary, tokenizer in ((GEMMA, gemma), (FLORENCE, florence)):
        try:
            vocabulary.check(tokenizer)
        except ValueError as error:
            name = vocabulary.name
            raise ValueError(f"the tokenizer given as {name}'s is another: {error}; give {name}'s own") from None
    fixed = {GEMMA.special_ids[name]: FLORENCE.special_ids[name] for name in GEMMA.special_ids}
    entries = sorted(gemma.get_vocab().items(), key=lambda entry: entry[1])
    flat: list[int] = []
    offsets = [0]
    for start in range(0, len(entries), _BATCH):
        batch = entries[start : start + _BATCH]
        rows = florence(
            [florence_text(token) for token, _ in batch],
            add_special_tokens=False,
            split_special_tokens=False,
            padding=False,
            truncation=False,
            return_attention_mask=False,
            verbose=False,
        )["input_ids"]
        for (token, index), row in zip(batch, rows, strict=True):
            row = [fixed[index]] if index in fixed else row
            if not row:
                raise ValueError(f"Gemma-2's entry {token!r} (id {index}) splits into nothing: give its own tokenizer")
            flat += row
            offsets.append(len(flat))
    return FlorenceIds(torch.tensor(flat), torch.tensor(offsets))
