"""Describe the arms of an experiment: runs that differ only in what the arm says, such as what their sources hide."""

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ..data.emoji_scenes.coverage import PAPER_COVERAGE, Coverage
from ..data.emoji_scenes.world import EmojiWorld
from ..data.hiding import Hiding
from ..yaml_files import read_yaml


@dataclass(frozen=True)
class Arm:
    """Describe how an arm differs from the plain recipe."""

    name: str
    seeds: tuple[int, ...]
    hiding: str = "none"
    grounding: float = 0.0
    hiding_languages: tuple[str, ...] = ()
    hidden_things: str = "all"  # all, or half: every other noun of the world
    captioned: tuple[str, ...] = ("en", "de")  # languages whose captions are in training
    other_image: bool = False  # translations show the image of another scene
    alignment: float = 0.0  # weight of the loss that keeps the image's states close to those of the source's words
    start: str = ""  # letter of the arm whose finished run this one starts from
    self_taught_steps: int = 0  # steps on the run's own pivot captions
    self_taught_tasks: tuple[str, ...] = ("caption",)  # caption, detailed_caption

    def __post_init__(self) -> None:
        if self.hidden_things not in ("all", "half"):
            raise ValueError(f"hidden_things must be all or half, not {self.hidden_things!r}")
        if not self.seeds:
            raise ValueError(f"the arm {self.name!r} has no seed: name at least one")
        if bool(self.start) != bool(self.self_taught_steps):
            raise ValueError(f"the arm {self.name!r} needs both start and self_taught_steps, or neither")

    def coverage(self, world: EmojiWorld) -> Coverage:
        """Return what training sees."""
        things = hidden_half(world) if self.hidden_things == "half" else ()
        captions = [(task, language) for language in self.captioned for task in ("caption", "detailed_caption")]
        translations = [(task, language) for task, language in PAPER_COVERAGE if task == "translate"]
        return Coverage(
            pairs=(*captions, *translations),
            hiding=Hiding(self.hiding, self.grounding, self.hiding_languages, things),
        )


@dataclass(frozen=True)
class Experiment:
    """Hold what all runs have in common, and the arms by letter."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    scenes: int
    arms: dict[str, Arm]

    def runs(self) -> list[tuple[str, int]]:
        """List arms and seeds in the order to run them: every arm with the first seed, then with the second."""
        seeds = sorted({seed for arm in self.arms.values() for seed in arm.seeds})
        return [(letter, seed) for seed in seeds for letter, arm in self.arms.items() if seed in arm.seeds]


def hidden_half(world: EmojiWorld) -> tuple[str, ...]:
    """Return every other noun, so that each kind of thing is in both halves."""
    return tuple(noun.key for noun in world.nouns[::2])


def read_experiment(path: Path) -> Experiment:
    """Read the `experiment` part of a registration.

    Raises:
        ValueError: a key is unknown or missing, or an arm starts from one that does not exist.
    """
    values = read_yaml(path)
    values = values.get("experiment") if isinstance(values, dict) else None
    if not isinstance(values, dict) or not isinstance(values.get("arms"), dict):
        raise ValueError(f"{path} has no experiment with arms")
    arms = {letter: read_arm(path, letter, entry) for letter, entry in values["arms"].items()}
    for letter, arm in arms.items():
        if arm.start and (arm.start not in arms or not set(arm.seeds) <= set(arms[arm.start].seeds)):
            raise ValueError(f"{path}: arm {letter} starts from {arm.start!r}, which has no run of the same seed")
    return Experiment(**known_fields(path, Experiment, {**values, "arms": arms}))


def read_arm(path: Path, letter: str, entry: Any) -> Arm:
    """Read one arm of a registration or a grid.

    Raises:
        ValueError: it is not a mapping, or a key is unknown.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: arm {letter} must be a mapping, not {entry!r}")
    lists = {
        name: tuple(entry[name])
        for name in ("seeds", "hiding_languages", "captioned", "self_taught_tasks")
        if name in entry
    }
    return Arm(**known_fields(path, Arm, {**entry, **lists}))


def known_fields(path: Path, kind: type, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values, which must be those of a dataclass.

    Raises:
        ValueError: a key is unknown or missing.
    """
    known = [entry.name for entry in fields(kind)]
    if unknown := [key for key in values if key not in known]:
        raise ValueError(f"{path} has the unknown key {unknown[0]!r}: use one of {', '.join(known)}")
    needed = [entry.name for entry in fields(kind) if entry.default is MISSING and entry.default_factory is MISSING]
    if missing := [name for name in needed if name not in values]:
        raise ValueError(f"{path} lacks the key {missing[0]!r}: add it")
    return values
