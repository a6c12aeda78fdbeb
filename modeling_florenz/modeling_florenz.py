"""Florenz (arXiv 2503.09443): Florence-2 reads image and prompt, a BART or Gemma-2 decoder writes the text.

Unusual here: image tokens stand in front of the prompt and need no placeholder; encoder and decoder have vocabularies
of their own; the Gemma-2 layers carry a gated cross-attention whose query is the un-normalised residual stream; the
logits of both decoder kinds are soft-capped.
"""

import copy
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from transformers import GenerationConfig, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache, StaticCache
from transformers.generation import GenerationMode
from transformers.masking_utils import (
    create_bidirectional_mask,
    create_causal_mask,
    create_sliding_window_causal_mask,
)
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPastAndCrossAttentions,
    BaseModelOutputWithPooling,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, slice_logits_to_keep
from transformers.models.bart.modeling_bart import BartAttention, BartDecoder, BartEncoder, shift_tokens_right
from transformers.models.florence2.modeling_florence2 import (
    Florence2MultiModalProjector,
    Florence2Seq2SeqLMOutput,
    Florence2Seq2SeqModelOutput,
    Florence2VisionBackbone,
    Florence2VisionPositionalEmbeddingCosine1D,
)
from transformers.models.gemma2.modeling_gemma2 import (
    Gemma2Attention,
    Gemma2DecoderLayer,
    Gemma2RMSNorm,
    Gemma2RotaryEmbedding,
)
from transformers.utils import can_return_tuple, logging
from transformers.utils.deprecation import deprecate_kwarg
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_florenz import FlorenzConfig


logger = logging.get_logger(__name__)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Sum the soft-capped cross-entropy of a head, with the logits of a few tokens alive at a time.

    The gradients are made beside the loss, while a chunk's logits are there, so that nothing is computed twice.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_states: torch.Tensor,  # (tokens, width)
        weight: torch.Tensor,  # (vocabulary, width)
        labels: torch.Tensor,  # (tokens,), none of them -100
        softcap: float | None,
        chunk_size: int,
        smoothing: float,
    ) -> torch.Tensor:
        for_hidden, for_weight = ctx.needs_input_grad[:2]
        exact = torch.promote_types(hidden_states.dtype, torch.float32)  # half precision is for the products only
        total = torch.zeros((), dtype=exact, device=hidden_states.device)
        grad_hidden = torch.empty_like(hidden_states) if for_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=exact) if for_weight else None
        cast_weight = weight.to(hidden_states.dtype)
        for start in range(0, len(labels), chunk_size):
            hidden = hidden_states[start : start + chunk_size]
            target = labels[start : start + chunk_size, None]
            logits = (hidden @ cast_weight.T).to(exact)
            if softcap is not None:
                logits = logits.div_(softcap).tanh_()
                weights = logits * softcap
            else:
                weights = logits
            # Two arrays of (tokens, vocabulary) are all that is ever held; what follows is in place.
            wanted = weights.gather(-1, target)
            if smoothing:
                wanted = (1 - smoothing) * wanted + smoothing * weights.mean(-1, keepdim=True)
            largest = weights.amax(-1, keepdim=True)
            weights = weights.sub_(largest).exp_()
            weight_sum = weights.sum(-1, keepdim=True)
            total += (weight_sum.log() + largest - wanted).sum()
            if not (for_hidden or for_weight):
                continue
            gradient = weights.div_(weight_sum)
            gradient.scatter_add_(-1, target, torch.full_like(wanted, smoothing - 1))
            if smoothing:
                gradient.sub_(smoothing / gradient.shape[-1])
            if softcap is not None:
                gradient.mul_(logits.square_().neg_().add_(1))  # the derivative of tanh is 1 - tanh^2
            gradient = gradient.to(hidden.dtype)
            if grad_hidden is not None:
                torch.mm(gradient, cast_weight, out=grad_hidden[start : start + chunk_size])
            if grad_weight is not None and hidden.dtype == exact:
                grad_weight.addmm_(gradient.T, hidden)
            elif grad_weight is not None:
                grad_weight += gradient.T @ hidden
        ctx.gradients = grad_hidden, grad_weight if grad_weight is None else grad_weight.to(weight.dtype)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        if ctx.gradients is None:
            raise RuntimeError("the chunked loss can go backward once: leave loss_chunk_size out to keep the graph")
        # Scaled in place, as a gradient of the head is as large as the head.
        gradients, ctx.gradients = ctx.gradients, None
        return *(None if gradient is None else gradient.mul_(grad_total) for gradient in gradients), *4 * (None,)


