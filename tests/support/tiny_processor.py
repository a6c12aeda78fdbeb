"""Build a processor with two tiny tokenizers in memory, with the special ids of the released ones."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from modeling_florenz.processing_florenz import LANGUAGES, PREFIXES, TASKS, FlorenzProcessor, florenz_image_processor


ENCODER_SPECIALS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
DECODER_SPECIALS = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
SENTENCES = [
    "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,:;!?'\"-/<>{}_",
    *TASKS.values(),
    *LANGUAGES.values(),
    *PREFIXES.values(),
    "The target language is German.",
]


def build_tokenizer(specials: dict[str, str], vocab_size: int) -> PreTrainedTokenizerFast:
    """Train a byte pair tokenizer whose special tokens have the ids 0, 1, 2, 3 in the order given."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(specials.values()), show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **specials)


def build_tiny_processor(image_size: int = 64) -> FlorenzProcessor:
    """Build the processor; its vocabularies fit the tiny models (99 encoder entries, 120 decoder entries)."""
    return FlorenzProcessor(
        florenz_image_processor(image_size),
        build_tokenizer(DECODER_SPECIALS, 120),
        build_tokenizer(ENCODER_SPECIALS, 99),
        max_prompt_length=120,  # the tiny encoder has 128 positions, the image takes up to 5
    )
