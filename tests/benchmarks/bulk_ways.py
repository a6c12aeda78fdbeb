"""Parts of `bulk.py`: ways to do the same work, side by side."""

import io
import itertools
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from modeling_florenz import Captioner
from modeling_florenz.data.columns import Row, build_dataset
from modeling_florenz.data.emoji_scenes import EmojiWorld
from modeling_florenz.data.image_inputs import ImageInput
from modeling_florenz.data.images import open_image
from modeling_florenz.data.rows import TableRows
from modeling_florenz.inference.benchmark import Work, measure, name_search
from modeling_florenz.inference.bulk import caption_in_bulk
from modeling_florenz.inference.bulk_options import BulkOptions
from modeling_florenz.inference.crew import ProcessCrew
from modeling_florenz.inference.ray_crew import RayCrew, RayPlan
from modeling_florenz.inference.together import image_tokens, write_captions
from modeling_florenz.modeling_florenz import FlorenzCache
from modeling_florenz.training.feature_cache import FeatureCache


def different(files: list[bytes], count: int, first: int = 0) -> Iterator[ImageInput]:
    """Yield as many files as are asked for, no two of which have the same bytes."""
    for number, content in zip(range(first, first + count), itertools.cycle(files), strict=False):
        yield ImageInput(str(number), content=content + number.to_bytes(4, "big"))


def workers(captioner: Captioner, files: list[bytes], repeats: int) -> dict[str, Any]:
    """Compare threads that open photos with processes of a DataLoader, while the model writes on one thread."""
    torch.set_num_threads(1)
    count = 6 * len(files)
    processor = captioner.processor

    def by_threads(number: int) -> None:
        for _ in caption_in_bulk(captioner, different(files, count), BulkOptions(num_beams=1, workers=number)):
            pass

    def by_processes(number: int) -> None:
        def opened(images: list[ImageInput]) -> torch.Tensor:
            pictures = [open_image(io.BytesIO(image.read()), image.name) for image in images]
            return torch.cat([processor(images=picture, text="")["pixel_values"] for picture in pictures])

        given = list(different(files, count))
        for pixels in DataLoader(given, batch_size=8, num_workers=number, collate_fn=opened):
            write_captions(captioner, image_tokens(captioner, pixels), ["caption"], ["en"], num_beams=1)

    ways = {"threads": by_threads, "processes": by_processes}
    works = {f"{number} {name}": Work(partial(way, number), count) for name, way in ways.items() for number in (1, 2)}
    found = measure(works, repeats)
    return {f"{name}, images a second": 1 / part.seconds for name, part in found.items()} | {
        f"{name}, spread": part.spread for name, part in found.items()
    }


def crews(files: list[bytes], repeats: int) -> dict[str, Any]:
    """Compare two processes, and two Ray actors, with one; each has one thread for its model."""
    torch.set_num_threads(1)
    options, count = BulkOptions(num_beams=1, workers=2), 240
    made: dict[str, ProcessCrew | RayCrew] = {
        f"{number} processes": ProcessCrew(Captioner, replace(options, workers=number), number) for number in (1, 2)
    }
    found = _crew_rates(made, files, options, count, repeats)
    for crew in made.values():
        crew.close()
    made = {f"{number} actors": RayCrew(Captioner, options, RayPlan("local", number)) for number in (1, 2)}
    found |= _crew_rates(made, files, options, count, repeats)
    for crew in made.values():
        crew.close()
    return found


def _crew_rates(
    made: dict[str, Any], files: list[bytes], options: BulkOptions, count: int, repeats: int
) -> dict[str, Any]:
    def run(crew: Any) -> None:
        for _ in caption_in_bulk(crew, different(files, count), options):
            pass

    found = measure({name: Work(partial(run, crew), count) for name, crew in made.items()}, repeats)
    one, two = found
    return (
        {f"{name}, images a second": 1 / part.seconds for name, part in found.items()}
        | {f"{name}, spread": part.spread for name, part in found.items()}
        | {f"{two} over {one}": found[one].seconds / found[two].seconds}
    )


def leaving(captioner: Captioner, repeats: int) -> dict[str, Any]:
    """Compare searches whose finished rows leave the batch with those that carry them to the end, with equal texts."""
    world = EmojiWorld()
    images = [world.render(world.scene("test", number, 7)) for number in range(8)]
    features = image_tokens(captioner, captioner.processor(images=images, text="")["pixel_values"])
    tasks = ["caption", "detailed_caption"]
    leave = FlorenzCache.leave

    def write(ways: Any, count: int, codes: list[str], beams: int) -> Any:
        FlorenzCache.leave = ways
        return write_captions(captioner, features[:count], tasks, codes, num_beams=beams)

    found: dict[str, Any] = {}
    for count, languages, beams in itertools.product((1, 8), (1, 6), (1, 4)):
        name = f"{count} images, {languages} languages, {name_search(beams)}"
        ways = {"leave": leave, "stay": lambda cache, unfinished: torch.arange(len(cache.rows))}
        works = {way: partial(write, ways[way], count, captioner.languages[:languages], beams) for way in ways}
        if works["leave"]() != works["stay"]():
            raise SystemExit(f"{name}: the texts differ")
        times = measure({way: Work(work) for way, work in works.items()}, repeats)
        FlorenzCache.leave = leave
        gains = sorted(map(truediv, times["stay"].times, times["leave"].times))
        found[name] = {f"{way}, seconds": part.seconds for way, part in times.items()}
        found[name] |= {"gain": statistics.median(gains), "rounds": gains}
    return found


def cache(files: list[bytes], repeats: int) -> dict[str, Any]:
    """Compare finding the stored features of a photo by its pixels with finding them by path, size and time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, content in enumerate(files):
            (folder / f"{number}.jpg").write_bytes(content)
        given = [Row(folder / f"{n}.jpg", "caption", "en", ["A dog."], str(n), "here") for n in range(len(files))]
        rows = TableRows(build_dataset(given, folder))
        features = FeatureCache(folder / "features", "model", 768)
        keys = [features.key_of_file(str(rows.image_name(number))) for number in range(len(files))]
        features.write(keys, torch.randn(len(files), 577, 1024))

        def by_pixels() -> None:
            for number, key in enumerate(keys):
                features.key(rows[number]["image"])
                features.read(key)

        def by_file() -> None:
            for number in range(len(files)):
                features.read(features.key_of_file(str(rows.image_name(number))))
                rows.without_image(number)

        found = measure({"pixels": Work(by_pixels, len(files)), "file": Work(by_file, len(files))}, repeats)
    return {f"{name}, ms an image": 1e3 * part.seconds for name, part in found.items()}
