"""Wrap models to compare in one interface: texts for rows and, where possible, perplexities."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
    AutoTokenizer,
)

from ..checkpoint.fingerprint import fingerprint
from ..checkpoint.settings import sentence
from ..processing_florenz import LANGUAGES, TASKS
from .captioner import Captioner
from .evaluated import EvaluatedModel, SearchProtocol
from .language_names import ENGLISH_NAMES, NLLB_CODES
from .scoring import mean_log_probabilities, perplexities


_FLORENCE = {
    "caption": "<CAPTION>",
    "detailed_caption": "<DETAILED_CAPTION>",
    "more_detailed_caption": "<MORE_DETAILED_CAPTION>",
}


class LoadedFlorenz:
    """Evaluate a Florenz that is loaded already.

    Args:
        model: in evaluation mode, with its adapter, if it has one.
        processor: of the model.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        self.languages = list(processor.languages)

    def writes(self, language: str) -> bool:
        return language in self.languages

    def fingerprint(self) -> Mapping[str, str | None]:
        return fingerprint(self.model, self.processor)

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        inputs = self.processor(
            images=[row["image"] for row in rows],
            text=[row["source"] or None for row in rows],
            task=[row["task"] for row in rows],
            language=[row["language"] for row in rows],
            prefix=[protocol.uses_prefix(row["task"], row["language"]) for row in rows],
            image_size=protocol.image_size,
        ).to(self.model.device)
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **protocol.search())
        return [
            protocol.finish(text) for text in self.processor.decode_generated(ids, inputs.get("decoder_input_ids"))
        ]

    def losses(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[float]:
        inputs = self.processor(
            images=[row["image"] for row in rows],
            text=[row["source"] or None for row in rows],
            task=[row["task"] for row in rows],
            language=[row["language"] for row in rows],
            target=[row["target"] for row in rows],
            image_size=protocol.image_size,
        ).to(self.model.device)
        with torch.inference_mode():
            logits = self.model(**inputs).logits
        return mean_log_probabilities(logits, inputs["labels"]).neg().tolist()

    def perplexities(self, rows: Sequence[dict[str, Any]], targets: Sequence[str]) -> list[float]:
        images, sources, languages = ([row[name] for row in rows] for name in ("image", "source", "language"))
        return perplexities(self.model, self.processor, images, sources, targets, languages, len(rows))


class FlorenzModel(LoadedFlorenz):
    """Load a Florenz, with an adapter if one is given, and evaluate it."""

    def __init__(self, name: str | None, revision: str | None = None, adapter: str | None = None) -> None:
        # On a CPU, numbers must not depend on what it can do.
        dtype = "auto" if torch.cuda.is_available() else "float32"
        captioner = Captioner(name, revision, adapter=adapter, dtype=dtype)
        super().__init__(captioner.model, captioner.processor)
        self.languages = captioner.languages


class ChatModel:
    """Evaluate any image-text-to-text model by its chat template."""

    languages = tuple(LANGUAGES)

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(
            name, revision=revision, trust_remote_code=False
        ).eval()
        self.processor = AutoProcessor.from_pretrained(name, revision=revision, trust_remote_code=False)

    def writes(self, language: str) -> bool:
        return language in ENGLISH_NAMES

    def fingerprint(self) -> Mapping[str, str | None]:
        return fingerprint(self.model, self.processor)

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        texts = []
        for row in rows:  # one at a time: not every template pads on the left
            content = [{"type": "image", "image": row["image"]}, {"type": "text", "text": chat_prompt(row)}]
            inputs = self.processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                ids = self.model.generate(**inputs, **protocol.search())
            new = ids[0, inputs["input_ids"].shape[1] :]
            texts.append(protocol.finish(self.processor.decode(new, skip_special_tokens=True)))
        return texts


class NllbModel:
    """Evaluate a translator that sees no image; the source is the English text, or a caption in its place."""

    languages = tuple(LANGUAGES)

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.model = AutoModelForSeq2SeqLM.from_pretrained(name, revision=revision, trust_remote_code=False).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(
            name, revision=revision, src_lang="eng_Latn", trust_remote_code=False
        )

    def writes(self, language: str) -> bool:
        return language in NLLB_CODES

    def fingerprint(self) -> Mapping[str, str | None]:
        return fingerprint(self.model, self.tokenizer)

    def translate(self, texts: Sequence[str], language: str, protocol: SearchProtocol) -> list[str]:
        """Translate English texts."""
        inputs = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        first = self.tokenizer.convert_tokens_to_ids(NLLB_CODES[language])
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **protocol.search(), forced_bos_token_id=first)
        return [protocol.finish(text) for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        if any(not row["source"] for row in rows):
            raise ValueError("a translator alone cannot caption: put a captioner before it, CAPTIONER+TRANSLATOR")
        return self.translate([row["source"] for row in rows], rows[0]["language"], protocol)


class CascadeModel:
    """Evaluate an English captioner followed by a translator."""

    def __init__(self, captioner: EvaluatedModel, translator: NllbModel) -> None:
        self.captioner, self.translator = captioner, translator
        self.languages = translator.languages

    def writes(self, language: str) -> bool:
        return self.translator.writes(language)

    def fingerprint(self) -> Mapping[str, str | None]:
        parts = {"captioner": self.captioner.fingerprint(), "translator": self.translator.fingerprint()}
        return {f"{part} {name}": value for part, found in parts.items() for name, value in found.items()}

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        language = rows[0]["language"]
        if rows[0]["task"] == "translate":
            return self.translator.generate(rows, protocol)
        english = self.captioner.generate([{**row, "language": "en"} for row in rows], protocol)
        return english if language == "en" else self.translator.translate(english, language, protocol)


class PlainCaptioner:
    """Evaluate an image-text-to-text model without chat template, such as BLIP-2, given only the image."""

    languages = ("en",)
    kind = "a model without chat template"

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(
            name, revision=revision or "main", trust_remote_code=False
        ).eval()
        self.processor = AutoProcessor.from_pretrained(name, revision=revision, trust_remote_code=False)

    def writes(self, language: str) -> bool:
        return language == "en"

    def fingerprint(self) -> Mapping[str, str | None]:
        return fingerprint(self.model, self.processor)

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        _check_english_captions(self.kind, rows)
        inputs = self.processor(images=[row["image"] for row in rows], return_tensors="pt", **self.prompts(rows))
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **protocol.search())
        return [protocol.finish(text) for text in self.processor.batch_decode(ids, skip_special_tokens=True)]

    def prompts(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {}


class Florence2Model(PlainCaptioner):
    """Evaluate a native Florence-2, which captions in English by a prompt for each kind of caption."""

    kind = "Florence-2"

    def prompts(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return {"text": [_FLORENCE[row["task"]] for row in rows], "padding": True}


def chat_prompt(row: dict[str, Any]) -> str:
    """Write a row as a request to a chat model, the same for all of them."""
    language = ENGLISH_NAMES[row["language"]]
    if row["task"] == "translate":
        return f"Translate this text into {language}. Answer with the translation only.\n{row['source']}"
    return f"{TASKS[row['task']]} Answer in {language}, in one sentence and with nothing else."


def _check_english_captions(model: str, rows: Sequence[dict[str, Any]]) -> None:
    if any(row["task"] == "translate" or row["language"] != "en" for row in rows):
        raise ValueError(f"{model} captions in English only: give --languages en and a captioning benchmark")


def load_model(name: str, revision: str | None = None, adapter: str | None = None) -> EvaluatedModel:
    """Load a model of the kind that its configuration names; `CAPTIONER+TRANSLATOR` is a cascade.

    Raises:
        ValueError: there is no such model.
    """
    first, plus, second = name.partition("+")
    if plus and not Path(name).exists():
        return CascadeModel(load_model(first), NllbModel(second))
    if name == "florenz-tiny" or adapter is not None:
        return FlorenzModel(name, revision, adapter)
    try:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except Exception as error:  # a file that is not a configuration raises many kinds
        raise ValueError(f"the model {name} could not be read: {sentence(error)}") from None
    if config.model_type == "florenz":
        return FlorenzModel(name, revision)
    if config.model_type == "florence2":
        return Florence2Model(name, revision)
    if config.model_type in ("m2m_100", "nllb-moe"):
        return NllbModel(name, revision)
    return PlainCaptioner(name, revision) if config.model_type == "blip-2" else ChatModel(name, revision)
