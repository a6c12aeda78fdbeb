"""Train Florenz with transformers' Trainer: chunked loss, still vision tower, contrasts as a metric, broken images."""

import logging
import os
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import nn
from torch.utils.data import DataLoader
from transformers import Seq2SeqTrainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, EvalLoopOutput, TrainOutput

from ..data.rows import Rows
from ..inference.scoring import perplexities
from ..modeling_florenz import FlorenzForConditionalGeneration
from .distillation import distillation_loss
from .eval_metrics import CONTRASTS
from .feature_cache import FeatureCache
from .preference import preference_loss
from .run_log import peak_memory_gb
from .written_texts import WrittenTexts


logger = logging.getLogger(__name__)


class FlorenzTrainer(Seq2SeqTrainer):
    """Train a Florenz, or an adapter on one, on a `Mixture`.

    Args:
        loss_chunk_size: target tokens whose logits exist at a time while training; 0 for all.
        vision_train_mode: leave the vision tower in train mode, where it drops paths.
        preference: beta of DPO on `rejected_labels`; 0 learns the labels.
        teacher: on the trainer's device, to learn from; None learns from targets alone.
        distillation: share of the loss that is the teacher's.
        distillation_temperature: see [`~modeling_florenz.training.distillation.distillation_loss`].
        florenz: the model inside, where `model` is an adapter around it.
        contrasts: rows with `incorrect` targets; evaluation counts how often the right one is likelier.
        contrasts_by_language: also count that for each language.
        written: measures what the model writes.
        steps_per_epoch: what an epoch in the log is.
        features: keeps image tokens that the collator has not found there.
    """

    def __init__(
        self,
        *args: Any,
        loss_chunk_size: int = 0,
        vision_train_mode: bool = False,
        preference: float = 0.0,
        teacher: FlorenzForConditionalGeneration | None = None,
        distillation: float = 0.5,
        distillation_temperature: float = 1.0,
        florenz: FlorenzForConditionalGeneration,
        contrasts: Rows | None = None,
        contrasts_by_language: bool = False,
        written: WrittenTexts | None = None,
        steps_per_epoch: int | None = None,
        features: FeatureCache | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # The inherited smoother takes the labels away before the decoder's input is made of them: the model smooths.
        self.label_smoother = None
        self.loss_chunk_size, self.vision_train_mode = loss_chunk_size, vision_train_mode
        self.preference = preference
        self.teacher, self.distillation, self.temperature = teacher, distillation, distillation_temperature
        self.florenz, self.contrasts, self.features = florenz, contrasts, features
        self.contrasts_by_language, self.written = contrasts_by_language, written
        self.steps_per_epoch = steps_per_epoch
        self._skipped: list[str] = []
        self._samples = self._tokens = 0
        self._clock = time.perf_counter()
        self._measured: dict[str, float] = {}

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train; see Trainer."""
        self._clock = time.perf_counter()
        return super().train(*args, **kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        inputs = dict(inputs)
        for reason in inputs.pop("skipped", ()):
            if model.training:
                self._skipped.append(reason)
            logger.warning("skipped: %s", reason)
        if model.training and not self.vision_train_mode:
            self.florenz.model.vision_tower.eval()
        if self.features is not None and (keys := inputs.pop("image_keys", None)):
            with torch.no_grad():
                features = self.florenz.get_image_features(inputs.pop("pixel_values"))
            self.features.write(keys, features["pooler_output"])
            if kept := inputs.pop("kept_features", None):
                features["pooler_output"] = _among(kept, features["pooler_output"])
            inputs["mm_encoder_outputs"] = {"image": features}
        rejected = inputs.pop("rejected_labels", None)
        if self.preference and model.training and rejected is not None:
            self._count(inputs)
            adapted = self.accelerator.unwrap_model(model)
            loss = preference_loss(model, adapted, inputs, rejected, self.preference)
            # Trainer divides what is a mean over tokens; this one is over examples.
            return loss / self.current_gradient_accumulation_steps
        if self.args.label_smoothing_factor:
            inputs["loss_smoothing"] = self.args.label_smoothing_factor
        if model.training:
            if self.loss_chunk_size:
                inputs["loss_chunk_size"] = self.loss_chunk_size
            self._count(inputs)
        if isinstance(num_items_in_batch, torch.Tensor):
            num_items_in_batch = num_items_in_batch.clamp(min=1)  # a batch of broken images alone asks for nothing
        if self.teacher is not None and model.training:
            return self._distil(model, inputs, num_items_in_batch)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _distil(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        assert self.teacher is not None
        with torch.no_grad():
            shown = {name: value for name, value in inputs.items() if name != "loss_smoothing"}
            guide = self.teacher(**shown, use_cache=False).logits
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        labels = inputs["labels"]
        taught = distillation_loss(outputs["logits"], guide, labels, self.temperature)
        if num_items_in_batch is None:
            taught = taught / labels.ne(-100).sum().clamp(min=1)
        else:
            taught = taught / num_items_in_batch
            if self.args.average_tokens_across_devices:  # as Trainer does with its own loss
                taught = taught * self.accelerator.num_processes
        return (1 - self.distillation) * loss + self.distillation * taught

    def _count(self, inputs: dict[str, Any]) -> None:
        self._samples += len(inputs["labels"])
        self._tokens += int(inputs["labels"].ne(-100).sum())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, and with a training loss also what was trained since the last one, over all processes."""
        if self.steps_per_epoch:
            self.state.epoch = self.state.global_step / self.steps_per_epoch
        if "loss" not in logs:
            super().log(logs, start_time)
            return
        seconds = time.perf_counter() - self._clock
        own: tuple[int, int, list[str], float] = (self._samples, self._tokens, self._skipped, peak_memory_gb())
        found = gather_object([own]) if self.args.world_size > 1 else [own]
        samples, tokens = sum(part[0] for part in found), sum(part[1] for part in found)
        logs = {
            **logs,
            "examples": samples,
            "tokens": tokens,
            "seconds": round(seconds, 3),
            "samples_per_second": round(samples / seconds, 2),
            "tokens_per_second": round(tokens / seconds, 1),
            "peak_memory_gb": max(part[3] for part in found),
        }
        super().log(logs, start_time)
        if skipped := [reason for part in found for reason in part[2]]:
            # Not among the logs, as loggers take numbers only.
            self.state.log_history[-1]["skipped"] = skipped  # type: ignore[assignment]
        self._samples = self._tokens = 0
        self._skipped = []
        self._clock = time.perf_counter()

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **more: Any,
    ) -> dict[str, float]:
        # Before the loss: the callbacks that choose the best checkpoint look at what the inherited method returns.
        self._measured = {}
        if self.contrasts is not None:
            self._measured |= self._contrastive_accuracy(self.contrasts)
        if self.written is not None:
            self._measured |= self.written.measure(self.state.global_step)
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix, **more)

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        if output.metrics is not None:
            output.metrics.update({f"{metric_key_prefix}_{name}": value for name, value in self._measured.items()})
        return output

    def _contrastive_accuracy(self, contrasts: Rows) -> dict[str, float]:
        """Return, in percent, how often the right target is likelier: of all contrasts, and by language."""
        model, size = self.florenz, self.args.per_device_eval_batch_size
        was_training = model.training
        model.eval()
        right: dict[str, list[bool]] = {}
        for start in range(0, len(contrasts), size):
            rows = [contrasts[index] for index in range(start, min(start + size, len(contrasts)))]
            images, sources, languages = ([row[name] for row in rows] for name in ("image", "source", "language"))
            values = [
                perplexities(
                    model, self.processing_class, images, sources, [row[side] for row in rows], languages, size
                )
                for side in ("target", "incorrect")
            ]
            for language, target, incorrect in zip(languages, *values, strict=True):
                right.setdefault(language, []).append(target < incorrect)
        model.train(was_training)
        scores = {CONTRASTS: 100 * mean(found for each in right.values() for found in each)}
        if self.contrasts_by_language:
            scores |= {f"{CONTRASTS}/{language}": 100 * mean(each) for language, each in right.items()}
        return scores


def last_complete_checkpoint(folder: Path) -> str | None:
    """Find the newest checkpoint that was written to its end."""
    complete = {step: path for step, path in checkpoint_steps(folder).items() if is_complete(path)}
    return os.fspath(complete[max(complete)]) if complete else None


def checkpoint_steps(folder: Path) -> dict[int, Path]:
    """Return the checkpoints of a run by their steps, those that were not written to their end too."""
    found = {}
    for checkpoint in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        number = checkpoint.name.removeprefix(f"{PREFIX_CHECKPOINT_DIR}-")
        if number.isdigit():
            found[int(number)] = checkpoint
    return found


def is_complete(checkpoint: Path) -> bool:
    """Return whether a checkpoint was written to its end: Trainer writes `trainer_state.json` last."""
    state = checkpoint / "trainer_state.json"
    return state.is_file() and state.read_text(encoding="utf-8").rstrip().endswith("}")


def _among(kept: dict[int, torch.Tensor], new: torch.Tensor) -> torch.Tensor:
    """Put new image tokens into the rows between those that were kept."""
    others = iter(new)
    rows = range(len(kept) + len(new))
    return torch.stack([kept[row].to(new) if row in kept else next(others) for row in rows])