def chunked_cross_entropy(
    hidden_states: torch.Tensor,
    weight: torch.Tensor,
    labels: torch.Tensor,
    softcap: float | None,
    chunk_size: int,
    num_items_in_batch: torch.Tensor | int | None = None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Average the cross-entropy of the labels without ever holding all logits.

    Args:
        hidden_states (`(batch, length, width)`): the decoder's last states.
        weight (`(vocabulary, width)`): the head.
        labels (`(batch, length)`): target ids, -100 where nothing is asked.
        softcap: bound of the logits, as in Gemma-2; `None` for none.
        chunk_size: tokens whose logits exist at the same time.
        num_items_in_batch: what the sum is divided by, instead of the number of labels asked for.
        smoothing: share of each label's probability that all tokens get alike.

    Returns:
        the same loss, and gradients, as those of `FlorenzForConditionalGeneration` with all logits.
    """
    asked = labels.ne(-100)
    if torch.is_autocast_enabled(hidden_states.device.type):
        hidden_states = hidden_states.to(torch.get_autocast_dtype(hidden_states.device.type))
    total = _ChunkedCrossEntropy.apply(hidden_states[asked], weight, labels[asked], softcap, chunk_size, smoothing)
    return total / (asked.sum() if num_items_in_batch is None else num_items_in_batch)


class FlorenzLinear(nn.Linear):
    """Apply a large matrix to few rows, as decoding does, about as fast as a CPU reads the matrix.

    For up to 15 rows in float32, a CPU's product reads a large matrix more than once, or by one thread. Here up to 4
    rows are the second factor, if outputs are at least as many as inputs; otherwise each block of 32 outputs stays in
    the cache while all rows use it. A single row in bfloat16 is two rows of twice the width, half of them zeros, as
    long rows are read faster; 9 to 16 rows of more than 2,048 numbers are the second factor, unless their length is a
    multiple of that, whose columns meet in the same places of the cache. Anything else is as in `nn.Linear`: other
    devices, training, compiled or quantized models, small matrices, and a bias in bfloat16, which would be rounded
    twice.
    """

    block = 32  # outputs
    smallest = 2**19  # entries; smaller matrices stay in the cache anyway

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        rows = hidden_states.numel() // self.in_features
        exact = hidden_states.dtype == torch.float32
        is_long = self.in_features > 2048 and self.in_features % 2048 > 0
        if (
            torch.compiler.is_compiling()  # first, as what depends on rows is compiled for some rows alone
            or not (1 <= rows <= 15 if exact else rows == 1 or (is_long and 9 <= rows <= 16))
            or not (exact or (hidden_states.dtype == torch.bfloat16 and self.bias is None))
            or hidden_states.device.type != "cpu"
            or self.weight.numel() < self.smallest
            or self.out_features % self.block
            or type(self.weight) is not nn.Parameter  # quantized
            or self.weight.dtype != hidden_states.dtype
            or torch.is_grad_enabled()
            or torch.is_autocast_enabled("cpu")
        ):
            return super().forward(hidden_states)
        states = hidden_states.reshape(rows, -1)
        if not exact and rows > 1:
            outputs = (self.weight @ states.T).T
        elif not exact:
            outputs = nn.functional.linear(
                torch.block_diag(states, states), self.weight.view(-1, 2 * self.in_features)
            )
            outputs = outputs.T.reshape(1, -1)  # a row of the view held two outputs
        elif rows <= 4 and self.out_features >= self.in_features:
            columns = (states if rows > 1 else states.repeat(2, 1)).T  # one thread would multiply a single column
            outputs = (self.weight @ columns)[:, :rows].T
        else:
            blocks = self.weight.view(-1, self.block, self.in_features)
            outputs = states.expand(len(blocks), -1, -1) @ blocks.transpose(1, 2)
            outputs = outputs.transpose(0, 1).reshape(rows, -1)
        outputs = outputs if self.bias is None else outputs + self.bias
        return outputs.reshape(*hidden_states.shape[:-1], -1).contiguous()


def read_fast(decoder: nn.Module) -> None:
    """Make every large `nn.Linear` of a decoder a `FlorenzLinear` with the same parameters."""
    for module in list(decoder.modules()):
        for name, linear in module.named_children():
            if type(linear) is nn.Linear and linear.weight.numel() >= FlorenzLinear.smallest:
                fast: Any
                with torch.device("meta"):  # no numbers are drawn for it
                    fast = FlorenzLinear(linear.in_features, linear.out_features, linear.bias is not None)
                fast.weight, fast.bias = linear.weight, linear.bias
                fast._is_hf_initialized = getattr(linear, "_is_hf_initialized", False)
                setattr(module, name, fast)


class FlorenzGate(nn.Module):
    """Scale a tensor by the tanh of one learned number, 0 at the start, so that a Gemma-2 decoder begins unchanged."""

    # A module and not a bare parameter: adapters can only train and save modules.
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states * self.weight.tanh()


def grouped_attention_forward(
    module: nn.Module,
    query: torch.Tensor,  # (batch, heads, length, head width)
    key: torch.Tensor,  # (batch, key heads, source, head width)
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute what Gemma-2's eager attention computes, without a copy of the long encoder keys for each query head."""
    batch, heads, length, width = query.shape
    grouped = (batch, key.shape[1], -1)  # the query heads of one key head stand in line, as further queries
    attn_weights = query.reshape(*grouped, width) @ key.transpose(2, 3)
    attn_weights = attn_weights.view(batch, heads, length, -1) * scaling
    if softcap is not None:
        attn_weights = torch.tanh(attn_weights / softcap) * softcap
    if attention_mask is not None:
        attn_weights = attn_weights + attention_mask
    attn_weights = nn.functional.softmax(attn_weights, dim=-1, dtype=torch.float32).to(query.dtype)
    attn_weights = nn.functional.dropout(attn_weights, p=dropout, training=module.training)
    attn_output = attn_weights.view(*grouped, key.shape[2]) @ value
    return attn_output.view(batch, heads, length, width).transpose(1, 2), attn_weights


def _in_line(
    hidden_states: torch.Tensor,  # (texts, length, width)
    attention_mask: torch.Tensor | None,  # (sources, 1, length, source)
    sources: int,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Let the texts that read one source stand in line as its further queries: its keys and values are there once."""
    if len(hidden_states) == sources:
        return hidden_states, attention_mask
    if attention_mask is not None:  # padding of the source, the same for every query
        attention_mask = attention_mask[:, :, :1]
    return hidden_states.reshape(sources, -1, hidden_states.shape[-1]), attention_mask


def _apart(attn_weights: torch.Tensor | None, texts: int) -> torch.Tensor | None:
    """Give the weights of texts in line `(sources, heads, texts * length, source)` a row for each text again."""
    if attn_weights is None or len(attn_weights) == texts:
        return attn_weights
    sources, heads, _, source = attn_weights.shape
    weights = attn_weights.view(sources, heads, texts // sources, -1, source)
    return weights.transpose(1, 2).reshape(texts, heads, -1, source)


class FlorenzCache(EncoderDecoderCache):
    """Hold the keys and values of a search; rows of the batch leave it when their texts are finished.

    Args:
        rows: numbers of the rows in the batch, which has as many at the start.
        ends: ids of tokens that end the text of a row; None for beams, for which others tell.
    """

    def __init__(
        self,
        self_attention_cache: Cache,
        cross_attention_cache: Cache,
        rows: torch.Tensor,
        ends: torch.Tensor | None = None,
    ) -> None:
        super().__init__(self_attention_cache, cross_attention_cache)
        self.batch, self.rows, self.ends = len(rows), rows, ends
        self.unfinished = torch.ones_like(rows, dtype=torch.bool)  # of the batch

    def leave(self, unfinished: torch.Tensor) -> torch.Tensor:
        """Let the keys and values of sources go whose rows have finished, if these are at least an eighth of all held.

        Args:
            unfinished (`(batch,)`): what is known of all rows; who has finished once has for good.

        Returns:
            places, among the rows held so far, of those that stay. The texts' own keys and values are the caller's.
        """
        self.unfinished &= unfinished
        staying = self.unfinished[self.rows].nonzero().squeeze(1)
        # All that stays is copied each time, which must be worth it.
        if not 0 < len(staying) <= 7 / 8 * len(self.rows):
            return torch.arange(len(self.rows), device=self.rows.device)
        self.rows = self.rows[staying]
        self.cross_attention_cache.batch_select_indices(staying)
        return staying

    def held(self, values: torch.Tensor) -> torch.Tensor:
        """Take from values of all texts `(texts, ...)` those of the rows that are held, each of which has as many."""
        return values.unflatten(0, (self.batch, -1))[self.rows].flatten(0, 1)

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Put values of the held rows' texts where they stand among all texts, with zeros for the others."""
        by_row = values.unflatten(0, (len(self.rows), -1))
        return by_row.new_zeros(self.batch, *by_row.shape[1:]).index_copy_(0, self.rows, by_row).flatten(0, 1)


def _source_in_cache(cache: EncoderDecoderCache | None) -> torch.Tensor | None:
    """Return something of the shape `(sources, source, width)` from a filled cache, for states that nobody reads."""
    if cache is None or not cache.is_updated.get(0):
        return None
    first: Any = cache.cross_attention_cache.layers[0]
    keys: torch.Tensor = first.keys
    return keys[:, 0]


class FlorenzBartCrossAttention(BartAttention):
    """Attend from BART's decoder to encoder states that several texts may share."""

    def forward(
        self,
        hidden_states: torch.Tensor,  # (texts, length, width)
        key_value_states: torch.Tensor | None = None,  # (sources, source, width); texts is a multiple of sources
        cache: Cache | None = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        sources = len(hidden_states) if key_value_states is None else len(key_value_states)
        queries, attention_mask = _in_line(hidden_states, attention_mask, sources)
        attn_output, attn_weights = super().forward(
            queries, key_value_states, cache=cache, attention_mask=attention_mask, **kwargs
        )
        return attn_output.view_as(hidden_states), _apart(attn_weights, len(hidden_states))


class FlorenzBartDecoder(BartDecoder):
    """Run BART's decoder; texts about one source share its keys and values, which a filled cache may hold alone."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        for index, layer in enumerate(self.layers):
            layer.encoder_attn = FlorenzBartCrossAttention(
                config.d_model,
                config.decoder_attention_heads,
                dropout=config.attention_dropout,
                is_decoder=True,
                config=config,
                layer_idx=index,
            )
        read_fast(self)

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        cache: Any = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        if encoder_hidden_states is None:
            encoder_hidden_states = _source_in_cache(cache)
        return super().forward(
            input_ids, attention_mask, encoder_hidden_states, encoder_attention_mask, cache=cache, **kwargs
        )


class FlorenzCrossAttention(Gemma2Attention):
    """Attend from decoder to encoder states with Gemma-2's heads, scale and soft cap, without RoPE or window."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.is_causal = False
        self.layer_type, self.sliding_window = None, None
        width = config.num_key_value_heads * self.head_dim
        self.k_proj = nn.Linear(config.cross_attention_hidden_size, width, bias=config.attention_bias)
        self.v_proj = nn.Linear(config.cross_attention_hidden_size, width, bias=config.attention_bias)

    def forward(
        self,
        hidden_states: torch.Tensor,  # (texts, length, width)
        encoder_hidden_states: torch.Tensor,  # (sources, source, encoder width); texts is a multiple of sources
        attention_mask: torch.Tensor | None = None,  # (sources, 1, length, source)
        cache: EncoderDecoderCache | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        def heads(states: torch.Tensor) -> torch.Tensor:
            return states.view(*states.shape[:-1], -1, self.head_dim).transpose(1, 2)

        queries, attention_mask = _in_line(hidden_states, attention_mask, len(encoder_hidden_states))
        query_states = heads(self.q_proj(queries))
        if cache is not None and cache.is_updated.get(self.layer_idx):
            cached: Any = cache.cross_attention_cache.layers[self.layer_idx]
            key_states, value_states = cached.keys, cached.values
        else:
            key_states = heads(self.k_proj(encoder_hidden_states))
            value_states = heads(self.v_proj(encoder_hidden_states))
            if cache is not None:
                key_states, value_states = cache.cross_attention_cache.update(key_states, value_states, self.layer_idx)
                cache.is_updated[self.layer_idx] = True

        attention = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, grouped_attention_forward)
        attn_output, attn_weights = attention(
            self,
            query_states,
            key_states,
            value_states,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            sliding_window=None,
            softcap=self.attn_logit_softcapping,
            **kwargs,
        )
        attn_output = attn_output.reshape(*hidden_states.shape[:-1], -1).contiguous()
        return self.o_proj(attn_output), _apart(attn_weights, len(hidden_states))


class FlorenzDecoderLayer(Gemma2DecoderLayer):
    """Run a Gemma-2 layer with a gated cross-attention block between self-attention and MLP."""

    def __init__(self, config: Any, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.has_cross_attention = layer_idx % config.cross_attention_every_n_layers == 0
        if self.has_cross_attention:
            self.cross_attn = FlorenzCrossAttention(config, layer_idx)
            self.post_cross_attn_layernorm = Gemma2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
            self.cross_attn_gate = FlorenzGate()

    def forward(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,  # positional, so that gradient checkpointing sees what needs a gradient
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        residual = hidden_states
        hidden_states, _ = self.self_attn(
            hidden_states=self.input_layernorm(hidden_states),
            position_embeddings=position_embeddings,
            attention_mask=attention_mask,
            cache=None if cache is None else cache.self_attention_cache,
            **kwargs,
        )
        hidden_states = residual + self.post_attention_layernorm(hidden_states)

        if self.has_cross_attention:
            residual = hidden_states
            # No norm in front: the released models were trained with the bare residual stream as query.
            hidden_states, _ = self.cross_attn(
                hidden_states, encoder_hidden_states, encoder_attention_mask, cache, **kwargs
            )
            hidden_states = residual + self.cross_attn_gate(self.post_cross_attn_layernorm(hidden_states))

        residual = hidden_states
        hidden_states = self.mlp(self.pre_feedforward_layernorm(hidden_states))
        return residual + self.post_feedforward_layernorm(hidden_states)


class FlorenzPreTrainedModel(PreTrainedModel):
    """Hold what every Florenz class shares: flags for transformers and the start of new weights."""

    config: FlorenzConfig
    config_class = FlorenzConfig
    base_model_prefix = "model"
    input_modalities = ["image", "text"]
    supports_gradient_checkpointing = True
    _no_split_modules = ["FlorenzDecoderLayer", "BartEncoderLayer", "BartDecoderLayer", "Florence2VisionBlock"]
    _skip_keys_device_placement = ["cache"]
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        # Everything that `from_pretrained` would otherwise leave as whatever lay in memory.
        if isinstance(module, Gemma2RMSNorm | FlorenzGate):
            init.zeros_(module.weight)
        elif isinstance(module, Florence2VisionPositionalEmbeddingCosine1D):
            sine, cosine = module.get_sinusoid_embeddings(module.max_seq_len, module.embed_dim)
            init.copy_(module.pos_idx_to_embed, torch.stack((sine, cosine), dim=-1).flatten(1))


class FlorenzDecoder(FlorenzPreTrainedModel):
    """Run the Gemma-2 decoder with cross-attention to the encoder states."""

    input_modalities = ["text"]
    _can_record_outputs = {
        "hidden_states": FlorenzDecoderLayer,
        "attentions": OutputRecorder(Gemma2Attention, index=1, layer_name="self_attn"),
        "cross_attentions": OutputRecorder(FlorenzCrossAttention, index=1),
    }

    def __init__(self, config: Any) -> None:
        # sdpa has no soft cap; without a cap it is exact.
        self._supports_sdpa = config.attn_logit_softcapping is None
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(FlorenzDecoderLayer(config, index) for index in range(config.num_hidden_layers))
        self.norm = Gemma2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = Gemma2RotaryEmbedding(config)
        self.gradient_checkpointing = False
        read_fast(self)
        self.post_init()

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """Return what attention runs on: for a decoder with a soft cap, `eager` where `sdpa` is asked for."""
        if requested_attention == "sdpa" and not self._supports_sdpa:
            logger.warning_once("sdpa has no soft cap: the decoder runs on eager attention, tower and encoder on sdpa")
            return "eager"
        return super().get_correct_attn_implementation(requested_attention, is_init_check)

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | dict[str, torch.Tensor] | None = None,
        encoder_hidden_states: torch.Tensor | None = None,
        encoder_attention_mask: torch.Tensor | None = None,
        cache: EncoderDecoderCache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError(
                "the decoder needs either decoder_input_ids or decoder_inputs_embeds, not both or neither"
            )
        if encoder_hidden_states is None:
            encoder_hidden_states = _source_in_cache(cache)
        if encoder_hidden_states is None:
            raise ValueError(
                "the decoder needs encoder_hidden_states, or a cache that they have filled: it reads image and prompt "
                "from nowhere else"
            )
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        if use_cache and cache is None:
            # The cross side gets no config: the decoder's sliding window must never cut the encoder states.
            cache = EncoderDecoderCache(DynamicCache(config=self.config), DynamicCache())
        self_attention_cache = None if cache is None else cache.self_attention_cache
        if position_ids is None:
            seen = 0 if cache is None else cache.get_seq_length()
            position_ids = (torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device) + seen).unsqueeze(0)

        # With a static cache `generate` hands over finished masks, by kind of layer.
        if not isinstance(masks := attention_mask, dict):
            arguments = {
                "config": self.config,
                "inputs_embeds": inputs_embeds,
                "attention_mask": attention_mask,
                "cache": self_attention_cache,
                "position_ids": position_ids,
            }
            masks = {
                "full_attention": create_causal_mask(**arguments),
                "sliding_attention": create_sliding_window_causal_mask(**arguments),
            }
        encoder_attention_mask = create_bidirectional_mask(
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=encoder_attention_mask,
            encoder_hidden_states=encoder_hidden_states,
        )

        # Gemma scales its embeddings; here and not in the table, so that decoder_inputs_embeds are scaled alike.
        hidden_states = inputs_embeds * torch.tensor(self.config.hidden_size**0.5, dtype=inputs_embeds.dtype)
        position_embeddings = self.rotary_emb(hidden_states, position_ids)
        for layer, layer_type in zip(self.layers, self.config.layer_types, strict=True):
            hidden_states = layer(
                hidden_states,
                encoder_hidden_states,
                position_embeddings,
                masks[layer_type],
                encoder_attention_mask=encoder_attention_mask,
                cache=cache,  # gradient checkpointing drops it by this name
                **kwargs,
            )
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=self.norm(hidden_states), cache=cache)


class FlorenzModel(FlorenzPreTrainedModel):
    """Join tower, projector, encoder and decoder; give decoder states without a head.

    Raises:
        ValueError: an image size, a length or a combination of inputs does not fit; the message says which does.
    """

    def __init__(self, config: FlorenzConfig) -> None:
        super().__init__(config)
        self.vision_tower = Florence2VisionBackbone(config.vision_config)
        with_vision: Any = config  # all that the projector reads
        self.multi_modal_projector = Florence2MultiModalProjector(with_vision)
        self.encoder = BartEncoder(config.encoder_config)
        is_bart = config.text_config.model_type == "bart"
        self.decoder: Any = (FlorenzBartDecoder if is_bart else FlorenzDecoder)(config.text_config)
        self.post_init()

    # transformers, peft and FSDP take this table for the partner of the tied head, which is the decoder's.
    def get_input_embeddings(self) -> nn.Module:
        return self.decoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.decoder.embed_tokens = value

    @can_return_tuple
    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Encode images; `pooler_output` holds the tokens the encoder reads.

        Args:
            pixel_values (`torch.Tensor` of shape `(batch, 3, size, size)`): images as the processor makes them.

        Returns:
            `BaseModelOutputWithPooling` with `pooler_output` of shape `(batch, 1 + grid * grid, d_model)`, the global
            token first, then the grid row by row.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[2] != pixel_values.shape[3]:
            raise ValueError(
                f"pixel_values have shape {tuple(pixel_values.shape)}: use square images, (batch, 3, size, size)"
            )
        self.config.num_image_tokens(pixel_values.shape[-1])
        outputs = self.vision_tower(pixel_values, **kwargs)
        outputs.pooler_output = self.multi_modal_projector(outputs.last_hidden_state)
        return outputs

    def merge_inputs(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Put the image tokens in front of the prompt.

        Args:
            mm_encoder_outputs: `{"image": ...}` with the output of `get_image_features`, instead of `pixel_values`.

        Returns:
            embeddings `(batch, image + prompt, d_model)`, their mask `(batch, image + prompt)`, the image tokens.
        """
        if input_ids is not None and inputs_embeds is not None:
            raise ValueError("input_ids and inputs_embeds were both given: pass one of them")
        if input_ids is not None:
            inputs_embeds = self.encoder.embed_tokens(input_ids)
            if attention_mask is None:
                attention_mask = input_ids.ne(self.config.encoder_config.pad_token_id).long()
        if inputs_embeds is not None:
            if attention_mask is None:
                attention_mask = torch.ones(inputs_embeds.shape[:2], dtype=torch.long, device=inputs_embeds.device)
            if attention_mask.shape != inputs_embeds.shape[:2]:
                raise ValueError(
                    f"attention_mask has shape {tuple(attention_mask.shape)}, but the prompt is "
                    f"{tuple(inputs_embeds.shape[:2])}: give one entry for each prompt token and none for the image"
                )
        image = (mm_encoder_outputs or {}).get("image")
        if pixel_values is not None:
            if image is not None:
                raise ValueError("pixel_values and mm_encoder_outputs were both given: pass one of them")
            image = self.get_image_features(pixel_values, return_dict=True)
        image_tokens = None if image is None else image.pooler_output
        if image_tokens is not None:
            ones = torch.ones(image_tokens.shape[:2], dtype=torch.long, device=image_tokens.device)
            if inputs_embeds is None or attention_mask is None:
                inputs_embeds, attention_mask = image_tokens, ones
            elif image_tokens.shape[0] != inputs_embeds.shape[0]:
                raise ValueError(
                    f"{image_tokens.shape[0]} images came with {inputs_embeds.shape[0]} prompts: give one each"
                )
            else:
                image_tokens = image_tokens.to(inputs_embeds.device, inputs_embeds.dtype)
                inputs_embeds = torch.cat((image_tokens, inputs_embeds), dim=1)
                ones = ones.to(attention_mask.device, attention_mask.dtype)
                attention_mask = torch.cat((ones, attention_mask), dim=1)
        if inputs_embeds is None or attention_mask is None or inputs_embeds.shape[1] == 0:
            raise ValueError("there is nothing to encode: give pixel_values, input_ids or both")
        limit = self.config.encoder_config.max_position_embeddings
        if inputs_embeds.shape[1] > limit:
            raise ValueError(
                f"image and prompt together have {inputs_embeds.shape[1]} tokens: the encoder takes {limit} at most"
            )
        return inputs_embeds, attention_mask, image_tokens

    @can_return_tuple
    @deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        **kwargs: Any,
    ) -> Florence2Seq2SeqModelOutput:
        image_tokens = None
        encoded: Any = encoder_outputs
        if encoded is None:
            inputs_embeds, attention_mask, image_tokens = self.merge_inputs(
                input_ids, pixel_values, attention_mask, inputs_embeds, mm_encoder_outputs
            )
            encoded = self.encoder(inputs_embeds=inputs_embeds, attention_mask=attention_mask, **kwargs)
        elif not isinstance(encoded, BaseModelOutput):
            encoded = BaseModelOutput(*encoded)
        encoder_hidden_states = encoded.last_hidden_state
        if attention_mask is not None and attention_mask.shape[1] < encoder_hidden_states.shape[1]:
            # A mask of the prompt alone beside finished encoder states: the image tokens before it are never padding.
            missing = encoder_hidden_states.shape[1] - attention_mask.shape[1]
            attention_mask = nn.functional.pad(attention_mask, (missing, 0), value=1)
        decoded = decoder_input_ids if decoder_inputs_embeds is None else decoder_inputs_embeds
        texts, sources = len(encoder_hidden_states) if decoded is None else len(decoded), len(encoder_hidden_states)
        if texts % sources:
            raise ValueError(
                f"{texts} decoder rows came with {sources} encoder rows: give each the same number of texts"
            )
        if attention_mask is not None and len(attention_mask) > sources:  # `generate` has a row for each beam
            attention_mask = attention_mask[:: texts // sources]

        decoder_outputs = self.decoder(
            input_ids=decoder_input_ids,
            attention_mask=decoder_attention_mask,
            encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=attention_mask,
            inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            cache=cache,
            **kwargs,
        )
        return Florence2Seq2SeqModelOutput(
            last_hidden_state=decoder_outputs.last_hidden_state,
            cache=decoder_outputs.cache,
            decoder_hidden_states=decoder_outputs.hidden_states,
            decoder_attentions=decoder_outputs.attentions,
            cross_attentions=decoder_outputs.cross_attentions,
            encoder_last_hidden_state=encoder_hidden_states,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
            image_hidden_states=image_tokens,
        )


# What beams of a finished row score, so that none of them is chosen.
_FINISHED = torch.finfo(torch.float32).min


def _largest(values: torch.Tensor, count: int, block: int = 128) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `torch.topk` does, several times as fast for few of many: they are in the blocks with the maxima."""
    if values.shape[-1] % block or values.shape[-1] < 2 * count * block:
        return torch.topk(values, count)
    blocks = values.unflatten(-1, (-1, block))
    best = blocks.amax(-1).topk(count).indices
    found, places = blocks.gather(-2, best[..., None].expand(*best.shape, block)).flatten(-2).topk(count)
    return found, best.gather(-1, places // block) * block + places % block


def _twice(value: Any) -> Any:
    if isinstance(value, dict):  # masks by kind of layer
        return {name: _twice(mask) for name, mask in value.items()}
    return None if value is None else torch.cat((value, value))


class FlorenzForConditionalGeneration(FlorenzPreTrainedModel, GenerationMixin):
    """Caption and translate with Florenz: the model with its tied, soft-capped head and `generate`.

    Example:

    ```python
    >>> from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration

    >>> model = FlorenzForConditionalGeneration(FlorenzConfig())  # doctest: +SKIP
    ```
    """

    _tied_weights_keys = {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    many_words = 2**14  # of a vocabulary, for which another search of the best words pays

    def __init__(self, config: FlorenzConfig) -> None:
        super().__init__(config)
        self.model = FlorenzModel(config)
        decoder = config.text_config
        self.lm_head = FlorenzLinear(decoder.hidden_size, decoder.vocab_size, bias=False)
        # Labels are compared where they stand: they are shifted once, into the decoder's input, and not in the loss.
        self.loss_type = "ForMaskedLM"
        # Only ids: everything else about decoding belongs in a checkpoint's generation_config.json.
        self.generation_config = GenerationConfig(
            decoder_start_token_id=config.decoder_start_token_id,
            bos_token_id=config.bos_token_id,
            eos_token_id=config.eos_token_id,
            pad_token_id=config.pad_token_id,
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """Encode images; see `FlorenzModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, **kwargs)

    def get_submodule(self, target: str) -> nn.Module:
        """Return a module by its name; `embeddings.word_embeddings` is the table of the prompts."""
        # Prompt tuning of peft asks for this name, and else would look prompts up in the decoder's table.
        return super().get_submodule(
            "model.encoder.embed_tokens" if target == "embeddings.word_embeddings" else target
        )

    def add_adapter(self, adapter_config: Any, adapter_name: str | None = None) -> None:
        """Put an adapter of peft into the model; see transformers.

        Raises:
            ValueError: the installed peft is too old for this way; another is named.
        """
        try:
            super().add_adapter(adapter_config, adapter_name)
        except ValueError as error:
            if "version of PEFT" not in str(error):
                raise
            # The version that transformers asks for can be newer than all that are released.
            raise ValueError(f"{error}, or peft.get_peft_model(model, adapter_config), which takes any") from None

    def prepare_decoder_input_ids_from_labels(self, labels: torch.LongTensor) -> torch.LongTensor:
        """Shift labels one to the right behind the start id, with pads in place of -100. Shape `(batch, length)`."""
        return shift_tokens_right(labels, self.config.pad_token_id, self.config.decoder_start_token_id)

    @can_return_tuple
    @deprecate_kwarg("past_key_values", "5.40.0", new_name="cache")
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        num_items_in_batch: torch.Tensor | int | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        loss_chunk_size: int | None = None,
        loss_smoothing: float = 0.0,
        image_guidance: float | None = None,
        **kwargs: Any,
    ) -> Florence2Seq2SeqLMOutput:
        """Predict the decoder's next tokens, with a loss if `labels` are given.

        Args:
            input_ids (`(batch, prompt)`): prompt in the encoder's vocabulary; pads are masked if there is no mask.
            pixel_values (`(batch, 3, size, size)`): square images, a multiple of 32 px. Either input may be left out.
            attention_mask (`(batch, prompt)`): 1 for prompt tokens to read. Image tokens need no entry.
            labels (`(batch, length)`): target ids, -100 where nothing is asked. Not shifted.
            num_items_in_batch: number of target tokens over all accumulated batches; the loss is their sum over it.
            cache: what earlier calls left.
            mm_encoder_outputs: `{"image": model.get_image_features(pixel_values)}`, instead of `pixel_values`.
            loss_chunk_size: target tokens whose logits exist at a time; the output then has a loss and no logits.
            loss_smoothing: share of each label's probability that all tokens get alike, from 0 to 1.
            image_guidance: how much the image counts: 0 for the text alone, 1 as without it, more to follow the image
                further (after ZeroMMT, arXiv 2407.13579). It takes `encoder_outputs` as `encode_guided` makes them.

        Raises:
            ValueError: inputs that do not fit; see `FlorenzModel`.
        """
        if labels is not None:
            use_cache = False
            if decoder_input_ids is None and decoder_inputs_embeds is None:
                decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if decoder_input_ids is None and decoder_inputs_embeds is None:
            raise ValueError("the decoder has no input: give labels, decoder_input_ids or decoder_inputs_embeds")
        if image_guidance is not None:
            if loss_chunk_size:
                raise ValueError("loss_chunk_size is for training and image_guidance is not: leave one of them out")
            if encoder_outputs is None:
                encoder_outputs, attention_mask = self.encode_guided(
                    input_ids, pixel_values, attention_mask, inputs_embeds, mm_encoder_outputs
                )
                input_ids = pixel_values = inputs_embeds = mm_encoder_outputs = None
            decoder_input_ids, decoder_inputs_embeds = _twice(decoder_input_ids), _twice(decoder_inputs_embeds)
            decoder_attention_mask = _twice(decoder_attention_mask)
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            cache=cache,
            inputs_embeds=inputs_embeds,
            decoder_inputs_embeds=decoder_inputs_embeds,
            use_cache=use_cache,
            mm_encoder_outputs=mm_encoder_outputs,
            return_dict=True,
            **kwargs,
        )
        cap = self.config.text_config.final_logit_softcapping
        logits = loss = None
        if labels is not None and loss_chunk_size:
            loss = chunked_cross_entropy(
                outputs.last_hidden_state,
                self.lm_head.weight,
                labels,
                cap,
                loss_chunk_size,
                num_items_in_batch,
                loss_smoothing,
            )
        else:
            logits = self.lm_head(slice_logits_to_keep(outputs.last_hidden_state, logits_to_keep))
            if cap is not None and torch.is_grad_enabled():
                logits = torch.tanh(logits / cap) * cap
            elif cap is not None:  # in place, as memory for all words of all rows is slow to come by
                logits = logits.div_(cap).tanh_().mul_(cap)
            if image_guidance is not None:
                guided, unguided = logits.chunk(2)
                logits = torch.lerp(unguided, guided, image_guidance)
        if logits is not None and labels is not None and loss_smoothing:
            total = nn.functional.cross_entropy(
                logits.float().flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=loss_smoothing
            )
            loss = total / (labels.ne(-100).sum() if num_items_in_batch is None else num_items_in_batch)
        elif logits is not None and labels is not None:
            loss = self.loss_function(
                logits, labels.contiguous(), self.config.text_config.vocab_size, num_items_in_batch=num_items_in_batch
            )
        return Florence2Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            cache=outputs.cache,
            decoder_hidden_states=outputs.decoder_hidden_states,
            decoder_attentions=outputs.decoder_attentions,
            cross_attentions=outputs.cross_attentions,
            encoder_last_hidden_state=outputs.encoder_last_hidden_state,
            encoder_hidden_states=outputs.encoder_hidden_states,
            encoder_attentions=outputs.encoder_attentions,
            image_hidden_states=outputs.image_hidden_states,
        )

    def encode_guided(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
    ) -> tuple[BaseModelOutput, torch.Tensor]:
        """Encode every prompt with its image and once more without it, for `image_guidance`.

        Returns:
            states `(2 * batch, image + prompt, d_model)`, those with image first, and their mask.

        Raises:
            ValueError: there is no image, or nothing but an image.
        """
        if pixel_values is None and mm_encoder_outputs is None:
            raise ValueError("image_guidance is for a prompt with an image: give pixel_values, or leave it out")
        if inputs_embeds is None and (input_ids is None or not input_ids.shape[1]):
            raise ValueError("image_guidance is for an image with a prompt: give input_ids, or leave it out")
        states, masks = [], []
        for image in ({"pixel_values": pixel_values, "mm_encoder_outputs": mm_encoder_outputs}, {}):
            embeds, mask, _ = self.model.merge_inputs(
                input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, **image
            )
            states.append(self.model.encoder(inputs_embeds=embeds, attention_mask=mask).last_hidden_state)
            masks.append(mask)
        # Padding stands where the image was; cross-attention knows no places.
        missing = states[0].shape[1] - states[1].shape[1]
        states[1] = nn.functional.pad(states[1], (0, 0, missing, 0))
        masks[1] = nn.functional.pad(masks[1], (missing, 0))
        return BaseModelOutput(last_hidden_state=torch.cat(states)), torch.cat(masks)

    def _maybe_initialize_input_ids_for_generation(
        self, inputs: torch.Tensor | None, bos_token_id: torch.Tensor | None, model_kwargs: dict[str, Any]
    ) -> Any:
        # An image alone is a whole input. The inherited method would prompt the encoder with the decoder's bos id.
        if model_kwargs.get("encoder_outputs") is not None:
            model_kwargs.pop("mm_encoder_outputs", None)  # inside them already
        image = (model_kwargs.get("mm_encoder_outputs") or {}).get("image")
        pixels = model_kwargs.get("pixel_values") if image is None else image.pooler_output
        if inputs is None and pixels is not None and model_kwargs.get("encoder_outputs") is None:
            return torch.empty((pixels.shape[0], 0), dtype=torch.long, device=pixels.device)
        inherited: Any = super()
        return inherited._maybe_initialize_input_ids_for_generation(inputs, bos_token_id, model_kwargs)

    def _maybe_prepare_encoder_kwargs_for_generation(
        self,
        inputs_tensor: torch.Tensor,
        model_kwargs: dict[str, Any],
        model_input_name: str | None,
        generation_config: GenerationConfig,
    ) -> dict[str, Any]:
        mm_encoder_outputs = model_kwargs.pop("mm_encoder_outputs", None)
        if model_kwargs.get("encoder_outputs") is None:
            # The inherited method hands pixel_values to the text encoder, which swallows them without a word.
            prompt = "inputs_embeds" if model_input_name == "inputs_embeds" else "input_ids"
            mask = model_kwargs.pop("attention_mask", None)
            if mask is not None:
                # An assistant gets the mask of the main model's encoder states, with the image in front.
                mask = mask[:, max(0, mask.shape[1] - inputs_tensor.shape[1]) :]
            if model_kwargs.get("image_guidance") is not None:
                given: dict[str, Any] = {prompt: inputs_tensor, "mm_encoder_outputs": mm_encoder_outputs}
                model_kwargs["encoder_outputs"], model_kwargs["attention_mask"] = self.encode_guided(
                    pixel_values=model_kwargs.pop("pixel_values", None), attention_mask=mask, **given
                )
                model_kwargs.pop("inputs_embeds", None)
                return self._check_prefixes(model_kwargs)
            inputs_embeds, model_kwargs["attention_mask"], _ = self.model.merge_inputs(
                pixel_values=model_kwargs.pop("pixel_values", None),
                mm_encoder_outputs=mm_encoder_outputs,
                attention_mask=mask,
                **{prompt: inputs_tensor},
            )
            generation: Any = self
            model_kwargs = generation._prepare_text_encoder_decoder_kwargs_for_generation(
                inputs_embeds, model_kwargs, "inputs_embeds", generation_config
            )
            model_kwargs.pop("inputs_embeds", None)
        return self._check_prefixes(model_kwargs)

    def _check_prefixes(self, model_kwargs: dict[str, Any]) -> dict[str, Any]:
        mask = model_kwargs.get("decoder_attention_mask")
        if mask is not None and self.config.text_config.model_type == "bart" and not mask[:, 0].all():
            raise ValueError(
                "decoder prefixes of different lengths came in one batch: a BART decoder counts positions from the "
                "left, so give each length a batch of its own"
            )
        return model_kwargs

    def _prepare_decoder_input_ids_for_generation(
        self, batch_size: int, model_input_name: str, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[torch.LongTensor, dict[str, Any]]:
        inherited: Any = super()
        ids, model_kwargs = inherited._prepare_decoder_input_ids_for_generation(
            batch_size, model_input_name, model_kwargs, *args, **kwargs
        )
        cache = model_kwargs.get("cache")
        if cache is not None and (seen := int(cache.get_seq_length())):
            if ids.shape[1] <= seen:
                raise ValueError(
                    f"the cache holds {seen} tokens, but decoder_input_ids are {ids.shape[1]}: give all ids that made "
                    "it, the start id included, and at least one more"
                )
            # Without a mask of all ids the inherited prefill runs them through the decoder again, behind the cache.
            if model_kwargs.get("decoder_attention_mask") is None:
                model_kwargs["decoder_attention_mask"] = torch.ones_like(ids)
        return ids, model_kwargs

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: torch.LongTensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[torch.LongTensor, dict[str, Any]]:
        # Beams and samples of a row read the same encoder states, which are not copied for them.
        encoder_outputs = model_kwargs.pop("encoder_outputs", None)
        inherited: Any = super()
        expanded, model_kwargs = inherited._expand_inputs_for_generation(
            expand_size, is_encoder_decoder and encoder_outputs is None, input_ids, **model_kwargs
        )
        if encoder_outputs is not None:
            model_kwargs["encoder_outputs"] = encoder_outputs
        return expanded, model_kwargs

    def _prepare_cache_for_generation(
        self,
        generation_config: GenerationConfig,
        model_kwargs: dict[str, Any],
        generation_mode: Any,
        batch_size: int,
        max_cache_length: int,
    ) -> Any:
        given = model_kwargs.get("cache")
        inherited: Any = super()
        inherited._prepare_cache_for_generation(
            generation_config, model_kwargs, generation_mode, batch_size, max_cache_length
        )
        cache = model_kwargs.get("cache")
        if given is not None or cache is None:
            return
        # The inherited cross-attention cache takes over the decoder's sliding window and would cut the encoder states.
        if isinstance(cache.cross_attention_cache, StaticCache):
            config = copy.deepcopy(self.config.text_config)
            config.layer_types = ["full_attention"] * config.num_hidden_layers
            config.sliding_window = None
            length = model_kwargs["encoder_outputs"].last_hidden_state.shape[1]
            cache.cross_attention_cache = StaticCache(config=config, max_cache_len=length)
            return
        cache.cross_attention_cache = DynamicCache()
        ends = generation_config._eos_token_tensor
        is_greedy = generation_mode == GenerationMode.GREEDY_SEARCH and ends is not None
        if (
            (is_greedy or generation_mode == GenerationMode.BEAM_SEARCH)
            and not generation_config.return_dict_in_generate  # whoever asks for the cache gets it whole
            and model_kwargs.get("image_guidance") is None
        ):
            rows = torch.arange(batch_size, device=model_kwargs["encoder_outputs"][0].device)
            model_kwargs["cache"] = FlorenzCache(
                cache.self_attention_cache, cache.cross_attention_cache, rows, ends if is_greedy else None
            )

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        next_sequence_length: int | None = None,
        cache: Cache | None = None,
        attention_mask: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the inputs of the next step of a search, of the rows that are not finished; see transformers."""
        inherited: Any = super()
        inputs: dict[str, Any] = inherited.prepare_inputs_for_generation(
            input_ids, next_sequence_length, cache, attention_mask, inputs_embeds, is_first_iteration, **kwargs
        )
        if is_first_iteration or not isinstance(cache, FlorenzCache):
            return inputs
        if cache.ends is not None:
            held = len(cache.rows)
            staying = cache.leave(~torch.isin(input_ids[:, -1], cache.ends))
            if len(staying) < held:
                cache.self_attention_cache.batch_select_indices(staying)
        if len(cache.rows) < cache.batch:
            for name, value in inputs.items():
                if isinstance(value, torch.Tensor) and value.ndim and len(value) == len(input_ids):
                    inputs[name] = cache.held(value)
            # Only how many there are counts: their keys and values are in the cache.
            states = inputs["encoder_outputs"][0][: len(cache.rows)]
            inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=states)
        return inputs

    def _update_model_kwargs_for_generation(
        self, outputs: Any, model_kwargs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> dict[str, Any]:
        inherited: Any = super()
        cache = outputs.get("cache")
        if isinstance(cache, FlorenzCache) and len(cache.rows) < cache.batch:
            outputs.logits = cache.spread(outputs.logits)
        updated: dict[str, Any] = inherited._update_model_kwargs_for_generation(outputs, model_kwargs, *args, **kwargs)
        return updated

    def _prefill(
        self,
        input_ids: torch.LongTensor,
        generation_config: GenerationConfig,
        model_kwargs: dict[str, Any],
        is_first_iteration: bool = True,
    ) -> Any:
        inherited: Any = super()
        beams, cache = generation_config.num_beams, model_kwargs.get("cache")
        if (
            beams == 1
            or cache is None
            or cache.is_compileable
            or cache.get_seq_length()
            or model_kwargs.get("image_guidance") is not None
            or generation_config.output_attentions
            or generation_config.output_hidden_states
        ):
            return inherited._prefill(input_ids, generation_config, model_kwargs, is_first_iteration)
        # All beams of a row begin alike: their first step is taken once.
        masks = ("attention_mask", "decoder_attention_mask")
        once = {name: model_kwargs[name][::beams] for name in masks if model_kwargs.get(name) is not None}
        outputs = inherited._prefill(input_ids[::beams], generation_config, model_kwargs | once, is_first_iteration)
        cache.self_attention_cache.batch_repeat_interleave(beams)
        outputs.logits = outputs.logits[:, -1:].repeat_interleave(beams, dim=0)
        return outputs

    def _get_top_k_continuations(
        self,
        accumulated_log_probs: torch.Tensor,  # (batch, beams * vocabulary)
        running_sequences: torch.Tensor,
        running_beam_indices: torch.Tensor,
        cur_len: int,
        decoder_prompt_len: int,
        do_sample: bool,
        beams_to_keep: int,
        num_beams: int,
        batch_size: int,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        tokens = None
        if not do_sample and accumulated_log_probs.shape[-1] >= num_beams * self.many_words:
            # The inherited method then chooses among the likeliest tokens of each beam, by their places among those.
            by_beam = accumulated_log_probs.view(batch_size, num_beams, -1)
            kept, tokens = _largest(by_beam, min(beams_to_keep, by_beam.shape[-1]))
            accumulated_log_probs = kept.flatten(1)
        inherited: Any = super()
        scores, sequences, beam_indices = inherited._get_top_k_continuations(
            accumulated_log_probs,
            running_sequences,
            running_beam_indices,
            cur_len,
            decoder_prompt_len,
            do_sample,
            beams_to_keep,
            num_beams,
            batch_size,
            **kwargs,
        )
        if tokens is not None:
            beams = beam_indices[:, :, cur_len - decoder_prompt_len] % num_beams
            places = beams * tokens.shape[-1] + sequences[:, :, cur_len]
            sequences[:, :, cur_len] = tokens.flatten(1).gather(1, places)
        beam_indices[:, :, cur_len - decoder_prompt_len].masked_fill_(scores[:, :1] <= _FINISHED, -1)
        return scores, sequences, beam_indices

    @staticmethod
    def _check_early_stop_heuristic(*args: Any, **given: Any) -> torch.Tensor:
        # By the scores of its beams, the next step knows a finished row: nothing that they find is taken.
        unsatisfied: torch.Tensor = GenerationMixin._check_early_stop_heuristic(*args, **given)
        is_full = given["is_sent_finished"].all(dim=-1, keepdim=True) & (given["early_stopping"] is True)
        given["running_beam_scores"].masked_fill_(~unsatisfied | is_full, _FINISHED)
        return unsatisfied

    def _reorder_cache(self, cache: EncoderDecoderCache, beam_idx: torch.LongTensor) -> EncoderDecoderCache:
        # All beams of a row read the same encoder states: only what the decoder wrote changes places.
        places = torch.arange(len(beam_idx), dtype=beam_idx.dtype, device=beam_idx.device)
        order: Any = torch.where(beam_idx < 0, places, beam_idx)
        if isinstance(cache, FlorenzCache):
            beams = len(order) // cache.batch
            within = order.view(-1, beams)[cache.rows] % beams
            staying = cache.leave(beam_idx[::beams] >= 0)
            cache.self_attention_cache.reorder_cache((within[staying] + beams * staying[:, None]).flatten())
            return cache
        first: Any = cache.self_attention_cache.layers[0]
        if len(first.keys) == 2 * len(order):  # with guidance
            order = torch.cat((order, order + len(order)))
        cache.self_attention_cache.reorder_cache(order)
        return cache


for _auto_class in ("AutoModel", "AutoModelForImageTextToText", "AutoModelForSeq2SeqLM"):
    FlorenzForConditionalGeneration.register_for_auto_class(_auto_class)

__all__ = ["FlorenzForConditionalGeneration", "FlorenzModel", "FlorenzPreTrainedModel"]
