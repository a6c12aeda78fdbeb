"""Average the trained weights of the last checkpoints, which is often a little better than the last of them."""

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file

from ..modeling_florenz import FlorenzForConditionalGeneration
from .trainer import checkpoint_steps, is_complete


def average_checkpoints(model: FlorenzForConditionalGeneration | PeftModel, output: Path, count: int) -> list[int]:
    """Replace what was trained by its mean over the last checkpoints of a run.

    Args:
        model: a whole model, or an adapter around one.
        output: folder of the run.
        count: number of checkpoints.

    Returns:
        their steps.

    Raises:
        ValueError: there are fewer checkpoints.
    """
    whole = {step: path for step, path in checkpoint_steps(output).items() if is_complete(path)}
    if len(whole) < count:
        raise ValueError(
            f"average_checkpoints is {count}, but {output} holds {len(whole)} checkpoints: save more often, keep more "
            "by save_total_limit, or average fewer"
        )
    steps = sorted(whole)[-count:]
    mean = _mean([whole[step] for step in steps])
    if isinstance(model, PeftModel):
        mean = {name: mean[name].to(value.dtype) for name, value in get_peft_model_state_dict(model).items()}
        set_peft_model_state_dict(model, mean)
    else:
        model.load_state_dict(mean, strict=False)  # tied weights are stored once
        model.tie_weights()
    return steps


def _mean(folders: Sequence[Path]) -> dict[str, torch.Tensor]:
    total: dict[str, torch.Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for folder in folders:
        for path in sorted(folder.glob("*model*.safetensors")):
            for name, value in load_file(path).items():
                kinds[name] = value.dtype
                total[name] = value.double() if name not in total else total[name] + value.double()
    return {name: (value / len(folders)).to(kinds[name]) for name, value in total.items()}
