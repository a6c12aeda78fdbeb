"""Measure a model during training by what it writes, and keep samples of that with their images."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from ..data.hub_files import SourceEndedError
from ..inference.baselines import LoadedFlorenz
from ..inference.evaluated import SearchProtocol
from ..modeling_florenz import FlorenzForConditionalGeneration
from ..processing_florenz import FlorenzProcessor
from .eval_metrics import TextScorer, metric_names
from .loaded_data import Groups
from .samples import Sample, write_samples


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WrittenTexts:
    """Let a model write about all evaluation rows and score that, as `florenz evaluate` does.

    Args:
        model: with its adapter, if it has one.
        processor: of the model.
        groups: rows by `task/language`.
        metrics: measures, some of `METRICS`.
        scorer: computes them.
        protocol: how texts are searched for.
        batch_size: rows at a time.
        folder: for samples.
        samples: number of samples, spread over the groups; 0 writes none.
    """

    model: FlorenzForConditionalGeneration
    processor: FlorenzProcessor
    groups: Groups
    metrics: Sequence[str]
    scorer: TextScorer
    protocol: SearchProtocol
    batch_size: int
    folder: Path
    samples: int

    def measure(self, step: int) -> dict[str, float]:
        """Write, score, and keep samples in `folder/step-00400.md`; several processes share the rows.

        Returns:
            the scores by name; see `metric_names`.
        """
        was_training = self.model.training
        self.model.eval()
        texts = {group: self._write(group) for group in self.groups}
        self.model.train(was_training)
        bare = {group: rows.without_images() for group, rows in self.groups.items()}
        scores = {}
        for name, measured in metric_names(self.metrics, self.groups).items():
            found = texts[measured.group]
            rows = [bare[measured.group][index] for index in found]
            if not rows:
                continue
            value = self.scorer(measured.metric, rows, list(found.values()), list(self.processor.languages))
            if value is not None:
                scores[name] = float(value)
        if self.samples and PartialState().is_main_process:
            write_samples(self.folder, step, self._choose(texts, bare), scores)
        return scores

    def _write(self, group: str) -> dict[int, str]:
        """Return the texts by row; rows whose image cannot be read are warned of and left out."""
        state, rows = PartialState(), self.groups[group]
        model = LoadedFlorenz(self.model, self.processor)
        found: list[tuple[int, str]] = []
        mine = range(state.process_index, len(rows), state.num_processes)
        for start in range(0, len(mine), self.batch_size):
            opened = {}
            for index in mine[start : start + self.batch_size]:
                try:
                    opened[index] = rows[index]
                except SourceEndedError:
                    raise
                except Exception as error:  # image decoders raise many kinds of errors for a broken file
                    logger.warning("row %d of %s in eval_data is left out: %s", index, group, error)
            if opened:
                found += zip(opened, model.generate(list(opened.values()), self.protocol), strict=True)
        every = gather_object(found) if state.num_processes > 1 else found
        return dict(sorted(every))

    def _choose(self, texts: dict[str, dict[int, str]], bare: dict[str, list[dict[str, Any]]]) -> list[Sample]:
        each = -(-self.samples // len(self.groups))
        chosen = [(group, index) for group, found in texts.items() for index in list(found)[:each]]
        return [
            Sample(
                name=f"{group.replace('/', '-')}-{index + 1}",
                group=group,
                image=self.groups[group][index]["image"],
                source=bare[group][index]["source"] or "",
                target=bare[group][index]["target"],
                text=texts[group][index],
            )
            for group, index in chosen[: self.samples]
        ]
