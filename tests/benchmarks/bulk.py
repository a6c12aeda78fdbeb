"""Time what surrounds the model: photos, languages, candidates, beams, many images; write a file of results.

python tests/benchmarks/bulk.py FOLDER_OF_PHOTOS --output hub_cards/results/bulk.json --parts photos workers

The photos are enlarged to 12 megapixels and saved as JPEG; bytes behind the end make as many different files of them
as are asked for. Parts that are not asked for stay in the file as they are; each says what it ran on.
"""

import argparse
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from operator import truediv
from pathlib import Path
from typing import Any

import torch
from bulk_beams import beam_memory, first_token
from bulk_ways import cache, crews, different, leaving, workers
from PIL import Image

from modeling_florenz import Captioner
from modeling_florenz.data.emoji_scenes import EmojiWorld
from modeling_florenz.data.images import find_images, open_image
from modeling_florenz.inference.benchmark import Work, measure
from modeling_florenz.inference.bulk import CaptionedImage, caption_in_bulk
from modeling_florenz.inference.bulk_options import BulkOptions
from modeling_florenz.inference.kept_captions import CaptionsFile, Wrapped
from modeling_florenz.inference.together import image_tokens, write_captions
from modeling_florenz.resumable import LineFile, write_json
from modeling_florenz.run_record import run_record


LARGE = (4000, 3000)


def photos(folder: Path) -> list[bytes]:
    """Return the photos of a folder as JPEG files of 12 megapixels."""
    found = []
    for path in find_images([folder]).images:
        saved = io.BytesIO()
        open_image(path).resize(LARGE, Image.Resampling.BICUBIC).save(saved, "JPEG", quality=92)
        found.append(saved.getvalue())
    return found


def languages(captioner: Captioner, files: list[bytes], repeats: int) -> dict[str, Any]:
    """Compare six languages of an image with the first one, for photos and as many small images."""
    world = EmojiWorld()
    scenes = [world.render(world.scene("test", number, 7)) for number in range(len(files))]

    def caption(image: bytes | Image.Image, codes: list[str]) -> None:
        opened = open_image(io.BytesIO(image), "photo") if isinstance(image, bytes) else image
        captioner.caption_languages([opened], codes)

    works = {
        f"{size} {number}, {count}": Work(partial(caption, image, captioner.languages[:count]))
        for size, images in (("photo", files), ("small", scenes))
        for number, image in enumerate(images)
        for count in (1, 6)
    }
    found = measure(works, repeats)
    ratios = {
        size: [
            statistics.median(map(truediv, found[f"{size} {number}, 6"].times, found[f"{size} {number}, 1"].times))
            for number in range(len(files))
        ]
        for size in ("photo", "small")
    }
    return (
        _seconds(found)
        | {size: statistics.median(values) for size, values in ratios.items()}
        | {f"{size}, each": sorted(values) for size, values in ratios.items()}
    )


def candidates(captioner: Captioner, repeats: int) -> dict[str, Any]:
    """Compare 64 candidates at once with 64 times one."""
    image = EmojiWorld().render(EmojiWorld().scene("test", 0, 7))
    texts = [f"Ein Bild: Hund und {number} Katzen." for number in range(64)]
    score = partial(captioner.score, image, "A picture of dog.", "de")
    works = {"together": Work(partial(score, texts)), "alone": Work(lambda: [score([text]) for text in texts])}
    found = measure(works, repeats)
    return _seconds(found) | {"gain": found["alone"].seconds / found["together"].seconds}


@torch.inference_mode()
def lengths(captioner: Captioner, repeats: int) -> dict[str, Any]:
    """Time texts of 16 to 240 tokens; return the milliseconds a token."""
    image = EmojiWorld().render(EmojiWorld().scene("test", 0, 7))
    inputs = captioner.processor(images=image, task="caption", language="en")
    works = {
        str(count): Work(
            partial(captioner.model.generate, **inputs, num_beams=1, min_new_tokens=count, max_new_tokens=count), count
        )
        for count in (16, 64, 128, 240)
    }
    return {f"{name} tokens, ms a token": 1e3 * found.seconds for name, found in measure(works, repeats).items()}


def many(captioner: Captioner, files: list[bytes], count: int, batch: int, marks: list[int]) -> dict[str, Any]:
    """Caption files one after another; return images a second, CPU time and the memory after some of them."""
    options = BulkOptions(batch_size=batch, num_beams=1)
    for _ in caption_in_bulk(captioner, different(files, 2 * batch, count), options):
        pass  # what only a first image costs
    images = different(files, count)
    done, seconds, memory, work = 0, {}, {}, {}
    start, began = time.perf_counter(), time.process_time()
    for block in caption_in_bulk(captioner, images, options):
        problems = [image.problem for image in block if image.problem]
        if problems:
            raise SystemExit(problems[0])
        done += len(block)
        for mark in [mark for mark in marks if mark <= done and mark not in seconds]:
            seconds[mark], memory[mark] = (time.perf_counter() - start) / done, _resident()
            work[mark] = (time.process_time() - began) / done
    return {
        "images a second": count / (time.perf_counter() - start),
        "ms an image, by images": {mark: 1e3 * value for mark, value in seconds.items()},
        "CPU ms an image, by images": {mark: 1e3 * value for mark, value in work.items()},
        "MB, by images": memory,
    }


