"""Assemble the processor of a Florenz from the files of Florence-2 and Gemma-2 (spec 3.1); no code of theirs runs."""

from pathlib import Path

from tokenizers import AddedToken
from transformers import GemmaTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from .processing_florenz import FlorenzProcessor, florenz_image_processor
from .sources import read_json


BART_SIZE, FLORENCE_SIZE, GEMMA_SIZE = 50_265, 51_289, 256_000
FLORENCE_TOKENS = [
    *("<od>", "</od>", "<ocr>", "</ocr>"),
    *(f"<loc_{index}>" for index in range(1000)),
    *("<cap>", "</cap>", "<ncap>", "</ncap>", "<dcap>", "</dcap>", "<grounding>", "</grounding>", "<seg>", "</seg>"),
    *("<sep>", "<region_cap>", "</region_cap>", "<region_to_desciption>", "</region_to_desciption>"),
    *("<proposal>", "</proposal>", "<poly>", "</poly>", "<and>"),
]


def load_florence_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Load BART's tokenizer with Florence-2's 1,024 tokens at ids 50,265 to 51,288.

    Raises:
        ValueError: the folder holds no such tokenizer.
    """
    tokenizer = _fast_tokenizer(
        folder, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>"
    )
    if len(tokenizer) == BART_SIZE:
        tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in FLORENCE_TOKENS])
    ids = [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id]
    wanted = list(range(BART_SIZE, FLORENCE_SIZE))
    if ids != [0, 1, 2] or tokenizer.convert_tokens_to_ids(FLORENCE_TOKENS) != wanted:
        raise ValueError(f"{folder} does not hold Florence-2's tokenizer: give the folder of a Florence-2 model")
    return tokenizer


def load_gemma_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load Gemma-2's tokenizer so that a text becomes `<bos> ... <eos>`, padded and cut on the right.

    Raises:
        ValueError: the folder holds no such tokenizer.
    """
    sides = {"padding_side": "right", "truncation_side": "right"}
    read_json(folder / "tokenizer.json")
    try:
        tokenizer = GemmaTokenizer.from_pretrained(folder, add_bos_token=True, add_eos_token=True, **sides)
        ids = [tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id]
    except Exception as error:  # broken files raise many kinds
        raise ValueError(f"{folder}: tokenizer.json could not be loaded: {str(error).splitlines()[0]}") from None
    if ids != [0, 1, 2] or len(tokenizer) != GEMMA_SIZE:
        raise ValueError(
            f"{folder} holds a tokenizer of {len(tokenizer):,} entries, not Gemma-2's {GEMMA_SIZE:,}: "
            "give the folder of a Gemma-2 model"
        )
    return tokenizer


def _fast_tokenizer(folder: Path, **names: str) -> PreTrainedTokenizerFast:
    read_json(folder / "tokenizer.json")
    try:
        return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), padding_side="right", **names)
    except Exception as error:  # the tokenizers library raises bare exceptions
        raise ValueError(f"{folder}: tokenizer.json could not be loaded: {str(error).splitlines()[0]}") from None


def assemble_processor(florence: Path, gemma: Path, image_size: int = 768) -> FlorenzProcessor:
    """Build the processor of the paper's models: BART prompts, Gemma targets, square images of `image_size` px.

    Raises:
        ValueError: a folder does not hold the tokenizer it should.

    Example:

    ```python
    >>> processor = assemble_processor(Path("Florence-2-large"), Path("gemma-2-2b"))  # doctest: +SKIP
    ```
    """
    return FlorenzProcessor(
        florenz_image_processor(image_size), load_gemma_tokenizer(gemma), load_florence_tokenizer(florence)
    )
