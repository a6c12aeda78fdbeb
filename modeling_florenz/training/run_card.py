"""Write the card of a fine-tuned model or adapter from its recipe and its measured results."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from .recipe import FlorenzTrainingArguments, RecipeArguments


_QUICK_START = {
    True: """from modeling_florenz.captioner import Captioner

captioner = Captioner(adapter="{folder}")
print(captioner.languages)""",
    False: """from modeling_florenz.captioner import Captioner

captioner = Captioner("{folder}")
print(captioner.languages)""",
}


def write_card(
    folder: Path,
    recipe: RecipeArguments,
    training: FlorenzTrainingArguments,
    results: dict[str, Any],
    is_adapter: bool,
    base_license: str,
) -> None:
    """Write `README.md` into a folder, every field filled.

    Args:
        folder: of the adapter or model.
        results: what `results.json` holds.
    """
    # Of a folder here only the name is of use to readers elsewhere.
    base = recipe.base_id or (Path(recipe.model).name if Path(recipe.model).is_dir() else recipe.model)
    languages = sorted({code for source in recipe.train_data for code in source.languages})
    on_hub = base.count("/") == 1 and not base.startswith((".", "/", "~"))
    data = ModelCardData(
        language=languages,
        license=recipe.license or base_license,
        library_name="peft" if is_adapter else "transformers",
        pipeline_tag="image-text-to-text",
        base_model=base if on_hub else None,
        base_model_relation=("adapter" if is_adapter else "finetune") if on_hub else None,
        tags=["florenz", "image-captioning", "translation", *(["lora"] if is_adapter else [])],
    )
    name = "adapter" if is_adapter else "model"
    repository = training.hub_model_id or name
    trained = f"{results['trainable_parameters']:,} parameters"
    how = f"{recipe.method}, {recipe.lora_parts}, rank {recipe.lora_rank}" if is_adapter else recipe.method
    rows = [
        ("base", f"`{base}`" + (f" at `{recipe.revision}`" if recipe.revision else "")),
        ("method", f"{how}; {trained} trained"),
        (
            "steps",
            f"{results['steps']} of {training.train_batch_size * training.gradient_accumulation_steps} examples",
        ),
        (
            "learning rate",
            f"{training.learning_rate:g}, {getattr(training.lr_scheduler_type, 'value', training.lr_scheduler_type)}",
        ),
        ("training loss", f"{results['training_loss']:.4f}"),
        ("seed", str(training.seed)),
        *((name.removeprefix("eval_"), f"{value:.4f}") for name, value in results["metrics"].items()),
        ("hardware", results["hardware"]),
        ("examples skipped", str(len(results["skipped"]))),
    ]
    data_lines = [
        f"- {source.dataset}, {source.task if source.dataset in ('folder', 'emoji_scenes') else source.split}: "
        f"{', '.join(source.languages)}"
        for source in recipe.train_data
    ]
    if recipe.grounding or recipe.hidden_sources:
        data_lines.append(
            f"- grounded: {recipe.grounding:.0%} of the content words of a translation's source are hidden, "
            f"{recipe.hidden_sources:.0%} of the sources whole"
        )
    if recipe.rehearsal:
        data_lines.append(
            f"- rehearsal: in {recipe.rehearsal:.0%} of the draws the target is what the base model itself wrote"
        )
    if recipe.stand_in:
        data_lines.append("- images that were missing were replaced by grey ones: a trial run, not a model to use")
    text = "\n".join(
        [
            f"---\n{data.to_yaml()}\n---\n",
            f"# Florenz {name}: {', '.join(languages)}\n",
            f"Fine-tuned from `{base}` with `florenz train`; `recipe.yaml` is the recipe as run, `results.json` holds "
            "what was measured and the versions.\n",
            "## Use\n",
            "```python",
            _QUICK_START[is_adapter].format(folder=repository),
            "```\n",
            "## Training data\n",
            *data_lines,
            "\n## Training, measured here\n",
            "| | |\n|---|---|",
            *(f"| {key} | {value} |" for key, value in rows),
            "\n## Limits\n",
            "Captions can name what is not there. Languages and tasks outside the training data were not measured. "
            "The licence of the base model and the terms of the training data hold for this one too.\n",
        ]
    )
    ModelCard(text).save(folder / "README.md")
