"""Make a recipe a trial run of two steps: the bundled checkpoint, made-up data in each dataset's own files."""

import json
import warnings
from pathlib import Path
from typing import Any

from ..checkpoint.loading import BUNDLED_MODEL, BUNDLED_NAME
from ..configuration_florenz import FlorenzConfig
from ..data.datasets import find_dataset
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from .mixture import PAPER_SHARES
from .recipe import parse_recipe


def smoke_values(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Change a recipe into its trial run and write the data it reads.

    What is kept: the method, the parts, the data formats, shares, grounding and rehearsal. What is not: the model,
    sizes and lengths, mixed precision, and the number of steps.
    """
    warnings.filterwarnings("ignore", message=".* were published")
    values = {**values, **{name: _without_hub(values[name]) for name in ("train_data", "eval_data") if name in values}}
    recipe = parse_recipe({**values, "output_dir": str(folder / "run"), "bf16": False, "fp16": False}).arguments
    for source in (*recipe.train_data, *recipe.eval_data):
        if write := find_dataset(source.dataset).sample_writer:
            pairs = [(source.only_task, language) for language in source.languages]
            if source.dataset == "folder" and not source.folder.startswith("hub-"):
                shares = PAPER_SHARES.get(str(recipe.shares), PAPER_SHARES["generalist_finetune"])
                pairs = [(task, language) for task, _, language in (pair.partition("/") for pair in shares)]
            write(folder / "data" / source.folder, source.split, pairs)
    small = {
        "model": _narrow_model(folder / "model") if recipe.method == "qlora" else BUNDLED_NAME,
        "revision": None,
        "base_id": None,
        "teacher": BUNDLED_NAME if recipe.teacher else None,
        "teacher_revision": None,
        "output_dir": str(folder / "run"),
        "data_folder": str(folder / "data"),
        "image_size": None,
        "max_prompt_length": None,
        "max_target_length": 48,
        "rehearsal_examples": 8,
        "max_steps": 2,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "warmup_steps": 0,
        "eval_steps": 1,
        "save_steps": 1,
        "logging_steps": 1,
        "dataloader_num_workers": 0,
        "bf16": False,
        "fp16": False,
        "fsdp": None,
        "use_cpu": True,
        "disable_tqdm": True,
    }
    # It is as short as it is, in steps and not in epochs.
    return {key: value for key, value in {**values, **small}.items() if key != "num_train_epochs"}


def _without_hub(entries: Any) -> Any:
    """Put a folder in the place of each dataset on the Hub: a trial run fetches nothing."""
    found: list[Any] = []
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if not isinstance(entry, dict) or entry.get("dataset") != "hub":
            found.append(entry)
            continue
        kept = {key: entry[key] for key in ("task", "examples") if key in entry}
        found += [
            {"dataset": "folder", "folder": f"hub-{number}-{language}", "languages": [language], **kept}
            for language in entry.get("languages", ["en"])
        ]
    return found


def _narrow_model(folder: Path) -> str:
    # florenz-tiny is 160 wide, and 4-bit kernels want multiples of 64: a random model of 128 stands in.
    settings = json.loads((BUNDLED_MODEL / "config.json").read_text(encoding="utf-8"))
    settings["vision_config"]["projection_dim"] = 128
    settings["encoder_config"] |= {"d_model": 128, "encoder_attention_heads": 4, "encoder_ffn_dim": 128}
    settings["text_config"] |= {"hidden_size": 128, "intermediate_size": 128, "num_attention_heads": 4}
    settings["text_config"] |= {"num_key_value_heads": 4}
    FlorenzForConditionalGeneration(FlorenzConfig.from_dict(settings)).save_pretrained(folder)
    FlorenzProcessor.from_pretrained(BUNDLED_MODEL).save_pretrained(folder)
    return str(folder)
