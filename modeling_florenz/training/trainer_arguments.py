"""The arguments of Trainer in a recipe, with defaults that fit Florenz."""

import dataclasses
import os
from dataclasses import dataclass, field

import torch
from transformers import Seq2SeqTrainingArguments


@dataclass
class FlorenzTrainingArguments(Seq2SeqTrainingArguments):
    """Trainer's own arguments, with defaults that fit Florenz; see the documentation of transformers."""

    max_steps: int = 1000
    per_device_train_batch_size: int = 8
    learning_rate: float = 1e-4
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 100
    logging_steps: float = 10
    save_steps: float = 250
    save_total_limit: int | None = 2
    report_to: str | list[str] | None = "none"
    remove_unused_columns: bool = False  # rows become tensors in the collator
    prediction_loss_only: bool = True
    train_sampling_strategy: str = "sequential"  # the mixture itself is the order
    use_cpu: bool = field(default_factory=lambda: not torch.cuda.is_available())

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            if isinstance(value := getattr(self, entry.name, None), str) and value.startswith("~"):
                setattr(self, entry.name, os.path.expanduser(value))
        super().__post_init__()
