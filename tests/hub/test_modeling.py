import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_models import IMAGE_TOKENS, KINDS, tiny_inputs, tiny_labels, tiny_model
from torch import nn
from transformers import AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM, Gemma2Config, Gemma2ForCausalLM
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from modeling_florenz import FlorenzForConditionalGeneration


Model = FlorenzForConditionalGeneration
ROUNDING = 1e-4  # on logits around 6 and on gradients; every control below moves them by 100 times as much


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest) -> Model:
    """Give one kind; tests that change the model build their own."""
    return tiny_model(request.param)


def largest(difference: torch.Tensor) -> float:
    return difference.detach().abs().max().item()


@torch.no_grad()
def logits_of(model: nn.Module, **changed: Any) -> torch.Tensor:
    return model(**{**tiny_inputs(), "labels": tiny_labels(), **changed}).logits


# Loss and labels


@torch.no_grad()
def test_loss_is_the_mean_cross_entropy_behind_the_start_id(model: Model) -> None:
    labels = tiny_labels()
    decoder_input_ids = torch.cat((torch.ones(3, 1, dtype=torch.long), labels[:, :-1]), dim=1)
    decoder_input_ids[decoder_input_ids == -100] = 0
    logits = model(**tiny_inputs(), decoder_input_ids=decoder_input_ids).logits
    counted = labels != -100
    by_hand = -logits.log_softmax(-1)[counted].gather(-1, labels[counted][:, None]).mean()
    torch.testing.assert_close(model(**tiny_inputs(), labels=labels).loss, by_hand)


def test_labels_are_shifted_one_to_the_right_without_a_trace_of_minus_100(model: Model) -> None:
    labels = torch.tensor([[2, 7, 9, 1], [2, 8, 1, -100], [2, 1, -100, -100]])
    shifted = model.prepare_decoder_input_ids_from_labels(labels)
    assert shifted.tolist() == [[1, 2, 7, 9], [1, 2, 8, 1], [1, 2, 1, 0]]


