"""Train `florenz-tiny`, the bundled checkpoint, from scratch on emoji scenes.

    python -m modeling_florenz.tiny.tower --output-dir runs/tower
    python -m modeling_florenz.tiny.train --tower runs/tower/tower.safetensors --output-dir runs/grounded \\
        --hiding independent --grounding 0.4
    python -m modeling_florenz.tiny.train --tower runs/tower/tower.safetensors --output-dir runs/hidden \\
        --start runs/grounded/florenz-tiny --hiding independent --grounding 0.4 --hidden-sources 0.2 \\
        --max-steps 500 --learning-rate 3e-4 --warmup-steps 30 --seed 9

The same command continues an interrupted run at its last checkpoint. Tokenizers, processor and model are all built for
the world. As in the paper, the vision tower is trained beforehand and frozen. The result is a float16 model folder
under OUTPUT_DIR/florenz-tiny.
"""

import argparse
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils.data import Dataset
from transformers import GenerationConfig, PreTrainedTokenizerFast, Trainer, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

from ..configuration_florenz import FlorenzConfig
from ..data.emoji_scenes.rows import SceneRows
from ..data.emoji_scenes.world import LANGUAGES, PREFIXES, Coverage, EmojiWorld
from ..data.hiding import Hiding
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor, florenz_image_processor
from ..resumable import whole_folder
from ..training.training_data import TrainingCollator
from .tower import IMAGE_SIZE, VISION


WIDTH = 160  # of florenz-tiny's encoder and decoder


@dataclass
class TinyArguments:
    """Describe how `florenz-tiny` is trained; with the defaults, as in the plain recipe's first stage."""

    output_dir: str
    tower: str  # safetensors file of a trained vision tower
    start: str = ""  # florenz-tiny folder to start from, for the second stage
    hiding: str = "none"  # none is the paper's plain translation; independent, partial or whole
    grounding: float = 0.0  # probability of hiding a source word, or all of them
    hidden_sources: float = 0.0  # probability that a source is hidden whole
    max_steps: int = 6000
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_steps: int = 200
    seed: int = 0
    save_steps: int = 250
    threads: int = 1


