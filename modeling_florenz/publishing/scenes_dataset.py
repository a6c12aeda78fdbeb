"""Write the emoji scenes as a dataset that can be pushed: parquet files, card, licence."""

from pathlib import Path

import datasets

from ..card_template import find_cards
from ..data.emoji_scenes.parquet import write_parquet
from ..resumable import whole_folder, write_text
from ..tiny.cards import render_dataset_card
from .companion_files import write_papers


def write_scenes_dataset(folder: Path, train: int, test: int, pairs: int) -> Path:
    """Write the dataset into a folder that is there whole or not at all; return the folder.

    Args:
        folder: the new folder.
        train: scenes in which no held-out pair of nouns meets.
        test: scenes in which one does.
        pairs: ambiguous pairs per language; each gives two items.

    Raises:
        ValueError: the folder exists, another process is writing it, or a number is not positive.
    """
    datasets.disable_progress_bars()  # one per file of ours is enough
    with whole_folder(folder) as partial:
        rows = write_parquet(partial, train, test, pairs)
        write_papers(find_cards(), "emoji_scenes", partial)
        write_text(partial / "README.md", render_dataset_card(find_cards(), rows))
    return folder