def gradients(model: Model, batches: Iterable[tuple[dict[str, torch.Tensor], float]]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for batch, weight in batches:
        (weight * model(**batch).loss).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


def test_eight_accumulated_samples_give_the_gradient_of_one_batch_if_the_tokens_are_counted(model: Model) -> None:
    parts = [{**tiny_inputs(seed), "labels": tiny_labels(seed)} for seed in range(3)]
    batch = {name: torch.cat([part[name] for part in parts])[:8] for name in parts[0]}
    singles = [{name: values[row : row + 1] for name, values in batch.items()} for row in range(8)]
    count = (batch["labels"] != -100).sum()

    whole = gradients(model, [({**batch, "num_items_in_batch": count}, 1.0)])
    plain = gradients(model, [(batch, 1.0)])
    accumulated = gradients(model, [({**single, "num_items_in_batch": count}, 1.0) for single in singles])
    means = gradients(model, [(single, 1 / 8) for single in singles])
    assert set(whole) == {name for name, _ in model.named_parameters()}
    torch.testing.assert_close(whole, plain, atol=ROUNDING, rtol=0)
    torch.testing.assert_close(whole, accumulated, atol=ROUNDING, rtol=0)
    assert max(largest(whole[name] - means[name]) for name in whole) > 100 * ROUNDING


# Inputs


@torch.no_grad()
def test_image_alone_is_a_whole_input(model: Model) -> None:
    inputs = tiny_inputs()
    outputs = model(pixel_values=inputs["pixel_values"], labels=tiny_labels())
    assert outputs.encoder_last_hidden_state.shape == (3, IMAGE_TOKENS, 32)
    assert outputs.image_hidden_states.shape == (3, IMAGE_TOKENS, 32)
    unread = logits_of(model, attention_mask=torch.zeros_like(inputs["attention_mask"]))
    torch.testing.assert_close(outputs.logits, unread, atol=ROUNDING, rtol=0)


def test_finished_image_tokens_give_the_logits_of_their_images(model: Model) -> None:
    with torch.no_grad():
        finished = {"image": model.get_image_features(tiny_inputs()["pixel_values"])}
    assert torch.equal(logits_of(model, pixel_values=None, mm_encoder_outputs=finished), logits_of(model))
    with pytest.raises(ValueError, match="pixel_values and mm_encoder_outputs were both given: pass one of them"):
        logits_of(model, mm_encoder_outputs=finished)


def test_text_alone_is_a_whole_input(model: Model) -> None:
    inputs = tiny_inputs()
    with_mask = logits_of(model, pixel_values=None)
    without_mask = logits_of(model, pixel_values=None, attention_mask=None)
    assert (inputs["input_ids"] == 1).any()
    assert torch.equal(with_mask, without_mask)
    assert largest(with_mask - logits_of(model, pixel_values=None, attention_mask=torch.ones(3, 9))) > 100 * ROUNDING


def test_prompt_pads_are_masked_beside_an_image_too(model: Model) -> None:
    assert torch.equal(logits_of(model), logits_of(model, attention_mask=None))
    assert torch.equal(logits_of(model), logits_of(model, attention_mask=tiny_inputs()["attention_mask"].bool()))


def test_padded_batch_equals_its_rows_alone(model: Model) -> None:
    inputs, labels = tiny_inputs(), tiny_labels()
    together = logits_of(model)
    for row in range(3):
        prompt, target = inputs["attention_mask"][row].sum(), (labels[row] != -100).sum()
        alone = logits_of(
            model,
            pixel_values=inputs["pixel_values"][row, None],
            input_ids=inputs["input_ids"][row, None, :prompt],
            attention_mask=None,
            labels=labels[row, None, :target],
        )
        torch.testing.assert_close(together[row, :target], alone[0], atol=ROUNDING, rtol=0)


def test_embeddings_may_stand_in_for_ids_on_both_sides(model: Model) -> None:
    inputs, labels = tiny_inputs(), tiny_labels()
    ids = model.prepare_decoder_input_ids_from_labels(labels)
    given = logits_of(
        model,
        input_ids=None,
        inputs_embeds=model.model.encoder.embed_tokens(inputs["input_ids"]),
        decoder_inputs_embeds=model.model.decoder.embed_tokens(ids),
    )
    assert torch.equal(given, logits_of(model))


def test_finished_encoder_states_take_the_mask_of_the_prompt_alone(model: Model) -> None:
    with torch.no_grad():
        states = model(**tiny_inputs(), labels=tiny_labels()).encoder_last_hidden_state
    given = logits_of(model, pixel_values=None, input_ids=None, encoder_outputs=(states,))
    torch.testing.assert_close(given, logits_of(model), atol=ROUNDING, rtol=0)
    full_mask = torch.cat((torch.ones(3, IMAGE_TOKENS), tiny_inputs()["attention_mask"]), dim=1)
    given = logits_of(model, pixel_values=None, input_ids=None, encoder_outputs=(states,), attention_mask=full_mask)
    torch.testing.assert_close(given, logits_of(model), atol=ROUNDING, rtol=0)


def test_right_padding_of_the_target_changes_nothing_before_it(model: Model) -> None:
    labels = tiny_labels()
    ids = model.prepare_decoder_input_ids_from_labels(labels)
    mask = torch.cat((torch.ones(3, 1), (labels != -100)[:, :-1]), dim=1)
    masked = logits_of(model, labels=None, decoder_input_ids=ids, decoder_attention_mask=mask)
    torch.testing.assert_close(masked[mask.bool()], logits_of(model)[mask.bool()], atol=ROUNDING, rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_values": None, "input_ids": None}, "nothing to encode: give pixel_values, input_ids or both"),
        ({"pixel_values": torch.zeros(3, 3, 64, 32)}, r"shape \(3, 3, 64, 32\): use square images"),
        ({"pixel_values": torch.zeros(3, 64, 64)}, r"shape \(3, 64, 64\): use square images"),
        ({"pixel_values": torch.zeros(3, 3, 48, 48)}, "48 px do not fit this model: use a square multiple of 32 px"),
        ({"pixel_values": torch.zeros(3, 3, 1632, 1632)}, "1632 px do not fit this model: .*up to 1600 px"),
        ({"pixel_values": torch.zeros(2, 3, 64, 64)}, "2 images came with 3 prompts"),
        (
            {"input_ids": torch.full((3, 124), 5), "attention_mask": torch.ones(3, 124)},
            "together have 129 tokens: the encoder takes 128 at most",
        ),
        ({"attention_mask": torch.ones(3, 7)}, r"shape \(3, 7\), but the prompt is \(3, 9\): give one entry for each"),
        ({"attention_mask": torch.ones(3, 14)}, r"shape \(3, 14\), but the prompt is \(3, 9\): .*none for the image"),
        ({"inputs_embeds": torch.zeros(3, 9, 32)}, "input_ids and inputs_embeds were both given"),
        ({"labels": None}, "the decoder has no input: give labels, decoder_input_ids or decoder_inputs_embeds"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_in_one_sentence(model: Model, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        logits_of(model, **changes)
    assert not re.search(r"\n|[.!?] ", str(error.value))


def test_as_many_tokens_as_the_encoder_takes_are_taken(model: Model) -> None:
    ids = torch.full((3, 128 - IMAGE_TOKENS), 5)
    assert logits_of(model, input_ids=ids, attention_mask=None).isfinite().all()


# Outputs


def test_attentions_have_the_lengths_of_target_and_source() -> None:
    for kind in KINDS:
        model = tiny_model(kind)
        model.set_attn_implementation("eager")
        with torch.no_grad():
            outputs = model(**tiny_inputs(), labels=tiny_labels()[:, :11], output_attentions=True)
        layers, source = model.config.text_config.num_hidden_layers, IMAGE_TOKENS + 9
        assert [tuple(weights.shape) for weights in outputs.decoder_attentions] == [(3, 4, 11, 11)] * layers
        assert [tuple(weights.shape) for weights in outputs.cross_attentions] == [(3, 4, 11, source)] * layers
        assert [tuple(weights.shape) for weights in outputs.encoder_attentions] == [(3, 4, source, source)] * 2
        for cross, own in zip(outputs.cross_attentions, outputs.decoder_attentions, strict=True):
            torch.testing.assert_close(cross.sum(-1), torch.ones(3, 4, 11))
            assert not cross[2, ..., IMAGE_TOKENS + 4 :].any()
            assert not own.triu(1).any()
        if kind == "gemma2":
            # Even layers slide: the last of eleven positions no longer sees the first three, odd layers do.
            seen = [bool(weights[:, :, 10, :3].any()) for weights in outputs.decoder_attentions]
            assert seen == [False, True, False, True]


@torch.no_grad()
def test_hidden_states_hold_the_embeddings_and_every_layer(model: Model) -> None:
    outputs = model(**tiny_inputs(), labels=tiny_labels(), output_hidden_states=True)
    decoder = model.config.text_config
    assert len(outputs.decoder_hidden_states) == decoder.num_hidden_layers + 1
    assert {tuple(states.shape) for states in outputs.decoder_hidden_states} == {(3, 14, decoder.hidden_size)}
    assert len(outputs.encoder_hidden_states) == 3
    assert torch.equal(outputs.encoder_hidden_states[-1], outputs.encoder_last_hidden_state)
    logits = model.lm_head(outputs.decoder_hidden_states[-1])
    assert torch.equal(torch.tanh(logits / 30.0) * 30.0, outputs.logits)


def test_only_the_logits_to_keep_are_computed(model: Model) -> None:
    ids = model.prepare_decoder_input_ids_from_labels(tiny_labels())
    whole = logits_of(model, labels=None, decoder_input_ids=ids)
    last = logits_of(model, labels=None, decoder_input_ids=ids, logits_to_keep=2)
    assert last.shape == (3, 2, 120)
    torch.testing.assert_close(last, whole[:, -2:], atol=ROUNDING, rtol=0)


@torch.no_grad()
def test_a_tuple_has_the_same_values_in_the_same_order(model: Model) -> None:
    inputs = {**tiny_inputs(), "labels": tiny_labels()}
    named = model(**inputs)
    plain = model(**inputs, return_dict=False)
    assert isinstance(plain, tuple)
    assert torch.equal(plain[0], named.loss)
    assert torch.equal(plain[1], named.logits)
    assert len(plain) == len(named.to_tuple())


def test_bfloat16_runs_and_stays_close(model: Model) -> None:
    kind = model.config.text_config.model_type
    half = tiny_model(kind).to(torch.bfloat16)
    logits = logits_of(half, pixel_values=tiny_inputs()["pixel_values"].to(torch.bfloat16))
    assert logits.dtype == torch.bfloat16
    similarity = nn.functional.cosine_similarity(logits.float(), logits_of(model), dim=-1)
    assert similarity.min() > 0.98
    other = nn.functional.cosine_similarity(logits_of(tiny_model(kind, seed=5)), logits_of(model), dim=-1)
    assert other.min() < 0.5


# Attention


@pytest.mark.parametrize(
    ("kind", "overrides", "decoder"),
    [("bart", {}, "sdpa"), ("gemma2", {}, "eager"), ("gemma2", {"attn_logit_softcapping": None}, "sdpa")],
)
def test_default_attention_is_the_fastest_exact_one(kind: str, overrides: dict, decoder: str, tmp_path: Path) -> None:
    eager = tiny_model(kind, **overrides)
    eager.save_pretrained(tmp_path)
    eager.set_attn_implementation("eager")
    default = Model.from_pretrained(tmp_path)
    config = default.config
    parts = (config.vision_config, config.encoder_config, config.text_config)
    assert [part._attn_implementation for part in parts] == ["sdpa", "sdpa", decoder]
    torch.testing.assert_close(logits_of(default), logits_of(eager), atol=ROUNDING, rtol=0)


def test_sdpa_is_refused_where_it_would_drop_a_soft_cap(tmp_path: Path) -> None:
    model = tiny_model("gemma2")
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="FlorenzDecoder does not support .*scaled_dot_product_attention"):
        Model.from_pretrained(tmp_path, attn_implementation="sdpa")
    with pytest.raises(ValueError, match="FlorenzDecoder does not support .*scaled_dot_product_attention"):
        model.set_attn_implementation("sdpa")


# New weights and files


def reload_without(model: Model, folder: Path, *parts: str) -> tuple[Model, set[str]]:
    """Save, delete every tensor whose name holds one of `parts`, and load what is left."""
    model.save_pretrained(folder)
    path = folder / "model.safetensors"
    tensors = load_file(path)
    dropped = {name for name in tensors if any(part in name for part in parts)}
    save_file({name: tensors[name] for name in tensors if name not in dropped}, path, metadata={"format": "pt"})
    # What memory held before must not pass for a weight.
    junk = [torch.full((4096,), 1e30) for _ in range(64)]
    del junk
    reloaded, info = Model.from_pretrained(folder, output_loading_info=True)
    assert set(info["missing_keys"]) == dropped
    return reloaded, dropped


def sinusoid(length: int, width: int) -> torch.Tensor:
    angles = torch.arange(length)[:, None] * torch.exp(-math.log(10000) * torch.arange(0, width, 2) / width)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_a_file_lacks_start_as_documented(kind: str, tmp_path: Path) -> None:
    cross = {"bart": ("encoder_attn",), "gemma2": ("cross_attn",)}[kind]
    model = tiny_model(kind)
    reloaded, dropped = reload_without(model, tmp_path, *cross, "image_projection", "image_proj_norm", "pos_idx")
    weights = reloaded.state_dict()
    assert len(dropped) == {"bart": 2 * 10 + 4, "gemma2": 4 * 6 + 4}[kind]
    for name in dropped:
        weight = weights[name]
        if "pos_idx_to_embed" in name:
            torch.testing.assert_close(weight, sinusoid(100, 128), atol=1e-5, rtol=0)
        elif "gate" in name or "post_cross_attn_layernorm" in name or name.endswith("bias"):
            assert not weight.any(), name
        elif "norm" in name:
            assert (weight == 1).all(), name
        else:
            assert weight.std().item() == pytest.approx(0.02, rel=0.15), name
    kept = set(weights) - dropped
    assert all(torch.equal(weights[name], model.state_dict()[name]) for name in kept)


def test_buffers_outside_the_file_come_back(tmp_path: Path) -> None:
    model = tiny_model("gemma2")
    model.save_pretrained(tmp_path)
    in_file = set(load_file(tmp_path / "model.safetensors"))
    buffers = dict(model.named_buffers())
    outside = {name for name in buffers if name not in in_file}
    assert "model.decoder.rotary_emb.inv_freq" in outside
    reloaded = dict(Model.from_pretrained(tmp_path).named_buffers())
    assert set(reloaded) == set(buffers)
    assert all(torch.equal(reloaded[name], buffers[name]) for name in buffers)


def test_new_gemma2_decoder_starts_as_gemma2_itself() -> None:
    model = tiny_model("gemma2")
    parameters = model.config.text_config.to_dict()
    gemma = Gemma2ForCausalLM(Gemma2Config(**{**parameters, "is_decoder": False, "attn_implementation": "eager"}))
    weights = {f"model.{name}": weight for name, weight in model.model.decoder.state_dict().items()}
    outcome = gemma.load_state_dict(weights, strict=False)
    assert outcome.missing_keys == ["lm_head.weight"]
    assert all("cross_attn" in name for name in outcome.unexpected_keys)
    gemma.tie_weights()
    ids = model.prepare_decoder_input_ids_from_labels(tiny_labels())
    with torch.no_grad():
        expected = gemma.eval()(input_ids=ids, use_cache=False).logits
        assert largest(logits_of(model) - expected) > 100 * ROUNDING
        for layer in model.model.decoder.layers:
            layer.cross_attn_gate.weight.zero_()
    assert largest(logits_of(model, labels=None, decoder_input_ids=ids) - expected) == 0.0


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForImageTextToText, AutoModelForSeq2SeqLM])
def test_auto_classes_give_the_generating_model(auto_class: Any, tmp_path: Path) -> None:
    model = tiny_model("bart")
    model.save_pretrained(tmp_path)
    loaded = auto_class.from_pretrained(tmp_path)
    assert isinstance(loaded, Model)
    assert torch.equal(logits_of(loaded), logits_of(model))


def test_device_map_loads_the_same_model(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = Model.from_pretrained(tmp_path, device_map={"": "cpu"})
    assert {parameter.device.type for parameter in loaded.parameters()} == {"cpu"}
    assert loaded.lm_head.weight is loaded.model.decoder.embed_tokens.weight
    assert torch.equal(logits_of(loaded), logits_of(model))


@pytest.mark.parametrize("kind", KINDS)
def test_resizing_changes_decoder_and_head_together(kind: str) -> None:
    model = tiny_model(kind)
    before = logits_of(model)
    model.resize_token_embeddings(130)
    assert model.config.text_config.vocab_size == 130
    assert model.config.encoder_config.vocab_size == model.model.encoder.embed_tokens.num_embeddings == 99
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    after = logits_of(model)
    assert after.shape == (3, 14, 130)
    assert torch.equal(after[..., :120], before)
    assert model(**tiny_inputs(), labels=tiny_labels()).loss.isfinite()


# Training


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_recomputes_and_changes_no_gradient(kind: str, use_reentrant: bool) -> None:
    model = tiny_model(kind).train()
    calls = []
    block = model.model.decoder.layers[0]
    (block.mlp if kind == "gemma2" else block.fc1).register_forward_hook(lambda *_: calls.append(1))

    def run() -> dict[str, torch.Tensor]:
        calls.clear()
        torch.manual_seed(0)
        return gradients(model, [({**tiny_inputs(), "labels": tiny_labels()}, 1.0)])

    plain = run()
    assert len(calls) == 1
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    checkpointed = run()
    assert len(calls) == 2
    assert set(plain) == {name for name, _ in model.named_parameters()}
    torch.testing.assert_close(checkpointed, plain, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("name", ["cache", "past_key_values"])  # the second is what transformers called it before 5.24
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_steps_with_a_cache_under_either_name_give_what_the_whole_gives(kind: str, name: str) -> None:
    model = tiny_model(kind)
    ids = model.prepare_decoder_input_ids_from_labels(tiny_labels())
    cache, steps = EncoderDecoderCache(DynamicCache(), DynamicCache()), []
    for step in range(ids.shape[1]):
        given = {"decoder_input_ids": ids[:, step : step + 1], name: cache, "use_cache": True}
        steps.append(model(**tiny_inputs(), **given).logits)
    assert cache.get_seq_length() == ids.shape[1]
    whole = logits_of(model, labels=None, decoder_input_ids=ids)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=ROUNDING, rtol=0)


@torch.no_grad()
def test_cross_attention_in_every_second_layer_decodes_alike_with_and_without_cache() -> None:
    model = tiny_model("gemma2", cross_attention_every_n_layers=2)
    assert [hasattr(layer, "cross_attn") for layer in model.model.decoder.layers] == [True, False, True, False]
    ids = model.prepare_decoder_input_ids_from_labels(tiny_labels())
    whole = logits_of(model, labels=None, decoder_input_ids=ids)
    cache, steps = None, []
    for step in range(ids.shape[1]):
        outputs = model(**tiny_inputs(), decoder_input_ids=ids[:, step : step + 1], cache=cache, use_cache=True)
        cache = outputs.cache
        steps.append(outputs.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=ROUNDING, rtol=0)
    for beams in (1, 3):
        settings = {"num_beams": beams, "max_new_tokens": 14, "no_repeat_ngram_size": 3}
        cached = model.generate(**tiny_inputs(), **settings)
        assert cached.shape[1] > model.config.text_config.sliding_window
        assert torch.equal(cached, model.generate(**tiny_inputs(), **settings, use_cache=False))
    assert largest(whole - logits_of(tiny_model("gemma2"), labels=None, decoder_input_ids=ids)) > 100 * ROUNDING


def test_lora_trains_the_gate_and_merges_to_the_same_logits(tmp_path: Path) -> None:
    model = tiny_model("gemma2")
    before = model.model.decoder.layers[0].cross_attn_gate.weight.clone()
    start = logits_of(model)
    lora = LoraConfig(
        r=4,
        target_modules=["q_proj", "v_proj"],
        modules_to_save=["cross_attn_gate"],
        task_type="SEQ_2_SEQ_LM",
    )
    adapted = get_peft_model(model, lora)
    trained = {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert {"lora_A" in name or "lora_B" in name or "cross_attn_gate.modules_to_save" in name for name in trained} == {
        True
    }
    assert sum("cross_attn_gate" in name for name in trained) == 4
    optimizer = torch.optim.SGD(trained.values(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        adapted(**tiny_inputs(), labels=tiny_labels()).loss.backward()
        optimizer.step()
    adapted.eval()
    learned = logits_of(adapted)
    assert largest(learned - start) > 100 * ROUNDING

    adapted.save_pretrained(tmp_path)
    reloaded = PeftModel.from_pretrained(tiny_model("gemma2"), tmp_path).eval()
    torch.testing.assert_close(logits_of(reloaded), learned, atol=ROUNDING, rtol=0)

    merged = adapted.merge_and_unload()
    assert isinstance(merged, Model)
    gate = merged.model.decoder.layers[0].cross_attn_gate.weight
    assert gate.shape == before.shape
    assert largest(gate - before) > 1e-5
    torch.testing.assert_close(logits_of(merged), learned, atol=ROUNDING, rtol=0)
