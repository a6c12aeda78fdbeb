"""The model: what it takes, what it returns, and that padding changes nothing."""

import re

import pytest
import torch
from model_calls import ROUNDING, Model, largest, logits_of
from tiny_models import IMAGE_TOKENS, KINDS, tiny_inputs, tiny_labels, tiny_model
from torch import nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache


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


def test_image_features_come_as_a_tuple_too(model: Model, inputs: dict[str, torch.Tensor]) -> None:
    expected = model.get_image_features(inputs["pixel_values"])
    found = model.get_image_features(inputs["pixel_values"], return_dict=False)
    assert isinstance(found, tuple) and torch.equal(found[1], expected.pooler_output)
    model.config.return_dict = False
    try:
        assert isinstance(model.get_image_features(inputs["pixel_values"]), tuple)
        [logits, *_] = model(**inputs, decoder_input_ids=torch.tensor([[1, 2]] * 3))
        assert logits.shape[:2] == (3, 2)
    finally:
        model.config.return_dict = True
