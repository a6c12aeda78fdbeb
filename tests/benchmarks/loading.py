"""Load a converted model in bfloat16 and caption one photo; print memory against file size, and the time of each part.

python tests/benchmarks/loading.py FOLDER PHOTO [--tokens 16]
"""

import argparse
import resource
import time
from pathlib import Path

import torch
from PIL import Image

from modeling_florenz import FlorenzForConditionalGeneration, FlorenzProcessor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--tokens", type=int, default=16)
    arguments = parser.parse_args()
    size = sum(path.stat().st_size for path in arguments.folder.glob("*.safetensors"))
    seconds = {}

    def timed(name: str, call):
        start = time.perf_counter()
        with torch.inference_mode():
            result = call()
        seconds[name] = time.perf_counter() - start
        return result

    load = FlorenzForConditionalGeneration.from_pretrained
    model = timed("load", lambda: load(arguments.folder, dtype=torch.bfloat16))
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    processor = timed("load the processor", lambda: FlorenzProcessor.from_pretrained(arguments.folder))
    image = Image.open(arguments.photo)
    inputs = timed("preprocess", lambda: processor(images=image, task="caption", language="fr"))
    features = timed("vision tower", lambda: model.get_image_features(inputs["pixel_values"].bfloat16()).pooler_output)
    with torch.inference_mode():
        prompt = model.model.encoder.embed_tokens(inputs["input_ids"])
    embeds = torch.cat((features, prompt), dim=1)
    timed("encoder", lambda: model.model.encoder(inputs_embeds=embeds))
    search = {"num_beams": 1, "min_new_tokens": arguments.tokens, "max_new_tokens": arguments.tokens}
    ids = timed("all of generate", lambda: model.generate(**inputs, **search))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # Weights are mapped from the file: they become resident when they are first used.
    print(f"weights {size / 1e9:.2f} GB, peak memory after loading {loaded / 1e9:.2f} GB: {loaded / size:.3f} times")
    print(f"peak memory after captioning {peak / 1e9:.2f} GB: {peak / size:.3f} times")
    print("| part | seconds |\n|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} |")
    print(f"{arguments.tokens} tokens:", processor.decode_generated(ids)[0])


if __name__ == "__main__":
    main()
