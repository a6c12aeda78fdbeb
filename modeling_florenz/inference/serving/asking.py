"""Understand requests strictly: models' names, plain instructions, images in data addresses."""

import base64
import binascii
import io
import re
from collections.abc import Mapping
from typing import Any

from ...data.images import open_image
from ...processing_florenz import TASKS
from .failures import RequestError
from .jobs import Text


FORMATS = {
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/gif": "GIF",
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/tiff": "TIFF",
    "image/webp": "WEBP",
}
CAPTIONS = tuple(task for task in TASKS if task != "translate")

_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*)(;base64)?,", re.IGNORECASE)
_CAPTION = re.compile(
    r"(?:please )?(?:caption|describe) (?:the|this) (?:image|picture|photo)(?P<detail> in detail| with a paragraph)?"
    r" in (?P<language>[\w -]+?)[.!]?",
    re.IGNORECASE,
)
_TRANSLATION = re.compile(
    r"(?:please )?translate (?:this |the following text )?(?:in)?to (?P<language>[\w -]+?): ?(?P<source>.*)",
    re.IGNORECASE | re.DOTALL,
)
_DETAILS = {None: "caption", " in detail": "detailed_caption", " with a paragraph": "more_detailed_caption"}


class Understanding:
    """Know a model's name, tasks and languages, and what an image becomes for it.

    Args:
        name: that requests call the model by.
        processor: of the model.
        max_pixels: of an image, asked before anything is decoded.
    """

    def __init__(self, name: str, processor: Any, max_pixels: int) -> None:
        self.name, self._processor, self._max_pixels = name, processor, max_pixels

    @property
    def languages(self) -> Mapping[str, str]:
        """Return the names of the languages by code."""
        languages: Mapping[str, str] = self._processor.languages
        return languages

    def names(self) -> list[str]:
        """List the names that a chat may ask for: the model's, alone and with each task and language."""
        tasks = (*CAPTIONS, "translate")
        return [self.name, *(f"{self.name}:{task}:{language}" for task in tasks for language in self.languages)]

    def check_name(self, name: str | None) -> None:
        """Check the name of the model where task and language stand elsewhere.

        Raises:
            RequestError: it is another model's.
        """
        if name not in (None, self.name):
            raise RequestError(400, f"model {name[:80]!r} is not served here: use {self.name!r}")

    def chat(self, name: str, words: str, has_image: bool) -> Text:
        """Return what a chat asks for.

        Args:
            name: of the model, alone or with task and language.
            words: of the message.
            has_image: whether there is an image in it.

        Raises:
            RequestError: the name or the instruction is not one of those that are known.
        """
        base, *rest = name.split(":")
        if base != self.name or len(rest) not in (0, 2):
            raise RequestError(
                400,
                f"model {name[:80]!r} is not served here: use {self.name!r}, or with task and language as in "
                f"'{self.name}:caption:en'",
            )
        text = self._instruction(words) if not rest else None
        if text is None:
            task, language = rest
            if task != "translate" and words.strip():
                raise RequestError(400, f"{name!r} already names task and language: send the image without a text")
            text = Text(task, language, words if task == "translate" else None)
        return self.check(text, has_image)

    def check(self, text: Text, has_image: bool) -> Text:
        """Return a text that is asked for if the model can write it.

        Raises:
            RequestError: it cannot.
        """
        try:
            self._processor.prompt(text.task, text.language, text.source)
            self._processor.first_words(text.prefix, text.task, text.language)
        except ValueError as error:
            raise RequestError(400, str(error)) from None
        if text.task in CAPTIONS and not has_image:
            raise RequestError(400, f"task {text.task!r} needs an image: send one as a data address")
        try:
            self.count_prompt(text)
        except ValueError:
            limit = self._processor.max_prompt_length
            raise RequestError(400, f"the text is too long: with its instruction it may have {limit} tokens") from None
        return text

    def check_candidates(self, candidates: list[str]) -> None:
        """Check that translations can be scored whole.

        Raises:
            RequestError: one is empty or too long.
        """
        limit = self._processor.max_target_length
        for number, length in enumerate(self._processor.target_lengths(candidates)):
            if not candidates[number].strip():
                raise RequestError(400, f"candidate {number} is empty: give texts to score")
            if length > limit:
                raise RequestError(400, f"candidate {number} has more than the {limit} tokens that can be scored")

    def image(self, address: str) -> bytes:
        """Return the RGB values of the image in a data address, stretched to the model's square.

        Raises:
            RequestError: it is not one, or its image is broken, too large or of another kind than it says.
        """
        head = _DATA.match(address[:200])
        if head is None or head[3] is None:
            found = f"got {address[:40]!r}"
            raise RequestError(
                400,
                f"an image must be a data address such as 'data:image/png;base64,...', {found}; nothing is fetched",
            )
        kind = (head[1] or "text/plain").lower()
        if kind not in FORMATS:
            raise RequestError(400, f"{kind[:80]!r} is not an image that can be read: use {', '.join(FORMATS)}")
        try:
            data = base64.b64decode(address[head.end() :], validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(400, "the image is not whole base64: was it cut off?") from None
        try:
            image = open_image(io.BytesIO(data), f"the {kind}", [FORMATS[kind]], self._max_pixels)
        except ValueError as error:
            raise RequestError(413 if "pixels" in str(error) else 422, str(error)) from None
        size = self._processor.image_processor.size
        # As the processor stretches it, which then has nothing to do there; a photo is not sent to the other process.
        return image.resize((size["width"], size["height"]), self._processor.image_processor.resample).tobytes()

    def count_prompt(self, text: Text) -> int:
        """Count the tokens of a prompt, its begin and end included.

        Raises:
            ValueError: there are more than the model reads.
        """
        prompt = self._processor.prompt(text.task, text.language, text.source)
        return self._processor(text=prompt, truncation=False)["input_ids"].shape[1]

    def cut(self, text: str, most: int | None) -> tuple[str, int, bool]:
        """Return a text of at most so many tokens, their number, and whether it was cut."""
        ids = self._processor.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        if most is None or len(ids) <= most:
            return text, len(ids), False
        return self._processor.tokenizer.decode(ids[:most], skip_special_tokens=True), most, True

    def _instruction(self, words: str) -> Text:
        for code in self.languages:
            for task in CAPTIONS:
                if words.strip() == self._processor.prompt(task, code):
                    return Text(task, code)
        if found := _CAPTION.fullmatch(words.strip()):
            detail = found["detail"]
            return Text(_DETAILS[detail and detail.lower()], self._code(found["language"]))
        if found := _TRANSLATION.fullmatch(words.lstrip()):
            return Text("translate", self._code(found["language"]), found["source"])
        raise RequestError(
            400,
            f"the instruction {words[:60]!r} is not understood: write 'Describe this image in French.', with "
            "'in detail' or 'with a paragraph' after 'image', or 'Translate into French: ...', or ask the model "
            f"'{self.name}:caption:fr'",
        )

    def _code(self, language: str) -> str:
        for code, name in self.languages.items():
            if language.lower() in (code, name.lower(), name.lower().removeprefix("simplified ")):
                return code
        raise RequestError(400, f"unknown language {language[:40]!r}: use one of {', '.join(self.languages.values())}")
