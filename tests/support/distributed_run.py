"""Run a recipe in each of several processes: `torchrun ... tests/support/distributed_run.py VALUES.yaml [fsdp]`.

accelerate shards on accelerators only; with `fsdp` its state is told that this CPU is one.
"""

import json
import sys
from pathlib import Path

import torch
import yaml
from accelerate.state import AcceleratorState, DistributedType
from torch.distributed.tensor import DTensor

from modeling_florenz.training import training_run
from modeling_florenz.training.fine_tuning import fine_tune
from modeling_florenz.training.trainer import FlorenzTrainer


class WatchingTrainer(FlorenzTrainer):
    """Write down, at the first step, how much of the decoder's parameters this process holds."""

    def training_step(self, model, inputs, *args, **kwargs):
        loss = super().training_step(model, inputs, *args, **kwargs)
        note = Path(self.args.output_dir) / f"shards-{self.args.process_index}.json"
        if not note.exists():
            parameters = dict(model.named_parameters())
            layers = {name: p for name, p in parameters.items() if ".layers." in name}
            sharded = [p for p in layers.values() if isinstance(p, DTensor)]
            local = sum(p.to_local().numel() for p in sharded)
            whole = sum(p.numel() for p in sharded)
            rows = len(inputs["labels"])
            note.write_text(
                json.dumps(
                    {"layers": len(layers), "sharded": len(sharded), "local": local, "whole": whole, "rows": rows}
                )
            )
        return loss


def shard_on_cpu() -> None:
    original = AcceleratorState.__init__

    def patched(self, *args, fsdp_plugin=None, **kwargs):
        original(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
        if self._shared_state.get("distributed_type") == DistributedType.MULTI_CPU and fsdp_plugin is not None:
            self.distributed_type = DistributedType.FSDP
            self.fsdp_plugin = fsdp_plugin

    AcceleratorState.__init__ = patched


if __name__ == "__main__":
    torch.set_num_threads(1)
    if "fsdp" in sys.argv[2:]:
        shard_on_cpu()
    training_run.FlorenzTrainer = WatchingTrainer
    fine_tune(yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8")))
