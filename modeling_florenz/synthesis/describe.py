"""Describe images in English: by a model of transformers, by an endpoint, or as the world of the scenes does."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import torch

from .endpoint import EndpointError, ask_endpoint
from .filters import repeats, weight
from .models import load_model, world
from .recipe import SCENES, Describe, Filters
from .sentences import one_paragraph
from .shards import Made, Row
from .sources import SCENES_NAMED, decoded


# What does not change a description.
_FREE = ("key_variable", "concurrency", "timeout", "attempts", "batch_size")


@dataclass
class DescribeImages:
    """Write one description of every image that is kept."""

    options: Describe
    filters: Filters

    name = "describe"
    schema = pa.schema({"key": pa.string(), "text": pa.string()})

    def settings(self) -> Row:
        """Return model, prompt and bounds."""
        kept = {name: value for name, value in asdict(self.options).items() if name not in _FREE}
        return kept | {"max_characters": self.filters.max_characters}

    def make(self, *inputs: list[Row]) -> Made:
        """Describe the images of a shard; the second input says which ones.

        Raises:
            ValueError: none of them could be described.
        """
        made, kept = Made(), {row["key"] for row in inputs[1]}
        rows = [row for row in inputs[0] if row["key"] in kept]
        answers = self._answers(rows) if rows else []
        if answers and all(text is None for text, _ in answers):
            raise EndpointError(
                f"{self.options.endpoint or self.options.model} describes none of {len(rows)} images: {answers[0][1]}"
            )
        for row, (text, problem) in zip(rows, answers, strict=True):
            description = one_paragraph(text or "")
            if text is None:
                made.skip(row["name"], "image not described", problem, fault=True)
            elif not description:
                made.skip(row["name"], "description empty", fault=True)
            elif weight(description) > self.filters.max_characters:
                made.skip(row["name"], f"description longer than {self.filters.max_characters:,} characters")
            elif repeats(description):
                made.skip(row["name"], "description repeats itself")
            else:
                made.rows.append({"key": row["key"], "text": description})
        return made

    def _answers(self, rows: Sequence[Row]) -> list[tuple[str | None, str]]:
        if self.options.model == SCENES:
            return [(_scene_text(row["name"]), "") for row in rows]
        if self.options.endpoint:
            return ask_endpoint([row["bytes"] for row in rows], self.options)
        size = self.options.batch_size
        parts = [self._write(rows[start : start + size]) for start in range(0, len(rows), size)]
        return [(text, "") for part in parts for text in part]

    def _write(self, rows: Sequence[Row]) -> list[str]:
        model, processor = self._loaded
        content = [{"type": "image"}, {"type": "text", "text": self.options.prompt}]
        prompt = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = processor(
            images=[[decoded(row["bytes"])] for row in rows],
            text=[prompt + self.options.prefix] * len(rows),
            padding=True,
            return_tensors="pt",
        ).to(model.device, model.dtype)
        with torch.inference_mode():
            ids = model.generate(**inputs, max_new_tokens=self.options.max_new_tokens, do_sample=False, num_beams=1)
        new = ids[:, inputs["input_ids"].shape[1] :]
        return processor.batch_decode(new, skip_special_tokens=True)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model, processor = load_model(AutoModelForImageTextToText, AutoProcessor, self.options.model)
        # What is written goes on from the end of the prompt.
        processor.tokenizer.padding_side = "left"
        return model, processor


def _scene_text(name: str) -> str | None:
    if not name.startswith(SCENES_NAMED):
        return None
    return world().detailed_caption(world().scene("train", int(name.removeprefix(SCENES_NAMED))), "en")
