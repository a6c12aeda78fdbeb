"""Build `florenz-tiny` from nothing, and write a trained one as the package bundles it.

    python -m modeling_florenz.tiny.model runs/florenz_tiny/partial_taught_detailed-2/model runs/florenz-tiny

Tokenizers, processor and model are all made for the world of the emoji scenes.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from ..checkpoint.loading import load_model, load_processor
from ..configuration_florenz import FlorenzConfig
from ..data.emoji_scenes.coverage import Coverage
from ..data.emoji_scenes.wording import LANGUAGES, PREFIXES
from ..data.emoji_scenes.world import EmojiWorld
from ..data.hiding import Hiding
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor, florenz_image_processor
from ..resumable import whole_folder
from .tower import IMAGE_SIZE, VISION


WIDTH = 160  # of florenz-tiny's encoder and decoder


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
    # Stopped early, beams end with four complete captions of short words, before a likelier one of longer words.
    model.generation_config = GenerationConfig.from_dict(
        {**model.generation_config.to_dict(), "num_beams": 4, "max_new_tokens": 128, "early_stopping": False}
    )
    return model


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
    parser.add_argument("run", type=Path, help="model folder of a finished run")
    parser.add_argument("output", type=Path, help="model folder to write")
    arguments = parser.parse_args()
    print(export(load_model(arguments.run), load_processor(arguments.run), arguments.output))


if __name__ == "__main__":
    main()