def build_tokenizer(texts: list[str], special_tokens: list[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer, which can write any text, on the world's sentences."""
    tokenizer = Tokenizer(models.BPE())
    # Chinese has no spaces between words: its "and" must not merge with the names around it.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex("和"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special_tokens, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def build_processor(world: EmojiWorld, sentences: int = 6000) -> FlorenzProcessor:
    """Build image processor and both tokenizers from the world: prompts in English, targets in six languages."""
    # Half of the nouns are hidden, so that broader words are common too: one pair of tokenizers fits every recipe.
    coverage = Coverage(hiding=Hiding("independent", 0.5))
    examples = [world.training_example(index, coverage, seed=1) for index in range(sentences)]
    targets = [row["target"] for row in examples]

    def wrap(texts: list[str], names: dict[str, str], vocab_size: int) -> PreTrainedTokenizerFast:
        tokenizer = build_tokenizer(texts, list(names.values()), vocab_size)
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side="right", **names)

    encoder_names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    decoder_names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    decoder = wrap(targets, decoder_names, 3072)
    prefixes = {language: PREFIXES[language] for language in LANGUAGES}
    processor = FlorenzProcessor(
        florenz_image_processor(IMAGE_SIZE), decoder, decoder, prefixes=prefixes, max_prompt_length=80
    )
    prompts = [processor.prompt(row["task"], row["language"], row["source"]) for row in examples]
    processor.encoder_tokenizer = wrap(prompts, encoder_names, 1024)
    return processor


def build_config(processor: FlorenzProcessor, width: int = WIDTH) -> FlorenzConfig:
    """Return the shape of `florenz-tiny`: every part of a Gemma-2-kind Florenz, as small as the world allows.

    Args:
        processor: its tokenizers set the sizes of the vocabularies.
        width: of encoder and decoder, a multiple of 32; the vision tower keeps its own.
    """
    return FlorenzConfig(
        vision_config=VISION | {"projection_dim": width},
        encoder_config={
            "vocab_size": len(processor.encoder_tokenizer),
            "d_model": width,
            "encoder_layers": 3,
            "encoder_attention_heads": width // 32,
            "encoder_ffn_dim": 3 * width,
            "max_position_embeddings": 256,
            # Without dropout, captions in languages without captions in training vary from checkpoint to checkpoint.
            "dropout": 0.1,
            "attention_dropout": 0.1,
            "init_std": 0.05,
            # The decoder half of a BART config is not built; without this, the file would describe one.
            "decoder_layers": 0,
        },
        text_config={
            "model_type": "gemma2",
            "vocab_size": len(processor.tokenizer),
            "hidden_size": width,
            "intermediate_size": 8 * round(2.6 * width / 8),
            "num_hidden_layers": 4,
            "num_attention_heads": width // 32,
            "num_key_value_heads": width // 32,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "max_position_embeddings": 256,
            "sliding_window": 64,
            "attention_dropout": 0.1,
            "initializer_range": 0.05,
        },
    )


def build_model(processor: FlorenzProcessor, width: int = WIDTH) -> FlorenzForConditionalGeneration:
    """Build the untrained model with open gates: there is no trained decoder that closed gates would protect."""
    model = FlorenzForConditionalGeneration(build_config(processor, width))
    for layer in model.model.decoder.layers:
        torch.nn.init.constant_(layer.cross_attn_gate.weight, 1.0)
    model.generation_config = GenerationConfig.from_dict(
        {**model.generation_config.to_dict(), "num_beams": 4, "max_new_tokens": 128, "early_stopping": True}
    )
    return model


def train(arguments: TinyArguments) -> Path:
    """Train, or continue an interrupted run, and write the finished model folder; return its path."""
    torch.set_num_threads(arguments.threads)
    set_seed(arguments.seed)
    world = EmojiWorld(image_size=IMAGE_SIZE)
    coverage = Coverage(hiding=Hiding(arguments.hiding, arguments.grounding), hidden_sources=arguments.hidden_sources)
    processor = build_processor(world)
    model = build_model(processor)
    model.model.vision_tower.load_state_dict(load_file(arguments.tower))
    if arguments.start:
        state = load_file(Path(arguments.start) / "model.safetensors")
        model.load_state_dict({**state, "lm_head.weight": state["model.decoder.embed_tokens.weight"]})
    model.model.vision_tower.requires_grad_(False)
    print(f"{model.num_parameters():,} parameters, {len(world.nouns)} nouns, hiding {arguments.hiding}")
    scenes = SceneRows(world, coverage, arguments.seed, arguments.max_steps * arguments.batch_size)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=arguments.output_dir,
            max_steps=arguments.max_steps,
            per_device_train_batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=arguments.warmup_steps,
            weight_decay=0.01,
            adam_beta2=0.98,
            max_grad_norm=1.0,
            save_steps=arguments.save_steps,
            save_total_limit=2,
            logging_steps=50,
            seed=arguments.seed,
            remove_unused_columns=False,
            report_to=[],
            use_cpu=not torch.cuda.is_available(),
        ),
        data_collator=TrainingCollator(processor),
        train_dataset=cast(Dataset, scenes),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(arguments.output_dir))
    return export(model, processor, Path(arguments.output_dir) / "florenz-tiny")


def export(model: FlorenzForConditionalGeneration, processor: FlorenzProcessor, folder: Path) -> Path:
    """Write model and processor as one folder, complete or not at all.

    The file holds float16; the configuration says float32, in which the model is then loaded: plain training diverges
    in float16.
    """
    model.float()
    # The head is the embeddings' table: it must stay one tensor, or the file would hold it twice.
    halves: dict[int, torch.Tensor] = {}
    half = {name: halves.setdefault(tensor.data_ptr(), tensor.half()) for name, tensor in model.state_dict().items()}
    with whole_folder(folder, replace=True) as partial:
        model.save_pretrained(partial, state_dict=half)
        processor.save_pretrained(partial)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in fields(TinyArguments):
        flag = "--" + field.name.replace("_", "-")
        if field.default is MISSING:
            parser.add_argument(flag, required=True)
        else:
            parser.add_argument(flag, type=field.type, default=field.default)
    print(train(TinyArguments(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
