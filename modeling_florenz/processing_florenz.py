"""Prompts, images, targets and decoding for Florenz (Florenz paper: captioning via translation).

Two tokenizers are at work: `encoder_tokenizer` (BART's vocabulary) reads prompts, `tokenizer` (the decoder's, Gemma's)
writes targets and prefixes and decodes. Tasks and languages are plain sentences, never added tokens.
"""

import copy
import reprlib
import threading
import warnings
from typing import Any

import torch
import transformers


if tuple(map(int, transformers.__version__.split(".")[:2])) < (5, 24):
    raise ImportError(
        f"Florenz needs transformers 5.24 or newer, but {transformers.__version__} is installed: "
        'pip install --upgrade "transformers>=5.24,<6"'
    )

from transformers.feature_extraction_utils import BatchFeature
from transformers.image_transforms import to_pil_image
from transformers.image_utils import ImageInput, ImageType, get_image_type, load_image, to_numpy_array
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.processing_utils import ProcessingKwargs, ProcessorMixin, TextKwargs


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
    "{%- for m in messages -%}{{- m.content if m.content is string else m.content | selectattr('type', 'eq', 'text') "
    "| map(attribute='text') | join(' ') -}}{{- '' if loop.last else ' ' -}}{%- endfor -%}"
)
# 300 MB once decoded to RGB: larger than any photo asked for here, small enough not to exhaust a shared machine.
MAX_IMAGE_PIXELS = 100_000_000
# The longest token of BART's vocabulary; Gemma's longest has 124. Tokenizers need seconds for a megabyte.
MAX_TOKEN_BYTES = 128
# What of transformers' settings for texts has an effect here; ends are always added.
_TEXT_SETTINGS = "padding padding_side max_length truncation return_tensors add_special_tokens verbose".split()
_CUT_SILENTLY = (True, "longest_first", "only_first")
# The switch that keeps special tokens out of user text belongs to the tokenizer, which threads share.
_TOKENIZER_LOCK = threading.Lock()


def florenz_image_processor(image_size: int = 768) -> CLIPImageProcessorPil:
    """Build the image processor: stretch to a square of `image_size` px (PIL bicubic), normalise like Florence-2."""
    return CLIPImageProcessorPil(
        size={"height": image_size, "width": image_size},
        do_center_crop=False,
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )


def _array_to_pil(array: Any) -> Any:
    is_tensor, shape = isinstance(array, torch.Tensor), tuple(array.shape)
    if str(array.dtype).removeprefix("torch.") != "uint8":
        raise ValueError(f"an array must hold uint8 values from 0 to 255, got {array.dtype}")
    array = array[None] if len(shape) == 2 else array
    axes = (0, -1) if is_tensor or len(shape) == 2 else (-1, 0)  # torch puts channels first, NumPy last
    axis = next((axis for axis in axes if array.ndim == 3 and array.shape[axis] in (1, 3, 4)), None)
    if axis is None or 0 in shape:
        raise ValueError(f"an array must be (height, width) or have 1, 3 or 4 channels first or last, got {shape}")
    layout = "channels_first" if axis == 0 else "channels_last"
    return to_pil_image(array.cpu() if is_tensor else array, do_rescale=False, input_data_format=layout)


def _eight_bits(image: Any) -> Any:
    # Half of the values and more must be in use for a range to be taken for theirs: what is darker could be either.
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        full = 2 ** tags.get(258, (16,))[0] - 1
    else:
        values = to_numpy_array(image)
        low, high = float(values.min()), float(values.max())  # both are NaN if one value is
        ranges = [full for full in (1, 255, 65535) if low >= 0 and high <= full and (full == 1 or high > full / 2)]
        if not ranges:
            raise ValueError(
                f"its values from {low:g} to {high:g} fill none of the ranges 0 to 1, 255 and 65,535: "
                "save it with 8 or 16 bits"
            )
        full = ranges[0]
    # PIL's own conversion saturates deep values instead of scaling them.
    grey = image.convert("F").point(lambda value: value * (255 / full) + 0.5).convert("L")
    if tags.get(262) == 0:  # white is 0, which PIL turns round for 8 bits alone
        grey = grey.point(lambda value: 255 - value)
    if (hidden := image.info.get("transparency")) is not None:
        grey.paste(255, None, _array_to_pil((to_numpy_array(image) == hidden).astype("uint8") * 255))
    return grey


