"""Sixty ways to make a model's or an adapter's folder hostile: by its files, numbers, patterns and names of code."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any


Change = Callable[[Path], Any]
MARK = "RAN"
EVIL = f"import pathlib\npathlib.Path(__file__).with_name({MARK!r}).touch()\nclass Evil: pass\n"
BOMB = r"([a-zA-Z ]+)+\d"


def write(name: str, content: str | bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def link(name: str, target: str) -> Change:
    return lambda folder: ((folder / name).unlink(), (folder / name).symlink_to(target))


def pipe(name: str) -> Change:
    return lambda folder: ((folder / name).unlink(), os.mkfifo(folder / name))


def edit(name: str, path: str, value: Any) -> Change:
    """Set one value of a JSON file; `path` has slashes between its levels."""

    def change(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        *parents, last = path.split("/")
        part = content
        for parent in parents:
            part = part[parent]
        part[last] = value
        (folder / name).write_text(json.dumps(content))

    return change


def several(*changes: Change) -> Change:
    return lambda folder: [change(folder) for change in changes]


def header(change: Callable[[dict[str, Any]], Any], name: str = "model.safetensors") -> Change:
    """Change the header of a safetensors file and leave its data as they are."""

    def apply(folder: Path) -> None:
        content = (folder / name).read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        values = json.loads(content[8 : 8 + length])
        changed = json.dumps(change(values) or values).encode()
        (folder / name).write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])

    return apply


def hollow(name: str, start: bytes, size: int) -> Change:
    """Write a file that has a start and a hole of any size, which takes no room."""

    def apply(folder: Path) -> None:
        (folder / name).write_bytes(start)
        os.truncate(folder / name, size)

    return apply


def indexed(target: Any) -> Change:
    def apply(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "part.safetensors")
        weights = target if not isinstance(target, str) else {"model.decoder.norm.weight": target}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))

    return apply


def pickled(folder: Path) -> None:
    # What unpickling this would do: exec(...).
    code = f"open({str(folder / MARK)!r}, 'w')"
    (folder / "pytorch_model.bin").write_bytes(b"cbuiltins\nexec\n(V" + code.encode() + b"\ntR.")


def first(header: dict[str, Any]) -> dict[str, Any]:
    return header[min(name for name in header if name != "__metadata__")]


CODE = {
    "AutoConfig": "evil.Evil",
    "AutoModel": "evil.Evil",
    "AutoProcessor": "evil.Evil",
    "AutoTokenizer": "evil.Evil",
}
REFUSED: dict[str, Change] = {
    "config: a folder": lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
    "config: a pipe": pipe("config.json"),
    "config: without an end": link("config.json", "/dev/zero"),
    "config: not UTF-8": write("config.json", b"\xff\xfe\x00{"),
    "config: NaN": edit("config.json", "text_config/rms_norm_eps", float("nan")),
    "config: wide layers": edit("config.json", "encoder_config/encoder_ffn_dim", 2**24),
    "config: wide table": edit("config.json", "text_config/vocab_size", 2**24),
    "config: many positions": edit("config.json", "encoder_config/max_position_embeddings", 2**24),
    "config: large images": edit("config.json", "vision_config/max_position_embeddings", 2**24),
    "config: many frames": edit("config.json", "vision_config/max_temporal_embeddings", 2**24),
    "config: wide heads": edit("config.json", "text_config/head_dim", 2**24),
    "config: 128 layers": edit("config.json", "text_config/num_hidden_layers", 128),
    "config: dtype of code": edit("config.json", "dtype", "__import__('os')"),
    "config: unknown rope": edit(
        "config.json", "text_config/rope_parameters", {"rope_type": "evil", "rope_theta": 1e4}
    ),
    "config: another model": edit("config.json", "model_type", "florence2"),
    "config: attention of a repository": edit("config.json", "text_config/_attn_implementation", "evil/kernels"),
    "weights: a pipe": pipe("model.safetensors"),
    "weights: without an end": link("model.safetensors", "/dev/zero"),
    "weights: empty": write("model.safetensors", b""),
    "weights: a page": write("model.safetensors", b"<html>404</html>"),
    "weights: a header of exabytes": write("model.safetensors", struct.pack("<Q", 2**62) + b"{}"),
    "weights: a header of 4 GB": hollow("model.safetensors", struct.pack("<Q", 2**32), 2**33),
    "weights: a terabyte": hollow("model.safetensors", struct.pack("<Q", 2) + b"{}", 2**40),
    "weights: a deep header": write("model.safetensors", struct.pack("<Q", 200_000) + b"[" * 200_000),
    "weights: an endless shape": header(lambda values: first(values).update(shape=[2**40, 2**40])),
    "weights: negative shape": header(lambda values: first(values).update(shape=[-1, 4])),
    "weights: overlapping": header(lambda values: first(values).update(data_offsets=[0, 2**50])),
    "weights: unknown type": header(lambda values: first(values).update(dtype="OBJECT")),
    "weights: pickled": several(pickled, lambda folder: (folder / "model.safetensors").unlink()),
    "index: a way out": indexed("../../../../../../etc/passwd"),
    "index: an absolute path": indexed("/etc/passwd"),
    "index: a list": indexed(["part.safetensors"]),
    "index: numbers": indexed({"model.decoder.norm.weight": 7}),
    "search: a pipe": pipe("generation_config.json"),
    "search: a million rows": edit("generation_config.json", "num_return_sequences", 10**6),
    "search: a watermark": edit("generation_config.json", "watermarking_config", {"greenlist_ratio": "x"}),
    "processor: a pipe": pipe("processor_config.json"),
    "processor: without an end": link("processor_config.json", "/dev/zero"),
    "processor: images of a gigapixel": edit(
        "processor_config.json", "image_processor/size", {"height": 2**15, "width": 2**15}
    ),
    "processor: a long language": edit("processor_config.json", "languages", {"en": ["English"]}),
    "tokenizer: a pipe": pipe("tokenizer.json"),
    "tokenizer: without an end": link("tokenizer.json", "/dev/zero"),
    "tokenizer: a terabyte": hollow("tokenizer.json", b"{", 2**40),
    "template: a terabyte": hollow("chat_template.jinja", b"{", 2**40),
    "tokenizer: a decoder that hangs": edit(
        "tokenizer.json", "decoder", {"type": "Replace", "pattern": {"Regex": BOMB}, "content": "x"}
    ),
    "tokenizer: not JSON": write("tokenizer.json", "{" * 10_000),
    "tokenizer: a pattern that hangs": edit(
        "encoder_tokenizer/tokenizer.json",
        "pre_tokenizer",
        {"type": "Split", "pattern": {"Regex": BOMB}, "behavior": "Isolated", "invert": False},
    ),
    "tokenizer: a replacement that hangs": edit(
        "encoder_tokenizer/tokenizer.json",
        "normalizer",
        {"type": "Replace", "pattern": {"Regex": BOMB}, "content": "x"},
    ),
    "tokenizer: other tokens": lambda folder: (folder / "encoder_tokenizer/tokenizer.json").replace(
        folder / "tokenizer.json"
    ),
}
HARMLESS: dict[str, Change] = {
    "code beside the model": several(
        write("evil.py", EVIL), write("modeling_florenz.py", EVIL), edit("config.json", "auto_map", CODE)
    ),
    "code of another repository": edit("config.json", "auto_map", {"AutoModel": "evil/repo--evil.Evil"}),
    "code for the processor": several(write("evil.py", EVIL), edit("processor_config.json", "auto_map", CODE)),
    "a pickle beside the weights": pickled,
    "classes of code": edit("config.json", "architectures", ["os.system"]),
    "a template without an end": write(
        "chat_template.jinja", "{% for i in range(10**9) %}{% for j in range(10**9) %}x{% endfor %}{% endfor %}"
    ),
    "padding of a gigabyte": edit(
        "encoder_tokenizer/tokenizer.json",
        "padding",
        {
            "strategy": {"Fixed": 10**9},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 1,
            "pad_type_id": 0,
            "pad_token": "<pad>",
        },
    ),
    "truncation to nothing": edit(
        "encoder_tokenizer/tokenizer.json",
        "truncation",
        {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0},
    ),
}
ADAPTERS: dict[str, Change] = {
    "adapter: a pipe": pipe("adapter_config.json"),
    "adapter: without an end": link("adapter_model.safetensors", "/dev/zero"),
    "adapter: an endless shape": header(
        lambda values: first(values).update(shape=[2**40, 2**40]), "adapter_model.safetensors"
    ),
    "adapter: classes of code": several(
        write("evil.py", EVIL),
        edit("adapter_config.json", "auto_mapping", {"base_model_class": "Evil", "parent_library": "evil"}),
        edit("adapter_config.json", "peft_type", "EVIL"),
    ),
    "adapter: a pattern that hangs": edit("adapter_config.json", "target_modules", BOMB),
    "adapter: a base without an end": edit("adapter_config.json", "base_model_name_or_path", "/dev/zero"),
    "adapter: on itself": lambda folder: edit("adapter_config.json", "base_model_name_or_path", str(folder))(folder),
    "adapter: a rank of billions": edit("adapter_config.json", "r", 10**9),
}
