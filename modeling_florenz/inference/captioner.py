"""Caption, translate and score with a model that is loaded once."""

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers.generation import BaseStreamer

from ..checkpoint.loading import BUNDLED_MODEL, is_bundled, load
from ..data.images import open_image
from ..extras import install_command
from .asked import check_request, known_languages
from .compiled import check_compiler, compile_steps
from .onnx_folder import is_exported, refuse_for_graphs
from .packed import can_pack, pack_matrices
from .scoring import check_whole, score_candidates
from .stream import stream_text, with_features
from .together import image_tokens, write_captions


# A picture that the bundled model knows.
SAMPLE_IMAGE = BUNDLED_MODEL / "sample.png"

DTYPES: dict[str, torch.dtype | str] = {"auto": "auto", "float32": torch.float32, "bfloat16": torch.bfloat16}

ImageSource = str | Path | Image.Image


@dataclass(frozen=True)
class Score:
    """Hold how likely the model finds a text: nats per token, their perplexity, and nats of the whole text."""

    text: str
    mean_log_probability: float
    perplexity: float
    log_probability: float


class Captioner:
    """Load a Florenz model once; caption many images, translate beside them, score texts, stream.

    Args:
        model: folder or Hub repository; the bundled `florenz-tiny`, which knows emoji scenes, if left out. A folder
            that `florenz export` wrote runs on ONNX Runtime.
        revision: branch, tag or commit of the repository.
        device: where to run; a GPU if there is one.
        quantize: `int4`, or on a GPU `int8`, to load encoder and decoder layers in fewer bits, the rest in bfloat16.
        adapter: folder or Hub repository of a LoRA adapter; it brings its processor, and its base if `model` is
            left out.
        dtype: of the weights: `float32`, `bfloat16`, or `auto` for that of the file on a GPU and for the faster one on
            a CPU, where wide models take bfloat16 if the CPU has it.
        image_guidance: how much an image counts beside a text, in translations and scores, or a prompt: 0 for the text
            alone, 1 as the model was trained, more to follow the image further, at twice the work of the decoder.
        compile: compile the steps of searches with `torch.compile`: loading takes a minute or more longer.

    Raises:
        ValueError: the model or adapter is missing, unreadable or of another kind, or cannot be compiled.

    Example:

    ```python
    >>> from modeling_florenz import Captioner
    >>> from modeling_florenz.inference.captioner import SAMPLE_IMAGE

    >>> captioner = Captioner()
    >>> captioner.caption([SAMPLE_IMAGE], language="de")
    ['Ein Bild: Hund, Fahrrad und Palme.']
    ```
    """

    def __init__(
        self,
        model: str | Path | None = None,
        revision: str | None = None,
        device: str | None = None,
        quantize: str | None = None,
        adapter: str | Path | None = None,
        dtype: str = "auto",
        image_guidance: float = 1.0,
        compile: bool = False,
    ) -> None:
        if adapter is not None and importlib.util.find_spec("peft") is None:
            raise ValueError(f"an adapter needs peft, which is not installed: {install_command('train')}")
        exported = is_exported(model)
        if exported:
            refuse_for_graphs(device, quantize, adapter, dtype, compile)
            device = "cpu"
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}: it must be one of {', '.join(DTYPES)}")
        if not 0 <= image_guidance < math.inf:
            raise ValueError(f"image_guidance is {image_guidance}: it must be a number from 0 on")
        self.image_guidance = image_guidance
        if compile:
            check_compiler(self.device, quantize)
        if exported and model is not None:
            from .onnx_model import load_exported  # ONNX Runtime need not be installed

            loaded = load_exported(model)
        else:
            loaded = load(model, revision, adapter, DTYPES[dtype], quantize, self.device)
        self.model, self.processor = loaded.model, loaded.processor
        if compile:
            compile_steps(self.model)
        elif adapter is None and can_pack(self.model):
            pack_matrices(self.model)
        self.is_bundled = adapter is None and (model is None or is_bundled(model))

    @property
    def languages(self) -> list[str]:
        """List the languages the model can be asked for, as ISO 639-1 codes, the paper's six in its order first."""
        return known_languages(self.processor)

    def caption(
        self,
        images: Sequence[ImageSource],
        language: str = "en",
        task: str = "caption",
        prefix: bool | str = False,
        num_beams: int = 4,
        batch_size: int = 8,
        via: str | None = None,
    ) -> list[str]:
        """Write one caption per image.

        Args:
            images: paths or PIL images.
            language: ISO 639-1 code, one of `languages`.
            task: `caption`, `detailed_caption` or `more_detailed_caption`.
            prefix: start the output with the caption prefix of the language (`True`) or with given words. The prefix
                itself is not part of the result. The paper's models need it in languages without captions in
                training.
            num_beams: beams of the search, 1 for greedy.
            batch_size: images at a time.
            via: caption in this language, which must be English, and translate that beside the same image; English
                itself stays direct. A prefix then starts the English caption.

        Raises:
            ValueError: the model does not know the task or a language, or an image cannot be used.
        """
        rows = self.caption_languages(images, [language], task, prefix, num_beams, batch_size, via)
        return [row[language] for row in rows]

    def caption_languages(
        self,
        images: Sequence[ImageSource],
        languages: Sequence[str] | None = None,
        task: str = "caption",
        prefix: bool | str = False,
        num_beams: int = 4,
        batch_size: int = 8,
        via: str | None = None,
    ) -> list[dict[str, str]]:
        """Write one caption per image and language; each image goes through the vision tower once.

        Args:
            languages: ISO 639-1 codes; all that the model knows, if left out.
            images, task, prefix, num_beams, batch_size, via: see `caption`.

        Returns:
            the captions of each image by language.
        """
        languages = self.languages if languages is None else list(languages)
        self.check_request(languages, task, via)
        results: list[dict[str, str]] = []
        for start in range(0, len(images), batch_size):
            batch = self._open(images[start : start + batch_size])
            # An empty prompt beside them: what is asked comes afterwards, for all languages at once.
            features = image_tokens(self, self.processor(images=batch, text="")["pixel_values"])
            found = write_captions(self, features, [task], languages, prefix, num_beams, via)
            results += [{language: texts[task, language] for language in languages} for texts in found]
        return results

    def check_request(self, languages: Sequence[str], task: str = "caption", via: str | None = None) -> None:
        """Check what captions are asked for, before any image is opened.

        Raises:
            ValueError: the model does not know the task or a language, or cannot translate from `via`.
        """
        check_request(self.processor, languages, task, via)

    @torch.inference_mode()
    def image_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Run the vision tower on images `(batch, 3, size, size)`; return their tokens for the encoder."""
        tokens: torch.Tensor = self.model.get_image_features(pixel_values)["pooler_output"]
        return tokens

    def translate(
        self,
        images: Sequence[ImageSource] | None,
        texts: Sequence[str],
        language: str,
        num_beams: int = 4,
        batch_size: int = 8,
    ) -> list[str]:
        """Translate English texts, each beside its image, or without images if `images` is None."""
        results: list[str] = []
        for start in range(0, len(texts), batch_size):
            batch = slice(start, start + batch_size)
            inputs = self.processor(
                images=None if images is None else self._open(images[batch]),
                text=list(texts[batch]),
                task="translate",
                language=language,
            )
            results += self.generate(inputs, num_beams)
        return results

    @torch.inference_mode()
    def score(self, image: ImageSource | None, text: str, language: str, candidates: Sequence[str]) -> list[Score]:
        """Score candidate translations of a text beside its image; the likeliest has the lowest perplexity.

        Example:

        ```python
        >>> best = min(captioner.score(image, "A picture of ball.", "de", ["Ein Bild: Fußball."]),
        ...            key=lambda score: score.perplexity)  # doctest: +SKIP
        ```
        """
        if not candidates:
            raise ValueError("there is no candidate to score: give at least one")
        for candidate in candidates:
            if not candidate.strip():
                raise ValueError("a candidate is empty: give texts to score")
        check_whole(self.processor, candidates)
        inputs = self.processor(
            images=None if image is None else self._open([image])[0], text=text, task="translate", language=language
        ).to(self.device)
        labels = self.processor(text=text, task="translate", language=language, target=list(candidates))["labels"]
        values = score_candidates(self.model, inputs, labels.to(self.device), **self.guidance(inputs))
        return [
            Score(candidate, value.item(), (-value).exp().item(), value.item() * int(length))
            for candidate, value, length in zip(candidates, values, labels.ne(-100).sum(-1), strict=True)
        ]

    def stream(
        self, image: ImageSource, language: str = "en", task: str = "caption", text: str | None = None
    ) -> Iterator[str]:
        """Yield a caption, or the translation of `text`, piece by piece as it is written (greedy).

        Whoever stops reading in the middle stops the model too.
        """
        inputs = self.processor(images=self._open([image])[0], task=task, language=language, text=text)
        yield from stream_text(self, inputs.to(self.device))

    def guidance(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the argument of the model that weighs the image, if there is an image to weigh."""
        has_image = "pixel_values" in inputs or "mm_encoder_outputs" in inputs
        return {"image_guidance": self.image_guidance} if has_image and self.image_guidance != 1 else {}

    def _open(self, images: Sequence[ImageSource]) -> list[Image.Image]:
        return [open_image(image) if isinstance(image, str | Path) else image for image in images]

    def search(self, num_beams: int) -> dict[str, Any]:
        """Return the arguments of the model for a search with so many beams, 1 for greedy."""
        if num_beams < 1:
            raise ValueError(f"num_beams is {num_beams}: it must be at least 1")
        # Whether beams stop early is the model's own setting; the published sizes do.
        early = num_beams > 1 and bool(self.model.generation_config.early_stopping)
        return {"num_beams": num_beams, "early_stopping": early, "do_sample": False}

    @torch.inference_mode()
    def generate(
        self,
        inputs: Any,
        num_beams: int,
        features: torch.Tensor | None = None,
        streamer: BaseStreamer | None = None,
    ) -> list[str]:
        """Search for the texts of prepared inputs, with finished image tokens in the place of images if given.

        Args:
            inputs: what the processor makes of a batch.
            features (`(batch, tokens, width)`): see `image_features`.
            streamer: receives every token of every row, which needs `num_beams=1`.
        """
        inputs = {name: value.to(self.device) for name, value in inputs.items()}
        inputs = inputs if features is None else with_features(inputs, features)
        told = {} if streamer is None else {"streamer": streamer}
        ids = self.model.generate(**inputs, **self.guidance(inputs), **self.search(num_beams), **told)
        return self.processor.decode_generated(ids, inputs.get("decoder_input_ids"))
