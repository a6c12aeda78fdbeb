"""Scores that the paper reports: those of a published model, and of the models that it is compared with."""

from pathlib import Path
from typing import NamedTuple

from huggingface_hub import EvalResult

from ..card_template import PAPER, read_results, table


NOTE = (
    "Reported by the paper (arXiv 2503.09443 v1, Table 4), those of the other models too, and not measured again "
    "here: 4 beams, 128 new tokens at most; BLEU is sacreBLEU (13a, zh for Chinese), XM3600 is segmented by stanza. "
    "Chance on CoMMuTE is 50. A dash: the paper has no value."
)
BASELINES = {
    True: ("Florence-2-large", "PaliGemma-3B", "Baseline-6B", "VGAMT"),
    False: ("NLLB-3.3B", "ZeroMMT-3.3B", "MOF"),
}


class Benchmark(NamedTuple):
    """Hold what a column of the paper's overview measures, in words and in the identifiers of the Hub."""

    task: str
    task_type: str
    data: str
    dataset: str
    languages: str
    metric: str
    metric_type: str


_M30K, _XM = "Multi30K, mean of test 2016, 2017 and AmbiguousCOCO", "XM3600"
_TRANSLATION = ("translation", "translation")
_READING = ("disambiguation", "image-text-to-text")
_CAPTION = ("captioning", "image-to-text")
_BLEU, _ACCURACY, _CIDER = ("BLEU", "sacrebleu"), ("accuracy", "accuracy"), ("CIDEr", "cider")
_CLIP, _MULTILINGUAL_CLIP = ("CLIPScore", "clipscore"), ("multilingual CLIPScore", "clipscore")
_COCO = ("COCO Karpathy test, en", "coco", "en")
_M30K_EN, _M30K_DE = ((f"Multi30K task 2 test 2016, {language}", "multi30k", language) for language in ("en", "de"))
_XM_EN, _XM_DE = ((f"{_XM} {language}", "xm3600", language) for language in ("en", "de"))
_UNSEEN = (f"{_XM}, mean of fr, es, ru, zh", "xm3600", "fr, es, ru, zh")
_COMMUTE_X = ("CoMMuTE, mean of de, fr, ru, zh", "commute", "en-de, en-fr, en-ru, en-zh")
COLUMNS = {
    "M30K En→De B": Benchmark(*_TRANSLATION, f"{_M30K}, en-de", "multi30k", "en-de", *_BLEU),
    "M30K En→Fr B": Benchmark(*_TRANSLATION, f"{_M30K}, en-fr", "multi30k", "en-fr", *_BLEU),
    "CoMMuTE En→De B": Benchmark(*_TRANSLATION, "CoMMuTE en-de", "commute", "en-de", *_BLEU),
    "CoMMuTE En→X B": Benchmark(*_TRANSLATION, *_COMMUTE_X, *_BLEU),
    "Ambig. De acc": Benchmark(*_READING, "CoMMuTE en-de", "commute", "en-de", *_ACCURACY),
    "Ambig. X acc": Benchmark(*_READING, *_COMMUTE_X, *_ACCURACY),
    "COCO En C": Benchmark(*_CAPTION, *_COCO, *_CIDER),
    "M30K En C": Benchmark(*_CAPTION, *_M30K_EN, *_CIDER),
    "M30K De C": Benchmark(*_CAPTION, *_M30K_DE, *_CIDER),
    "XM En C": Benchmark(*_CAPTION, *_XM_EN, *_CIDER),
    "XM De C": Benchmark(*_CAPTION, *_XM_DE, *_CIDER),
    "XM Unseen C": Benchmark(*_CAPTION, *_UNSEEN, *_CIDER),
    "COCO En CS": Benchmark(*_CAPTION, *_COCO, *_CLIP),
    "M30K En CS": Benchmark(*_CAPTION, *_M30K_EN, *_CLIP),
    "M30K De MCS": Benchmark(*_CAPTION, *_M30K_DE, *_MULTILINGUAL_CLIP),
    "XM En CS": Benchmark(*_CAPTION, *_XM_EN, *_CLIP),
    "XM De MCS": Benchmark(*_CAPTION, *_XM_DE, *_MULTILINGUAL_CLIP),
    "XM Unseen PC": Benchmark(*_CAPTION, f"{_UNSEEN[0]}, with prefix", *_UNSEEN[1:], *_CIDER),
}


def paper_scores(folder: Path, model: str, fine_tuned: bool) -> dict[str, float]:
    """Return what the paper's overview (v1 Table 4) says about a model, by column.

    Args:
        folder: `hub_cards`.
        model: as the paper calls it.
        fine_tuned: which half of the overview to read.
    """
    found = read_results(folder, "paper_v1")["tables"]["table_4_fine_tuned" if fine_tuned else "table_4_zero_shot"]
    values = zip(found["columns"], found["rows"][model], strict=True)
    return {column: value for column, value in values if value is not None}


def eval_results(scores: dict[str, float]) -> list[EvalResult]:
    """Return scores as entries of `model-index`."""
    return [
        EvalResult(
            task_type=benchmark.task_type,
            task_name=benchmark.task,
            dataset_type=benchmark.dataset,
            # Results of one dataset and configuration would be filed under the first one's name.
            dataset_config=benchmark.languages,
            dataset_name=benchmark.data,
            dataset_split="test",
            metric_type=benchmark.metric_type,
            metric_name=benchmark.metric,
            metric_value=value,
            source_name="arXiv 2503.09443 v1, Table 4, reported by the paper",
            source_url=PAPER,
        )
        for benchmark, value in ((COLUMNS[column], value) for column, value in scores.items())
    ]


def scores_table(folder: Path, name: str, scores: dict[str, float], fine_tuned: bool) -> str:
    """Lay the scores of a model beside those of others.

    Args:
        folder: `hub_cards`.
        name: of the model, for the head of its column.
        scores: see `paper_scores`.
        fine_tuned: whom to compare with.
    """
    others = {other: paper_scores(folder, other, fine_tuned) for other in BASELINES[fine_tuned]}
    rows = []
    for column, value in scores.items():
        benchmark = COLUMNS[column]
        beside = (f"{found[column]:.1f}" if column in found else "–" for found in others.values())
        rows.append((benchmark.task, benchmark.data, benchmark.metric, f"**{value:.1f}**", *beside))
    return table(rows, ("task", "data", "metric", name, *others))
