"""Draw figures as SVG that stands inside a page: with its colours, its font, and the same bytes at every run."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from tabserve.reports.html.spelling import tick
from tabserve.training.bootstrap import Interval

INK, MUTED, ACCENT, WARM, GRID = (f"#0{digit}0{digit}0{digit}" for digit in range(1, 6))
"""Stand-ins for the page's colours, which depend on whether it is light or dark."""

VARIABLES = {INK: "ink", MUTED: "muted", ACCENT: "accent", WARM: "warm", GRID: "grid"}

WIDTH = 4.4
"""Width of a figure in inches; its letters are readable on a telephone."""

SETTINGS: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a `$` in a name is a `$`
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlecolor": INK,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
}

FOREIGN = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>|font-family: [^;\"]*;? ?", re.DOTALL)
"""What a page does not need: a description, comments, fonts, and styles that would be those of the whole page."""

ATTRIBUTES = re.compile(r' (?:xmlns(?::xlink)?|width|height|version)="[^"]*"')
"""Attributes of the root that only a file of its own needs, or that fix its size."""

DENSITIES = 5
"""Number of shades of a cloud."""


def draw(name: str, height: float, paint: Callable[[Figure], object]) -> Markup:
    """Draw a figure.

    Args:
        name: unique in the page; ids inside the figure depend on it.
        height: in inches.
        paint: draws on the empty figure.
    """
    with mpl.rc_context(SETTINGS | {"svg.hashsalt": name}), _any_font():
        figure = Figure((WIDTH, height), layout="constrained")
        paint(figure)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    return Markup(_inline(text.getvalue()))  # noqa: S704  matplotlib escapes all texts


@contextmanager
def _any_font() -> Iterator[None]:
    """Accept letters that matplotlib's font lacks, such as Chinese ones: the reader's browser has others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def _inline(svg: str) -> str:
    """The `svg` element without what only a file of its own needs, and with the page's colours and font."""
    start, end = svg.index("<svg"), svg.index(">", svg.index("<svg"))
    root = ATTRIBUTES.sub("", svg[start:end]).replace("<svg", '<svg aria-hidden="true"')
    svg = root + FOREIGN.sub("", svg[end:]).replace("xlink:href", "href")
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, f"var(--{variable})")
    return re.sub(r"\n\s*", "\n", _without_idle_ids(svg))


def _without_idle_ids(svg: str) -> str:
    """Without the ids that nothing refers to, as several figures have the same."""
    used = {*re.findall(r'(?:url\(|")#([^")]+)', svg)}
    return re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", svg)


def axes_of(figure: Figure, *, x: str = "", y: str = "", grid: str = "y") -> Axes:
    """The only axes of a figure, with labels and lines behind the data."""
    return dress(figure.add_subplot(), x=x, y=y, grid=grid)


def dress(axes: Axes, *, x: str = "", y: str = "", grid: str = "y") -> Axes:
    """Give axes labels, lines behind the data along `grid` (`x`, `y` or `both`), and ticks that people can read."""
    axes.set(xlabel=x, ylabel=y)
    axes.grid(axis=grid)  # type: ignore[arg-type]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick(value)))
    return axes


def percent(*axes: Any) -> None:  # noqa: ANN401  matplotlib's XAxis and YAxis
    """Write the ticks of these axes as percentages."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}".replace("%", " %")))


def rows_of(axes: Axes, names: list[str]) -> NDArray[np.float64]:
    """Write one name per row, the first at the top; returns their heights."""
    heights = np.arange(len(names), dtype=np.float64)
    axes.set_yticks(heights, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)
    return heights


def cloud(axes: Axes, x: NDArray[Any], y: NDArray[Any], across: int = 36, up: int = 28) -> None:
    """Draw many rows as squares on a grid, the darker the more rows, so that no row is seen by itself."""
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=(across, up), range=[_span(x), _span(y)])
    centers = np.meshgrid((x_edges[1:] + x_edges[:-1]) / 2, (y_edges[1:] + y_edges[:-1]) / 2, indexing="ij")
    shade = np.ceil(DENSITIES * np.log1p(counts) / np.log1p(counts.max())).astype(int)
    for step in range(1, DENSITIES + 1):
        here = shade == step
        axes.plot(
            centers[0][here], centers[1][here], "s", color=ACCENT, markersize=4.6, alpha=step / DENSITIES, mec="none"
        )


def _span(values: NDArray[Any]) -> tuple[float, float]:
    """The range of the values, widened if they are all equal."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def whiskers(axes: Axes, heights: NDArray[Any], values: Sequence[Interval], color: str = ACCENT) -> None:
    """Draw one value per row as a dot with its interval."""
    middle, low, high = (np.array(part) for part in zip(*values, strict=True))
    axes.hlines(heights, low, high, color=color, linewidth=1.2, alpha=0.7)
    axes.plot(middle, heights, "o", color=color, markersize=5)
