"""Keep the recipe beside its run: only what may change between two parts of a run may differ when it goes on."""

import logging
from pathlib import Path
from typing import Any

from ..resumable import check_settings, write_text
from ..yaml_files import read_yaml, to_yaml
from .trainer_arguments import FlorenzTrainingArguments


logger = logging.getLogger(__name__)

# What only says where and how the run goes on: the same weights come out.
FREE = (
    "output_dir",
    "data_folder",
    "dataloader_num_workers",
    "dataloader_persistent_workers",
    "dataloader_pin_memory",
    "dataloader_prefetch_factor",
    "ddp_timeout",
    "disable_tqdm",
    "hub_always_push",
    "hub_model_id",
    "hub_private_repo",
    "hub_revision",
    "hub_strategy",
    "log_level",
    "log_level_replica",
    "log_on_each_node",
    "logging_first_step",
    "logging_steps",
    "logging_strategy",
    "project",
    "push_to_hub",
    "report_to",
    "run_name",
    "save_steps",
    "save_total_limit",
    "trackio_space_id",
)
_LENGTHS = {"max_steps": FlorenzTrainingArguments.max_steps, "num_train_epochs": None}


def keep_recipe(output: Path, values: dict[str, Any], write: bool) -> None:
    """Write the recipe down, or compare it with that of the run that is there; a run may be made longer.

    Args:
        output: folder of the run.
        values: the recipe as it was given.
        write: whether this process writes it; of several that train together, one does.

    Raises:
        ValueError: the folder holds a run of another recipe, or a longer one.
    """
    kept, fix = output / "recipe.yaml", "choose another output_dir or remove it"
    if kept.exists():
        try:
            before = read_yaml(kept)
        except ValueError:
            before = None
        if not isinstance(before, dict):
            raise ValueError(f"{kept} is broken: {fix}")
        check_settings(_by_commit(before), _by_commit(values), f"{output} holds a run", fix, (*FREE, *_LENGTHS))
        _check_length(output, before, values)
    if write:
        write_text(kept, to_yaml(values, sort_keys=True))


def _by_commit(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out the revisions of datasets: the fingerprint of the data holds the commits that they named."""
    sources = {name: values[name] for name in ("train_data", "eval_data") if isinstance(values.get(name), list)}
    return values | {
        name: [
            {key: value for key, value in entry.items() if key != "revision"} if isinstance(entry, dict) else entry
            for entry in entries
        ]
        for name, entries in sources.items()
    }


def _check_length(output: Path, before: dict[str, Any], values: dict[str, Any]) -> None:
    for name, usual in _LENGTHS.items():
        old, new = before.get(name, usual), values.get(name, usual)
        if old == new:
            continue
        if old is None or new is None or new < old:
            raise ValueError(
                f"{output} holds a run with {name} {old}, and {new} is asked for: a run can only be made longer, in "
                "the same unit; choose another output_dir"
            )
        schedule = values.get("lr_scheduler_type", FlorenzTrainingArguments.lr_scheduler_type)
        logger.warning(
            "%s was raised from %s to %s: from its last checkpoint on, the run follows the %s schedule of the longer "
            "run, so that the learning rate rises again if the shorter one was at its end",
            name,
            old,
            new,
            schedule,
        )