def _hidden_colour(image: Any) -> Any:
    # PIL unpacks these pixels to 8 bits and leaves the value that is transparent among them as it was.
    hidden, packed = image.info.get("transparency"), image.tile[0][3] if getattr(image, "tile", None) else None
    if packed in ("L;2", "L;4") and isinstance(hidden, int):
        return hidden * {"L;2": 85, "L;4": 17}[packed]
    return tuple(value >> 8 for value in hidden) if packed == "RGB;16B" and isinstance(hidden, tuple) else hidden


def to_rgb(image: Any) -> Any:
    """Turn a PIL image or array into an upright RGB image: its first frame, over white where it is transparent.

    Raises:
        ValueError: If it is not an image, has too many pixels, or values whose range cannot be told.
    """
    if isinstance(image, str):
        raise ValueError(
            "got a string; open the file or address first and pass the image, nothing is fetched here unasked"
        )
    image = image if get_image_type(image) == ImageType.PIL else _array_to_pil(image)
    if image.width * image.height > MAX_IMAGE_PIXELS:  # asked before decoding: a small file can unfold to gigabytes
        raise ValueError(f"{image.width} x {image.height} pixels are more than the limit of {MAX_IMAGE_PIXELS:,}")
    hidden = _hidden_colour(image)
    image.load()
    try:  # of the numbers in EXIF to PIL's of the ways to turn; a broken EXIF says nothing about the pixels
        turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(image.getexif().get(0x0112))
    except Exception:
        turn = None
    if image.mode == "RGB" and not image.info and turn is None and not hasattr(image, "tile"):
        return image  # as it comes from here
    if image.mode.startswith(("I", "F")):
        rgb = _eight_bits(image).convert("RGB")
    elif image.has_transparency_data:
        if hidden != image.info.get("transparency"):
            image = image.copy()
            image.info["transparency"] = hidden
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        rgb = image.convert("RGB")
        rgb.paste((255, 255, 255), None, image.getchannel("A").point(lambda value: 255 - value))
    else:
        rgb = image.convert("RGB")
    rgb.info = {}  # a second time must not turn it again
    return rgb if turn is None else rgb.transpose(turn)


