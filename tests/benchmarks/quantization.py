"""Compare a model in bfloat16 with its quantised forms: memory, time a token, and agreement of the next word.

python tests/benchmarks/quantization.py FOLDER [--prompts 50] [--presets int8 int4]
"""

import argparse
import gc
import time

import torch

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration, FlorenzProcessor
from modeling_florenz.checkpoint.quantization import quantization_config
from modeling_florenz.data.emoji_scenes.world import EmojiWorld


def stored_bytes(model: torch.nn.Module) -> int:
    """Count what the parameters really hold: a torchao tensor says the size of what it stands for."""

    def inner(tensor: torch.Tensor) -> int:
        if not hasattr(tensor, "__tensor_flatten__"):
            return tensor.nbytes
        names, _ = tensor.__tensor_flatten__()
        return sum(inner(getattr(tensor, name)) for name in names)

    return sum(inner(parameter.data) for parameter in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--prompts", type=int, default=50)
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--presets", nargs="*", default=["int8", "int4"])
    arguments = parser.parse_args()
    config = FlorenzConfig.from_pretrained(arguments.folder)
    processor = FlorenzProcessor.from_pretrained(arguments.folder)
    world = EmojiWorld()
    scenes = [world.scene("test", index) for index in range(arguments.prompts)]
    rows = [
        processor(text=world.caption(scene, "en"), task="translate", language="fr", target=world.caption(scene, "fr"))
        for scene in scenes
    ]
    expected = None
    print("| weights | GB | s a token | next word as in bfloat16 |\n|---|---|---|---|", flush=True)
    for preset in (None, *arguments.presets):
        settings = {}
        if preset is not None:
            settings = {"quantization_config": quantization_config(preset, torch.bfloat16, config)}
            settings["device_map"] = {"": "cpu"}
        load = FlorenzForConditionalGeneration.from_pretrained
        model = load(arguments.folder, dtype=torch.bfloat16, **settings).eval()
        with torch.inference_mode():
            found = torch.cat([model(**row).logits[row["labels"] != -100].argmax(-1) for row in rows])
            prompt = {name: rows[0][name] for name in ("input_ids", "attention_mask")}
            start = time.perf_counter()
            search = {"num_beams": 1, "max_new_tokens": arguments.tokens, "min_new_tokens": arguments.tokens}
            model.generate(**prompt, **search)
            seconds = (time.perf_counter() - start) / arguments.tokens
        expected = found if expected is None else expected
        agreement = (found == expected).float().mean().item()
        gigabytes = stored_bytes(model) / 1e9
        print(f"| {preset or 'bfloat16'} | {gigabytes:.2f} | {seconds:.2f} | {agreement:.3f} |", flush=True)
        del model
        gc.collect()


if __name__ == "__main__":
    main()
