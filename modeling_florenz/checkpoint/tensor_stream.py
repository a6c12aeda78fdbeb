"""Read and write safetensors piece by piece, so that a checkpoint can be far larger than memory.

The library's own `save_file` needs a whole shard in memory, and its memory-mapped reads count as resident: for 11.2b
that is 22 GB. Here, at most 8 MB are in memory at a time. The library still checks every file it opens.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from tqdm import tqdm


# Small enough for the allocator to reuse the same memory.
PIECE_BYTES = 8 << 20
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class PlannedTensor:
    """Describe a tensor of a checkpoint and how to make it: flat pieces in order, of any dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    pieces: Callable[[], Iterator[torch.Tensor]]

    @property
    def num_bytes(self) -> int:
        """Count the bytes it will take in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class StoredTensor:
    """Describe where a tensor is in a safetensors file."""

    name: str
    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int

    def pieces(self) -> Iterator[torch.Tensor]:
        """Yield the values in order as flat tensors of at most 8 MB each."""
        rest = math.prod(self.shape) * self.dtype.itemsize
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            while rest:
                buffer = torch.empty(min(rest, PIECE_BYTES), dtype=torch.uint8)
                view, filled = buffer.numpy().data, 0
                while filled < len(view):
                    count = file.readinto(view[filled:])
                    if not count:
                        raise ValueError(f"{self.path} ends inside the tensor {self.name}: the file is cut off")
                    filled += count
                rest -= filled
                yield buffer.view(self.dtype)

    def first(self, count: int) -> torch.Tensor:
        """Read the first values, at most `count`, as a flat tensor."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            content = file.read(min(count, math.prod(self.shape)) * self.dtype.itemsize)
        return torch.frombuffer(bytearray(content), dtype=self.dtype) if content else torch.empty(0, dtype=self.dtype)

    def read(self) -> torch.Tensor:
        """Read the whole tensor."""
        pieces = list(self.pieces())
        return torch.cat(pieces).view(self.shape) if pieces else torch.empty(self.shape, dtype=self.dtype)


def stored_tensors(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """List the tensors of safetensors files in the order in which they are stored; read only the headers.

    Raises:
        ValueError: a file is broken, cut off, of an unknown dtype, or a tensor is in two files.
    """
    tensors: dict[str, StoredTensor] = {}
    for path in files:
        try:
            # Opened here first: the library reports a file without read permission as missing.
            with path.open("rb") as file, safe_open(path, framework="pt"):  # checks header, offsets and length
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length))
        except (SafetensorError, OSError, ValueError) as error:
            raise ValueError(f"{path} could not be read as safetensors: {error}") from None
        header.pop("__metadata__", None)
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            if name in tensors:
                raise ValueError(f"the tensor {name} is both in {tensors[name].path.name} and in {path.name}")
            if entry["dtype"] not in DTYPES:
                raise ValueError(f"{path}: the tensor {name} is {entry['dtype']}, not one of {', '.join(DTYPES)}")
            start = 8 + length + entry["data_offsets"][0]
            tensors[name] = StoredTensor(name, path, DTYPES[entry["dtype"]], tuple(entry["shape"]), start)
    return tensors


def _shards(tensors: Sequence[PlannedTensor], max_shard_bytes: int) -> list[list[PlannedTensor]]:
    shards: list[list[PlannedTensor]] = []
    size = 0
    for tensor in tensors:
        if not shards or size + tensor.num_bytes > max_shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.num_bytes
    return shards


def _header(tensors: Sequence[PlannedTensor]) -> bytes:
    entries, start = {}, 0
    for tensor in tensors:
        offsets = [start, start + tensor.num_bytes]
        entries[tensor.name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        start = offsets[1]
    text = json.dumps({"__metadata__": {"format": "pt"}, **entries}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_tensors(folder: Path, tensors: Sequence[PlannedTensor], max_shard_bytes: int) -> list[Path]:
    """Write tensors as `model.safetensors`, or as shards with their index, one piece at a time; return the files.

    Raises:
        ValueError: a tensor comes out longer or shorter than planned.
        OSError: the disk is full or not writable.
    """
    # Small dtypes last: the format requires every tensor to be aligned to its element size.
    tensors = sorted(tensors, key=lambda tensor: -tensor.dtype.itemsize)
    shards = _shards(tensors, max_shard_bytes)
    total = sum(tensor.num_bytes for tensor in tensors)
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    names = ["model.safetensors"] if len(shards) == 1 else names
    with tqdm(total=total, unit="B", unit_scale=True, desc="writing", disable=None) as bar:
        for name, shard in zip(names, shards, strict=True):
            with (folder / name).open("wb", buffering=0) as file:
                _write_all(file, memoryview(_header(shard)))
                for tensor in shard:
                    written = 0
                    for piece in tensor.pieces():
                        values = piece.to(tensor.dtype).contiguous().view(torch.uint8).numpy().data
                        _write_all(file, values)
                        written += len(values)
                        bar.update(len(values))
                    if written != tensor.num_bytes:
                        raise ValueError(f"{tensor.name} came out as {written} bytes, not {tensor.num_bytes}")
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": total, "total_parameters": sum(math.prod(t.shape) for t in tensors)},
            "weight_map": {t.name: name for name, shard in zip(names, shards, strict=True) for t in shard},
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [folder / name for name in names]


def _write_all(file: FileIO, values: memoryview) -> None:
    while values:
        values = values[file.write(values) :]


def compare_tensors(planned: Sequence[PlannedTensor], files: Iterable[Path]) -> None:
    """Read written files again and compare every value with the one it was made from.

    Raises:
        ValueError: a tensor is missing, unplanned or differs; the message names it.
    """
    stored = stored_tensors(files)
    if odd := set(stored) ^ {tensor.name for tensor in planned}:
        raise ValueError(f"the result and its plan differ in {len(odd)} tensors, the first is {min(odd)}")
    total = sum(tensor.num_bytes for tensor in planned)
    with tqdm(total=total, unit="B", unit_scale=True, desc="verifying", disable=None) as bar:
        for tensor in planned:
            found = stored[tensor.name]
            if (found.shape, found.dtype) != (tensor.shape, tensor.dtype):
                raise ValueError(f"{tensor.name} was written as {found.dtype} {list(found.shape)}")
            if not equal_values(tensor.pieces(), found.pieces(), tensor.dtype):
                raise ValueError(f"{tensor.name} in {found.path} is not what it was made from: write it again")
            bar.update(tensor.num_bytes)


def equal_values(left: Iterator[torch.Tensor], right: Iterator[torch.Tensor], dtype: torch.dtype) -> bool:
    """Return whether two streams of pieces hold the same bytes in `dtype`, wherever they are cut."""
    # Bytes, not numbers: a NaN then equals itself, and -0 differs from 0.
    a = b = torch.empty(0, dtype=torch.uint8)
    while True:
        if not len(a) and (piece := next(left, None)) is not None:
            a = piece.to(dtype).contiguous().view(torch.uint8)
        if not len(b) and (piece := next(right, None)) is not None:
            b = piece.to(dtype).contiguous().view(torch.uint8)
        length = min(len(a), len(b))
        if not length:
            return len(a) == len(b)
        if not torch.equal(a[:length], b[:length]):
            return False
        a, b = a[length:], b[length:]
