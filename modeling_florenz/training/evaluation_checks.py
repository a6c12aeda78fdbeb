"""Refuse what a recipe says about evaluation if it cannot work, before anything is loaded."""

from collections.abc import Sequence

from ..data.choices import check_choice
from ..data.rows import Rows
from .data_source import DataSource
from .eval_metrics import CONTRASTS, best_metrics, check_best_metric, check_metrics
from .loaded_data import Groups, group_name
from .recipe import Recipe


def check_evaluation(recipe: Recipe) -> None:
    """Check the fields about evaluation against each other.

    Raises:
        ValueError: a field has no effect, or needs another one.
    """
    arguments, training = recipe.arguments, recipe.training
    metrics, sources = arguments.eval_metrics, arguments.eval_data
    check_choice("eval_prefix", arguments.eval_prefix, ("off", "on", "auto"))
    evaluates = training.eval_strategy != "no"
    if not sources:
        for name, is_set in (("eval_metrics", bool(metrics)), ("eval_strategy", evaluates)):
            if is_set:
                raise ValueError(f"{name} needs eval_data: name at least one dataset to measure on")
    if arguments.early_stopping_patience and not (
        evaluates and training.metric_for_best_model and training.load_best_model_at_end
    ):
        raise ValueError(
            "early_stopping_patience needs eval_strategy, metric_for_best_model and load_best_model_at_end: set them"
        )
    if (
        training.load_best_model_at_end
        and training.save_steps != training.eval_steps
        and (training.save_strategy == "steps")
    ):
        raise ValueError(
            f"load_best_model_at_end needs a checkpoint of each evaluation, but save_steps is {training.save_steps} "
            f"and eval_steps {training.eval_steps}: make them equal"
        )
    if (training.fsdp or training.deepspeed) and any(metric != CONTRASTS for metric in metrics):
        raise ValueError("eval_metrics of texts need the whole model in each process: leave out fsdp and deepspeed")
    groups, contrasts = _declared(sources)
    check_metrics(metrics, groups, contrasts)
    if evaluates and groups is not None and contrasts is not None:
        check_best_metric(training.metric_for_best_model, best_metrics(metrics, groups, contrasts))


def check_loaded_evaluation(recipe: Recipe, groups: Groups, contrasts: Rows | None) -> None:
    """Check the measures against the rows that were loaded, which can name their own tasks and languages.

    Raises:
        ValueError: a measure has no rows, or the best checkpoint is chosen by one that will not be there.
    """
    metrics = recipe.arguments.eval_metrics
    languages = contrast_languages(contrasts)
    check_metrics(metrics, groups, languages)
    if recipe.training.eval_strategy != "no":
        known = best_metrics(metrics, groups, languages)
        check_best_metric(recipe.training.metric_for_best_model, known)


def contrast_languages(contrasts: Rows | None) -> list[str]:
    """Return the languages of rows with an incorrect target, each once."""
    return [] if contrasts is None else list(dict.fromkeys(contrasts.column("language")))


def _declared(sources: Sequence[DataSource]) -> tuple[list[str] | None, list[str] | None]:
    """Return the groups of the evaluation data and the languages of its contrasts, None where its rows tell."""
    groups: dict[str, None] = {}
    contrasts: dict[str, None] = {}
    for source in sources:
        if source.names_own_tasks:
            return None, None
        groups |= dict.fromkeys(group_name(source.only_task, language) for language in source.languages)
        if source.dataset == "commute" or source.split == "ambiguous":
            contrasts |= dict.fromkeys(source.languages)
    return list(groups), list(contrasts)
