"""The criterion, precision, recall and flagged share over the threshold."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tabserve.problem.criterion import Counts, Criterion
from tabserve.reports.html import drawing
from tabserve.reports.html.measure import Measure
from tabserve.reports.html.page import Panel
from tabserve.reports.html.precision_recall import flagged, precision, recall, thinned
from tabserve.reports.html.spelling import number, share
from tabserve.training.threshold import Curve


def panel(points: Curve, at: Counts, chosen: float, criterion: Criterion) -> Panel:
    """What every threshold would have given on some rows.

    Args:
        points: the counts at all thresholds.
        at: the counts at the chosen one.
        chosen: the threshold that was chosen on other rows.
        criterion: what it maximises.
    """
    measure, values = Measure(criterion.name), criterion(points.counts)
    best, top = float(points.thresholds[np.argmax(values)]), measure.plain(float(values.max()))
    sentence = (
        f"At the chosen threshold of {number(chosen)}, the {measure.title} is"
        f" {number(measure.plain(float(criterion(at))))}: precision {share(float(precision(at)))}, recall"
        f" {share(float(recall(at)))}, {share(float(flagged(at)))} of the rows flagged. On these rows"
        f" {number(best)} would have been best ({number(top)});"
        " it was not used, as these rows were kept apart."
    )
    shown = thinned(points)

    def paint(figure: Figure) -> None:
        upper, lower = drawing.dress(figure.add_subplot(3, 1, 1), y=measure.title), figure.add_subplot(3, 1, (2, 3))
        upper.plot(shown.thresholds, measure.plain(criterion(shown.counts)), color=drawing.ACCENT)
        upper.tick_params(labelbottom=False)
        upper.set_title(f"chosen: {number(chosen)}", x=min(max(chosen, 0.1), 0.9), fontsize=8)
        _shares(drawing.dress(lower, x="threshold"), shown)
        for axes in (upper, lower):
            axes.axvline(chosen, color=drawing.INK, linewidth=1)
            axes.set_xlim(0, 1)

    return Panel("The threshold", sentence, drawing.draw("threshold", 3.6, paint))


def _shares(axes: Axes, shown: Curve) -> None:
    axes.plot(shown.thresholds, precision(shown.counts), color=drawing.ACCENT, label="precision")
    axes.plot(shown.thresholds, recall(shown.counts), color=drawing.WARM, label="recall")
    axes.plot(shown.thresholds, flagged(shown.counts), "--", color=drawing.MUTED, label="flagged share")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=3)
    drawing.percent(axes.yaxis)
