"""Assemble the processor of a Florenz from the files of its two base models; nothing in their folders is executed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import AddedToken
from tokenizers.models import BPE
from transformers import BartTokenizer, GemmaTokenizer, PreTrainedTokenizerBase
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from ..processing_florenz import FlorenzProcessor, florenz_image_processor
from .sources import read_json
from .vocabulary import BART_SIZE, FLORENCE, GEMMA


Built = TypeVar("Built")

_FLORENCE_FIX = "give the folder of microsoft/Florence-2-base or microsoft/Florence-2-large"
_GEMMA_FIX = "give the folder of google/gemma-2-2b"
# Both tokenizers of the release cut and pad on the right, and have Florence-2's limit (spec 3.1).
_SIDES: dict[str, Any] = {"padding_side": "right", "truncation_side": "right", "model_max_length": 1024}
# The native Florence-2 marks images with it; Florenz puts their features before the prompt and has no row for it.
_KNOWN_ADDED = {**FLORENCE.added, "<image>": FLORENCE.size}
# What determines the pixels, except for the size, which is chosen here.
_PIXELS = "do_resize resample do_center_crop do_rescale rescale_factor do_normalize image_mean image_std".split()


def _load(folder: Path, what: str, fix: str, build: Callable[[Path], Built]) -> Built:
    """Build from the files of a folder; whatever is wrong with them becomes one sentence with the folder and a fix."""
    folder = Path(folder)
    try:
        if not folder.is_dir():
            raise ValueError("there is no such folder")
        return build(folder)
    except Exception as error:  # tokenizers raises bare exceptions for a broken file
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"{folder} does not hold {what}: {reason}; {fix}") from error


def _require(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"it lacks {path.name}")
    return path


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(_require(path))
    if not isinstance(content, dict):
        raise ValueError(f"its {path.name} holds no object")
    return content


def _build_florence(folder: Path) -> PreTrainedTokenizerBase:
    if (folder / "tokenizer.json").exists():
        content = _read_object(folder / "tokenizer.json")
        try:
            vocab, pairs = content["model"]["vocab"], content["model"]["merges"]
            added = {token["content"]: token["id"] for token in content["added_tokens"] if token["id"] >= BART_SIZE}
        except (KeyError, TypeError):
            raise ValueError("its tokenizer.json has no vocabulary, merges and added tokens") from None
        merges = [tuple(pair.split(" ") if isinstance(pair, str) else pair) for pair in pairs]
    elif (folder / "vocab.json").exists():
        vocab, merges = BPE.read_file(str(folder / "vocab.json"), str(_require(folder / "merges.txt")))
        legacy = folder / "added_tokens.json"
        added = _read_object(legacy) if legacy.exists() else {}
    else:
        raise ValueError("it lacks tokenizer.json, or vocab.json and merges.txt")
    if len(vocab) != BART_SIZE:
        raise ValueError(f"it has {len(vocab):,} entries, not the {BART_SIZE:,} of BART that Florence-2 adds to")
    # A fine-tuned Florence-2 may add words: their rows would be lost here, or shift all others.
    for token, index in added.items():
        if _KNOWN_ADDED.get(token) != index:
            raise ValueError(f"it adds {token!r} with id {index}, which Florence-2's does not")
    # Built from the words alone: other settings differ between copies, and the added tokens are known.
    mask = AddedToken("<mask>", lstrip=True, special=True)
    words: dict[str, Any] = {"vocab": vocab, "merges": merges, "mask_token": mask}
    tokenizer = BartTokenizer(**words, **_SIDES)
    tokenizer.add_special_tokens({"extra_special_tokens": list(FLORENCE.added)})
    FLORENCE.check(tokenizer)
    return tokenizer


def _build_gemma(folder: Path) -> PreTrainedTokenizerBase:
    path = _require(folder / "tokenizer.json")
    tokenizer = GemmaTokenizer(tokenizer_file=str(path), add_bos_token=True, add_eos_token=True, **_SIDES)
    GEMMA.check(tokenizer)
    return tokenizer


def _check_pixels(folder: Path) -> None:
    settings = _read_object(folder / "preprocessor_config.json")
    given = {name: settings[name] for name in _PIXELS if name in settings}
    found, expected = CLIPImageProcessorPil(**given).to_dict(), florenz_image_processor().to_dict()
    for name in _PIXELS:
        if found[name] != expected[name]:
            raise ValueError(f"its preprocessor_config.json sets {name} to {found[name]}, not {expected[name]}")


def load_florence_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of prompts: BART's 50,265 entries and Florence-2's 1,024, and no others.

    Args:
        folder: holds `tokenizer.json`, or `vocab.json` and `merges.txt`, of a Florence-2.

    Raises:
        ValueError: a file is missing, broken or belongs to another tokenizer.

    Example:
        >>> load_florence_tokenizer(Path("Florence-2-base"))("<od>")["input_ids"]  # doctest: +SKIP
        [0, 50265, 2]
    """
    return _load(folder, "Florence-2's tokenizer", _FLORENCE_FIX, _build_florence)


def load_gemma_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of targets: Gemma 2's, which writes bos and eos and pads on the right (spec 3.1).

    Args:
        folder: holds the `tokenizer.json` of a Gemma 2.

    Raises:
        ValueError: the file is missing, broken or belongs to another tokenizer.

    Example:
        >>> load_gemma_tokenizer(Path("gemma-2-2b"))("  ")["input_ids"]  # doctest: +SKIP
        [2, 139, 1]
    """
    return _load(folder, "Gemma-2's tokenizer", _GEMMA_FIX, _build_gemma)


def assemble_processor(florence: Path, gemma: Path, image_size: int = 768) -> FlorenzProcessor:
    """Assemble the processor of a Florenz, of any size, from the folders of its two base models (spec 3.1, 3.3).

    Args:
        florence: folder with the processor files of a Florence-2.
        gemma: folder with the tokenizer of a Gemma 2.
        image_size: side of the square that images are stretched to, in pixels.

    Raises:
        ValueError: a file is missing, broken or belongs to another model, or the size is not a positive whole number.

    Example:
        >>> processor = assemble_processor(Path("Florence-2-base"), Path("gemma-2-2b"))  # doctest: +SKIP
        >>> processor.save_pretrained("my-florenz")  # doctest: +SKIP
    """
    if type(image_size) is not int or image_size < 1:
        raise ValueError(f"image_size is {image_size!r}: give a positive whole number of pixels")
    _load(florence, "Florence-2's image settings", _FLORENCE_FIX, _check_pixels)
    tokenizer, encoder_tokenizer = load_gemma_tokenizer(gemma), load_florence_tokenizer(florence)
    return FlorenzProcessor(florenz_image_processor(image_size), tokenizer, encoder_tokenizer)
