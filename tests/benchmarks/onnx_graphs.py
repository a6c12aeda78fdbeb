"""Compare ONNX Runtime with PyTorch: tokens a second, captions of scenes in 8 bits, memory of a published shape.

python tests/benchmarks/onnx_graphs.py speed|scenes FOLDER_OF_GRAPHS...
python tests/benchmarks/onnx_graphs.py memory FOLDER        # writes the 0.4b shape with random weights there, once
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import GenerationConfig

from modeling_florenz import Captioner, FlorenzForConditionalGeneration
from modeling_florenz.data.emoji_scenes import EmojiWorld
from modeling_florenz.data.emoji_scenes.rows import HeldOutScenes


LANGUAGES = ("en", "de", "fr", "es", "ru", "zh")
NEW = 32


def speed(folders: list[Path]) -> None:
    """Write 32 tokens a row greedily, by turns with PyTorch and each folder; print medians of nine."""
    torch.set_num_threads(1)
    all_ = {"PyTorch": Captioner(dtype="float32"), **{folder.name: Captioner(folder) for folder in folders}}
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
        print(
            batch, {name: f"{rate:.0f}, {rate / rates['PyTorch']:.2f} x" for name, rate in rates.items()}, flush=True
        )


def scenes(folders: list[Path], count: int = 1000) -> None:
    """Caption held-out scenes greedily in six languages; print the share that is exact."""
    captioners = {folder.name: Captioner(folder) for folder in folders}
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


def _peak(work: Callable[[], object]) -> float:
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def memory(folder: Path, part: str | None) -> None:
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
        parts = ["empty", *([] if (folder / "vision.onnx").exists() else ["write"]), "run"]
        for name in parts:
            subprocess.run([sys.executable, __file__, "memory", str(folder), "--part", name], check=True)
        size = sum(path.stat().st_size for name in GRAPHS for path in folder.glob(f"{name}.onnx*")) / 1e9
        print(f"weights: {size:.2f} GB")


def main() -> None:
    """Read what to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "scenes", "memory"))
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "memory":
        memory(arguments.folders[0], arguments.part)
    else:
        {"speed": speed, "scenes": scenes}[arguments.what](arguments.folders)


if __name__ == "__main__":
    main()
