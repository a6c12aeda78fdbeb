"""Stream safetensors: what is written is what the library reads, pieces may be cut anywhere, odd files are refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling_florenz.checkpoint import tensor_stream
from modeling_florenz.checkpoint.tensor_stream import (
    PlannedTensor,
    compare_tensors,
    equal_values,
    stored_tensors,
    write_tensors,
)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut tensors into pieces of 64 bytes, as the full-size ones are cut into 32 MB."""
    monkeypatch.setattr(tensor_stream, "PIECE_BYTES", 64)


def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "large": torch.randn(9, 7, generator=generator),
        "odd": torch.randn(3, generator=generator).half(),
        "brain": torch.randn(40, generator=generator).bfloat16(),
        "empty": torch.empty(0, 4),
        "scalar": torch.tensor(2.5),
        "bytes": torch.arange(5, dtype=torch.uint8),
    }


def plan(folder: Path, dtype: torch.dtype | None = None) -> list[PlannedTensor]:
    save_file(state(), folder / "source.safetensors")
    stored = stored_tensors([folder / "source.safetensors"])
    return [PlannedTensor(t.name, t.shape, dtype or t.dtype, t.pieces) for t in stored.values()]


@pytest.mark.parametrize("limit", [10**9, 100])
def test_streamed_files_hold_what_the_library_reads(limit: int, tmp_path: Path) -> None:
    planned = plan(tmp_path)
    (tmp_path / "out").mkdir()
    files = write_tensors(tmp_path / "out", planned, limit)
    found = {name: tensor for file in files for name, tensor in load_file(file).items()}
    assert found.keys() == state().keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in state().items())
    assert (len(files) > 1) == (limit == 100)
    compare_tensors(planned, files)
    if limit == 100:
        index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
        assert index["weight_map"].keys() == state().keys()
        assert index["metadata"]["total_size"] == sum(t.nbytes for t in state().values())


def test_a_change_of_dtype_equals_the_change_in_memory(tmp_path: Path) -> None:
    planned = [tensor for tensor in plan(tmp_path, torch.bfloat16) if tensor.name == "large"]
    [file] = write_tensors(tmp_path, planned, 10**9)
    assert torch.equal(load_file(file)["large"], state()["large"].bfloat16())


def test_verification_finds_one_changed_value(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    [file] = write_tensors(tmp_path, planned, 10**9)
    changed = load_file(file)
    changed["large"][8, 6] += 1e-3
    save_file(changed, file)
    with pytest.raises(ValueError, match="large .* is not what it was made from"):
        compare_tensors(planned, [file])


def test_verification_finds_a_lost_tensor(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    [file] = write_tensors(tmp_path, planned[1:], 10**9)
    with pytest.raises(ValueError, match="differ in 1 tensors"):
        compare_tensors(planned, [file])


def test_streams_are_compared_wherever_they_are_cut() -> None:
    values = torch.arange(10.0)
    values[3] = float("nan")
    assert equal_values(iter([values]), iter([values[:1], values[1:7], values[7:]]), torch.float32)
    assert not equal_values(iter([values]), iter([values[:9]]), torch.float32)
    assert not equal_values(iter([torch.zeros(2)]), iter([-torch.zeros(2)]), torch.float32)


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(state(), path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(ValueError, match="could not be read as safetensors"):
        stored_tensors([path])


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    planned = plan(tmp_path)
    source = tmp_path / "source.safetensors"
    source.write_bytes(source.read_bytes()[:-30])
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="is cut off"):
        write_tensors(tmp_path / "out", planned, 10**9)


def test_a_tensor_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    short = PlannedTensor("short", (4,), torch.float32, lambda: iter([torch.zeros(3)]))
    with pytest.raises(ValueError, match="short came out as 12 bytes, not 16"):
        write_tensors(tmp_path, [short], 10**9)
