"""Probabilities beside the shares that are observed."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tabserve.reports.html import drawing
from tabserve.reports.html.holdout import equal_bins, wilson
from tabserve.reports.html.page import Panel
from tabserve.reports.html.spelling import count, number, share
from tabserve.training.bootstrap import Interval

BINS = 10


def panel(happened: NDArray[np.bool_], probability: NDArray[Any], event: str) -> Panel:
    """How often an event happens among rows of similar probability.

    Args:
        happened: whether it did, shape (rows,).
        probability: of the event, shape (rows,).
        event: in words.
    """
    bins = equal_bins(probability, BINS)
    predicted = np.array([probability[rows].mean(dtype=np.float64) for rows in bins])
    sizes = np.array([len(rows) for rows in bins])
    observed = wilson(np.array([happened[rows].sum() for rows in bins]), sizes)
    figure = drawing.draw("calibration", 3.1, lambda figure: _paint(figure, predicted, observed, event))
    return Panel("Are the probabilities true?", _sentence(predicted, observed, sizes), figure)


def _paint(figure: Figure, predicted: NDArray[Any], observed: list[Interval], event: str) -> None:
    axes = drawing.axes_of(figure, x="mean probability", y=f"observed share: {event}", grid="both")
    axes.plot([0, 1], [0, 1], "--", color=drawing.MUTED, linewidth=1, label="perfect")
    value, lower, upper = np.array(observed).T
    axes.vlines(predicted, lower, upper, color=drawing.ACCENT, linewidth=1, alpha=0.6)
    axes.plot(predicted, value, "o-", color=drawing.ACCENT, markersize=4, label="rows, with 95 % intervals")
    low, high = min(lower.min(), predicted.min()), max(upper.max(), predicted.max())
    room = 0.04 * (high - low)
    axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
    drawing.percent(axes.xaxis, axes.yaxis)
    axes.legend(loc="upper left")


def _sentence(predicted: NDArray[Any], observed: list[Interval], sizes: NDArray[Any]) -> str:
    value, lower, upper = np.array(observed).T
    gap = np.abs(predicted - value)
    worst = int(gap.argmax())
    inside = int(((lower <= predicted) & (predicted <= upper)).sum())
    return (
        f"In {count(len(sizes), 'group')} of similar probability, the share that is observed differs from it by"
        f" {number(100 * float(np.average(gap, weights=sizes)))} percentage points on average, and most where"
        f" {share(predicted[worst])} was predicted: {share(value[worst])}. {inside} of {len(sizes)} intervals hold the"
        " probability."
    )
