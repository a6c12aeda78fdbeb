"""Run a Florenz in lmms-eval, as the model `florenz`."""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from accelerate import Accelerator
from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest
from tqdm import tqdm

from ...inference.baselines import FlorenzModel
from ...inference.evaluated import SearchProtocol


_PROMPT = re.compile(r"(?P<task>\w+):(?P<language>\w+)(?:\n(?P<source>.*))?", re.DOTALL)


def manifest() -> ModelManifest:
    """Name the model for lmms-eval, which asks for it by the entry point `lmms_eval.models`."""
    return ModelManifest("florenz", simple_class_path=f"{__name__}.{Florenz.__name__}")


class Florenz(lmms):
    """Answer requests of lmms-eval.

    A request's text is `TASK:LANGUAGE`, and for translations the English text on the lines below.

    Args:
        pretrained: folder or repository; left out, the bundled model.
        revision: branch, tag or commit of the repository.
        adapter: a LoRA adapter's folder or repository.
        prefix: on, off, or auto: on for captions in languages without captions in the paper's pre-training.
        image_size: pixels of a side; left out, the processor's.
        batch_size: rows at a time.
        device: only as lmms-eval gives it: the model goes where accelerate says.

    Raises:
        ValueError: the model cannot be loaded, or `prefix` is unknown.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        revision: str | None = None,
        adapter: str | None = None,
        prefix: str = "off",
        image_size: int | None = None,
        batch_size: int | str = 8,
        device: str | None = None,
    ) -> None:
        super().__init__()
        if prefix not in ("on", "off", "auto"):
            raise ValueError(f"prefix must be on, off or auto, not {prefix!r}")
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise ValueError(f"batch_size must be a whole number of at least 1, not {batch_size!r}")
        self.accelerator = Accelerator()
        self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        self._florenz = FlorenzModel(pretrained, revision, adapter)
        self._florenz.model.to(self.accelerator.device)
        self._prefix, self._image_size = prefix, image_size and int(image_size)
        self._batch_size = int(batch_size)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Write one text for each request; requests of one task, language and search share batches.

        Raises:
            ValueError: a request is not for a Florenz.
        """

        def write(rows: list[dict[str, Any]], asked: Sequence[Instance]) -> list[str]:
            search = asked[0].args[1]
            protocol = SearchProtocol(
                num_beams=search.get("num_beams") or 1,
                max_new_tokens=search.get("max_new_tokens") or 128,
                prefix=self._prefix,
                image_size=self._image_size,
            )
            return self._florenz.generate(rows, protocol)

        return self._answer(requests, write, lambda request: sorted(request.args[1].items(), key=str))

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Return each text's loss as a translation, in nats per token; lmms-eval takes the smallest for the best.

        The second value, whether the text is what the model itself would write, is not computed and always false.

        Raises:
            ValueError: a request is not for a translation.
        """

        def score(rows: list[dict[str, Any]], asked: Sequence[Instance]) -> list[tuple[float, bool]]:
            if any(row["task"] != "translate" for row in rows):
                raise ValueError("Florenz scores translations: give a request that starts with translate:LANGUAGE")
            perplexities = self._florenz.perplexities(rows, [request.args[1] for request in asked])
            return [(math.log(value), False) for value in perplexities]

        return self._answer(requests, score, lambda request: [])

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Refuse conversations, which a Florenz does not have."""
        raise ValueError("Florenz answers once and holds no conversation: take a task of one round")

    def _answer(
        self,
        requests: Sequence[Instance],
        ask: Callable[[list[dict[str, Any]], Sequence[Instance]], list[Any]],
        search: Callable[[Instance], list[Any]],
    ) -> list[Any]:
        answers: dict[int, Any] = {}
        groups: dict[str, list[int]] = {}
        for number, request in enumerate(requests):
            row = self._asked(request)
            groups.setdefault(str((row["task"], row["language"], search(request))), []).append(number)
        with tqdm(total=len(requests), desc="florenz", disable=self.rank != 0) as progress:
            for numbers in groups.values():
                for batch in _batches(numbers, self._batch_size):
                    asked = [requests[number] for number in batch]
                    rows = [{**self._asked(request), "image": self._image(request)} for request in asked]
                    answers |= dict(zip(batch, ask(rows, asked), strict=True))
                    progress.update(len(batch))
        return [answers[number] for number in range(len(requests))]

    def _asked(self, request: Instance) -> dict[str, Any]:
        match = _PROMPT.fullmatch(request.args[0])
        if match is None:
            raise ValueError(
                f"Florenz is asked by TASK:LANGUAGE, such as caption:de, not {request.args[0]!r:.60}: take this "
                "package's tasks, or give your task a prompt for florenz"
            )
        if not self._florenz.writes(match["language"]):
            languages = ", ".join(self._florenz.languages)
            raise ValueError(f"the model writes {languages}, not {match['language']!r:.20}: take another task")
        return match.groupdict(default="")

    def _image(self, request: Instance) -> Any:
        doc_to_visual, doc, task, split = request.args[2:6]
        images = doc_to_visual(self.task_dict[task][split][doc])
        if len(images) != 1:
            raise ValueError(f"Florenz looks at one image, and document {doc} of {task} has {len(images)}")
        return images[0]


def _batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))
