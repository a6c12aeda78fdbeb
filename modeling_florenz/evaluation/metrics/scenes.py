"""Captions of emoji scenes, scored by the world's own names."""

import re
import unicodedata
from collections import defaultdict
from statistics import mean

from ...data.emoji_scenes.wording import PREFIXES
from ...data.emoji_scenes.world import EmojiWorld, Scene


def normalise(text: str) -> str:
    """Fold what an exact match ignores: compatibility forms, case, white space."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip().casefold()


def listed_names(text: str, language: str) -> list[str]:
    """Return the names in a caption in any language, without its frame and joining words."""
    text = normalise(text).rstrip(".。")
    frame = normalise(PREFIXES[language])
    if text.startswith(frame):
        text = text[len(frame) :]
    return [name.strip() for name in re.split(r"[,、]|和| (?:and|und|et|y|e|и) ", text) if name.strip()]


class SceneScorer:
    """Score captions of scenes by the world's own names."""

    def __init__(self, world: EmojiWorld) -> None:
        self.world = world
        self.languages_of: dict[str, set[str]] = defaultdict(set)
        for noun in world.nouns:
            for language, name in noun.names.items():
                self.languages_of[normalise(name)].add(language)

    def score(self, scene: Scene, language: str, text: str, with_prefix: bool) -> dict[str, float]:
        """Score one caption; `with_prefix` says that the language's frame was given and is not part of the text."""
        truth = self.world.caption(scene, language)
        if with_prefix:
            truth = truth.removeprefix(PREFIXES[language])
        names = listed_names(text, language)
        wanted = [normalise(self.world.nouns[noun].names[language]) for noun in scene.nouns]
        framed = with_prefix or normalise(text).startswith(normalise(PREFIXES[language]))
        spoken = all(language in self.languages_of[name] for name in names if name in self.languages_of)
        return {
            "exact": float(normalise(text) == normalise(truth)),
            "objects": mean(float(name in names) for name in wanted),
            "language": float(framed and spoken and bool(names)),
        }
