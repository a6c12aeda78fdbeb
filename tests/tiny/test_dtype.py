"""The bundled checkpoint is stored in float16 and loaded in float32, in which plain training holds."""

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

from modeling_florenz.checkpoint.loading import BUNDLED_MODEL
from modeling_florenz.data.emoji_scenes.coverage import Coverage
from modeling_florenz.data.emoji_scenes.rows import SceneRows
from modeling_florenz.data.emoji_scenes.world import EmojiWorld
from modeling_florenz.modeling_florenz import FlorenzForConditionalGeneration
from modeling_florenz.processing_florenz import FlorenzProcessor
from modeling_florenz.tiny.model import export
from modeling_florenz.training.training_data import TrainingCollator


def test_the_file_is_float16_and_the_model_float32():
    assert {tensor.dtype for tensor in load_file(BUNDLED_MODEL / "model.safetensors").values()} == {torch.float16}
    assert FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL).dtype == torch.float32


def test_an_exported_model_keeps_both(tmp_path):
    model = FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL)
    processor = FlorenzProcessor.from_pretrained(BUNDLED_MODEL)
    folder = export(model, processor, tmp_path / "model")
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    again = FlorenzForConditionalGeneration.from_pretrained(folder)
    assert again.dtype == torch.float32
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.slow
def test_a_plain_trainer_with_defaults_does_not_diverge(tmp_path):
    model = FlorenzForConditionalGeneration.from_pretrained(BUNDLED_MODEL)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=8,
            learning_rate=1e-4,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            remove_unused_columns=False,
            use_cpu=True,
        ),
        train_dataset=SceneRows(EmojiWorld(), Coverage(), 3, 64),
        data_collator=TrainingCollator(FlorenzProcessor.from_pretrained(BUNDLED_MODEL)),
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == 8
    assert max(losses) < 0.5
