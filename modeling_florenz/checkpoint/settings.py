"""Read the JSON files of a model folder as a stranger's: small, flat, and with nothing that runs or loads more."""

import json
import math
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from ..configuration_florenz import MAX_COUNT, FlorenzConfig
from ..processing_florenz import FlorenzProcessor
from .sources import read_json


# Settings of real models have a few kilobytes and four levels.
MAX_BYTES, MAX_DEPTH = 1 << 20, 32
MAX_VOCABULARY_BYTES = 1 << 28  # Gemma's has 34 megabytes
# Whoever loads a model decides about these. In a file they would load kernels, other weights or other numbers, or
# change what the model returns.
_OF_THE_LOADER: dict[str, tuple[Any, ...]] = {
    "attn_implementation": (None,),
    "_attn_implementation": (None,),
    "_attn_implementation_internal": (None,),
    "experts_implementation": (None,),
    "_experts_implementation": (None,),
    "_experts_implementation_internal": (None,),
    "output_attentions": (None, False),
    "output_hidden_states": (None, False),
    "per_layer_config": (None,),
    "quantization_config": (None,),
    "return_dict": (None, True),
    "transformers_weights": (None,),
}
_DTYPES = (None, "float32", "float16", "bfloat16", "float64")
_SEARCH_IDS = (
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)
# name: least and most; what no Florenz is asked for is refused, as most of it changes the text or what is returned.
_SEARCH_NUMBERS: dict[str, tuple[float, float]] = {
    "num_beams": (1, 64),
    "no_repeat_ngram_size": (0, 1024),
    "length_penalty": (-100, 100),
    "repetition_penalty": (0.01, 100),
    "temperature": (0, 100),
    "top_k": (0, MAX_COUNT),
    "top_p": (0, 1),
}
_PROCESSOR_FILES = (
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
    "encoder_tokenizer/tokenizer_config.json",
)
_LENGTHS = ("max_new_tokens", "min_new_tokens", "max_length", "min_length")
_SEARCH_FREE = ("transformers_version", "early_stopping", "do_sample", "use_cache", "_from_model_config")


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        ValueError: the file is missing, broken, too large, too deep or no object.
    """
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes: settings have at most {MAX_BYTES:,}")
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a {type(values).__name__}, not an object of settings")
    level: list[Any] = [values]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if level:
        raise ValueError(f"{path} is nested more than {MAX_DEPTH} deep: that is not a settings file")
    return values


def read_config(folder: Path) -> FlorenzConfig:
    """Read the configuration of a Florenz folder.

    Raises:
        ValueError: there is none, it is of another kind of model, or a value breaks a rule.
    """
    path = folder / "config.json"
    if (folder / "adapter_config.json").exists():
        if path.exists():
            raise ValueError(f"{folder} holds a model and an adapter: keep one of them")
        raise ValueError(f"{folder} holds an adapter and no model: give it as the adapter")
    try:
        values = read_settings(path)
    except ValueError as error:
        raise ValueError(
            f"{folder} holds no readable config.json: give the folder of a Florenz model ({error})"
        ) from None
    kind = values.get("model_type")
    if kind == "florence2" and "text_config" in values:
        raise ValueError(
            f"{folder} is a checkpoint of the research code: convert it first, "
            f"with florenz convert {folder} NEW_FOLDER"
        )
    if kind != FlorenzConfig.model_type:
        raise ValueError(f"{folder} is a {kind!r} model: give a Florenz model")
    for part in ("", *FlorenzConfig.sub_configs_defaults):
        section = values.get(part) if part else values
        if not isinstance(section, dict):
            continue
        for name, allowed in _OF_THE_LOADER.items():
            if section.get(name) not in allowed:
                where = f"{part}.{name}" if part else name
                raise ValueError(f"{path} sets {where}, which is for the one who loads the model: remove it")
        for name in ("dtype", "torch_dtype"):
            if section.get(name) not in _DTYPES:
                raise ValueError(f"{path}: {name} is {section[name]!r}, not one of {', '.join(filter(None, _DTYPES))}")
    try:
        return FlorenzConfig.from_dict(values)
    except Exception as error:  # the library's own parts raise many kinds for values they do not expect
        raise ValueError(f"{path}: {sentence(error)}") from error


def check_generation_config(folder: Path, config: FlorenzConfig) -> None:
    """Refuse a file on how to search that would break the search, or let it run for hours.

    Raises:
        ValueError: a setting is not one that a Florenz uses, or out of its range.
    """
    path = folder / "generation_config.json"
    if not path.exists():
        return
    ranges = {**_SEARCH_NUMBERS, **dict.fromkeys(_LENGTHS, (0, config.text_config.max_position_embeddings))}
    ids = config.text_config.vocab_size
    usual = GenerationConfig().to_dict()
    for name, value in read_settings(path).items():
        if value is None or name in _SEARCH_FREE or value == usual.get(name, ...):
            continue
        if name in _SEARCH_IDS:
            tokens = value if isinstance(value, list) else [value]
            if not tokens or not all(type(token) is int and 0 <= token < ids for token in tokens):
                raise ValueError(f"{path}: {name} is {value!r}, which is not among the model's {ids} ids")
        elif name not in ranges:
            raise ValueError(f"{path} sets {name}, which a Florenz does not use: remove it")
        elif not _is_number(value) or not ranges[name][0] <= value <= ranges[name][1]:
            least, most = ranges[name]
            raise ValueError(f"{path}: {name} is {value!r}, but it must be a number from {least} to {most}")


def load_processor_files(folder: Path, config: FlorenzConfig) -> FlorenzProcessor:
    """Load the processor of a folder and check that it makes what the model reads.

    Raises:
        ValueError: a file is missing or broken, or what it makes does not fit the model.
    """
    try:
        if not any((folder / name).exists() for name in _PROCESSOR_FILES[:2]):
            raise ValueError(f"it lacks {_PROCESSOR_FILES[0]}")
        for name in _PROCESSOR_FILES:
            if (folder / name).exists():
                read_settings(folder / name)
        for path in (*folder.iterdir(), *folder.glob("encoder_tokenizer/*")):
            if path.suffix in (".json", ".jinja", ".model", ".txt") and path.stat().st_size > MAX_VOCABULARY_BYTES:
                raise ValueError(f"{path} has {path.stat().st_size:,} bytes: use at most {MAX_VOCABULARY_BYTES:,}")
        processor = FlorenzProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        _check_images(processor, config)
        for name, part, width in (
            ("tokenizer", processor.tokenizer, config.text_config.vocab_size),
            ("encoder_tokenizer", processor.encoder_tokenizer, config.encoder_config.vocab_size),
        ):
            if (largest := max(part.get_vocab().values(), default=0)) >= width:
                raise ValueError(f"the {name} has the id {largest}, but the model has {width} rows for it")
            _check_patterns(name, part.backend_tokenizer)
    except Exception as error:  # broken files raise many kinds, from tokenizers and transformers
        raise ValueError(f"the processor of {folder} could not be loaded: {sentence(error)}") from error
    return processor


def _check_patterns(name: str, backend: Any) -> None:
    # A pattern can take longer than anyone waits; those of BART and Gemma are built in, or plain characters.
    parts = [part for part in (backend.normalizer, backend.pre_tokenizer, backend.decoder) if part is not None]
    level: list[Any] = [json.loads(part.__getstate__()) for part in parts]
    while level:
        for pattern in (outer.get("Regex") for outer in level if isinstance(outer, dict)):
            if isinstance(pattern, str) and set(pattern) & set(r".^$*+?{}[]\|()"):
                raise ValueError(f"the {name} has the pattern {pattern[:80]!r}: only plain characters can be trusted")
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]


def _check_images(processor: FlorenzProcessor, config: FlorenzConfig) -> None:
    settings = processor.image_processor.to_dict()
    size = settings.get("size")
    sides = set(size.values()) if isinstance(size, dict) and set(size) == {"height", "width"} else set()
    if not settings.get("do_resize") or len(sides) != 1 or type(side := sides.pop()) is not int:
        raise ValueError(f"images must be resized to a square, but do_resize is {settings.get('do_resize')} to {size}")
    config.num_image_tokens(side)
    for name in ("do_rescale", "do_normalize"):
        if settings.get(name) is not True:
            raise ValueError(f"{name} is {settings.get(name)!r}, but a Florenz reads normalised images")
    for name in ("do_center_crop", "do_pad"):
        if settings.get(name):
            raise ValueError(f"{name} is {settings[name]!r}, but images are resized and nothing more")
    if settings.get("resample") not in (None, *range(6)):
        raise ValueError(f"resample is {settings['resample']!r}, but it must be one of PIL's filters, 0 to 5")
    for name in ("image_mean", "image_std"):
        values = settings.get(name)
        if not isinstance(values, list | tuple) or len(values) != 3 or not all(map(_is_number, values)):
            raise ValueError(f"{name} is {values!r}, not three numbers")
    for name, values in (("image_std", settings["image_std"]), ("rescale_factor", [settings.get("rescale_factor")])):
        if not all(_is_number(value) and value > 0 for value in values):
            raise ValueError(f"{name} is {settings.get(name)!r}: it must be above 0")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def sentence(error: Exception) -> str:
    """Write what went wrong in one line, with the kind of the error where its text alone says nothing."""
    line = (str(error).strip().splitlines() or [""])[0]
    speaks = line and isinstance(error, ValueError | OSError | RuntimeError)
    return line if speaks else f"{type(error).__name__} {line}".rstrip()
