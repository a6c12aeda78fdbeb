"""The one model of the Space, and where its functions run."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escaped import capital
from torch import nn
from turns import TURNS

from modeling_florenz.inference.captioner import Captioner


GPU_SECONDS = 60


@dataclass(frozen=True)
class Loaded:
    """Hold the captioner, the folder with rendered examples, and whether the model knows emoji scenes only."""

    captioner: Captioner
    examples: Path
    emoji_only: bool

    @property
    def name(self) -> str:
        """Return what FLORENZ_MODEL and FLORENZ_REVISION say."""
        return f"{os.environ.get('FLORENZ_MODEL', '')}@{os.environ.get('FLORENZ_REVISION', '')}"

    @property
    def languages(self) -> list[tuple[str, str]]:
        """List the languages as choices: what is shown, and the code."""
        names = self.captioner.processor.languages
        return [(f"{capital(names[code])} ({code})", code) for code in self.captioner.languages]


def load_captioner() -> tuple[Captioner, bool]:
    """Load the model named by FLORENZ_MODEL at FLORENZ_REVISION, or the bundled one; tell whether it is that one.

    Raises:
        ValueError: see `Captioner`.
    """
    captioner = Captioner(os.environ.get("FLORENZ_MODEL") or None, os.environ.get("FLORENZ_REVISION") or None)
    # Graphs have no layers to stop at, and a ZeroGPU Space computes in other processes.
    if isinstance(captioner.model, nn.Module) and importlib.util.find_spec("spaces") is None:
        for layers in captioner.model.modules():
            if isinstance(layers, nn.ModuleList):
                for layer in layers:
                    layer.register_forward_pre_hook(_give_way)
    return captioner, captioner.is_bundled


def _give_way(*layer_and_inputs: Any) -> None:
    TURNS.give_way()


def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a function on a ZeroGPU slice if this is a ZeroGPU Space, else as it is."""
    if importlib.util.find_spec("spaces") is None:
        return function
    import spaces

    return spaces.GPU(duration=GPU_SECONDS)(function)
