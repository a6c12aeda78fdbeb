"""Save tiny random base models, and map the tiny vocabulary of one to that of the other."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tower_names import TOWER_NAMES_OF_OLD
from transformers import Florence2Config, Florence2ForConditionalGeneration, Gemma2Config, Gemma2ForCausalLM

from modeling_florenz import FlorenzConfig
from modeling_florenz.checkpoint.vocabulary import FlorenceIds


_TO_OLD = [
    *TOWER_NAMES_OF_OLD,
    (r"^model\.language_model\.", "language_model.model."),
    (r"^lm_head\.", "language_model.lm_head."),
]


def florence_folder(folder: Path, config: FlorenzConfig, layout: str, seed: int = 0) -> Path:
    """Save a random Florence-2 with the tower and encoder of `config`, by transformers itself or as of old."""
    torch.manual_seed(seed)
    encoder = config.encoder_config.to_dict()
    text = {key: encoder[key] for key in encoder if key.startswith(("encoder_", "decoder_", "max_pos"))}
    text |= {"model_type": "bart", "d_model": encoder["d_model"], "vocab_size": encoder["vocab_size"]}
    text |= {key: encoder[key] for key in ("pad_token_id", "bos_token_id", "eos_token_id")}
    vision = config.vision_config.to_dict()
    model = Florence2ForConditionalGeneration(
        Florence2Config(vision_config=vision, text_config=text, image_token_id=encoder["vocab_size"] - 1)
    )
    model.save_pretrained(folder)
    if layout == "old":
        old = {}
        for name, tensor in load_file(folder / "model.safetensors").items():
            theirs = name
            for pattern, replacement in _TO_OLD:
                theirs = re.sub(pattern, replacement, theirs)
            old[theirs] = tensor.T.contiguous() if theirs == "image_projection" else tensor
        table = old["language_model.model.shared.weight"]
        old["language_model.final_logits_bias"] = torch.zeros(1, len(table))
        for name in ("language_model.model.encoder.embed_tokens.weight", "language_model.lm_head.weight"):
            old[name] = table.clone()
        save_file(old, folder / "model.safetensors")
    return folder


def gemma_folder(folder: Path, config: FlorenzConfig) -> Path:
    """Save a random Gemma-2 with the shape of `config`'s decoder."""
    torch.manual_seed(1)
    known = Gemma2Config().to_dict()
    values = {key: value for key, value in config.text_config.to_dict().items() if key in known}
    model = Gemma2ForCausalLM(Gemma2Config(**{**values, "is_decoder": False, "architectures": None}))
    for name, parameter in model.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    return folder


def every_id_is_itself(count: int, rows: int) -> FlorenceIds:
    """Map id i to the two rows i and i + 1."""
    ids = torch.stack((torch.arange(count) % rows, (torch.arange(count) + 1) % rows), dim=1).reshape(-1)
    return FlorenceIds(ids=ids, offsets=torch.arange(0, 2 * count + 1, 2))
