"""Save a checkpoint when the process is asked to stop: clusters with time limits and Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingStopped(Exception):
    """A signal ended the training after a checkpoint.

    Args:
        number: of the signal.
        step: of the checkpoint, the last one that was trained.
    """

    def __init__(self, number: int, step: int) -> None:
        name = signal.Signals(number).name
        super().__init__(f"{name}: stopped after step {step}, which was saved; run the same command again to go on")
        self.number, self.step = number, step


class SaveOnSignal(TrainerCallback):
    """End the step that runs, save a checkpoint and raise `TrainingStopped` when SIGINT or SIGTERM comes.

    A second signal has its usual effect, at once. Of several processes it is enough that one gets the signal.
    """

    def __init__(self) -> None:
        self.received = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals until the block ends."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def remember(number: int, frame: FrameType | None) -> None:
            self.received = number
            for name, handler in before.items():
                signal.signal(name, handler)

        for number in _SIGNALS:
            signal.signal(number, remember)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl:
        if args.world_size > 1:
            received = torch.tensor(self.received, device=args.device)
            distributed.all_reduce(received, distributed.ReduceOp.MAX)
            self.received = int(received)
        if self.received:
            control.should_save = control.should_log = True
            control.should_evaluate = False
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        if not self.received:
            return
        if args.world_size > 1:
            distributed.barrier()  # whoever leaves first would end the one that still writes
        raise TrainingStopped(self.received, state.global_step)
