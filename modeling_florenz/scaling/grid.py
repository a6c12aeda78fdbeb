"""Describe a grid of runs for the law: sizes, budgets and seeds of every arm."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from ..yaml_files import read_yaml
from .arms import Arm, known_fields, read_arm


@dataclass(frozen=True)
class Run:
    """Name a run of a grid: its row has these four fields as key."""

    arm: str
    width: int
    steps: int
    seed: int

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        return f"{self.arm}-{self.width}-{self.steps}-{self.seed}"


@dataclass(frozen=True)
class Block:
    """Describe runs of an arm: every width with every number of steps and every seed."""

    widths: tuple[int, ...]
    steps: tuple[int, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("widths", "steps", "seeds"):
            for value in getattr(self, name) or [None]:
                if not isinstance(value, int) or isinstance(value, bool) or value < (name != "seeds"):
                    raise ValueError(f"{name} must be a list of whole numbers, not {list(getattr(self, name))}")
        for width in self.widths:
            if width % 32:
                raise ValueError(f"widths must be multiples of 32, as a head is 32 wide, not {width}")


@dataclass(frozen=True)
class Grid:
    """Hold what all runs have in common, the arms by name, and the runs of each."""

    batch_size: int
    learning_rate: float
    warmup_share: float
    scenes: int
    max_core_hours: float
    # Share of captions right to the letter, in captioned languages, from which on all is measured.
    accuracies_from: float
    arms: dict[str, Arm]
    blocks: dict[str, tuple[Block, ...]]

    def __post_init__(self) -> None:
        runs = list(self._all_runs())
        if twice := [run for run in set(runs) if runs.count(run) > 1]:
            raise ValueError(f"the run {min(run.name for run in twice)} is in the grid twice: name it once")
        if not runs:
            raise ValueError("the grid has no run: give an arm runs with widths, steps and seeds")

    def _all_runs(self) -> Iterator[Run]:
        for arm, blocks in self.blocks.items():
            for block in blocks:
                for width, steps, seed in product(block.widths, block.steps, block.seeds):
                    yield Run(arm, width, steps, seed)

    def runs(self) -> list[Run]:
        """List the runs arm by arm, the cheapest first: an interrupted grid then has most of its cells."""
        order = list(self.arms)
        return sorted(
            self._all_runs(), key=lambda run: (order.index(run.arm), run.steps * (run.width + 160), run.seed)
        )

    def longest(self) -> int:
        """Return the steps of the longest run."""
        return max(run.steps for run in self._all_runs())

    def settings(self) -> dict[str, Any]:
        """Return what must not change once runs have rows; runs may be added."""
        # What an arm leaves as it is, seeds aside, is not named: a new kind of difference then changes no old grid.
        arms = {
            name: {
                field.name: getattr(arm, field.name)
                for field in fields(arm)
                if field.name not in ("name", "seeds") and getattr(arm, field.name) != field.default
            }
            for name, arm in self.arms.items()
        }
        common = ("batch_size", "learning_rate", "warmup_share", "scenes")
        return {name: getattr(self, name) for name in common} | {f"arm {name}": arm for name, arm in arms.items()}


def read_grid(path: Path) -> Grid:
    """Read the `grid` part of a YAML file.

    Raises:
        ValueError: a key is unknown or missing, a value is out of range, or a run is there twice.

    Example:

    ```python
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "grid.yaml"
    >>> _ = path.write_text('''grid:
    ...   {batch_size: 32, learning_rate: 1.0e-3, warmup_share: 0.05, scenes: 100, max_core_hours: 1,
    ...     accuracies_from: 0.9, arms: {plain: {runs: [{widths: [64, 96], steps: [30], seeds: [0]}]}}}''')
    >>> [run.name for run in read_grid(path).runs()]
    ['plain-64-30-0', 'plain-96-30-0']
    ```
    """
    values = read_yaml(path)
    values = values.get("grid") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(values.get("arms"), dict):
        raise ValueError(f"{path} has no grid with arms")
    blocks: dict[str, tuple[Block, ...]] = {}
    arms: dict[str, Arm] = {}
    for name, entry in values["arms"].items():
        if not isinstance(entry, dict) or not isinstance(entry.get("runs"), list):
            raise ValueError(f"{path}: the arm {name} has no list of runs")
        blocks[name] = tuple(_block(path, name, block) for block in entry["runs"])
        seeds = sorted({seed for block in blocks[name] for seed in block.seeds})
        others = {key: value for key, value in entry.items() if key != "runs"}
        arms[name] = read_arm(path, name, {"name": name, "seeds": seeds, **others})
        if arms[name].start:
            raise ValueError(f"{path}: the arm {name} starts from another run: a grid trains each run from scratch")
    return Grid(**known_fields(path, Grid, {**values, "arms": arms, "blocks": blocks}))


def _block(path: Path, arm: str, entry: Any) -> Block:
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: the runs of arm {arm} must have widths, steps and seeds, not {entry!r}")
    lists = {key: tuple(value) if isinstance(value, list) else (value,) for key, value in entry.items()}
    return Block(**known_fields(path, Block, lists))
