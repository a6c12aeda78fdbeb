"""Weights that are not exactly those of the configuration are refused with names and counts."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import KINDS, tiny_inputs, tiny_model

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL, load, load_model
from modeling_florenz.cli import main


Tensors = dict[str, torch.Tensor]
SAMPLE = str(BUNDLED_MODEL / "sample.png")


def half(tensors: Tensors) -> Tensors:
    return {name: tensor for index, (name, tensor) in enumerate(sorted(tensors.items())) if index % 2}


def renamed_gates(tensors: Tensors) -> Tensors:
    return {name.replace("cross_attn_gate", "encoder_attn_gate"): tensor for name, tensor in tensors.items()}


def transposed(tensors: Tensors) -> Tensors:
    name = "model.encoder.layers.0.fc1.weight"
    return {**tensors, name: tensors[name].T.contiguous()}


def whole_numbers(tensors: Tensors) -> Tensors:
    return {name: tensor.to(torch.int8) if "layer_norm" in name else tensor for name, tensor in tensors.items()}


def with_value(value: float) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        weight = tensors["model.decoder.norm.weight"].clone()
        weight[-1] = value
        return {**tensors, "model.decoder.norm.weight": weight}

    return change


def other_head(tensors: Tensors) -> Tensors:
    return {**tensors, "lm_head.weight": tensors["model.decoder.embed_tokens.weight"] + 1}


def copy_of_model(folder: Path, change: Callable[[Tensors], Tensors] | None = None) -> Path:
    shutil.copytree(BUNDLED_MODEL, folder)
    if change is not None:
        path = folder / "model.safetensors"
        save_file(change(load_file(path)), path, metadata={"format": "pt"})
    return folder


BROKEN = {
    "half of it": (half, "136 of 272 are missing, such as model."),
    "gates under another name": (
        renamed_gates,
        "4 of 272 are missing, such as model.decoder.layers.0.cross_attn_gate",
    ),
    "unknown names": (renamed_gates, "4 of 272 are unknown, such as model.decoder.layers.0.encoder_attn_gate.weight"),
    "another shape": (
        transposed,
        "1 of 272 have another shape, such as model.encoder.layers.0.fc1.weight with [160, 4",
    ),
    "whole numbers": (whole_numbers, "tensors hold whole numbers, such as model.encoder.layer"),
    "NaN": (
        with_value(float("nan")),
        "1 of 272 tensors hold NaN or infinite values, such as model.decoder.norm.weight",
    ),
    "infinity": (
        with_value(float("-inf")),
        "1 of 272 tensors hold NaN or infinite values, such as model.decoder.norm",
    ),
    "a head that is not the table": (other_head, "are tied in this model, but differ"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_weights_are_refused_by_the_command_with_names_and_counts(case: str, tmp_path: Path, capsys) -> None:
    change, words = BROKEN[case]
    folder = copy_of_model(tmp_path / "model", change)
    assert main(["caption", SAMPLE, "--model", str(folder)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert words in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_whole_weights_load_as_they_were_saved(kind: str, tmp_path: Path) -> None:
    model = tiny_model(kind)
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert torch.equal(
        loaded.generate(**tiny_inputs(), max_new_tokens=5), model.generate(**tiny_inputs(), max_new_tokens=5)
    )


def test_a_repeated_head_and_an_untied_one_are_whole_models(tmp_path: Path) -> None:
    def repeated(tensors: Tensors) -> Tensors:
        return {**tensors, "lm_head.weight": tensors["model.decoder.embed_tokens.weight"].clone()}

    folder = copy_of_model(tmp_path / "model", repeated)
    tied = load_model(folder)
    assert tied.lm_head.weight is tied.model.decoder.embed_tokens.weight
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    untied = load_model(folder)
    assert untied.lm_head.weight is not untied.model.decoder.embed_tokens.weight
    assert torch.equal(untied.lm_head.weight, tied.lm_head.weight)
    shutil.copyfile(BUNDLED_MODEL / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 of 273 are missing, such as lm_head\.weight"):
        load_model(folder)


def test_pickled_weights_are_not_opened(tmp_path: Path) -> None:
    folder = copy_of_model(tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"holds only pickled weights \(pytorch_model\.bin\)"):
        load(folder)


def test_one_file_beside_an_index_of_shards_is_refused(tmp_path: Path) -> None:
    folder = copy_of_model(tmp_path / "model")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model.safetensors"}}')
    with pytest.raises(ValueError, match="it holds model.safetensors and an index of shards"):
        load(folder)


def test_many_layers_are_refused_before_they_are_built(tmp_path: Path) -> None:
    folder = copy_of_model(tmp_path / "model", lambda tensors: half(half(tensors)))
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"num_hidden_layers": 128, "layer_types": None}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"config.json asks for \d+ layers, but it holds 68 tensors"):
        load_model(folder)
