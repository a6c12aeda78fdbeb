"""Write what a model says about a few fixed images during training, as Markdown beside the images."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ..card_template import table
from ..processing_florenz import to_rgb
from ..resumable import whole_file, write_text


_SIDE = 256  # px, enough to see what is there
# A text is shown as it is: nothing in it is markup.
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~$-])")


@dataclass(frozen=True)
class Sample:
    """Hold what is shown of one row.

    Args:
        name: of the image file, without its ending.
        group: `task/language`.
        image: that the model saw.
        source: the text to translate; empty for captions.
        target: what was expected.
        text: what the model wrote.
    """

    name: str
    group: str
    image: Image.Image
    source: str
    target: str
    text: str


def write_samples(folder: Path, step: int, samples: Sequence[Sample], scores: Mapping[str, float]) -> Path:
    """Write `folder/step-00400.md`, with the images in `folder/images`.

    Args:
        folder: made if missing.
        step: that was just trained.
        samples: one row each.
        scores: of all evaluation data, by name.
    """
    rows = []
    for sample in samples:
        path = folder / "images" / f"{sample.name}.png"
        if not path.exists():
            small = to_rgb(sample.image).copy()
            small.thumbnail((_SIDE, _SIDE))
            with whole_file(path) as partial:
                small.save(partial, "PNG")
        texts = (cell(text) for text in (sample.source, sample.target, sample.text))
        rows.append((f"![{sample.name}](images/{sample.name}.png)", sample.group, *texts))
    measures = [(name, f"{value:.2f}") for name, value in scores.items()]
    parts = [f"# Step {step}", table(rows, ("image", "task", "source", "expected", "written"))]
    if measures:
        parts.insert(1, table(measures, ("measure", "value")))
    path = folder / f"step-{step:05d}.md"
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def cell(text: str) -> str:
    """Escape a text for a cell of a Markdown table: it stays on one line and no part of it is markup.

    Example:

    ```python
    >>> cell("a | <b>")
    'a \\\\| &lt;b&gt;'
    ```
    """
    return html.escape(_MARKUP.sub(r"\\\1", " ".join(text.split())), quote=False)
