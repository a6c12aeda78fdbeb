"""Prompts, images, targets and decoding for Florenz (Florenz paper: captioning via translation).

Two tokenizers are at work: `encoder_tokenizer` (BART's vocabulary) reads prompts, `tokenizer` (the decoder's, Gemma's
vocabulary) writes targets and prefixes and decodes. Tasks and languages are plain sentences, never added tokens.
"""

import threading
import warnings
from typing import Any

import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.image_transforms import to_pil_image
from transformers.image_utils import ChannelDimension, ImageInput, ImageType, get_image_type, load_image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.processing_utils import ProcessorMixin


LANGUAGES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "ru": "Russian",
    "zh": "simplified Chinese",
}
# First words of a caption, put into the decoder to fix its language (Florenz paper, appendix prompts).
PREFIXES = {
    "en": "The image shows",
    "de": "Das Bild zeigt",
    "fr": "La photo montre",
    "es": "La imagen muestra",
    "ru": "На картинке изображен",
    "zh": "图为",
}
# Florence-2's own prompt sentences, and the Florenz paper's one for translation.
TASKS = {
    "caption": "What does the image describe?",
    "detailed_caption": "Describe in detail what is shown in the image.",
    "more_detailed_caption": "Describe with a paragraph what is shown in the image.",
    "translate": "Translate the following text: {source}",
}
SOURCE = "{source}"
# The text items of all messages, one blank between them. Images add nothing: their features go in front of the prompt.
CHAT_TEMPLATE = (
    "{%- set parts = namespace(found=[]) -%}{%- for message in messages -%}"
    "{%- if message['content'] is string -%}{%- set parts.found = parts.found + [message['content']] -%}"
    "{%- else -%}{%- for item in message['content'] if item['type'] == 'text' -%}"
    "{%- set parts.found = parts.found + [item['text']] -%}{%- endfor -%}{%- endif -%}{%- endfor -%}"
    "{{- parts.found | join(' ') -}}"
)
# 300 MB once decoded to RGB: larger than any photo asked for here, small enough not to exhaust a shared machine.
MAX_IMAGE_PIXELS = 100_000_000
# The switch that keeps special tokens out of user text belongs to the tokenizer, which threads share.
_TOKENIZER_LOCK = threading.Lock()


def florenz_image_processor(image_size: int = 768) -> CLIPImageProcessorPil:
    """Build the image processor: stretch to a square with PIL bicubic, scale to 0..1, normalise (Florence-2's values).

    Args:
        image_size (`int`, *optional*, defaults to 768): Side of the square, in pixels.

    Returns:
        [`CLIPImageProcessorPil`]: It turns images into `pixel_values` of shape `(batch, 3, image_size, image_size)`.

    Example:
        >>> florenz_image_processor(224).image_mean
        [0.485, 0.456, 0.406]
    """
    return CLIPImageProcessorPil(
        size={"height": image_size, "width": image_size},
        do_center_crop=False,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
        do_convert_rgb=True,
    )


def _array_to_pil(array: Any) -> Any:
    is_tensor = isinstance(array, torch.Tensor)
    if str(array.dtype) not in ("uint8", "torch.uint8"):
        raise ValueError(f"an array must hold uint8 values from 0 to 255, got {array.dtype}")
    shape = tuple(array.shape)
    axes = {2: [0], 3: [0, -1] if is_tensor else [-1, 0]}.get(len(shape), [])  # torch puts channels first, NumPy last
    if len(shape) == 2:
        array, shape = array[None], (1, *shape)
    axis = next((axis for axis in axes if shape[axis] in (1, 3, 4)), None)
    if axis is None or 0 in shape:
        raise ValueError(
            f"an array must have shape (height, width), (height, width, channels) or (channels, height, width) "
            f"with 1, 3 or 4 channels, got {tuple(shape)}"
        )
    array = array.detach().cpu() if is_tensor else array
    layout = ChannelDimension.FIRST if axis == 0 else ChannelDimension.LAST
    return to_pil_image(array, do_rescale=False, input_data_format=layout)


