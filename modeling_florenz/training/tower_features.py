"""Store the output of a frozen vision tower for the training scenes of a seed, so that many runs can share it."""

import os
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from ..data.emoji_scenes.world import EmojiWorld
from ..processing_florenz import florenz_image_processor
from ..resumable import check_settings, hold, read_settings, write_json


BATCH = 64
# A piece is written before it is counted: after a kill, at most one is computed again.
PIECE = 16 * BATCH


class ScenePixels(Dataset):
    """Return the pixels `(3, height, width)` of training scenes, from index `first` on."""

    def __init__(self, world: EmojiWorld, seed: int, first: int, count: int) -> None:
        self.world, self.seed, self.first, self.count = world, seed, first, count
        self.prepare = florenz_image_processor(world.image_size)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        image = self.world.render(self.world.scene("train", self.first + index, self.seed))
        return self.prepare(image, return_tensors="pt")["pixel_values"][0]


@torch.inference_mode()
def tower_features(
    path: Path, tower: nn.Module, world: EmojiWorld, seed: int, count: int, first: int = 0, room: int = 0
) -> np.ndarray:
    """Return the tower's output `(count, channels, grid, grid)` of training scenes, mapped from a float16 file.

    What is missing in the file is computed and added, on the tower's device; other cores draw the scenes. A second
    process waits.

    Args:
        path: `.npy` file; a `.json` beside it counts the scenes that are done.
        tower: vision tower in evaluation mode.
        world: draws the scenes.
        seed: of the scenes.
        count: number of scenes, from index `first` on.
        room: number of scenes that the file has room for, if a later run will want more of them.

    Raises:
        ValueError: the file was made for other scenes or by another tower.
    """
    weights = torch.cat([value.cpu().flatten().double() for value in tower.state_dict().values()])
    room = max(room, count)
    wanted = {"seed": seed, "first": first, "count": room, "tower": f"{weights.sum():.9e}/{weights.norm():.9e}"}
    progress = path.with_suffix(".json")
    with hold(path, wait=True):
        done = 0
        if progress.exists():
            fix = f"remove {progress}, or use another folder"
            found = read_settings(progress, fix)
            done = found.pop("done", 0)
            check_settings(found, wanted, f"{path} holds features", fix)
        if done < count:
            _compute(path, progress, tower, ScenePixels(world, seed, first + done, count - done), done, wanted)
    return np.load(path, mmap_mode="r")[:count]


def _compute(path: Path, progress: Path, tower: nn.Module, scenes: ScenePixels, done: int, wanted: dict) -> None:
    device = next(tower.parameters()).device
    count = done + len(scenes)

    def see(pixels: torch.Tensor) -> np.ndarray:
        return tower(pixels.to(device)).last_hidden_state.half().cpu().numpy()

    shape = (wanted["count"], *see(scenes[0][None]).shape[1:])
    features = open_memmap(path, "r+") if done else open_memmap(path, "w+", np.float16, shape)
    workers = min((os.cpu_count() or 1) - 1, 15)
    batches = DataLoader(scenes, batch_size=BATCH, num_workers=workers)
    with tqdm(total=count, initial=done, unit="scene", desc=path.stem, disable=None) as bar:
        kept = done
        for pixels in batches:
            stop = done + len(pixels)
            features[done:stop] = see(pixels)
            bar.update(stop - done)
            done = stop
            if done - kept >= PIECE or done == count:
                features.flush()
                write_json(progress, {**wanted, "done": done})
                kept = done
