"""Draw figures that are equal byte for byte on every run, and can be read in grey print and without red and green."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..extras import install_command
from ..resumable import whole_file


INK = "#20242c"
_MARKERS = "osD^vPX*"
_STYLE: Any = {
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e7ee",
    "legend.frameon": False,
    "svg.hashsalt": "florenz",  # names inside the file are random otherwise
    "svg.fonttype": "path",
    "savefig.dpi": 120,
}


@contextmanager
def figure(
    folder: Path, name: str, panels: int, rows: int = 1, sharey: bool = False
) -> Iterator[tuple[Any, list[Any]]]:
    """Yield a figure with panels side by side, row by row; when the block ends, write it as `NAME.svg` and `NAME.png`.

    Raises:
        ValueError: matplotlib is missing.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ValueError(f"plots need matplotlib: {install_command('scaling')}") from None
    with rc_context(_STYLE):
        drawn = Figure(figsize=(1.2 + (3.6 if panels < 4 else 2.6) * panels, 1.4 + 2.8 * rows), layout="constrained")
        yield drawn, list(drawn.subplots(rows, panels, squeeze=False, sharey=sharey).flat)
        for canvas, suffix, metadata in ((FigureCanvasSVG, "svg", {"Date": None}), (FigureCanvasAgg, "png", None)):
            with whole_file(folder / f"{name}.{suffix}") as partial:
                canvas(drawn).print_figure(partial, format=suffix, metadata=metadata)


def styles(keys: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    """Return colour and marker of each series: colours differ in lightness, markers in shape."""
    from matplotlib import colormaps

    steps = max(len(keys) - 1, 1)
    return {
        key: {
            "color": colormaps["cividis"](0.9 * place / steps),
            "marker": _MARKERS[place % len(_MARKERS)],
            "markeredgecolor": INK,
            "markeredgewidth": 0.5,
        }
        for place, key in enumerate(keys)
    }


def log_axis(axis: Any, values: Iterable[float]) -> None:
    """Make an axis logarithmic, with plain numbers at the values given, or at powers of ten and halfway between."""
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation, LogLocator, NullFormatter, NullLocator

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    places = sorted(set(values))
    axis.set_minor_formatter(NullFormatter())
    if places:
        axis.set_ticks(places)
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    else:
        axis.set_major_locator(LogLocator(subs=(1, 3)))
        high = axis.get_view_interval()[1]
        axis.set_major_formatter(
            LogFormatterSciNotation() if high > 1e4 else FuncFormatter(lambda value, _: f"{value:g}")
        )


def legend(drawn: Any, axes: Any, title: str) -> None:
    """Put the legend of a panel below the figure, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles, labels, title=title, loc="outside lower center", ncols=min(len(labels), 8))
