"""Put the models that are compared behind one interface: texts for rows and, where it can be told, perplexities."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoProcessor,
    AutoTokenizer,
    Florence2ForConditionalGeneration,
)

from ..processing_florenz import LANGUAGES, TASKS
from .captioner import Captioner
from .scoring import mean_log_probabilities, perplexities


_NLLB = {"en": "eng_Latn", "de": "deu_Latn", "fr": "fra_Latn", "es": "spa_Latn", "ru": "rus_Cyrl", "zh": "zho_Hans"}
_NLLB |= {"it": "ita_Latn"}
_FLORENCE = {"caption": "<CAPTION>", "detailed_caption": "<DETAILED_CAPTION>"}
_FLORENCE |= {"more_detailed_caption": "<MORE_DETAILED_CAPTION>"}


@dataclass(frozen=True)
class SearchProtocol:
    """Fix how texts are searched for; the defaults are the paper's (spec section 6.1)."""

    num_beams: int = 4
    max_new_tokens: int = 128
    no_repeat_ngram_size: int = 3
    capitalise: bool = True
    prefix: str = "off"  # on, off, or auto: on for captions in languages without captions in pre-training
    image: str = "on"  # on, blank, shuffled, none
    image_size: int | None = None

    def search(self) -> dict[str, Any]:
        return {
            "num_beams": self.num_beams,
            "max_new_tokens": self.max_new_tokens,
            "no_repeat_ngram_size": self.no_repeat_ngram_size,
            "do_sample": False,
            "early_stopping": self.num_beams > 1,
        }

    def finish(self, text: str) -> str:
        text = text.strip()
        return text[:1].upper() + text[1:] if self.capitalise else text

    def uses_prefix(self, task: str, language: str) -> bool:
        wanted = self.prefix == "on" or (self.prefix == "auto" and language in ("fr", "es", "ru", "zh"))
        return wanted and task != "translate"


class EvaluatedModel(Protocol):
    """What a benchmark asks of a model."""

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]: ...


class FlorenzModel:
    """Evaluate a Florenz, with an adapter if one is given."""

    def __init__(self, name: str | None, revision: str | None = None, adapter: str | None = None) -> None:
        captioner = Captioner(name, revision, adapter=adapter)
        self.model, self.processor = captioner.model, captioner.processor

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        inputs = self.processor(
            images=None if protocol.image == "none" else [row["image"] for row in rows],
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
        """Give each row's mean cross-entropy over its target's tokens, in nats (spec section 6.5)."""
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
        images, sources = [row["image"] for row in rows], [row["source"] for row in rows]
        return perplexities(self.model, self.processor, images, sources, list(targets), rows[0]["language"], len(rows))


class Florence2Model:
    """Evaluate a native Florence-2, which captions in English."""

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.model = Florence2ForConditionalGeneration.from_pretrained(name, revision=revision).eval()
        self.processor = AutoProcessor.from_pretrained(name, revision=revision)

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        for row in rows:
            if row["task"] == "translate" or row["language"] != "en":
                raise ValueError("Florence-2 captions in English only: give --languages en and a captioning benchmark")
        inputs = self.processor(
            images=[row["image"] for row in rows],
            text=[_FLORENCE[row["task"]] for row in rows],
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **protocol.search())
        return [protocol.finish(text) for text in self.processor.batch_decode(ids, skip_special_tokens=True)]


class ChatModel:
    """Evaluate any image-text-to-text model by its chat template."""

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(name, revision=revision).eval()
        self.processor = AutoProcessor.from_pretrained(name, revision=revision)

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        texts = []
        for row in rows:  # one at a time: padding on the left is not every template's
            content: list[dict[str, Any]] = [{"type": "text", "text": chat_prompt(row)}]
            if protocol.image != "none":
                content.insert(0, {"type": "image", "image": row["image"]})
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
    """Evaluate a translator that sees no image; the English text is the source, or a caption given in its place."""

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.model = AutoModelForSeq2SeqLM.from_pretrained(name, revision=revision).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, src_lang="eng_Latn")

    def translate(self, texts: Sequence[str], language: str, protocol: SearchProtocol) -> list[str]:
        inputs = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        first = self.tokenizer.convert_tokens_to_ids(_NLLB[language])
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **protocol.search(), forced_bos_token_id=first)
        return [protocol.finish(text) for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        if any(not row["source"] for row in rows):
            raise ValueError("a translator alone cannot caption: give a captioner before it, CAPTIONER+TRANSLATOR")
        return self.translate([row["source"] for row in rows], rows[0]["language"], protocol)


class CascadeModel:
    """Evaluate an English captioner with a translator behind it."""

    def __init__(self, captioner: EvaluatedModel, translator: NllbModel) -> None:
        self.captioner, self.translator = captioner, translator

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        language = rows[0]["language"]
        if rows[0]["task"] == "translate":
            return self.translator.generate(rows, protocol)
        english = self.captioner.generate([{**row, "language": "en"} for row in rows], protocol)
        return english if language == "en" else self.translator.translate(english, language, protocol)


class PlainCaptioner:
    """Evaluate an image-text-to-text model without chat template, such as BLIP-2, given the image alone."""

    def __init__(self, name: str, revision: str | None = None) -> None:
        self.model = AutoModelForImageTextToText.from_pretrained(name, revision=revision).eval()
        self.processor = AutoProcessor.from_pretrained(name, revision=revision)

    def generate(self, rows: Sequence[dict[str, Any]], protocol: SearchProtocol) -> list[str]:
        inputs = self.processor(images=[row["image"] for row in rows], return_tensors="pt")
        with torch.inference_mode():
            ids = self.model.generate(**inputs, **protocol.search())
        return [protocol.finish(text) for text in self.processor.batch_decode(ids, skip_special_tokens=True)]


def chat_prompt(row: dict[str, Any]) -> str:
    """Word a row for a chat model: the same request for every one of them."""
    language = LANGUAGES.get(row["language"], row["language"])
    if row["task"] == "translate":
        return f"Translate this text into {language}. Answer with the translation only.\n{row['source']}"
    return f"{TASKS[row['task']]} Answer in {language}, in one sentence and with nothing else."


def load_model(name: str, revision: str | None = None, adapter: str | None = None) -> EvaluatedModel:
    """Load a model by what its configuration says it is; `CAPTIONER+TRANSLATOR` is a cascade.

    Raises:
        ValueError: there is no such model.
    """
    first, plus, second = name.partition("+")
    if plus and not Path(name).exists():
        return CascadeModel(load_model(first), NllbModel(second))
    if name == "florenz-tiny" or adapter is not None:
        return FlorenzModel(name, revision, adapter)
    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        raise ValueError(f"the model {name} could not be read: {str(error).splitlines()[0]}") from None
    if config.model_type == "florenz":
        return FlorenzModel(name, revision)
    if config.model_type == "florence2":
        return Florence2Model(name, revision)
    if config.model_type in ("m2m_100", "nllb-moe"):
        return NllbModel(name, revision)
    return PlainCaptioner(name, revision) if config.model_type == "blip-2" else ChatModel(name, revision)
