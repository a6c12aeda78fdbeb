"""Render the card of a fine-tuned model or adapter from its recipe and its measured results."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from ..card_template import OWNER, fill, find_cards, table
from .recipe import RecipeArguments
from .trainer_arguments import FlorenzTrainingArguments


CURVES = "loss_and_metrics.png"
_LIMITS = (
    "Captions can name things that are not there. Languages and tasks outside the training data were not measured. "
    "What the card of the base model says about bias also applies here."
)


def render_run_card(
    recipe: RecipeArguments,
    training: FlorenzTrainingArguments,
    results: dict[str, Any],
    is_adapter: bool,
    base_license: str,
    facts: dict[str, str] | None = None,
    eval_results: list[EvalResult] | None = None,
) -> str:
    """Render the card of a run, every field filled.

    Args:
        results: what `results.json` holds.
        is_adapter: whether the base is needed beside it.
        base_license: the Hub's identifier of the base model's licence.
        facts: texts to use instead of those made from the recipe: `summary`, `quick_start`, `results`, `limits`.
        eval_results: for the metadata, instead of the run's own metrics.

    Raises:
        ValueError: the template asks for a value that is not given.
    """
    # Of a local folder, only the name is of use to other readers.
    base = recipe.base_id or (Path(recipe.model).name if Path(recipe.model).is_dir() else recipe.model)
    on_hub = base.count("/") == 1 and not base.startswith((".", "/", "~"))
    base_model = base if on_hub else f"{OWNER}/{base}" if base == "florenz-tiny" else None
    languages = _languages(results)
    repository = training.hub_model_id or ("adapter" if is_adapter else "model")
    license = recipe.license or base_license
    scores = _own_metrics(recipe, results) if eval_results is None else eval_results
    metadata = ModelCardData(
        language=languages,
        license=license,
        library_name="peft" if is_adapter else "transformers",
        pipeline_tag="image-text-to-text",
        base_model=base_model,
        base_model_relation=("adapter" if is_adapter else "finetune") if base_model else None,
        tags=["florenz", "image-captioning", "translation", *(["lora"] if is_adapter else [])],
        model_name=repository.rpartition("/")[2] if scores else None,
        eval_results=scores,
    )
    values = {
        "name": repository.rpartition("/")[2],
        "summary": f"{'A LoRA adapter on' if is_adapter else 'Fine-tuned from'} `{base}`, for "
        f"{', '.join(languages)}, made with `florenz train`.",
        "quick_start": _quick_start(repository, is_adapter, languages[0]),
        "data": _data(recipe, results),
        "training": _training(recipe, training, results, base, is_adapter),
        "results": _measured(results),
        "limits": _LIMITS,
        "licence": f"`{license}`; the licence files are those of the base model, which bind this one too, and so "
        "do the terms of the training data.",
    }
    return fill(find_cards(), "adapter", metadata, values | (facts or {}))


def _quick_start(repository: str, is_adapter: bool, language: str) -> str:
    loading = f'adapter="{repository}"' if is_adapter else f'"{repository}"'
    return (
        "## Quick start\n\n```python\nfrom modeling_florenz import Captioner\n\n"
        f'captioner = Captioner({loading})\nprint(captioner.caption(["photo.jpg"], language="{language}"))\n```'
    )


def _languages(results: dict[str, Any]) -> list[str]:
    return sorted({pair.partition("/")[2] for part in results["data"]["train"] for pair in part["rows"]})


def _data(recipe: RecipeArguments, results: dict[str, Any]) -> str:
    lines = [table(_loaded(results["data"]["train"]), ("data set", "split", "rows")), ""]
    if recipe.grounding or recipe.hidden_sources:
        where = f" into {', '.join(recipe.hiding_languages)}" if recipe.hiding_languages else ""
        lines.append(
            f"- hidden words: {recipe.hiding}, {recipe.grounding:.0%} of the content words of the sources of "
            f"translations{where}, {recipe.hidden_sources:.0%} of the sources whole"
        )
    if recipe.rehearsal:
        lines.append(
            f"- rehearsal: in {recipe.rehearsal:.0%} of the draws the target is what the base model itself wrote"
        )
    if recipe.stand_in:
        lines.append("- images that were missing were replaced by grey ones: a trial run, not a model to use")
    return "\n".join(lines)


def _loaded(parts: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Lay out what was loaded, one row for each data set and split, however many languages the recipe lists."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for part in parts:
        found[part["dataset"], part["split"] or ""].update(part["rows"])
    return [
        (*names, ", ".join(f"{pair} {count:,}" for pair, count in sorted(counts.items())))
        for names, counts in found.items()
    ]


def _training(
    recipe: RecipeArguments,
    training: FlorenzTrainingArguments,
    results: dict[str, Any],
    base: str,
    is_adapter: bool,
) -> str:
    how = f"{recipe.method}, {recipe.lora_parts}, rank {recipe.lora_rank}" if is_adapter else recipe.method
    processes = results["processes"]
    batch = training.train_batch_size * training.gradient_accumulation_steps * processes
    schedule = getattr(training.lr_scheduler_type, "value", training.lr_scheduler_type)
    rows = [
        ("base", f"`{base}`" + (f" at `{recipe.revision}`" if recipe.revision else "")),
        ("method", f"{how}; {results['trainable_parameters']:,} parameters trained"),
        ("steps", f"{results['steps']} of {batch} examples"),
        ("learning rate", f"`{training.learning_rate:g}`, {schedule}"),
        ("training loss", f"{results['training_loss']:.4f}"),
        ("seed", str(training.seed)),
        ("hardware", results["hardware"] + (f", {processes} processes" if processes > 1 else "")),
        ("examples skipped", str(len(results["skipped"]))),
    ]
    return table(rows, ("", ""))


def _measured(results: dict[str, Any]) -> str:
    metrics = {name.removeprefix("eval_"): value for name, value in results["metrics"].items()}
    parts = []
    if metrics:
        rows = [(name.replace("_", " "), f"{value:.4f}") for name, value in metrics.items()]
        step = results["best_step"]
        when = f"at step {step}, the best one, whose weights these are" if step else "at the end of the run"
        parts += [f"On the recipe's `eval_data`, {when}.", table(rows, ("measure", "value"))]
    else:
        parts.append("Not measured. `florenz evaluate --adapter` does it, on eight benchmarks.")
    parts.append(f"![Loss and measures of the run]({CURVES})")
    return "\n\n".join(parts)


def _own_metrics(recipe: RecipeArguments, results: dict[str, Any]) -> list[EvalResult] | None:
    if not results["metrics"]:
        return None
    held_out = ", ".join(f"{source.dataset} {source.split}" for source in recipe.eval_data)
    return [
        EvalResult(
            task_type="image-text-to-text",
            dataset_type=recipe.eval_data[0].dataset,
            dataset_name=held_out,
            metric_type=name.partition("/")[0],
            metric_name=name,
            metric_value=round(value, 4),
        )
        for name, value in ((key.removeprefix("eval_"), value) for key, value in results["metrics"].items())
    ]
