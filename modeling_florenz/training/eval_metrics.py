"""Name what is measured during training: by measure and language, known before a model is loaded."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..data.choices import check_choice


# Measures of texts that the model writes, and the tasks whose texts they are for.
_TASKS = {
    "cider": ("caption",),
    "bleu": ("caption", "translate"),
    "chrf": ("translate",),
    "language_rate": ("caption", "translate"),
    "exact": ("caption", "translate"),
}
CONTRASTS = "contrastive_accuracy"
METRICS = (*_TASKS, CONTRASTS)


class TextScorer(Protocol):
    """Score what a model wrote; `modeling_florenz.evaluation.text_scores.score_texts` does."""

    def __call__(
        self, metric: str, rows: Sequence[dict[str, Any]], texts: Sequence[str], candidates: Sequence[str]
    ) -> float | None:
        """Return the score of texts about rows of one task and language, or None if there is none."""
        ...


@dataclass(frozen=True)
class Measured:
    """Name one measure of one group of rows.

    Args:
        metric: one of `METRICS`.
        group: `task/language`.
    """

    metric: str
    group: str


def metric_names(metrics: Sequence[str], groups: Iterable[str]) -> dict[str, Measured]:
    """Return what is measured of texts by its name: `cider/de`, or `exact/translate/de` where two tasks have it.

    Args:
        metrics: some of `METRICS`.
        groups: the evaluation data, by `task/language`.

    Example:

    ```python
    >>> list(metric_names(["cider", "exact"], ["caption/de", "translate/de", "translate/fr"]))
    ['cider/de', 'exact/caption/de', 'exact/translate/de', 'exact/fr']
    ```
    """
    found = [
        Measured(metric, group)
        for metric in metrics
        for group in groups
        if group.partition("/")[0] in _TASKS.get(metric, ())
    ]
    languages = Counter((each.metric, each.group.partition("/")[2]) for each in found)
    names = {}
    for each in found:
        language = each.group.partition("/")[2]
        place = language if languages[each.metric, language] == 1 else each.group
        names[f"{each.metric}/{place}"] = each
    return names


def check_metrics(metrics: Sequence[str], groups: Iterable[str] | None, contrasts: Iterable[str] | None) -> None:
    """Refuse measures that are unknown or that the evaluation data has no rows for.

    Args:
        metrics: the field `eval_metrics`.
        groups: `task/language` of the evaluation data; None while it is not known.
        contrasts: languages of the rows with an `incorrect` target; None while they are not known.

    Raises:
        ValueError: a measure is unknown, or has nothing to measure.
    """
    for metric in metrics:
        check_choice("eval_metrics", metric, METRICS)
        if metric == CONTRASTS and contrasts is not None and not list(contrasts):
            raise ValueError(f"eval_metrics has {CONTRASTS}, but no row of eval_data has an incorrect target")
        if metric != CONTRASTS and groups is not None and not metric_names([metric], groups):
            raise ValueError(
                f"eval_metrics has {metric}, which is for {' and '.join(_TASKS[metric])}, but eval_data holds "
                f"{', '.join(groups)}: leave it out, or add data"
            )


def best_metrics(metrics: Sequence[str], groups: Iterable[str], contrasts: Iterable[str]) -> list[str]:
    """List what `metric_for_best_model` can name."""
    languages = list(contrasts)
    found = ["loss", *metric_names(metrics, groups)]
    if languages:
        found.append(CONTRASTS)
    if CONTRASTS in metrics:
        found += [f"{CONTRASTS}/{language}" for language in languages]
    return found


def check_best_metric(name: str | None, known: Sequence[str]) -> None:
    """Refuse a `metric_for_best_model` that will not be measured.

    Raises:
        ValueError: it is not among `known`, which are named.
    """
    if name is not None and name.removeprefix("eval_") not in known:
        raise ValueError(f"metric_for_best_model must be one of {', '.join(known)}, not {name!r}")
