"""Draw tiny models of random sizes, with inputs for three rows and their answers to the plainest way of asking."""

import random
from pathlib import Path
from typing import Any

import torch
from tiny_models import randomise, tiny_labels
from transformers import AutoModel

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration


ROWS, NEW, PADS = 3, 10, 1


def random_config(kind: str, number: int) -> FlorenzConfig:
    """Draw the sizes of a tiny model; every width, depth, window, cap and number of heads may be another."""
    draw = random.Random(f"{kind}/{number}")
    heads = draw.choice((2, 4))
    width = draw.choice((16, 32, 48))
    bart = {
        "d_model": width,
        "encoder_layers": draw.randint(1, 4),
        "decoder_layers": draw.randint(1, 4),
        "encoder_attention_heads": heads,
        "decoder_attention_heads": draw.choice((2, 4)),
        "encoder_ffn_dim": draw.choice((24, 64)),
        "decoder_ffn_dim": draw.choice((24, 64)),
        "max_position_embeddings": 128,
        "scale_embedding": draw.random() < 0.3,
    }
    vocabulary = draw.randint(110, 140)
    text: dict[str, Any] = {"model_type": "bart", **bart, "vocab_size": vocabulary}
    if kind == "gemma2":
        text = {
            "model_type": "gemma2",
            "hidden_size": draw.choice((16, 48, 64)),
            "intermediate_size": draw.choice((32, 96)),
            "num_hidden_layers": draw.randint(1, 5),
            "num_attention_heads": 4,
            "num_key_value_heads": draw.choice((1, 2, 4)),
            "head_dim": draw.choice((8, 16)),
            "query_pre_attn_scalar": draw.choice((8, 16)),
            "sliding_window": draw.choice((3, 8, 64)),
            "attn_logit_softcapping": draw.choice((None, 20.0, 50.0)),
            "vocab_size": vocabulary,
        }
    text["final_logit_softcapping"] = draw.choice((None, 15.0, 30.0))
    depths = [draw.randint(1, 2) for _ in range(4)]
    return FlorenzConfig(
        vision_config={
            "depths": depths,
            "embed_dim": [16, 32, 64, 128],
            "num_heads": [2, 2, 4, 4],
            "num_groups": [2, 2, 4, 4],
            "window_size": draw.choice((2, 4, 5)),
        },
        encoder_config={**bart, "vocab_size": 99, "bos_token_id": 0, "pad_token_id": PADS, "eos_token_id": 2},
        text_config=text,
        cross_attention_every_n_layers=draw.choice((1, 1, 2, 3)) if kind == "gemma2" else 1,
    )


class Case:
    """Hold a random model with inputs for three rows, and what it answers to the plainest way of asking."""

    def __init__(self, kind: str, number: int, folder: Path) -> None:
        self.kind, self.number, self.folder = kind, number, folder
        self.model = FlorenzForConditionalGeneration(random_config(kind, number))
        randomise(self.model, number)
        self.model.eval()
        generator = torch.Generator().manual_seed(number)
        side = (32, 64, 96)[number % 3]
        self.pixels = torch.randn(ROWS, 3, side, side, generator=generator)
        self.lengths = [9, 9 - number % 4, 4]
        self.ids = torch.randint(3, 99, (ROWS, 9), generator=generator)
        self.mask = torch.ones(ROWS, 9, dtype=torch.long)
        for row, length in enumerate(self.lengths):
            self.ids[row, 0], self.ids[row, length - 1] = 0, 2
            self.ids[row, length:], self.mask[row, length:] = PADS, 0
        self.labels = tiny_labels(number).clamp(max=109)
        self.decoder_ids = self.model.prepare_decoder_input_ids_from_labels(self.labels)
        self.inputs = {"pixel_values": self.pixels, "input_ids": self.ids, "attention_mask": self.mask}
        self.prompt = {"input_ids": self.ids, "attention_mask": self.mask}
        self.logits = self.ask(**self.inputs, decoder_input_ids=self.decoder_ids)
        self.text = self.write(**self.inputs)

    def ask(self, model: Any = None, **given: Any) -> torch.Tensor:
        return (model or self.model)(**given).logits

    def write(self, model: Any = None, new: int = NEW, **given: Any) -> torch.Tensor:
        settings = {"num_beams": 1, "do_sample": False, "min_new_tokens": new, "max_new_tokens": new}
        return (model or self.model).generate(**{**settings, "suppress_tokens": [0, 1, 2], **given})

    def features(self) -> dict[str, Any]:
        return {"image": self.model.get_image_features(self.pixels)}

    def reloaded(self, auto: bool = False) -> Any:
        place = self.folder / "saved"
        if not place.exists():
            self.model.save_pretrained(place)
        return (AutoModel if auto else FlorenzForConditionalGeneration).from_pretrained(place).eval()
