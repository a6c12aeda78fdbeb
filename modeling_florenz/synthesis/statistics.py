"""Count rows and tokens of a dataset by task and language, as the paper's table does."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from ..checkpoint.loading import BUNDLED_MODEL, load_processor
from .shards import Row


_COUNTED = 2000  # rows of a group whose tokens are counted


def count_rows(rows: Iterable[Row], processor_name: str = "") -> dict[str, dict[str, Any]]:
    """Count rows, images and tokens.

    Args:
        rows: with `task`, `language`, `source`, `target` and `key`, whose part before `#` is the image.
        processor_name: whose tokenizers count; the bundled one if left out.

    Returns:
        by `task/language`: `rows`, `images`, and the means `prompt_tokens` and `target_tokens` over the first rows.
    """
    processor: Any = load_processor(processor_name or str(BUNDLED_MODEL))
    counts: Counter[str] = Counter()
    images: dict[str, set[int]] = defaultdict(set)
    samples: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        group = f"{row['task']}/{row['language']}"
        counts[group] += 1
        images[group].add(hash(row["key"].partition("#")[0]))
        if len(samples[group]) < _COUNTED:
            samples[group].append(row)
    found = {}
    for group in sorted(counts):
        prompts = [_prompt(processor, row) for row in samples[group]]
        targets = [row["target"] for row in samples[group]]
        found[group] = {
            "rows": counts[group],
            "images": len(images[group]),
            "prompt_tokens": _mean(processor.encoder_tokenizer, prompts),
            "target_tokens": _mean(processor.tokenizer, targets),
        }
    return found


def _prompt(processor: Any, row: Row) -> str:
    language = row["language"]
    if language in processor.languages:
        return processor.prompt(row["task"], language, row["source"] or None)
    return row["source"]


def _mean(tokenizer: Any, texts: list[str]) -> float:
    ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return round(sum(len(line) + 2 for line in ids) / len(ids), 1)
