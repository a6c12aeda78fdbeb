"""Give a caption more and more words of a prefix, in the language asked for or in another, and see what it becomes.

    python -m modeling_florenz.evaluation.studies.prefix_dose --output hub_cards/results/prefix-dose.json \\
        --model plain-160=runs/law/plain-160-4000-0/model --model partial-160=runs/law/partial-160-4000-0/model
"""

from typing import Any

from ...checkpoint.loading import LoadedModel
from ...data.emoji_scenes.wording import LANGUAGES, PREFIXES
from ...data.emoji_scenes.world import EmojiWorld
from ..scene_generation import generate, image_tokens
from .named_things import Names, name_spans
from .study import SCENES, SEED, measure_models, parse


PROTOCOL = (
    f"{SCENES}; greedy, at most 64 new tokens; asked for a caption in a language, the model is given the first words "
    "of a prefix: of that language's (right) or of the next language's (wrong), from none to all; language: share of "
    "captions that name a thing and name things in the asked language only, the frame not counted; things: share of "
    "the scene's things named in the asked language; other: share of captions that name things in the prefix's "
    "language only; reproduced: the whole right prefix lifts language by at least 0.3 where it was under 0.5"
)


def doses(prefix: str) -> list[str]:
    """Return what is given of a prefix: no word, one word, and so on to all.

    Example:

    ```python
    >>> doses("A picture of")
    ['', 'A', 'A picture', 'A picture of']
    ```
    """
    words = prefix.split()
    return [" ".join(words[:count]) for count in range(len(words))] + [prefix]


def measure(loaded: LoadedModel, count: int) -> dict[str, Any]:
    """Return by kind of prefix and language what each dose gives, and where the paper's effect is reproduced."""
    world = EmojiWorld()
    names = Names(world)
    scenes = [world.scene("test", index, SEED) for index in range(count)]
    tokens = image_tokens(loaded.model, world, scenes)

    def dose(language: str, prefix: str, other: str) -> dict[str, float]:
        texts = generate(loaded.model, loaded.processor, tokens, "caption", [language] * count, None, prefix)
        texts = [f"{prefix} {text}".strip() for text in texts]
        named = sum(
            any(names.means(text[start:end], language, [noun]) for start, end in name_spans(text))
            for text, scene in zip(texts, scenes, strict=True)
            for noun in scene.nouns
        )
        found = {
            "language": sum(names.speaks(text, language) for text in texts) / count,
            "things": named / sum(len(scene.nouns) for scene in scenes),
        }
        return (
            found if other == language else found | {"other": sum(names.speaks(text, other) for text in texts) / count}
        )

    found: dict[str, Any] = {"right": {}, "wrong": {}}
    for place, language in enumerate(LANGUAGES):
        none = dose(language, "", language)
        for kind, other in (("right", language), ("wrong", LANGUAGES[(place + 1) % len(LANGUAGES)])):
            given = doses(PREFIXES[other])[1:]
            found[kind][language] = [none, *(dose(language, prefix, other) for prefix in given)]
    return found | {"reproduced": reproduced(found["right"])}


def reproduced(right: dict[str, list[dict[str, float]]]) -> dict[str, bool]:
    """Return of each language that needs it, under 0.5 without a prefix, whether the whole one lifts it by 0.3.

    Example:

    ```python
    >>> reproduced({"fr": [{"language": 0.1}, {"language": 0.9}], "zh": [{"language": 1.0}, {"language": 1.0}]})
    {'fr': True}
    ```
    """
    return {
        language: found[-1]["language"] - found[0]["language"] >= 0.3
        for language, found in right.items()
        if found[0]["language"] < 0.5
    }


def main() -> None:
    report = measure_models(parse(__doc__, 200), "prefix dose", PROTOCOL, measure)
    for name, found in report["models"].items():
        for language, steps in found["right"].items():
            rates = ", ".join(f"{step['language']:.3f}" for step in steps)
            wrong = found["wrong"][language][-1]["language"]
            print(f"{name}, {language}: {rates} (whole prefix of another language: {wrong:.3f})")
        print(f"{name}: reproduced {found['reproduced']}")


if __name__ == "__main__":
    main()
