"""Stop early, also in a run that goes on: what was measured before counts."""

from typing import Any

from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments


class Patience(EarlyStoppingCallback):
    """Stop after as many evaluations without a better `metric_for_best_model` as `early_stopping_patience` says."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        super().on_train_begin(args, state, control, **more)
        name = str(args.metric_for_best_model)
        name = name if name.startswith("eval_") else f"eval_{name}"
        sign = 1 if args.greater_is_better else -1
        best, self.early_stopping_patience_counter = float("-inf"), 0
        for entry in state.log_history:
            if name not in entry:
                continue
            value = sign * entry[name]
            self.early_stopping_patience_counter = 0 if value > best else self.early_stopping_patience_counter + 1
            best = max(best, value)
