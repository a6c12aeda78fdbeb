"""Compare ONNX Runtime with PyTorch: tokens a second, captions of scenes in 8 bits, memory of a published shape.

python tests/benchmarks/onnx_graphs.py speed|scenes FOLDER_OF_GRAPHS... --output hub_cards/results/onnx.json
python tests/benchmarks/onnx_graphs.py memory FOLDER --output FILE   # writes the 0.4b shape, random, there, once

Each replaces its own part of the file. A folder whose name holds `int8` is of 8 bits.
"""

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from modeling_florenz import Captioner, FlorenzForConditionalGeneration
from modeling_florenz.data.emoji_scenes import EmojiWorld
from modeling_florenz.data.emoji_scenes.rows import HeldOutScenes
from modeling_florenz.resumable import write_json
from modeling_florenz.run_record import run_record


LANGUAGES = ("en", "de", "fr", "es", "ru", "zh")
NEW = 32
PROTOCOL = (
    "speed: florenz-tiny on one thread of an otherwise idle CPU, 32 tokens a row, greedy, medians of nine runs by "
    "turns; exact: captions equal to the expected sentence, held-out scenes, greedy; memory: the 0.4b shape with "
    "random weights, an image of 768 px and 8 tokens, in GB"
)


def _named(folder: Path, others: str) -> str:
    return "8 bits" if "int8" in folder.name else others


def speed(folders: list[Path]) -> dict[str, Any]:
    """Write 32 tokens a row greedily, by turns with PyTorch and each folder; print medians of nine."""
    torch.set_num_threads(1)
    graphs = {_named(folder, "ONNX Runtime"): Captioner(folder) for folder in folders}
    all_ = {"PyTorch": Captioner(dtype="float32"), **graphs}
    found: dict[str, dict[str, float]] = {}
    lines = [f"| tokens a second | {' | '.join(all_)} |", "|---" * (len(all_) + 1) + "|"]
    image = EmojiWorld().render(EmojiWorld().scene("test", 0, 7))
    for batch in (1, 8):
        seconds: dict[str, list[float]] = {name: [] for name in all_}
        inputs = all_["PyTorch"].processor(images=[image] * batch, task="caption", language="de")
        for _ in range(9):
            for name, captioner in all_.items():
                start = time.perf_counter()
                captioner.model.generate(**inputs, num_beams=1, min_new_tokens=NEW, max_new_tokens=NEW)
                seconds[name].append(time.perf_counter() - start)
        rates = {name: batch * NEW / statistics.median(values) for name, values in seconds.items()}
        plain = rates["PyTorch"]
        cells = [f"{rate:,.0f}" + f" ({rate / plain:.2f}x)" * (name != "PyTorch") for name, rate in rates.items()]
        lines.append(f"| batch {batch} | {' | '.join(cells)} |")
        found[f"batch {batch}"] = {name: round(rate, 1) for name, rate in rates.items()}
        print(lines[-1], flush=True)
    return {"tokens a second": found, "table": "\n".join(lines)}


def scenes(folders: list[Path], count: int) -> dict[str, Any]:
    """Caption held-out scenes greedily in six languages; print the share that is exact."""
    captioners = {_named(folder, "float32"): Captioner(folder) for folder in folders}
    world = EmojiWorld()
    exact = {name: dict.fromkeys(LANGUAGES, 0) for name in captioners}
    rows = {language: HeldOutScenes(world, "caption", language, count) for language in LANGUAGES}
    for start in range(0, count, 50):
        batch = range(start, min(count, start + 50))
        images = [rows["en"][index]["image"] for index in batch]
        for name, captioner in captioners.items():
            found = captioner.caption_languages(images, LANGUAGES, num_beams=1)
            for index, texts in zip(batch, found, strict=True):
                for language, text in texts.items():
                    exact[name][language] += text == rows[language].rows[index]["target"]
        print(batch.stop, exact, flush=True)
    shares = {name: {language: hits / count for language, hits in found.items()} for name, found in exact.items()}
    return {"scenes": count, "exact": shares}


def _peak(work: Callable[[], object]) -> float:
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def memory(folder: Path, part: str | None) -> dict[str, Any]:
    """Export the 0.4b shape and run it, each in a process of its own; print peaks beside the weights."""
    from modeling_florenz.inference.onnx_graphs import GRAPHS, write_graphs
    from modeling_florenz.inference.onnx_model import OnnxFlorenz
    from modeling_florenz.sizes import config_from_size

    config = config_from_size("0.4b")
    if part == "write":
        model = FlorenzForConditionalGeneration(config).eval()
        folder.mkdir(parents=True, exist_ok=True)
        model.generation_config.save_pretrained(folder)
        print(f"export: peak {_peak(lambda: write_graphs(model, folder, 768)):.2f} GB", flush=True)
    elif part == "run":
        search = GenerationConfig.from_pretrained(folder)
        prompt = {"input_ids": torch.full((1, 12), 7), "pixel_values": torch.rand(1, 3, 768, 768)}

        def run() -> None:
            OnnxFlorenz(config, folder, 768, search).generate(**prompt, num_beams=1, max_new_tokens=8)

        print(f"one image, 8 tokens: peak {_peak(run):.2f} GB", flush=True)
    elif part == "empty":
        print(f"libraries alone: {_peak(lambda: None):.2f} GB", flush=True)
    else:
        peaks = {}
        for name in ["empty", *([] if (folder / "vision.onnx").exists() else ["write"]), "run"]:
            command = [sys.executable, __file__, "memory", str(folder), "--part", name]
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            print(said, end="", flush=True)
            peaks[name] = float(re.findall(r"([\d.]+) GB", said)[-1])
        size = round(sum(path.stat().st_size for name in GRAPHS for path in folder.glob(f"{name}.onnx*")) / 1e9, 2)
        print(f"weights: {size} GB")
        found = {"graphs": size, "peak": peaks["run"], "libraries": peaks["empty"]}
        found["peak over weights, libraries left out"] = round((peaks["run"] - peaks["empty"]) / size, 2)
        return {"memory": found | ({"export": peaks["write"]} if "write" in peaks else {})}
    return {}


def main() -> None:
    """Read what to measure, and replace that part of a file of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "scenes", "memory"))
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--count", type=int, default=1000, help="scenes")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "memory":
        found = memory(arguments.folders[0], arguments.part)
    elif arguments.what == "scenes":
        found = scenes(arguments.folders, arguments.count)
    else:
        found = speed(arguments.folders)
    if arguments.output:
        before = json.loads(arguments.output.read_text(encoding="utf-8")) if arguments.output.exists() else {}
        record = run_record()
        commands = before.get("commands", {}) | {arguments.what: record.pop("command")}
        head = {
            "name": "florenz-tiny and the 0.4b shape on ONNX Runtime",
            "label": "measured-here",
            "protocol": PROTOCOL,
            "command": " && ".join(commands.values()),
            "commands": commands,
        }
        write_json(arguments.output, {**before, **head, **record, **found})


if __name__ == "__main__":
    main()
