"""Choose what is trained, as the paper's training code does (github.com/spravil/caption-via-translation)."""

from ..modeling_florenz import FlorenzForConditionalGeneration


_NEW_IN_GEMMA = (".cross_attn.", ".cross_attn_gate.", ".post_cross_attn_layernorm.")


def freeze_as_in_paper(model: FlorenzForConditionalGeneration) -> None:
    """Set `requires_grad` of every parameter as in the paper's pre-training and fine-tuning, both alike.

    Frozen: vision tower, image projection with its positions and norm; of a Gemma-2 decoder also its own blocks and
    its last norm. Trained: encoder, tied embedding and head; a whole BART decoder, or what was added to Gemma-2.
    A frozen tower keeps its drop path: the paper leaves frozen parts in train mode.

    Args:
        model (`FlorenzForConditionalGeneration`): changed in place.

    Example:

    ```python
    >>> model = FlorenzForConditionalGeneration(config_from_size("0.4b"))  # doctest: +SKIP
    >>> freeze_as_in_paper(model)  # doctest: +SKIP
    >>> sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)  # doctest: +SKIP
    337631232
    ```
    """
    for part in (model.model.vision_tower, model.model.multi_modal_projector):
        part.requires_grad_(False)
    model.model.encoder.requires_grad_(True)
    decoder = model.model.decoder
    is_bart = model.config.text_config.model_type == "bart"
    for name, parameter in decoder.named_parameters():
        parameter.requires_grad_(is_bart or any(part in f".{name}" for part in _NEW_IN_GEMMA))
    decoder.embed_tokens.requires_grad_(True)
