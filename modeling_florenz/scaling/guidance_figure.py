"""Draw what image guidance does to a model, from the results of its study.

python -m modeling_florenz.scaling.guidance_figure
"""

import json
from pathlib import Path

from .figures import figure, legend, styles


RESULTS = Path("hub_cards/results/guidance.json")
FOLDER = Path("hub_cards/studies/guidance")
TITLES = {"ambiguous": "right readings of ambiguous words", "exact": "exact translations"}


def draw(results: Path = RESULTS, folder: Path = FOLDER) -> None:
    """Write `guidance.svg` and `guidance.png`: shares in per cent over the strength, a line for each image shown."""
    model = json.loads(results.read_text(encoding="utf-8"))["models"]["florenz-tiny"]
    languages = list(model["languages"].values())
    shown = styles(list(languages[0]))
    folder.mkdir(parents=True, exist_ok=True)
    with figure(folder, "guidance", len(TITLES), sharey=True) as (drawn, panels):
        for (kind, title), axes in zip(TITLES.items(), panels, strict=True):
            for name, style in shown.items():
                rows = zip(*(language[name][kind] for language in languages), strict=True)
                means = [100 * sum(row) / len(row) for row in rows]
                axes.plot(model["strengths"], means, label=name, **style)
            axes.set_title(title)
            axes.set_xlabel("image guidance")
        panels[0].set_ylabel("per cent")
        legend(drawn, panels[0], "image shown")


if __name__ == "__main__":
    draw()
