"""With the real tokenizers a small random Florenz learns the captions of 13 photos in six languages by heart."""

import json
import lzma
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from modeling_florenz import FlorenzConfig, FlorenzForConditionalGeneration
from modeling_florenz.checkpoint.assembly import assemble_processor
from modeling_florenz.processing_florenz import florenz_image_processor
from modeling_florenz.training.training_data import TrainingCollator


SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SHARED / "photos").is_dir(), reason="../shared/data/photos is missing"),
]
IMAGE_SIZE = 64


def _processor(folder):
    gemma = folder / "gemma2"
    gemma.mkdir()
    with (
        lzma.open(SHARED / "tokenizers/gemma2/tokenizer.json.xz") as packed,
        (gemma / "tokenizer.json").open("wb") as out,
    ):
        shutil.copyfileobj(packed, out)
    shutil.copy(SHARED / "tokenizers/gemma2/tokenizer_config.json", gemma)
    processor = assemble_processor(SHARED / "tokenizers/florence2", gemma)
    processor.image_processor = florenz_image_processor(IMAGE_SIZE)
    return processor


def _model(processor):
    torch.manual_seed(0)
    config = FlorenzConfig(
        vision_config={
            "depths": [1, 1, 1, 1],
            "embed_dim": [16, 32, 64, 128],
            "num_heads": [2, 2, 4, 4],
            "num_groups": [2, 2, 4, 4],
            "window_size": 4,
            "projection_dim": 96,
            "drop_path_rate": 0.0,
        },
        encoder_config={
            "vocab_size": len(processor.encoder_tokenizer),
            "d_model": 96,
            "encoder_layers": 2,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 192,
            "dropout": 0.0,
            "init_std": 0.05,
        },
        text_config={
            "model_type": "gemma2",
            "vocab_size": 256_000,
            "hidden_size": 96,
            "intermediate_size": 192,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 24,
            "query_pre_attn_scalar": 24,
            "initializer_range": 0.05,
        },
    )
    model = FlorenzForConditionalGeneration(config)
    for layer in model.model.decoder.layers:
        torch.nn.init.constant_(layer.cross_attn_gate.weight, 1.0)
    return model


def test_all_captions_of_the_photos_are_learned_by_heart_in_six_languages(tmp_path):
    torch.manual_seed(0)
    processor = _processor(tmp_path)
    records = [json.loads(line) for line in (SHARED / "photos/captions.jsonl").read_text("utf-8").splitlines()]
    rows = []
    for record in records:
        image = Image.open(SHARED / "photos" / record["image"]).convert("RGB")
        for language in ("en", "de", "fr", "es", "ru", "zh"):
            row = {"image": image, "task": "caption", "language": language, "source": None}
            rows.append({**row, "target": record[language]})
    assert len(rows) == 78
    model = _model(processor)
    model.train()
    collate = TrainingCollator(processor)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0, betas=(0.9, 0.98))
    steps = 240
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps, pct_start=0.1)
    order = torch.Generator().manual_seed(0)
    batches: list[list[int]] = []
    for _ in range(steps):
        if not batches:
            batches = list(torch.randperm(78, generator=order).view(3, 26).tolist())
        batch = collate([rows[index] for index in batches.pop()])
        loss = model(**batch, loss_chunk_size=128).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()
    wrong = []
    for start in range(0, 78, 26):
        part = rows[start : start + 26]
        inputs = processor(
            images=[row["image"] for row in part], task="caption", language=[row["language"] for row in part]
        )
        ids = model.generate(**inputs, num_beams=1, do_sample=False, max_new_tokens=64)
        texts = processor.decode_generated(ids)
        wrong += [(row["target"], text) for row, text in zip(part, texts, strict=True) if row["target"] != text]
    assert not wrong, f"{len(wrong)} of 78, loss {loss.item():.4f}: {wrong[:3]}"
