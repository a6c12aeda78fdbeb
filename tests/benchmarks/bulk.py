"""Time what surrounds the model: photos, languages, candidates, beams, many images; write a file of results.

python tests/benchmarks/bulk.py FOLDER_OF_PHOTOS --output hub_cards/results/bulk.json --parts photos workers

The photos are enlarged to 12 megapixels and saved as JPEG; bytes behind the end make as many different files of them
as are asked for. Parts that are not asked for stay in the file as they are; each says what it ran on.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bulk_ways import cache, crews, different, workers
from PIL import Image
from transformers.modeling_outputs import BaseModelOutput

from modeling_florenz import Captioner, FlorenzForConditionalGeneration
from modeling_florenz.data.emoji_scenes import EmojiWorld
from modeling_florenz.data.images import find_images, open_image
from modeling_florenz.inference.benchmark import Work, measure
from modeling_florenz.inference.bulk import caption_in_bulk
from modeling_florenz.inference.bulk_options import BulkOptions
from modeling_florenz.inference.together import image_tokens, write_captions
from modeling_florenz.modeling_florenz import FlorenzLinear
from modeling_florenz.resumable import write_json
from modeling_florenz.run_record import run_record
from modeling_florenz.sizes import config_from_size


LARGE = (4000, 3000)


def photos(folder: Path) -> list[bytes]:
    """Return the photos of a folder as JPEG files of 12 megapixels."""
    found = []
    for path in find_images([folder]).images:
        saved = io.BytesIO()
        open_image(path).resize(LARGE, Image.Resampling.BICUBIC).save(saved, "JPEG", quality=92)
        found.append(saved.getvalue())
    return found


def languages(captioner: Captioner, photo: bytes, repeats: int) -> dict[str, Any]:
    """Compare six languages of an image with one, for a photo and a small image."""
    small = EmojiWorld().render(EmojiWorld().scene("test", 0, 7))

    def caption(size: str, codes: list[str]) -> None:
        image = open_image(io.BytesIO(photo), "photo") if size == "photo" else small
        captioner.caption_languages([image], codes)

    works = {
        f"{size}, {count}": Work(partial(caption, size, captioner.languages[:count]))
        for size in ("photo", "small")
        for count in (1, 6)
    }
    found = measure(works, repeats)
    return _seconds(found) | {
        size: found[f"{size}, 6"].seconds / found[f"{size}, 1"].seconds for size in ("photo", "small")
    }


def candidates(captioner: Captioner, repeats: int) -> dict[str, Any]:
    """Compare 64 candidates at once with 64 times one."""
    image = EmojiWorld().render(EmojiWorld().scene("test", 0, 7))
    texts = [f"Ein Bild: Hund und {number} Katzen." for number in range(64)]
    score = partial(captioner.score, image, "A picture of dog.", "de")
    works = {"together": Work(partial(score, texts)), "alone": Work(lambda: [score([text]) for text in texts])}
    found = measure(works, repeats)
    return _seconds(found) | {"gain": found["alone"].seconds / found["together"].seconds}


@torch.inference_mode()
def first_token(repeats: int) -> dict[str, Any]:
    """Compare the first token of 4 beams in the 0.4b shape with that of 4 rows, which is what beams were before.

    The rows have keys of their own, and the head is a plain `nn.Linear`.
    """
    torch.manual_seed(0)
    config = config_from_size("0.4b")
    config.vision_config.depths = [1, 1, 1, 1]  # the tower has no part in it
    model = FlorenzForConditionalGeneration(config).eval()
    states = torch.randn(1, 589, config.encoder_config.d_model)

    def write(rows: int, beams: int) -> None:
        encoded = BaseModelOutput(last_hidden_state=states.expand(rows, -1, -1).clone())
        mask = torch.ones(rows, states.shape[1], dtype=torch.long)
        model.generate(
            encoder_outputs=encoded, attention_mask=mask, num_beams=beams, min_new_tokens=1, max_new_tokens=1
        )

    def write_before() -> None:
        smallest, FlorenzLinear.smallest = FlorenzLinear.smallest, sys.maxsize
        write(4, 1)
        FlorenzLinear.smallest = smallest

    found = measure({"4 beams": Work(partial(write, 1, 4)), "4 rows": Work(write_before)}, repeats)
    return _seconds(found) | {"gain": found["4 rows"].seconds / found["4 beams"].seconds}


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
    images = different(files, count)
    done, seconds, memory, work = 0, {}, {}, {}
    start, began = time.perf_counter(), time.process_time()
    for block in caption_in_bulk(captioner, images, BulkOptions(batch_size=batch, num_beams=1)):
        problems = [image.problem for image in block if image.problem]
        if problems:
            raise SystemExit(problems[0])
        done += len(block)
        for mark in [mark for mark in marks if mark <= done and mark not in seconds]:
            seconds[mark], memory[mark] = time.perf_counter() - start, _resident()
            work[mark] = time.process_time() - began
    return {
        "images a second": count / (time.perf_counter() - start),
        "ms an image, by images": {mark: 1e3 * value / mark for mark, value in seconds.items()},
        "CPU ms an image, by images": {mark: 1e3 * value / mark for mark, value in work.items()},
        "MB, by images": memory,
    }


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
        "languages": lambda: languages(captioner, files[0], repeats),
        "candidates": lambda: candidates(captioner, repeats),
        "first": lambda: first_token(repeats),
        "lengths": lambda: lengths(captioner, repeats),
        "small": lambda: many(
            captioner, _small_files(), arguments.small, arguments.batch_size, [100, 1000, arguments.small]
        ),
        "photos": lambda: bulk_photos(captioner, files, arguments.count, arguments.batch_size),
        "workers": lambda: workers(captioner, files, repeats),
        "crews": lambda: crews(_small_files(), repeats),
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
