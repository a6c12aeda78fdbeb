"""Measure a model on emoji scenes: captions in six languages, translation, ambiguous words with and without the image.

python -m modeling_florenz.tiny.evaluate MODEL --scenes 1000 --output RESULTS.json
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import Image
from tqdm import tqdm

from ..checkpoint.loading import load
from ..data.emoji_scenes.wording import LANGUAGES
from ..data.emoji_scenes.world import EmojiWorld
from ..evaluation.metrics.scenes import SceneScorer, normalise
from ..inference.scoring import perplexities
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from ..resumable import write_json
from ..run_record import run_record


SEED = 2025  # of the test scenes; training uses others
GIVEN = ("en", "de")  # languages whose captions the world gives to training
SELF_TAUGHT = ("fr", "es", "ru", "zh")  # languages whose captions the model writes itself, by way of English
PROTOCOL = (
    "greedy, at most 64 new tokens; held-out scenes of two or three objects, each with a pair of objects that never "
    "met in training; exact: equal to the world's sentence after NFKC, case folding and folding of white space; "
    "objects: share of the scene's names that the output lists; language: frame and all listed names are of the asked "
    "language; ambiguous: right target has the lower perplexity, strictly, pairs swapped so that chance is 0.5"
)


class EmojiEvaluation:
    """Generate and score on the held-out scenes of a seed."""

    def __init__(
        self, model: FlorenzForConditionalGeneration, processor: FlorenzProcessor, scenes: int, batch_size: int = 100
    ) -> None:
        self.model, self.processor = model.eval(), processor
        self.world = EmojiWorld()
        self.scorer = SceneScorer(self.world)
        self.scenes = [self.world.scene("test", index, SEED) for index in range(scenes)]
        self.images = [self.world.render(scene) for scene in self.scenes]
        self.batch_size = batch_size

    def generate(
        self, task: str, language: str, sources: Sequence[str] | None = None, prefix: bool = False
    ) -> list[str]:
        """Generate one text per scene."""
        texts = []
        for start in range(0, len(self.images), self.batch_size):
            batch = slice(start, start + self.batch_size)
            inputs = self.processor(
                images=self.images[batch],
                text=None if sources is None else list(sources[batch]),
                task=task,
                language=language,
                prefix=prefix,
                return_tensors="pt",
            )
            ids = self.model.generate(**inputs, num_beams=1, max_new_tokens=64)
            texts += self.processor.decode_generated(ids, inputs.get("decoder_input_ids"))
        return texts

    def captions(self, language: str, prefix: bool = False, pivot: bool = False) -> dict[str, float]:
        """Score captions; `pivot` writes them in English and translates that beside the image."""
        if pivot:
            texts = self.generate("translate", language, self.generate("caption", "en"))
        else:
            texts = self.generate("caption", language, prefix=prefix)
        rows = [
            self.scorer.score(scene, language, text, prefix) for scene, text in zip(self.scenes, texts, strict=True)
        ]
        return {name: mean(row[name] for row in rows) for name in rows[0]}

    def exact(self, task: str, language: str, style: str, sources: Sequence[str] | None = None) -> float:
        truths = [getattr(self.world, style)(scene, language) for scene in self.scenes]
        texts = self.generate(task, language, sources)
        return mean(float(normalise(a) == normalise(b)) for a, b in zip(texts, truths, strict=True))

    def translations(self, language: str) -> dict[str, float]:
        return {
            f"exact_{style}": self.exact(
                "translate", language, style, [getattr(self.world, style)(scene, "en") for scene in self.scenes]
            )
            for style in ("caption", "detailed_caption")
        }

    def ambiguous(self, language: str, pairs: int) -> dict[str, float]:
        items = self.world.ambiguous_pairs(pairs, SEED, language)
        blank = Image.new("RGB", items[0]["image"].size, (128, 128, 128))
        result = {}
        for name, images in (("image", [item["image"] for item in items]), ("blank", [blank] * len(items))):
            values = {
                side: perplexities(
                    self.model,
                    self.processor,
                    images,
                    [item["source"] for item in items],
                    [item[side] for item in items],
                    language,
                    self.batch_size,
                )
                for side in ("correct", "incorrect")
            }
            result[name] = mean(float(a < b) for a, b in zip(values["correct"], values["incorrect"], strict=True))
        return result


def evaluate(folder: str | Path, scenes: int = 1000, pairs: int = 100) -> dict[str, Any]:
    """Measure everything; give the table of one model.

    Args:
        folder: a Florenz folder trained on emoji scenes.
        scenes: number of held-out scenes for every cell.
        pairs: number of ambiguous pairs (two items each) a language.
    """
    florenz = load(folder)
    run = EmojiEvaluation(florenz.model, florenz.processor, scenes)
    cells: dict[str, dict[str, Any]] = defaultdict(dict)
    start = time.time()
    with tqdm(total=len(LANGUAGES) * 5 - 2, unit="cell", disable=None) as bar:
        for language in LANGUAGES:
            for name, prefix in (("caption", False), ("caption_prefix", True)):
                cells[name][language] = run.captions(language, prefix)
                bar.update()
            cells["detailed_caption"][language] = {
                "exact": run.exact("detailed_caption", language, "detailed_caption")
            }
            bar.update()
            if language != "en":
                cells["translate"][language] = run.translations(language)
                cells["ambiguous"][language] = run.ambiguous(language, pairs)
                bar.update(2)
    self_taught = {
        name: {
            key: mean(cells[name][language][key] for language in SELF_TAUGHT)
            for key in ("exact", "objects", "language")
        }
        for name in ("caption", "caption_prefix")
    }
    return {
        "scenes": scenes,
        "ambiguous_items": 2 * pairs,
        "seconds": round(time.time() - start),
        "cells": cells,
        "summary": {
            "given_caption_exact_min": min(cells["caption"][language]["exact"] for language in ("en", "de")),
            "self_taught": self_taught,
            "translate_exact_min": min(min(values.values()) for values in cells["translate"].values()),
            "ambiguous_image_min": min(values["image"] for values in cells["ambiguous"].values()),
            "ambiguous_blank_mean": mean(values["blank"] for values in cells["ambiguous"].values()),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a model trained on emoji scenes")
    parser.add_argument("--name", required=True, help="what to call the model in the results")
    parser.add_argument("--scenes", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=100, help="ambiguous pairs a language")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--training", default=None, help="the command that trained the model, to keep with its numbers"
    )
    arguments = parser.parse_args()
    report = {
        "name": arguments.name,
        "label": "measured-here",
        "protocol": PROTOCOL,
        "training": arguments.training,
        **run_record(),
        **evaluate(arguments.model, arguments.scenes, arguments.pairs),
    }
    write_json(arguments.output, report)
    print(json.dumps(report["summary"], indent=1))


if __name__ == "__main__":
    main()