def counts(captioner: Captioner, files: list[bytes], batch: int, windows: int) -> dict[str, Any]:
    """Compare what an image costs among 100, 1,000 and `windows` times 1,000.

    The longest run pauses after every thousand images for three runs of 100 and one of 1,000, so that all of them see
    the same machine.
    """
    options = BulkOptions(batch_size=batch, num_beams=1)

    def timed(blocks: Iterator[list[CaptionedImage]], count: int) -> float:
        start, done = time.perf_counter(), 0
        for block in blocks:
            done += len(block)
            if done >= count:
                break
        return 1e3 * (time.perf_counter() - start) / done

    def run(count: int) -> Iterator[list[CaptionedImage]]:
        return caption_in_bulk(captioner, different(files, count), options)

    timed(run(2 * batch), 2 * batch)  # what only a first image costs
    longest = run(1000 * windows)
    times: dict[int, list[float]] = {100: [], 1000: [], 1000 * windows: []}
    for _ in range(windows):
        times[1000 * windows].append(timed(longest, 1000))
        times[100] += [timed(run(100), 100) for _ in range(3)]
        times[1000].append(timed(run(1000), 1000))
    medians = {count: statistics.median(found) for count, found in times.items()}
    return {
        "ms an image, by images": medians,
        "ms an image, all": times,
        "most by least": max(medians.values()) / min(medians.values()),
    }


def kept_lines(images: int) -> dict[str, Any]:
    """Open a file of captions of so many images in six languages; return the time and what is held of it."""
    keys = [("caption", language) for language in ("en", "de", "fr", "es", "ru", "zh")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "captions.jsonl"
        lines = LineFile(path, "image", "content", "task", "language")
        for number in range(images):
            caption = {"image": f"photos/{number:06}.jpg", "content": f"{number:032x}", "text": "A picture. " * 10}
            lines.append({**caption, "task": task, "language": language, "bytes": 1} for task, language in keys)
        before, start = _resident(), time.perf_counter()
        opened = CaptionsFile(path, path.with_suffix(".failures"), keys, Wrapped(), None, Path.cwd())
        found = {"images": images, "seconds": time.perf_counter() - start, "MB": _resident() - before}
        assert opened.captions_of(f"{0:032x}") is not None
    return found


def bulk_photos(captioner: Captioner, files: list[bytes], count: int, batch: int) -> dict[str, Any]:
    """Compare photos in bulk with the model alone on one thread, and with reading alone on one worker."""
    few = files[:batch]

    def read() -> list[torch.Tensor]:
        return [
            captioner.processor(images=open_image(io.BytesIO(file), "photo"), text="")["pixel_values"] for file in few
        ]

    def write(pixels: torch.Tensor) -> None:
        write_captions(captioner, image_tokens(captioner, pixels), ["caption"], ["en"], num_beams=1)

    torch.set_num_threads(1)
    alone = measure({"read": Work(read, len(few)), "write": Work(partial(write, torch.cat(read())), len(few))}, 3)
    bound = min(1 / found.seconds for found in alone.values())
    marks = [mark for mark in (50, 100, 200, 300, 400, 600, 1000, 1500, 2000) if mark <= count]
    found = many(captioner, files, count, batch, marks)
    rates = {f"{name} alone, images a second": 1 / part.seconds for name, part in alone.items()}
    return rates | found | {"share of the lower": found["images a second"] / bound}


def _seconds(found: dict[str, Any]) -> dict[str, Any]:
    return {f"{name}, seconds": part.seconds for name, part in found.items()} | {
        f"{name}, spread": part.spread for name, part in found.items()
    }


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def _small_files() -> list[bytes]:
    world = EmojiWorld()
    files = []
    for number in range(32):
        saved = io.BytesIO()
        world.render(world.scene("test", number, 7)).save(saved, "PNG")
        files.append(saved.getvalue())
    return files


def main() -> None:
    """Run the parts that are asked for and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument(
        "--parts", nargs="+", default=["languages", "candidates", "first", "lengths", "small", "photos"]
    )
    parser.add_argument("--count", type=int, default=2000, help="photos in bulk")
    parser.add_argument("--small", type=int, default=10000, help="small images in bulk")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    captioner, files, repeats = Captioner(), photos(arguments.photos), arguments.repeats
    works: dict[str, Callable[[], dict[str, Any]]] = {
        "languages": lambda: languages(captioner, files, repeats),
        "candidates": lambda: candidates(captioner, repeats),
        "first": lambda: first_token(repeats),
        "beams": lambda: beam_memory(repeats),
        "lengths": lambda: lengths(captioner, repeats),
        "small": lambda: many(
            captioner, _small_files(), arguments.small, arguments.batch_size, [100, 1000, arguments.small]
        ),
        "counts": lambda: counts(captioner, _small_files(), arguments.batch_size, arguments.small // 1000),
        "kept": lambda: kept_lines(100_000),
        "photos": lambda: bulk_photos(captioner, files, arguments.count, arguments.batch_size),
        "workers": lambda: workers(captioner, files, repeats),
        "crews": lambda: crews(_small_files(), repeats),
        "leaving": lambda: leaving(captioner, repeats),
        "cache": lambda: cache(files[:8], repeats),
    }
    output: Path | None = arguments.output
    kept = json.loads(output.read_text(encoding="utf-8")) if output is not None and output.exists() else {}
    for part in arguments.parts:
        found = works[part]()
        print(part, found, flush=True)
        run = run_record()
        kept = {"name": "what surrounds the model", "label": "measured-here", "protocol": __doc__} | run | kept
        kept[part] = found | {"command": run["command"], "git_commit": run["git_commit"]}
        if output is not None:
            write_json(output, kept)


if __name__ == "__main__":
    main()
