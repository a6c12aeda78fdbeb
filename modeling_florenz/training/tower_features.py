"""Store the output of a frozen vision tower for the training scenes of a seed, so that many runs can share it."""

from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import nn
from tqdm import tqdm

from ..data.emoji_scenes.world import EmojiWorld
from ..processing_florenz import florenz_image_processor
from ..resumable import check_settings, hold, read_settings, write_json


BATCH = 64
# A piece is written before it is counted: after a kill, at most one is computed again.
PIECE = 16 * BATCH


@torch.inference_mode()
def tower_features(
    path: Path, tower: nn.Module, world: EmojiWorld, seed: int, count: int, first: int = 0
) -> np.ndarray:
    """Return the tower's output `(count, channels, grid, grid)` of training scenes, mapped from a float16 file.

    What is missing in the file is computed and added; a second process waits.

    Args:
        path: `.npy` file; a `.json` beside it counts the scenes that are done.
        tower: vision tower in evaluation mode, on the CPU.
        world: draws the scenes.
        seed: of the scenes.
        count: number of scenes, from index `first` on.

    Raises:
        ValueError: the file was made for other scenes or by another tower.
    """
    weights = torch.cat([value.flatten().double() for value in tower.state_dict().values()])
    wanted = {"seed": seed, "first": first, "count": count, "tower": f"{weights.sum():.9e}/{weights.norm():.9e}"}
    progress = path.with_suffix(".json")
    with hold(path, wait=True):
        done = 0
        if progress.exists():
            fix = f"remove {progress}, or use another folder"
            found = read_settings(progress, fix)
            done = found.pop("done", 0)
            check_settings(found, wanted, f"{path} holds features", fix)
        prepare = florenz_image_processor(world.image_size)

        def see(start: int, stop: int) -> np.ndarray:
            images = [world.render(world.scene("train", first + index, seed)) for index in range(start, stop)]
            pixels = prepare(images, return_tensors="pt")["pixel_values"]
            return tower(pixels).last_hidden_state.half().numpy()

        shape = (count, *see(0, 1).shape[1:])
        features = open_memmap(path, "r+") if done else open_memmap(path, "w+", np.float16, shape)
        with tqdm(total=count, initial=done, unit="scene", desc=path.stem, disable=None) as bar:
            while done < count:
                stop = min(done + PIECE, count)
                for start in range(done, stop, BATCH):
                    end = min(start + BATCH, stop)
                    features[start:end] = see(start, end)
                features.flush()
                bar.update(stop - done)
                done = stop
                write_json(progress, {**wanted, "done": done})
    return np.load(path, mmap_mode="r")
