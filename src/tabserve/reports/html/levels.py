"""How the model does for the rows of each level of a category."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from tabserve.reports.html import drawing
from tabserve.reports.html.holdout import HoldOut, taken
from tabserve.reports.html.page import Panel, Table
from tabserve.reports.html.spelling import count, interval, number, share, short
from tabserve.reports.html.task_page import TaskPage, page_of
from tabserve.training.bootstrap import Interval, intervals

MISSING = "(missing)"


class Level(NamedTuple):
    """A level of a category, or several that are pooled, and the indices of its rows."""

    name: str
    rows: NDArray[np.int64]


MOST = 12
"""Most levels that are shown; the rarest are pooled."""

FEWEST_ROWS = 20
"""Levels of fewer rows are pooled: a figure of them would say more about chance, and about single rows."""


def group(cells: Sequence[str], fewest: int = FEWEST_ROWS) -> list[Level]:
    """The levels of a category, most frequent first.

    Levels of fewer than `fewest` rows, and those beyond `MOST`, are pooled; a pool of less than a third of that is left
    out.
    """
    levels, codes, counts = np.unique(np.array(cells, np.object_), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = [code for code in order[: MOST - 1] if counts[code] >= fewest]
    rest = order[~np.isin(order, kept)]
    pool = np.flatnonzero(np.isin(codes, rest))
    shown = [Level(str(levels[code]) or MISSING, np.flatnonzero(codes == code)) for code in kept]
    return shown + [Level(f"({count(len(rest), 'other level')})", pool)] * (len(pool) > 0 and 3 * len(pool) >= fewest)


def panel(holdout: HoldOut, name: str, groups: Sequence[Level]) -> Panel:
    """What is observed and what is predicted on average for the rows of each level."""
    page = page_of(holdout.model.problem)
    values = page.observed(holdout.target, holdout.answers), page.predicted(holdout.answers)
    truth, guess = (np.array([each[level.rows].mean(axis=0) for level in groups]) for each in values)
    shares = [f"{short(level.name, 20)} ({share(len(level.rows) / len(holdout.frame))})" for level in groups]

    def paint(figure: Figure) -> None:
        grid = figure.subplots(1, len(page.outputs), sharey=True, squeeze=False)[0]
        for output, axes in enumerate(grid):
            title = short(page.outputs[output], 30 // len(grid))
            drawing.dress(axes, x=title if len(grid) > 1 else page.quantity.format(title), grid="x")
            _bars(axes, drawing.rows_of(axes, shares), truth[:, output], guess[:, output])
            axes.xaxis.set_major_locator(MaxNLocator(4 if len(grid) < 3 else 2))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: page.spell(value)))
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside upper left", ncols=2)

    sentence = _sentence(page, [level.name for level in groups], truth, guess)
    return Panel(name, sentence, drawing.draw(f"levels-{_id(holdout, name)}", 1.2 + 0.27 * len(groups), paint))


def _bars(axes: Axes, heights: NDArray[np.float64], truth: NDArray[np.float64], guess: NDArray[np.float64]) -> None:
    """Draw a bar as long as the truth for each level, and a diamond where the predictions are."""
    axes.barh(heights, truth, height=0.55, color=drawing.ACCENT, alpha=0.45, lw=0, label="observed")
    axes.plot(guess, heights, "D", color=drawing.WARM, markersize=4, clip_on=False, label="predicted on average")


def table(holdout: HoldOut, name: str, groups: Sequence[Level]) -> Table:
    """The measure of the rows of each level with its 95 % bootstrap interval."""
    page = page_of(holdout.model.problem)
    cells = []
    for level, rows in [Level("all rows", np.arange(len(holdout.frame))), *groups]:
        measured = _measured(holdout, rows)
        cells.append([level, f"{len(rows):,}", f"{number(measured.value)} ({interval(measured)})"])
    head = [name, "rows", page.level_measure]
    return Table(f"By the levels of “{name}”, with 95 % intervals", head, cells, frozenset({"all rows"}))


def _measured(holdout: HoldOut, rows: NDArray[np.int64]) -> Interval:
    page, target, answers = page_of(holdout.model.problem), holdout.target[rows], taken(holdout.answers, rows)

    def measure(draw: NDArray[np.int64]) -> dict[str, float]:
        return {"": page.measure(target[draw], taken(answers, draw), holdout.model.decision)}

    if np.isnan(measure(np.arange(len(rows)))[""]):
        return Interval(*[float("nan")] * 3)
    return intervals(
        len(rows), measure, holdout.model.problem.seed, usable=lambda draw: not np.isnan(measure(draw)[""])
    )[""]


def _sentence(page: TaskPage, levels: list[str], truth: NDArray[np.float64], guess: NDArray[np.float64]) -> str:
    """What the figure says about the output that differs most between levels."""
    output = int(np.ptp(truth, axis=0).argmax())
    seen, told = [*map(page.spell, truth[:, output])], [*map(page.spell, guess[:, output])]
    low, high = int(truth[:, output].argmin()), int(truth[:, output].argmax())
    off = int(np.abs(truth - guess)[:, output].argmax())
    if len(levels) == 1:
        return f"All rows are “{levels[0]}”: {seen[0]} observed, {told[0]} predicted."
    return (
        f"The {page.quantity.format(page.outputs[output])} goes from {seen[low]} (“{levels[low]}”) to {seen[high]}"
        f" (“{levels[high]}”); predictions are furthest off for “{levels[off]}”: {seen[off]} observed, {told[off]}"
        " predicted."
    )


def _id(holdout: HoldOut, name: str) -> int:
    return holdout.model.problem.features.index(name)
