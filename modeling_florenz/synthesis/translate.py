"""Translate descriptions, and captions with the description of their image as context."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import torch

from ..inference.language_names import NLLB_CODES
from .filters import normal_form, repeats
from .models import load_model, world
from .recipe import SCENES, Translate
from .sentences import cut_context, finish_sentence, one_paragraph, with_context
from .shards import Made, Row, digest_of
from .sources import SCENES_NAMED


@dataclass
class TranslateTexts:
    """Translate what is said about every image into every language.

    Args:
        options: of the recipe; None to translate nothing and only hand English on.
        captions: English captions by name of the image's file.
    """

    options: Translate | None
    captions: dict[str, list[str]] = field(default_factory=dict)

    name = "translate"
    schema = pa.schema(
        {
            "key": pa.string(),
            "kind": pa.string(),
            "language": pa.string(),
            "english": pa.string(),
            "target": pa.string(),
        }
    )

    def settings(self) -> Row:
        """Return model and search."""
        options = asdict(self.options) if self.options else {}
        kept = {name: value for name, value in options.items() if name != "batch_size"}
        return kept | {"captions": digest_of(self.captions)}

    def make(self, *inputs: list[Row]) -> Made:
        """Translate the descriptions of a shard, and the captions of its images."""
        made, names = Made(), {row["key"]: row["name"] for row in inputs[1]}
        texts = [(row["key"], "description", row["text"], row["text"]) for row in inputs[0]]
        texts += [
            (row["key"], "caption", caption, row["text"])
            for row in inputs[0]
            for caption in self.captions.get(_file_name(names[row["key"]]), ())
        ]
        for key, kind, english, _ in texts:
            made.rows.append({"key": key, "kind": kind, "language": "en", "english": english, "target": english})
        for language in self.options.languages if self.options and texts else ():
            targets = self._targets(texts, language, names)
            for (key, kind, english, _), target in zip(texts, targets, strict=True):
                if target is None:
                    made.skip(f"{key} {language}", "translation empty")
                elif normal_form(target) == normal_form(english):
                    made.skip(f"{key} {language}", "translation copies its source")
                elif repeats(target):
                    made.skip(f"{key} {language}", "translation repeats itself")
                else:
                    made.rows.append(
                        {"key": key, "kind": kind, "language": language, "english": english, "target": target}
                    )
        return made

    def _targets(self, texts: Sequence[tuple[str, ...]], language: str, names: dict[str, str]) -> list[str | None]:
        assert self.options is not None
        if self.options.model == SCENES:
            scenes = [world().scene("train", int(names[key].removeprefix(SCENES_NAMED))) for key, *_ in texts]
            return [world().detailed_caption(scene, language) for scene in scenes]
        found: list[str | None] = [None] * len(texts)
        alone = [number for number, text in enumerate(texts) if text[1] == "description"]
        for number, target in zip(alone, self._translate([texts[n][2] for n in alone], language, True), strict=True):
            found[number] = target
        captions = [number for number, text in enumerate(texts) if text[1] == "caption"]
        joined = [with_context(texts[number][2], texts[number][3]) for number in captions]
        bare = []
        for number, target in zip(captions, self._translate(joined, language, False), strict=True):
            found[number] = cut_context(target, texts[number][2])
            if found[number] is None:  # the separator was lost, or nothing is before it
                bare.append(number)
        for number, target in zip(bare, self._translate([texts[n][2] for n in bare], language, False), strict=True):
            found[number] = target
        return [None if target is None else finish_sentence(target, language) for target in found]

    def _translate(self, texts: Sequence[str], language: str, descriptions: bool) -> list[str]:
        options = self.options
        if options is None or not texts:
            return []
        model, tokenizer = self._loaded
        first = tokenizer.convert_tokens_to_ids(NLLB_CODES[language])
        if first is None or first == tokenizer.unk_token_id:
            raise ValueError(f"translate.model: {options.model} does not know {NLLB_CODES[language]}: leave it out")
        answers: list[str] = []
        for start in range(0, len(texts), options.batch_size):
            batch = list(texts[start : start + options.batch_size])
            inputs = tokenizer(batch, padding=True, truncation=True, max_length=512, return_tensors="pt")
            with torch.inference_mode():
                ids = model.generate(
                    **inputs.to(model.device),
                    forced_bos_token_id=first,
                    num_beams=options.num_beams,
                    max_length=options.max_description if descriptions else options.max_length,
                    length_penalty=1.0 if descriptions else options.length_penalty,
                    do_sample=False,
                )
            answers += tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [one_paragraph(answer) for answer in answers]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        assert self.options is not None
        return load_model(AutoModelForSeq2SeqLM, AutoTokenizer, self.options.model, src_lang="eng_Latn")


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].rpartition("#")[2]
