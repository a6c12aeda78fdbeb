"""Write ambiguous translations of training scenes, each with the reading that another image would make right.

    python -m modeling_florenz.tiny.ambiguous_pairs runs/pairs

The folder is read as the dataset `hub`; `commute_dpo` learns from it which reading an image makes right.
"""

import argparse
import io
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, Value

from ..data.emoji_scenes.world import EmojiWorld
from ..resumable import whole_folder


LANGUAGES = ("de", "fr", "es", "ru", "zh")
FEATURES = Features(
    {"image": Image(), **{name: Value("string") for name in ("task", "language", "source", "target", "incorrect")}}
)


def write_ambiguous_pairs(folder: Path, pairs: int, seed: int = 0) -> None:
    """Write a parquet file of rows in five languages.

    Args:
        folder: a new one.
        pairs: of scenes in each language; each makes two rows.
        seed: of the scenes, none of which shows a held-out pair of things.

    Raises:
        ValueError: the folder exists already.
    """
    world = EmojiWorld()
    rows = [
        _row(world, item) for language in LANGUAGES for item in world.ambiguous_texts(pairs, seed, language, "train")
    ]
    with whole_folder(folder) as partial:
        Dataset.from_list(rows, features=FEATURES).to_parquet(partial / "train-00000-of-00001.parquet")


def _row(world: EmojiWorld, item: dict[str, Any]) -> dict[str, Any]:
    data = io.BytesIO()
    world.render(item["scene"]).save(data, "PNG")
    return {
        "image": {"bytes": data.getvalue(), "path": None},
        "task": "translate",
        "language": item["language"],
        "source": item["source"],
        "target": item["correct"],
        "incorrect": item["incorrect"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=500)
    arguments = parser.parse_args()
    write_ambiguous_pairs(arguments.folder, arguments.pairs)


if __name__ == "__main__":
    main()