def _to_rgb(image: Any) -> Any:
    if isinstance(image, str):
        raise ValueError("got a string; open the file or address first and pass the image, nothing is fetched here")
    try:
        kind = get_image_type(image)
    except ValueError:
        name = type(image).__name__
        raise ValueError(f"expected a PIL image, a NumPy array or a torch tensor, got {name}") from None
    if kind != ImageType.PIL:
        image = _array_to_pil(image)
    width, height = image.size
    if width * height > MAX_IMAGE_PIXELS:  # asked before decoding: a small file can unfold to gigabytes
        raise ValueError(f"{width} x {height} pixels are more than the limit of {MAX_IMAGE_PIXELS:,}")
    if image.mode.startswith(("I", "F")):
        # PIL's own conversion saturates 16-bit values at 255 instead of scaling them.
        scaled = image.convert("I" if image.mode.startswith("I") else "F").convert("F")
        scaled = scaled.point(lambda value: value * (1 / 257) + 0.5).convert("L")
        scaled.info["exif"] = image.getexif().tobytes()  # keeps the orientation, which some formats store elsewhere
        image = scaled
    return load_image(image)


def _plain_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Encode without special tokens, neither added nor parsed out of the text: text is data."""
    backend = tokenizer.backend_tokenizer
    with _TOKENIZER_LOCK:
        parse, padding, truncation = backend.encode_special_tokens, backend.padding, backend.truncation
        try:
            encoded = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)
        finally:
            backend.encode_special_tokens = parse
            if padding is not None:
                backend.enable_padding(**padding)
            if truncation is not None:
                backend.enable_truncation(**truncation)
    return encoded["input_ids"]


def _rows(columns: dict[str, Any]) -> tuple[int, dict[str, list]]:
    """Give all columns one length: lists must agree, single values are repeated."""
    lengths = {name: len(column) for name, column in columns.items() if isinstance(column, list | tuple)}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        found = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
        raise ValueError(f"lists must have the same length, at least 1: {found}")
    count = next(iter(lengths.values()), 1)
    return count, {name: list(value) if name in lengths else [value] * count for name, value in columns.items()}


def _image_rows(images: Any) -> Any:
    """Flatten the accepted nestings to one list, a single image or None."""
    if getattr(images, "ndim", 0) == 4:
        return list(images)
    if not isinstance(images, list | tuple):
        return images
    rows = [row if isinstance(row, list | tuple) else [row] for row in images]
    for index, row in enumerate(rows):
        if len(row) != 1:
            raise ValueError(f"row {index} has {len(row)} images, every row needs exactly one")
    return [row[0] for row in rows]


def _pad(
    rows: list[list[int]], value: int, padding: bool | str = True, limit: int | None = None, left: bool = False
) -> list[list[int]]:
    if padding not in (True, False, "longest", "max_length", "do_not_pad"):
        raise ValueError(f"`padding` must be True, False, 'longest', 'max_length' or 'do_not_pad', got {padding!r}")
    if padding in (False, "do_not_pad"):
        return rows
    length = limit if padding == "max_length" else max(map(len, rows))
    fill = [[value] * (length - len(row)) for row in rows]
    return [pad + row if left else row + pad for row, pad in zip(rows, fill, strict=True)]


class FlorenzProcessor(ProcessorMixin):
    """Turn images, tasks, languages and texts into model inputs, and generated ids into text.

    Args:
        image_processor: Image processor; one of another back end than PIL is rebuilt on PIL, for the same pixels
            everywhere.
        tokenizer: Tokenizer of the decoder.
        encoder_tokenizer: Tokenizer of the prompts.
        languages (`dict[str, str]`, *optional*): ISO 639-1 code to the name used in the prompt.
        prefixes (`dict[str, str]`, *optional*): ISO 639-1 code to the first words of a caption.
        max_prompt_length (`int`, *optional*, defaults to 447): Longest prompt in tokens: 1,024 encoder positions less
            577 for a 768 px image.
        max_target_length (`int`, *optional*, defaults to 128): Longest target in tokens.
        chat_template (`str`, *optional*): Jinja template; the default keeps the texts of a chat and nothing else.

    Raises:
        ValueError: If a tokenizer lacks a begin, end or padding token.

    Example:
        >>> processor.prompt("caption", language="de")
        'The target language is German. What does the image describe?'
        >>> inputs = processor(text="A dog.", task="translate", language="fr", target="Un chien.")
        >>> sorted(inputs)
        ['attention_mask', 'input_ids', 'labels']
    """

    def __init__(
        self,
        image_processor: Any,
        tokenizer: Any,
        encoder_tokenizer: Any,
        languages: dict[str, str] | None = None,
        prefixes: dict[str, str] | None = None,
        max_prompt_length: int = 447,
        max_target_length: int = 128,
        chat_template: str | None = None,
        **kwargs: Any,
    ) -> None:
        if hasattr(image_processor, "to_dict") and not isinstance(image_processor, CLIPImageProcessorPil):
            # Where torchvision is installed, loading picks its back end, whose pixels differ slightly.
            settings = {k: v for k, v in image_processor.to_dict().items() if k != "image_processor_type"}
            image_processor = CLIPImageProcessorPil(**settings)
        chat_template = CHAT_TEMPLATE if chat_template is None else chat_template
        super().__init__(image_processor, tokenizer, encoder_tokenizer, chat_template=chat_template, **kwargs)
        for name in ("tokenizer", "encoder_tokenizer"):
            if None in (ids := [getattr(getattr(self, name), f"{kind}_token_id") for kind in ("bos", "eos", "pad")]):
                raise ValueError(f"`{name}` needs a bos, an eos and a pad token, their ids are {ids}")
        self.languages = dict(LANGUAGES if languages is None else languages)
        self.prefixes = dict(PREFIXES if prefixes is None else prefixes)
        self.max_prompt_length = max_prompt_length
        self.max_target_length = max_target_length

    @property
    def model_input_names(self) -> list[str]:
        """List the names of the model inputs made here, each once."""
        return ["pixel_values", "input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"]

    def prompt(self, task: str | None, language: str | None = None, text: str | None = None) -> str:
        """Write the prompt of one row (Florenz paper, appendix prompts).

        Args:
            task (`str` or `None`): A key of `TASKS`; with `None` the text is the whole prompt.
            language (`str`, *optional*): Target language, a key of `languages`; without it the prompt names none.
            text (`str`, *optional*): What to translate. It is never parsed: markup in it stays text.

        Raises:
            ValueError: If the task or language is unknown, or the text missing, empty or not wanted by the task.
        """
        if text is not None and not isinstance(text, str):
            raise ValueError(f"`text` must be a string, got {type(text).__name__}")
        if task is None:
            if language is not None:
                raise ValueError(f"language {language!r} needs a task; without one the text is the whole prompt")
            if text is None:
                raise ValueError(f"give a task ({', '.join(TASKS)}) or a text")
            return text
        if not isinstance(task, str) or task not in TASKS:
            raise ValueError(f"unknown task {task!r}, expected one of {', '.join(TASKS)}")
        if language is not None and (not isinstance(language, str) or language not in self.languages):
            raise ValueError(f"unknown language {language!r}, expected one of {', '.join(self.languages)}")
        before, source, after = TASKS[task].partition(SOURCE)
        if not source and text is not None:
            raise ValueError(f"task {task!r} takes no text, got {text!r}")
        if source and (text is None or not text.strip()):
            raise ValueError(f"task {task!r} needs a text that is not empty, got {text!r}")
        sentence = "" if language is None else "The target language is " + self.languages[language] + ". "
        return sentence + before + (text + after if source else "")

    def _prefix(self, prefix: bool | str | None, task: str | None, language: str | None) -> str:
        if prefix is None or prefix is False:
            return ""
        if isinstance(prefix, str):
            return prefix
        if prefix is not True:
            raise ValueError(f"`prefix` must be a string, True or False, got {prefix!r}")
        if task is None or SOURCE in TASKS[task]:
            raise ValueError(f"prefix=True is for caption tasks, not for task {task!r}; pass the words themselves")
        if language not in self.prefixes:
            raise ValueError(f"no prefix for language {language!r}, expected one of {', '.join(self.prefixes)}")
        return self.prefixes[language]

    def _pixel_values(self, images: list, image_size: int | None) -> list:
        converted = []
        for index, image in enumerate(images):
            try:
                converted.append(_to_rgb(image))
            except Exception as error:  # PIL and its decoders raise many kinds for a broken file
                raise ValueError(f"image {index}: {error}") from error
        if image_size is None:
            return list(self.image_processor(converted)["pixel_values"])
        if isinstance(image_size, bool) or not isinstance(image_size, int) or image_size < 1:
            raise ValueError(f"`image_size` must be a positive number of pixels, got {image_size!r}")
        size = {"height": image_size, "width": image_size}
        return list(self.image_processor(converted, size=size)["pixel_values"])

    def _encode(self, tokenizer: Any, texts: list[str], limit: int, warn: bool) -> list[list[int]]:
        rows = _plain_ids(tokenizer, texts)
        for index, row in enumerate(rows):
            if warn and len(row) + 2 > limit:
                message = f"the prompt of row {index} has {len(row) + 2} tokens, it is cut to {limit}"
                warnings.warn(message, stacklevel=3)
        # Added here and not by the tokenizer, whose flags for them differ between saved copies of one vocabulary.
        return [[tokenizer.bos_token_id, *row[: limit - 2], tokenizer.eos_token_id] for row in rows]

    def __call__(
        self,
        images: ImageInput | None = None,
        text: str | list[str] | None = None,
        task: str | list[str] | None = None,
        language: str | list[str] | None = None,
        target: str | list[str] | None = None,
        prefix: bool | str | list[bool | str] = False,
        image_size: int | None = None,
        padding: bool | str = True,
        return_tensors: str | None = "pt",
        videos: None = None,
        audio: None = None,
        add_special_tokens: bool = True,
    ) -> BatchFeature:
        """Prepare a batch. Every argument up to `prefix` is one value for all rows or a list with one value a row.

        Args:
            images: PIL images, or uint8 arrays or tensors with 1, 3 or 4 channels; one image a row.
            text: What to translate, or without a task the whole prompt. It is never parsed: markup in it stays text.
            task: `caption`, `detailed_caption`, `more_detailed_caption` (need an image) or `translate` (needs a text).
            language: Target language of the task, a key of `languages`.
            target: What the model shall write; becomes `labels`.
            prefix: Words the output starts with; `True` takes the caption prefix of the language.
            image_size (`int`, *optional*): Side of the input square in pixels, instead of the saved one.
            padding: `True` or `"longest"`, `"max_length"`, or `False`.
            return_tensors: `"pt"`, `"np"`, or `None` for lists.
            videos, audio, add_special_tokens: Passed by pipelines; only `None` is taken for the first two, and begin
                and end tokens are always written.

        Returns:
            [`BatchFeature`]: `input_ids` and `attention_mask` `(batch, prompt length)`, and as asked for
            `pixel_values` `(batch, 3, size, size)`, `labels` `(batch, target length)`, not shifted, -100 where padded,
            and `decoder_input_ids` `(batch, prefix length)`: start, begin and prefix tokens; if their lengths differ,
            padded on the left, with a `decoder_attention_mask`.

        Raises:
            ValueError: If values do not fit the task or each other, or an image cannot be used.
        """
        if videos is not None or audio is not None:
            raise ValueError("Florenz reads images and text, no video or audio")
        images = _image_rows(images)
        count, columns = _rows(
            {"images": images, "text": text, "task": task, "language": language, "target": target, "prefix": prefix}
        )
        prompts, prefixes = [], []
        for index, row in enumerate(zip(*columns.values(), strict=True)):
            try:
                prompts.append(self.prompt(row[2], row[3], row[1]))
                prefixes.append(self._prefix(row[5], row[2], row[3]))
                if images is None and row[2] is not None and SOURCE not in TASKS[row[2]]:
                    raise ValueError(f"task {row[2]!r} needs an image")
                if target is not None and not isinstance(row[4], str):
                    raise ValueError(f"`target` must be a string, got {row[4]!r}")
            except ValueError as error:
                raise (ValueError(f"row {index}: {error}") if count > 1 else error) from None
        data: dict[str, list] = {}
        if isinstance(images, list):
            data["pixel_values"] = self._pixel_values(images, image_size)
        elif images is not None:  # one image for all rows is processed once
            data["pixel_values"] = self._pixel_values([images], image_size) * count
        ids = self._encode(self.encoder_tokenizer, prompts, self.max_prompt_length, warn=True)
        data["input_ids"] = _pad(ids, self.encoder_tokenizer.pad_token_id, padding, self.max_prompt_length)
        data["attention_mask"] = _pad([[1] * len(row) for row in ids], 0, padding, self.max_prompt_length)
        if target is not None:
            labels = self._encode(self.tokenizer, columns["target"], self.max_target_length, warn=False)
            data["labels"] = _pad(labels, -100, padding, self.max_target_length)
        if any(value is not None and value is not False for value in columns["prefix"]):
            data |= self._decoder_inputs(prefixes)
        return BatchFeature(data, tensor_type=return_tensors)

    def _decoder_inputs(self, prefixes: list[str]) -> dict[str, list[list[int]]]:
        start = [self.tokenizer.eos_token_id, self.tokenizer.bos_token_id]  # decoding starts from the end token
        rows = [start + row for row in _plain_ids(self.tokenizer, prefixes)]
        data = {"decoder_input_ids": _pad(rows, self.tokenizer.pad_token_id, left=True)}
        if len(set(map(len, rows))) > 1:
            data["decoder_attention_mask"] = _pad([[1] * len(row) for row in rows], 0, left=True)
        return data

    def decode_generated(self, generated_ids: Any, decoder_input_ids: Any = None) -> list[str]:
        """Decode generated ids to clean texts with an upper-case first letter (Florenz paper, evaluation).

        Args:
            generated_ids: Ids of shape `(batch, length)` or `(length,)`, as `generate` returns them.
            decoder_input_ids (*optional*): The prefix given to `generate`, `(batch, prefix length)`. That many
                positions are cut off, whatever they hold, so that the texts start behind the prefix.

        Example:
            >>> processor.decode_generated([[1, 2, 1]])
            ['']
        """
        rows = generated_ids.tolist() if hasattr(generated_ids, "tolist") else list(generated_ids)
        rows = [rows] if rows and not isinstance(rows[0], list | tuple) and not hasattr(rows[0], "tolist") else rows
        skipped = 0 if decoder_input_ids is None else len(decoder_input_ids[0])
        texts = []
        for row in rows:  # the Trainer fills up predictions with -100
            ids = [index for index in map(int, row[skipped:]) if index >= 0]
            text = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False).strip()
            texts.append(text[:1].upper() + text[1:])
        return texts

    def post_process_image_text_to_text(
        self, generated_outputs: Any, skip_special_tokens: bool = True, **kwargs: Any
    ) -> list[str]:
        """Decode for the `image-text-to-text` pipeline, as `decode_generated` does unless special tokens shall stay."""
        if skip_special_tokens:
            return self.decode_generated(generated_outputs)
        return self.tokenizer.batch_decode(generated_outputs, skip_special_tokens=False, **kwargs)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Save the processor with its code, to a folder that [`AutoProcessor`] loads."""
        for tokenizer in (self.tokenizer, self.encoder_tokenizer):
            for name in ("is_local", "local_files_only"):  # where this copy was loaded from is no one else's business
                tokenizer.init_kwargs.pop(name, None)
        return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)


FlorenzProcessor.register_for_auto_class()
