"""Adapters are loaded wholly or refused in one sentence; patterns of a file cannot hang."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_models import tiny_inputs, tiny_model
from tiny_processor import build_tiny_processor

from modeling_florenz.checkpoint.adapter import base_of_adapter, load_adapter, matching_names
from modeling_florenz.checkpoint.fingerprint import stored_digest
from modeling_florenz.checkpoint.loading import load


Tensors = dict[str, torch.Tensor]
PROJECTIONS = r".*\.decoder\.layers\.\d+\.self_attn\.(q|v)_proj"


def save_adapter(folder: Path, **settings: Any) -> PeftModel:
    """Save a random adapter on the tiny Gemma-2 kind, beside its base; return the model that it was saved from."""
    base = tiny_model("gemma2")
    base.save_pretrained(folder / "base")
    build_tiny_processor().save_pretrained(folder / "base")
    fixed = {"r": 4, "target_modules": PROJECTIONS, "modules_to_save": ["cross_attn_gate"]}
    model = get_peft_model(base, LoraConfig(task_type="SEQ_2_SEQ_LM", **{**fixed, **settings})).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder / "adapter")
    build_tiny_processor().save_pretrained(folder / "adapter")
    edit(folder / "adapter", base_model_name_or_path=str(folder / "base"))
    return model


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_adapter(folder)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target_modules": ["q_proj", "v_proj"], "exclude_modules": ["layers.0.self_attn.q_proj"]},
        {"use_dora": True, "use_rslora": True, "modules_to_save": None},
        {"rank_pattern": {"layers.1.self_attn.q_proj": 2}, "alpha_pattern": {"layers.1.self_attn.q_proj": 32}},
        {"target_modules": ["q_proj"], "layers_to_transform": [1, 2], "layers_pattern": "layers"},
        {"trainable_token_indices": {"decoder.embed_tokens": [5, 9]}},
        {"target_modules": "all-linear"},
    ],
    ids=str,
)
def test_an_adapter_gives_the_logits_it_was_saved_with(settings: dict[str, Any], tmp_path: Path) -> None:
    model = save_adapter(tmp_path, **settings)
    loaded = load(adapter=tmp_path / "adapter").model
    assert not loaded.training
    inputs = {**tiny_inputs(), "decoder_input_ids": torch.tensor([[1, 2, 5, 9]] * 3)}
    with torch.no_grad():
        expected, plain = model(**inputs).logits, tiny_model("gemma2")(**inputs).logits
        torch.testing.assert_close(loaded(**inputs).logits, expected, atol=1e-4, rtol=0)
    assert (expected - plain).abs().max() > 1e-2


def change_tensors(change: Callable[[Tensors], Tensors]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        save_file(change(load_file(path)), path)

    return apply


def settings(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder, **changes)


def with_nan(tensors: Tensors) -> Tensors:
    name = min(tensors)
    return {**tensors, name: tensors[name] * float("nan")}


def with_transposed(tensors: Tensors) -> Tensors:
    name = next(name for name in sorted(tensors) if "lora_A" in name)
    return {**tensors, name: tensors[name].T.contiguous()}


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()


BOMB = "(.*)*(.*)*!"
REFUSED = {
    "tensors gone": (
        change_tensors(lambda tensors: {name: t for name, t in tensors.items() if "lora_B" not in name}),
        "8 of 20 are missing, such as model.decoder.layers.0.self_attn.q_proj.lora_B",
    ),
    "saved modules gone": (
        change_tensors(lambda tensors: {name: t for name, t in tensors.items() if "gate" not in name}),
        "4 of 20 are missing, such as model.decoder.layers.0.cross_attn_gate",
    ),
    "tensors that fit nowhere": (
        change_tensors(lambda tensors: {name.replace("layers", "blocks"): t for name, t in tensors.items()}),
        "20 of 20 are unknown, such as model.decoder.blocks.0",
    ),
    "another shape": (change_tensors(with_transposed), "1 of 20 have another shape"),
    "NaN": (change_tensors(with_nan), "1 of 20 tensors hold NaN or infinite values"),
    "whole numbers": (
        change_tensors(lambda tensors: {name: t.int() for name, t in tensors.items()}),
        "20 of 20 tensors hold whole numbers",
    ),
    "pickled": (pickled, "holds no adapter_model.safetensors: pickled adapters are not opened"),
    "a list": (lambda folder: (folder / "adapter_config.json").write_text("[]"), "holds a list"),
    "another kind": (settings(peft_type="PROMPT_TUNING"), "of the kind 'PROMPT_TUNING', and only LoRA"),
    "targets that are not there": (settings(target_modules=["nothing"]), "could not be loaded: No modules were"),
    "a pattern that matches nothing": (settings(target_modules="nothing"), "target_modules matches no module"),
    "a broken pattern": (settings(target_modules="((("), "target_modules is not a pattern"),
    "a long pattern": (settings(target_modules="a?" * 5000), "a pattern of 10,000 characters"),
    "no targets": (settings(target_modules=None), "target_modules must be"),
    "targets with patterns": (settings(target_modules=[BOMB]), "target_modules must be"),
    "a pattern in modules_to_save": (settings(modules_to_save=[BOMB]), "modules_to_save must be names without"),
    "a pattern in exclude_modules": (settings(exclude_modules=BOMB), "exclude_modules must be names without"),
    "a pattern in rank_pattern": (settings(rank_pattern={BOMB: 4}), "the keys of rank_pattern"),
    "a pattern in alpha_pattern": (settings(alpha_pattern={BOMB: 4}), "the keys of alpha_pattern"),
    "a pattern in layers_pattern": (settings(layers_pattern=[BOMB], layers_to_transform=[0]), "layers_pattern must"),
    "a huge rank": (settings(r=10**9), "the rank r is 1000000000, but the tensors have at most 4"),
    "a rank as text": (settings(r="4"), "the rank r is '4'"),
    "alpha that is NaN": (settings(lora_alpha=float("nan")), "lora_alpha is nan"),
    "a flag as text": (settings(use_rslora="no"), "use_rslora is 'no', not true or false"),
    "another flag": (settings(use_dora=True), "are missing, such as model.decoder.layers.0.self_attn.q_proj.lora_mag"),
    "tokens out of the table": (settings(trainable_token_indices=[10**9]), "could not be loaded"),
    "negative tokens": (settings(trainable_token_indices=[-1]), "trainable_token_indices must be"),
    "a base that is changed too": (settings(init_lora_weights="pissa"), "changes the base too"),
    "layers copied": (settings(layer_replication=[[0, 1], [0, 1]]), "sets layer_replication"),
    "modules imported": (settings(megatron_config={"x": 1}, megatron_core="evil"), "sets megatron_config"),
    "no base": (settings(base_model_name_or_path=None), "names no base model"),
    "no processor": (lambda folder: (folder / "processor_config.json").unlink(), "it lacks processor_config.json"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_a_whole_adapter_is_refused_in_one_sentence(case: str, saved: Path, tmp_path: Path) -> None:
    change, words = REFUSED[case]
    folder = tmp_path / "adapter"
    shutil.copytree(saved / "adapter", folder)
    change(folder)
    with pytest.raises(ValueError) as error:
        load(adapter=folder)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_an_adapter_of_another_model_is_refused(saved: Path) -> None:
    with pytest.raises(ValueError, match="could not be loaded: target_modules matches no module of the model"):
        load_adapter(tiny_model("gemma2").model.decoder, saved / "adapter")  # names without what stands before them
    with pytest.raises(ValueError, match="are missing|have another shape|matches no module"):
        load_adapter(tiny_model("bart"), saved / "adapter")


def record_base(adapter: Path, base: Path) -> None:
    (adapter / "results.json").write_text(json.dumps({"base_digest": stored_digest(base)}))


def test_an_adapter_whose_base_has_other_weights_by_now_is_refused(saved: Path, tmp_path: Path, caplog) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(saved / "base", base)
    shutil.copytree(saved / "adapter", adapter)
    edit(adapter, base_model_name_or_path=str(base))
    record_base(adapter, base)
    load(adapter=adapter)
    assert not caplog.records
    tensors = load_file(base / "model.safetensors")
    name = "model.decoder.layers.1.mlp.down_proj.weight"
    save_file({**tensors, name: tensors[name] + 0.1}, base / "model.safetensors")
    with pytest.raises(ValueError, match=f"was trained on other weights than {base} has now: name the model it was"):
        load(adapter=adapter)
    load(base, adapter=adapter)
    assert [record.message for record in caplog.records] == [
        f"the adapter {adapter} was trained on other weights than those of {base}"
    ]


def test_an_adapter_knows_its_base_in_other_shards_in_half_precision_and_in_fewer_bits(
    saved: Path, tmp_path: Path, caplog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 8 bits are for GPUs, and these are loaded where there is none.
    monkeypatch.setattr("modeling_florenz.checkpoint.loading.check_device", lambda preset, device: None)
    record_base(Path(shutil.copytree(saved / "adapter", tmp_path / "adapter")), saved / "base")
    model = load(saved / "base").model
    model.to(torch.bfloat16).save_pretrained(tmp_path / "copy", max_shard_size="200KB")
    build_tiny_processor().save_pretrained(tmp_path / "copy")
    assert len(list((tmp_path / "copy").glob("*.safetensors"))) > 1
    load(tmp_path / "copy", adapter=tmp_path / "adapter")
    load(saved / "base", adapter=tmp_path / "adapter", quantize="int8")
    assert not caplog.records


def test_a_pattern_made_to_hang_is_stopped_after_two_seconds() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match="a pattern that takes for ever: list the modules by name"):
        matching_names(r"(?:(?:a|b|ab)(?:a|b|ab)*)*c(?=x)", ["ab" * 40 + "c"] * 500)
    assert time.monotonic() - start < 20  # a busy machine included


def test_the_base_of_an_adapter_comes_with_its_commit(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(saved / "adapter", folder)
    assert base_of_adapter(folder) == (str(saved / "base"), None)
    edit(folder, revision="abc")
    assert base_of_adapter(folder) == (str(saved / "base"), "abc")
