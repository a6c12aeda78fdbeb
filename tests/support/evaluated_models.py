"""Models to evaluate: one that answers as it is told, and tiny random ones of every kind that is compared."""

from pathlib import Path

import torch
from tiny_processor import build_tokenizer
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    CLIPVisionConfig,
    Florence2Config,
    Florence2ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    M2M100Config,
    M2M100ForConditionalGeneration,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from modeling_florenz.data.datasets import DATASETS
from modeling_florenz.inference.baselines import ChatModel, Florence2Model, NllbModel, PlainCaptioner
from modeling_florenz.inference.evaluated import SearchProtocol
from modeling_florenz.processing_florenz import LANGUAGES


GREEDY = SearchProtocol(num_beams=1, max_new_tokens=8, no_repeat_ngram_size=0)
TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


class Stub:
    """Answer with what a function of a row says, and keep what was asked."""

    def __init__(
        self, text=lambda row: row["target"], perplexity=lambda row, target: 1.0, languages=LANGUAGES, digest="0"
    ):
        self.digest = digest
        self.text, self.perplexity, self.languages, self.asked = text, perplexity, list(languages), []

    def writes(self, language):
        return language in self.languages

    def fingerprint(self):
        return {"weights_digest": self.digest}

    def generate(self, rows, protocol):
        self.asked += [row["key"] for row in rows]
        return [self.text(row) for row in rows]

    def perplexities(self, rows, targets):
        return [self.perplexity(row, target) for row, target in zip(rows, targets, strict=True)]


def write_samples(data: Path, name: str, languages: list[str], *splits: str) -> Path:
    """Write made-up entries of a dataset into its place in the folder of all data; return that folder."""
    for split in splits:
        pairs = [("caption", language) for language in languages]
        DATASETS[name].sample_writer(data / DATASETS[name].folder, split, pairs)
    return data


class WordProcessor:
    """Stand in for the processor of a native Florence-2: a square image and prompt ids."""

    def save_pretrained(self, folder):
        pass

    def __call__(self, images, text, padding, return_tensors):
        tokens = torch.tensor([[0, *[9] * 5, 12, 2]] * len(images))
        return {"pixel_values": torch.rand(len(images), 3, 64, 64), "input_ids": tokens}

    def batch_decode(self, ids, skip_special_tokens):
        return [" ".join(f"w{number}" for number in row.tolist()) for row in ids]


def florence() -> Florence2Model:
    text = {"model_type": "bart", "vocab_size": 60, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
    text |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    vision = {"embed_dim": [8, 16, 16, 32], "depths": [1] * 4, "num_heads": [1, 2, 2, 2], "num_groups": [1, 2, 2, 2]}
    config = Florence2Config(
        text_config={**text, "max_position_embeddings": 64},
        vision_config={**vision, "window_size": 4, "projection_dim": 32},
        image_token_id=9,
    )
    torch.manual_seed(0)
    model = object.__new__(Florence2Model)
    model.model, model.processor = Florence2ForConditionalGeneration(config).eval(), WordProcessor()
    return model


def nllb() -> NllbModel:
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=400, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
    )  # fmt: skip
    model = object.__new__(NllbModel)
    model.model, model.tokenizer = M2M100ForConditionalGeneration(config).eval(), build_tokenizer(TOKENS, 80)
    return model


CHAT = (
    "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}"
    "{% endif %}{% endfor %}{% endfor %}"
)


def llava() -> ChatModel:
    torch.manual_seed(0)
    tokenizer = build_tokenizer(TOKENS, 200)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
        ),
        text_config=LlamaConfig(
            vocab_size=400, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    size = {"height": 32, "width": 32}
    model = object.__new__(ChatModel)
    model.model = LlavaForConditionalGeneration(config).eval()
    model.processor = LlavaProcessor(
        CLIPImageProcessorPil(size=size, crop_size=size),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    )
    return model


class BlipProcessor:
    """Stand in for the processor of a BLIP-2: a square image and two places for it."""

    tokenizer = build_tokenizer(TOKENS, 200)

    def save_pretrained(self, folder):
        pass

    def __call__(self, images, return_tensors):
        processor = CLIPImageProcessorPil(size={"height": 32, "width": 32}, do_center_crop=False)
        prompt = torch.tensor([[399, 399, 0]] * len(images))
        return {**processor(images, return_tensors="pt"), "input_ids": prompt}

    def batch_decode(self, ids, skip_special_tokens):
        return self.tokenizer.batch_decode(ids, skip_special_tokens=skip_special_tokens)


def blip() -> PlainCaptioner:
    config = Blip2Config(
        vision_config={**SMALL, "image_size": 32, "patch_size": 16},
        qformer_config={**SMALL, "encoder_hidden_size": 16, "vocab_size": 20},
        text_config={
            "model_type": "opt", "vocab_size": 400, "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "word_embed_proj_dim": 16, "max_position_embeddings": 128,
        },
        num_query_tokens=2,
        image_token_index=399,
    )  # fmt: skip
    torch.manual_seed(0)
    model = object.__new__(PlainCaptioner)
    model.model, model.processor = Blip2ForConditionalGeneration(config).eval(), BlipProcessor()
    return model
