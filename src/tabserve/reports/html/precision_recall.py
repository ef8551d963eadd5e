"""Precision against recall, and both at every threshold."""

import numpy as np
from matplotlib.figure import Figure

from tabserve.problem.criterion import Counts, FloatArray
from tabserve.reports.html import drawing
from tabserve.reports.html.page import Panel
from tabserve.reports.html.spelling import number, share
from tabserve.training.threshold import Curve

POINTS = 400
"""Most points of a curve."""


def panel(points: Curve, at: Counts, chosen: float, positive: str) -> Panel:
    """Precision against recall over all thresholds, with the chosen one.

    Args:
        points: the counts at all thresholds.
        at: the counts at the chosen one.
        chosen: the threshold.
        positive: the label of flagged rows.
    """
    rate = float((at.true_positive + at.false_negative) / sum(at))
    counts = thinned(points).counts

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x="recall", y="precision", grid="both")
        axes.axhline(rate, linestyle="--", color=drawing.MUTED, linewidth=1, label="flagging rows at random")
        axes.plot(recall(counts), precision(counts), color=drawing.ACCENT)
        mark = f"threshold {number(chosen)}"
        axes.plot(recall(at), precision(at), "o", color=drawing.WARM, markersize=7, label=mark)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.03))
        drawing.percent(axes.xaxis, axes.yaxis)
        axes.legend(loc="lower left")

    return Panel(
        "Precision and recall",
        f"The model finds {share(float(recall(at)))} of all “{positive}”, and {share(float(precision(at)))} of the"
        f" rows that it flags are “{positive}”; of rows flagged at random {share(rate)} would be.",
        drawing.draw("precision-recall", 3.1, paint),
    )


def thinned(points: Curve) -> Curve:
    """At most `POINTS` thresholds, evenly spread, with the first and the last."""
    thresholds = len(points.thresholds)
    kept = np.unique(np.linspace(0, thresholds - 1, min(POINTS, thresholds)).astype(np.int64))
    return Curve(points.thresholds[kept], Counts(*(values[kept] for values in points.counts)))


def precision(counts: Counts) -> FloatArray:
    """Precision; 1 where no row is flagged."""
    hits, all_flagged = counts.true_positive, counts.true_positive + counts.false_positive
    return np.asarray(np.where(all_flagged > 0, hits / np.maximum(all_flagged, 1), 1.0))


def recall(counts: Counts) -> FloatArray:
    """The share of positive rows that are called positive."""
    return np.asarray(counts.true_positive / np.maximum(counts.true_positive + counts.false_negative, 1))


def flagged(counts: Counts) -> FloatArray:
    """The share of all rows that are called positive."""
    return np.asarray((counts.true_positive + counts.false_positive) / sum(counts))
