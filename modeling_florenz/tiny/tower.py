"""Train a vision tower to classify what each patch of an emoji scene shows.

    python -m modeling_florenz.tiny.tower --output-dir runs/tower

The published models start from a trained tower and keep it frozen; this trains the one for `florenz-tiny`. The labels
are numbers of nouns, so the tower knows no language. The same command continues an interrupted run.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, set_seed
from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig
from transformers.models.florence2.modeling_florence2 import Florence2VisionBackbone
from transformers.trainer_utils import get_last_checkpoint

from ..data.emoji_scenes.world import EmojiWorld
from ..processing_florenz import florenz_image_processor
from ..resumable import whole_file


IMAGE_SIZE = 96  # px; three sprites of about 32 px stand side by side
SEED = 5
# Patches of 8 px and a second halving: 36 image tokens for 96 px, and little work at high resolution.
VISION: dict[str, Any] = {
    "depths": [1, 1, 1, 1],
    "embed_dim": [64, 96, 128, 160],
    "num_heads": [2, 3, 4, 5],
    "num_groups": [2, 3, 4, 5],
    "patch_size": [8, 3, 3, 3],
    "patch_padding": [0, 1, 1, 1],
    "patch_stride": [8, 1, 2, 1],
    "window_size": 6,
    "drop_path_rate": 0.0,
    "max_position_embeddings": 12,
    "max_temporal_embeddings": 1,
    "initializer_range": 0.05,
}


class PatchNames(Dataset):
    """Return training scene `i` with the noun at the centre of each token, or one more class for the background."""

    def __init__(self, world: EmojiWorld, length: int, grid: int) -> None:
        self.world, self.length, self.grid = world, length, grid
        self.image_processor = florenz_image_processor(world.image_size)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        scene = self.world.scene("train", index, SEED)
        centres = (torch.arange(self.grid) + 0.5) * self.world.image_size / self.grid
        labels = torch.full((self.grid, self.grid), len(self.world.nouns))
        for noun, (left, top, size) in zip(scene.nouns, self.world.layout(scene), strict=True):
            rows, columns = ((centres >= start) & (centres < start + size) for start in (top, left))
            labels[rows[:, None] & columns] = noun
        pixels = self.image_processor(self.world.render(scene), return_tensors="pt")["pixel_values"][0]
        return {"pixel_values": pixels, "labels": labels}


class PatchNamer(nn.Module):
    """Put a linear layer on the tower's tokens."""

    weight: torch.Tensor

    def __init__(self, config: Florence2VisionConfig, nouns: int) -> None:
        super().__init__()
        self.tower = Florence2VisionBackbone(config)
        self.head = nn.Linear(config.embed_dim[-1], nouns + 1)
        # Most of a scene is background, which is easy.
        self.register_buffer("weight", torch.tensor([1.0] * nouns + [0.05]), persistent=False)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        logits = self.head(self.tower(pixel_values).last_hidden_state.permute(0, 2, 3, 1))
        loss = nn.functional.cross_entropy(logits.flatten(0, 2), labels.flatten(), self.weight)
        return {"loss": loss, "logits": logits}


def train(output_dir: str, max_steps: int, threads: int) -> Path:
    """Train, or continue an interrupted run, and write the tower's weights; return their path."""
    torch.set_num_threads(threads)
    set_seed(SEED)
    world = EmojiWorld(image_size=IMAGE_SIZE)
    model = PatchNamer(Florence2VisionConfig(**VISION), len(world.nouns))
    batch_size = 32
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=output_dir,
            max_steps=max_steps,
            per_device_train_batch_size=batch_size,
            learning_rate=2e-3,
            adam_beta2=0.98,
            weight_decay=0.01,
            lr_scheduler_type="cosine",
            warmup_steps=50,
            save_steps=500,
            save_total_limit=1,
            logging_steps=50,
            seed=SEED,
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
        ),
        train_dataset=PatchNames(world, max_steps * batch_size, grid=6),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(output_dir))
    model.eval()
    with torch.no_grad():
        rows = [PatchNames(world, 10**9, grid=6)[10**8 + index] for index in range(500)]
        labels = torch.stack([row["labels"] for row in rows])
        found = model(torch.stack([row["pixel_values"] for row in rows]).to(model.weight.device), labels)["logits"]
        shown = labels.ne(len(world.nouns))
        right = found.argmax(-1).cpu().eq(labels)[shown].float().mean().item()
    print(f"patches of objects named right on new scenes: {right:.3f}")
    path = Path(output_dir) / "tower.safetensors"
    with whole_file(path) as partial:
        save_file({name: tensor.contiguous() for name, tensor in model.tower.state_dict().items()}, partial)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", required=True)
    parser.add_argument("--max-steps", type=int, default=1800)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    print(train(arguments.output_dir, arguments.max_steps, arguments.threads))


if __name__ == "__main__":
    main()