def _plain_ids(tokenizer: Any, texts: list[str], limit: int) -> list[list[int]]:
    """Encode with no special tokens, neither added nor read from the text: text is data.

    What is far behind `limit` tokens is cut off before, and half a surrogate pair becomes U+FFFD.
    """
    most = limit * MAX_TOKEN_BYTES  # a character is a byte at least
    whole = (text[:most].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") for text in texts)
    texts = [text.encode()[:most].decode(errors="ignore") for text in whole]
    backend = tokenizer.backend_tokenizer
    with _TOKENIZER_LOCK:
        before = backend.encode_special_tokens
        try:
            return tokenizer(texts, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        finally:
            backend.encode_special_tokens = before


def _image_rows(images: Any) -> Any:
    if getattr(images, "ndim", 0) == 4:
        return list(images)
    if not isinstance(images, list | tuple):
        return images
    rows = [row if isinstance(row, list | tuple) else [row] for row in images]
    if wrong := [f"row {index} has {len(row)}" for index, row in enumerate(rows) if len(row) != 1]:
        raise ValueError(f"every row takes exactly one image, {wrong[0]}")
    return [row[0] for row in rows]


def _rows(**columns: Any) -> list[tuple]:
    lengths = {name: len(column) for name, column in columns.items() if isinstance(column, list | tuple)}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        found = ", ".join(f"`{name}` has {length}" for name, length in lengths.items())
        raise ValueError(f"lists must have the same length, at least 1: {found}")
    count = next(iter(lengths.values()), 1)
    columns = {name: column if name in lengths else [column] * count for name, column in columns.items()}
    return list(zip(*columns.values(), strict=True))


def _pad(rows: list[list[int]], value: int, padding: bool | str = True, limit: int = 0, left: bool = False) -> list:
    if padding not in (True, False, "longest", "max_length", "do_not_pad"):
        raise ValueError(f"`padding` must be True, False, 'longest', 'max_length' or 'do_not_pad', got {padding!r}")
    length = limit if padding == "max_length" else max(map(len, rows)) if padding in (True, "longest") else 0
    fills = [[value] * (length - len(row)) for row in rows]
    return [fill + row if left else row + fill for row, fill in zip(rows, fills, strict=True)]


class FlorenzProcessorKwargs(ProcessingKwargs, total=False):
    """Settings of a call; `load_images` lets transformers read images that are given as paths and addresses."""

    load_images: bool


class FlorenzProcessor(ProcessorMixin):
    """Turn images, tasks, languages and texts into model inputs, and generated ids into text.

    Args:
        image_processor: Image processor; one of torchvision is rebuilt on PIL, whose pixels differ slightly.
        tokenizer, encoder_tokenizer: Tokenizers of the decoder and of the prompts; `ValueError` without bos, eos, pad.
        languages, prefixes: ISO 639-1 code to the name used in the prompt, and to the first words of a caption.
        max_prompt_length, max_target_length: Tokens; the prompt's leave 577 of 1,024 positions to a 768 px image.

    Example:
        >>> inputs = processor(text="A dog.", task="translate", language="fr", target="Un chien.")
        >>> sorted(inputs)
        ['attention_mask', 'input_ids', 'labels']
    """

    valid_processor_kwargs = FlorenzProcessorKwargs
    text_kwargs: TextKwargs = {"padding": True, "return_tensors": "pt"}

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
            settings = {k: v for k, v in image_processor.to_dict().items() if k != "image_processor_type"}
            image_processor = CLIPImageProcessorPil(**settings)
        if encoder_tokenizer is tokenizer:  # saving writes to both, each needs its own settings
            encoder_tokenizer = copy.copy(tokenizer)
        kwargs["chat_template"] = chat_template or CHAT_TEMPLATE
        super().__init__(image_processor, tokenizer, encoder_tokenizer, **kwargs)
        self.encoder_tokenizer = encoder_tokenizer
        self.auto_map = {"AutoProcessor": "processing_florenz.FlorenzProcessor"}  # saving adds it, loading drops it
        for name, part in (("tokenizer", tokenizer), ("encoder_tokenizer", encoder_tokenizer)):
            if None in (part.bos_token_id, part.eos_token_id, part.pad_token_id):
                raise ValueError(f"`{name}` needs a bos, an eos and a pad token")
        for name, texts in (("languages", languages), ("prefixes", prefixes)):
            pairs = texts.items() if isinstance(texts, dict) else [] if texts is None else [(texts, None)]
            if not all(isinstance(code, str) and isinstance(text, str) and text for code, text in pairs):
                raise ValueError(f"`{name}` must map codes of languages to texts, got {str(texts)[:80]}")
        for name, length in (("max_prompt_length", max_prompt_length), ("max_target_length", max_target_length)):
            if type(length) is not int or length < 3:  # a begin and an end token stand around the text
                raise ValueError(f"`{name}` must be a whole number of at least 3 tokens, got {length!r}")
        self.languages = dict(LANGUAGES if languages is None else languages)
        self.prefixes = dict(PREFIXES if prefixes is None else prefixes)
        self.max_prompt_length, self.max_target_length = max_prompt_length, max_target_length

    @property
    def model_input_names(self) -> list[str]:
        """List the inputs made of an image and a prompt; the Trainer tells lengths by the first."""
        return ["input_ids", "attention_mask", "pixel_values"]

    def prompt(self, task: str | None, language: str | None = None, text: str | None = None) -> str:
        """Write the prompt of one row (Florenz paper, appendix prompts); with no task the text is the prompt.

        Raises:
            ValueError: If the task or language is unknown, or the text missing, empty or not wanted by the task.

        Example:
            >>> processor.prompt("caption", language="de")
            'The target language is German. What does the image describe?'
        """
        if not isinstance(text, str | None):
            raise ValueError(f"`text` must be a string, got {reprlib.repr(text)}")
        if task is None and text is not None and language is None:
            return text
        if task not in TASKS:
            raise ValueError(
                f"task {reprlib.repr(task)} is not one of {', '.join(TASKS)}; "
                "only a text with no language needs no task"
            )
        if language is not None and language not in self.languages:
            raise ValueError(f"unknown language {reprlib.repr(language)}, expected one of {', '.join(self.languages)}")
        before, source, after = TASKS[task].partition(SOURCE)
        if bool(source) != bool(text and text.strip()):
            rule = "needs a text, not empty" if source else "takes no text"
            raise ValueError(f"task {task!r} {rule}, got {reprlib.repr(text)}")
        sentence = "" if language is None else "The target language is " + self.languages[language] + ". "
        return sentence + before + (f"{text}{after}" if source else "")  # never formatted: braces in a text are text

    def first_words(self, prefix: bool | str | None, task: str | None, language: str | None = None) -> str:
        """Return the words that an output of one row starts with: given ones, or for `True` the language's.

        Raises:
            ValueError: If the task is not a caption, or the language has no prefix.

        Example:
            >>> processor.first_words(True, "caption", "fr") == processor.prefixes["fr"]
            True
        """
        if not isinstance(prefix, bool | str | None):
            raise ValueError(f"`prefix` must be True, False or a string, got {reprlib.repr(prefix)}")
        if prefix is not True:
            return prefix or ""
        if task is None or SOURCE in TASKS[task] or language is None or language not in self.prefixes:
            raise ValueError(
                f"task {task!r} in {language!r} has no prefix of its own, only captions in {', '.join(self.prefixes)} "
                "have: give the words themselves"
            )
        return self.prefixes[language]

    def _settings(self, kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], bool]:
        # transformers merges its nested and flat settings, and passes over what it does not know.
        parts = [ProcessingKwargs.__annotations__[f"{part}_kwargs"] for part in ("text", "images", "videos", "audio")]
        known = [FlorenzProcessorKwargs, *parts, self.image_processor.valid_kwargs]
        names = {"common_kwargs"}.union(*(part.__annotations__ for part in known))
        unknown = [name for name, value in kwargs.items() if name not in names and value is not None]
        merged = {} if unknown else self._merge_kwargs(**kwargs)
        text, images = merged.get("text_kwargs", {}), merged.get("images_kwargs", {})
        images.pop("return_tensors", None)
        unknown += [name for name, value in text.items() if value and name not in _TEXT_SETTINGS]
        if images.get("input_data_format") is not None:
            unknown.append("input_data_format")  # an array's shape tells
        if unknown:
            raise TypeError(f"unexpected arguments: {', '.join(unknown)}")  # chat templates pass videos=None and such
        limit, most = text.get("max_length") or self.max_prompt_length, self.max_prompt_length
        if not 3 <= limit <= most:
            raise ValueError(f"`max_length` must be from 3 to the {most} tokens of a prompt, got {limit}")
        if text.get("padding_side") == "left":
            raise ValueError("`padding_side` must be 'right': positions in a prompt are counted from the left")
        padding = True if text.get("padding") is None else text["padding"]
        return {**text, "max_length": limit, "padding": padding}, images, bool(merged.get("load_images"))

    def _pixel_values(self, images: list, image_size: int | None, settings: dict[str, Any], loads: bool) -> list:
        if image_size is not None and (type(image_size) is not int or image_size < 1):
            raise ValueError(f"`image_size` must be a positive whole number of pixels, got {image_size!r}")
        if image_size is not None and settings.get("size") is not None:
            raise ValueError("`image_size` and `size` were both given: pass one of them")
        if image_size is not None:
            settings = {**settings, "size": {"height": image_size, "width": image_size}}
        pixels: list = []
        try:  # what an image before a broken one gave stays in the list, and counts the broken one
            for image in images:
                if loads and isinstance(image, str):
                    image = load_image(image)  # makes RGB itself: what is transparent shows the colour beneath
                pixels.append(
                    self.image_processor(self._stretch(to_rgb(image), settings), **settings)["pixel_values"][0]
                )
        except Exception as error:  # PIL and its decoders raise many kinds for a broken file
            name = getattr(images[len(pixels)], "filename", "")
            reason = " ".join(str(error).split())[:500] or type(error).__name__
            raise ValueError(f"image {len(pixels)}: {name}{': ' if name else ''}{reason}") from error
        return pixels

    def _stretch(self, image: Any, settings: dict[str, Any]) -> Any:
        # What the image processor would do itself, to the bit, but with an array of the whole photo before and after.
        names = ("do_resize", "size", "resample")
        given = [settings.get(name) for name in names]
        resizes, size, resample = (
            getattr(self.image_processor, name) if value is None else value
            for name, value in zip(names, given, strict=True)
        )
        height, width = (size.get(name) if hasattr(size, "get") else None for name in ("height", "width"))
        if not (resizes and height and width and isinstance(resample, int)):
            return image
        return image.resize((width, height), resample)

    def _encode(self, tokenizer: Any, texts: list[str], limit: int, truncation: Any = None) -> list[list[int]]:
        # Ends are added here, not by the tokenizer, whose flags for them differ between saved copies of a vocabulary.
        rows = _plain_ids(tokenizer, texts, limit)
        # One warning for all lengths, so that Python shows it once.
        if tokenizer is self.encoder_tokenizer and max(map(len, rows)) + 2 > limit:
            if truncation in (False, "do_not_truncate"):
                raise ValueError(f"a prompt has more than {limit} tokens, and `truncation` is {truncation!r}")
            if truncation not in _CUT_SILENTLY:
                warnings.warn(f"a prompt of more than {limit} tokens is cut to {limit}", stacklevel=3)
        elif tokenizer is self.tokenizer and max(map(len, rows)) + 2 > limit:
            # With an end token the model would learn to stop there.
            warnings.warn(f"targets of more than {limit} tokens are cut, without an end token", stacklevel=3)
            return [[tokenizer.bos_token_id, *row, tokenizer.eos_token_id][:limit] for row in rows]
        return [[tokenizer.bos_token_id, *row[: limit - 2], tokenizer.eos_token_id] for row in rows]

    def target_lengths(self, targets: list[str]) -> list[int]:
        """Count the tokens of targets, begin and end included; those above `max_target_length` are cut.

        What is far behind that length is not counted.
        """
        return [len(row) + 2 for row in _plain_ids(self.tokenizer, targets, self.max_target_length)]

    def __call__(
        self,
        images: ImageInput | None = None,
        text: str | list[str] | list[str | None] | None = None,
        task: str | list[str] | None = None,
        language: str | list[str] | None = None,
        target: str | list[str] | None = None,
        prefix: bool | str | list[bool | str] | None = None,
        image_size: int | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare a batch. Every argument up to `prefix` is one value for all rows or a list with one value a row.

        Args:
            images: PIL images, or uint8 arrays or tensors with 1, 3 or 4 channels; one image per row.
            text: What to translate, or without a task the whole prompt. Never parsed: markup in it stays text.
            task: `caption`, `detailed_caption`, `more_detailed_caption` (need an image) or `translate` (needs a text).
            language: Target language of the task.
            target: What the model should write. More than `max_target_length` tokens are cut, without an end token.
            prefix: Words the output starts with, within `max_target_length`; `True` takes the language's.
            image_size: Side of the input square in pixels, instead of the saved one.
            kwargs: Settings of transformers, flat or in `images_kwargs` and `text_kwargs`, which are for prompts:
                `padding`, `max_length`, `truncation` (`True` cuts without a warning, `False` refuses what is too
                long), `return_tensors`, `do_rescale` and other settings of the image processor. With
                `load_images=True` transformers reads images that are paths or addresses, in chats too.

        Returns:
            `pixel_values` (batch, 3, size, size); `input_ids`, `attention_mask` (batch, prompt length); `labels`
            (batch, target length), not shifted, -100 where padded; `decoder_input_ids` (batch, prefix length): start,
            begin and prefix tokens, where ragged padded on the left and with a `decoder_attention_mask`.

        Raises:
            ValueError: If values do not fit the task or each other, or an image cannot be used.
        """
        text_settings, image_settings, loads = self._settings(kwargs)
        padding = text_settings["padding"]
        images = _image_rows(images)
        rows = _rows(images=images, task=task, language=language, text=text, prefix=prefix, target=target)
        prompts, prefixes = [], []
        try:
            for _, row_task, row_language, row_text, row_prefix, row_target in rows:
                prompts.append(self.prompt(row_task, row_language, row_text))
                if images is None and row_task is not None and SOURCE not in TASKS[row_task]:
                    raise ValueError(f"task {row_task!r} needs an image")
                if target is not None and not isinstance(row_target, str):
                    raise ValueError(f"`target` must be a string, got {reprlib.repr(row_target)}")
                prefixes.append(self.first_words(row_prefix, row_task, row_language))
        except ValueError as error:
            raise ValueError(f"row {len(prefixes)}: {error}") from error
        data = {}
        if images is not None:
            given = images if isinstance(images, list) else [images]  # one image for all rows is processed once
            data["pixel_values"] = self._pixel_values(given, image_size, image_settings, loads) * (
                len(rows) // len(given)
            )
        limit = text_settings["max_length"]
        ids = self._encode(self.encoder_tokenizer, prompts, limit, text_settings.get("truncation"))
        data["input_ids"] = _pad(ids, self.encoder_tokenizer.pad_token_id, padding, limit)
        data["attention_mask"] = _pad([[1] * len(row) for row in ids], 0, padding, limit)
        if target is not None:
            labels = self._encode(self.tokenizer, [row[5] for row in rows], self.max_target_length)
            data["labels"] = _pad(labels, -100, padding, self.max_target_length)
        if any(row[4] is not None and row[4] is not False for row in rows):
            start = [self.tokenizer.eos_token_id, self.tokenizer.bos_token_id]  # Gemma's end token starts decoding
            ids = [start + row for row in _plain_ids(self.tokenizer, prefixes, self.max_target_length)]
            if long := [index for index, row in enumerate(ids) if len(row) > self.max_target_length]:
                raise ValueError(f"row {long[0]}: the prefix has more than {self.max_target_length} tokens")
            data["decoder_input_ids"] = _pad(ids, self.tokenizer.pad_token_id, left=True)
            if len(set(map(len, ids))) > 1:
                data["decoder_attention_mask"] = _pad([[1] * len(row) for row in ids], 0, left=True)
        return BatchFeature(data, tensor_type=text_settings.get("return_tensors"))

    def decode_generated(self, generated_ids: Any, decoder_input_ids: Any = None) -> list[str]:
        """Decode generated ids (batch, length) to texts with an upper-case first letter (Florenz paper, evaluation).

        With the `decoder_input_ids` given to `generate`, as many positions are cut off, whatever they hold.
        """
        rows = generated_ids.tolist() if hasattr(generated_ids, "tolist") else generated_ids
        rows = [rows] if len(rows) and isinstance(rows[0], int) else rows
        start = 0 if decoder_input_ids is None else len(decoder_input_ids[0])
        rows = [[index for index in map(int, row[start:]) if index >= 0] for row in rows]  # the Trainer pads with -100
        texts = (self.tokenizer.decode(row, skip_special_tokens=True).strip() for row in rows)
        return [text[:1].upper() + text[1:] for text in texts]

    def post_process_image_text_to_text(
        self, generated_outputs: Any, skip_special_tokens: bool = True, **kwargs: Any
    ) -> list[str]:
        """Decode for the `image-text-to-text` pipeline, like `decode_generated` unless special tokens should stay."""
        if skip_special_tokens:
            return self.decode_generated(generated_outputs)
        return self.tokenizer.batch_decode(generated_outputs, skip_special_tokens=False, **kwargs)

    def save_pretrained(self, save_directory: Any, push_to_hub: bool = False, **kwargs: Any) -> list[str]:
        """Save the processor with its code, to a folder that [`AutoProcessor`] loads."""
        for part in (self.tokenizer, self.encoder_tokenizer):  # where this copy came from is noise in a published file
            part.init_kwargs = {k: v for k, v in part.init_kwargs.items() if k not in ("is_local", "local_files_only")}
        return super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)


FlorenzProcessor.register_for_auto_class()
