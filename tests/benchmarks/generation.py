"""Time decoding with and without a cache on random weights: `python tests/benchmarks/generation.py`."""

import argparse
import statistics
import time

import torch
from transformers.modeling_outputs import BaseModelOutput

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration


CACHES = {
    "no cache": {"use_cache": False},
    "cache": {},
    "static cache": {"cache_implementation": "static"},
}


def build_model(layers: int, width: int, vocab_size: int) -> FlorenzForConditionalGeneration:
    """Build a Gemma-2 kind with a minimal tower and encoder: only the decoder is timed."""
    config = FlorenzConfig(
        vision_config={"embed_dim": [8] * 4, "num_heads": [1] * 4, "num_groups": [1] * 4, "depths": [1] * 4},
        encoder_config={"d_model": 1024, "encoder_layers": 1, "encoder_attention_heads": 8, "encoder_ffn_dim": 8},
        text_config={
            "model_type": "gemma2",
            "vocab_size": vocab_size,
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": 8,
            "num_key_value_heads": 4,
            "head_dim": width // 8,
            "query_pre_attn_scalar": width // 8,
        },
    )
    torch.manual_seed(0)
    model = FlorenzForConditionalGeneration(config).eval()
    for layer in model.model.decoder.layers:
        torch.nn.init.constant_(layer.cross_attn_gate.weight, 0.5)
    return model


def main() -> None:
    """Run every search with every kind of cache in turn, compare the ids and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--vocab-size", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--image-tokens", type=int, default=577)
    parser.add_argument("--prompt-tokens", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    model = build_model(args.layers, args.width, args.vocab_size)
    source = args.image_tokens + args.prompt_tokens
    states = torch.randn(args.batch, source, 1024)
    fixed = {"min_new_tokens": args.new_tokens, "max_new_tokens": args.new_tokens, "do_sample": False}
    fixed |= {"no_repeat_ngram_size": 3, "attention_mask": torch.ones(args.batch, source, dtype=torch.long)}
    print(
        f"{args.layers} layers, width {args.width}, {args.vocab_size} ids, {source} encoder tokens, "
        f"batch {args.batch}, {args.new_tokens} new tokens, {args.threads} thread(s), median of {args.runs} run(s)"
    )
    print(f"{'search':8}" + "".join(f"{name:>16}" for name in CACHES) + f"{'gain':>8}{'static':>8}")
    for search, num_beams in (("greedy", 1), ("4 beams", 4)):
        times: dict[str, list[float]] = {name: [] for name in CACHES}
        ids: dict[str, torch.Tensor] = {}
        for _ in range(args.runs):
            for name, cache in CACHES.items():
                encoded = BaseModelOutput(last_hidden_state=states)
                start = time.perf_counter()
                ids[name] = model.generate(encoder_outputs=encoded, num_beams=num_beams, **fixed, **cache)
                times[name].append(time.perf_counter() - start)
        for name in CACHES:
            if not torch.equal(ids[name], ids["no cache"]):
                raise SystemExit(f"{search}: the ids with {name} differ from those without a cache")
        if ids["cache"].unique().numel() < 3:
            raise SystemExit(f"{search}: the ids do not vary, so that their equality says nothing")
        medians = {name: statistics.median(values) for name, values in times.items()}
        gains = [medians["no cache"] / medians[name] for name in ("cache", "static cache")]
        print(f"{search:8}" + "".join(f"{medians[name]:>14.2f} s" for name in CACHES), end="")
        print("".join(f"{gain:>7.1f}x" for gain in gains), flush=True)


if __name__ == "__main__":
    main()
