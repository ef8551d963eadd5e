"""Figures of two classes: the threshold, precision and recall, calibration, and the confusion at the threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tabserve.model.decision import Scores, threshold_of
from tabserve.problem.criterion import Counts
from tabserve.problem.task import Binary
from tabserve.reports.html import calibration, confusion, drawing
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.html.page import Panel, Table
from tabserve.reports.html.spelling import number, share, short
from tabserve.reports.tables import TITLES
from tabserve.training.threshold import Curve, curve

POINTS = 400
"""Most points of a curve."""


@dataclass(frozen=True)
class BinaryPage:
    """What the report says about two classes."""

    task: Binary

    def purpose(self, target: str, data: Mapping[str, Any]) -> str:
        """What the model predicts."""
        negative, positive = self.task.labels
        return f"Predicts whether “{target}” is “{positive}”, as in {share(data['positives'] / data['rows'])} of the rows, or “{negative}”."

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is predicted, as the titles of columns."""
        return (f"share of {short(self.task.labels[1])}",)

    @property
    def level_measure(self) -> str:
        """The title of the measure of the rows of a level."""
        return f"{TITLES[self.task.criterion.name]} at the threshold"

    def panels(self, holdout: HoldOut) -> list[Panel]:
        """The figures of the hold-out."""
        chosen, positive = threshold_of(holdout.model.decision), self.task.labels[1]
        probability = holdout.answers.probability.astype(np.float64)
        points = curve(holdout.target.astype(np.int8), probability)
        at = Counts.at(chosen, holdout.target, probability)
        how = f"by the threshold {number(chosen)}"
        return [
            self._threshold(points, at, chosen),
            self._precision_recall(points, at, chosen),
            calibration.panel(holdout.target == 1, probability, short(positive)),
            confusion.panel(holdout.target, holdout.answers.label, self.task.labels, how),
        ]

    def tables(self, _holdout: HoldOut) -> list[Table]:
        """None: the measures say it all."""
        return []

    def spell(self, value: float) -> str:
        """An average of these, as text."""
        return share(value)

    def observed(self, target: NDArray[Any], _answers: Scores) -> NDArray[np.float64]:
        """What should be predicted, shape (rows, outputs)."""
        return np.asarray(target[:, np.newaxis] == 1, dtype=np.float64)

    def predicted(self, answers: Scores) -> NDArray[np.float64]:
        """What is predicted, shape (rows, outputs)."""
        return answers.probability[:, np.newaxis].astype(np.float64)

    def effect(self, _output: int, *, additive: bool) -> str:  # noqa: ARG002
        """What contributions to an output add up to."""
        return f"log odds of “{self.task.labels[1]}”"

    def measure(self, target: NDArray[Any], answers: Scores, threshold: Any) -> float:  # noqa: ANN401  a Decision
        """The criterion of some rows at the threshold; NaN if none of them is positive."""
        counts = Counts.at(threshold_of(threshold), target, answers.probability.astype(np.float64))
        return float(self.task.criterion(counts)) if (target == 1).any() else float("nan")

    def error(self, target: NDArray[Any], answers: Scores) -> NDArray[np.float64]:
        """How far each row's probability is from the truth."""
        return np.abs(target - answers.probability.astype(np.float64))

    def answered(self, target: NDArray[Any], answers: Scores) -> dict[str, list[str]]:
        """The truth and the answer for each row, as columns of texts."""
        labels = self.task.labels
        return {
            "true": [labels[code] for code in target],
            "predicted": [labels[code] for code in answers.label],
            f"probability of {labels[1]}": [*map(share, answers.probability.tolist())],
        }

    def _threshold(self, points: Curve, at: Counts, chosen: float) -> Panel:
        criterion, title = self.task.criterion, TITLES[self.task.criterion.name]
        kept = thinned(points.thresholds)
        thresholds, counts = points.thresholds[kept], Counts(*(values[kept] for values in points.counts))
        values = criterion(points.counts)
        best = int(np.argmax(values))

        def paint(figure: Figure) -> None:
            upper, lower = (figure.add_subplot(3, 1, 1), figure.add_subplot(3, 1, (2, 3)))
            drawing.dress(upper, y=title).plot(thresholds, criterion(counts), color=drawing.ACCENT)
            drawing.dress(lower, x="threshold")
            for name, series, color, style in (
                ("precision", precision(counts), drawing.ACCENT, "-"),
                ("recall", recall(counts), drawing.WARM, "-"),
                ("flagged share", flagged(counts), drawing.MUTED, "--"),
            ):
                lower.plot(thresholds, series, style, color=color, label=name)
            for axes in (upper, lower):
                axes.axvline(chosen, color=drawing.INK, linewidth=1)
                axes.set_xlim(0, 1)
            drawing.percent(lower.yaxis)
            upper.tick_params(labelbottom=False)
            upper.set_title(f"chosen: {number(chosen)}", x=min(max(chosen, 0.1), 0.9), fontsize=8)
            lower.legend(loc="upper center", bbox_to_anchor=(0.5, -0.24), ncols=3)

        return Panel(
            "The threshold",
            f"At the chosen threshold of {number(chosen)}, {title} is {number(float(criterion(at)))}: precision"
            f" {share(float(precision(at)))}, recall {share(float(recall(at)))}, {share(float(flagged(at)))} of the rows"
            f" flagged. On these rows {number(float(points.thresholds[best]))} would have been best"
            f" ({number(float(values[best]))}); it was not used, as these rows were kept apart.",
            drawing.draw("threshold", 3.6, paint),
        )

    def _precision_recall(self, points: Curve, at: Counts, chosen: float) -> Panel:
        counts = Counts(*(values[thinned(points.thresholds)] for values in points.counts))
        rate = float((at.true_positive + at.false_negative) / sum(at))

        def paint(figure: Figure) -> None:
            axes = drawing.axes_of(figure, x="recall", y="precision", grid="both")
            axes.axhline(rate, linestyle="--", color=drawing.MUTED, linewidth=1, label="flagging rows at random")
            axes.plot(recall(counts), precision(counts), color=drawing.ACCENT)
            axes.plot(
                recall(at), precision(at), "o", color=drawing.WARM, markersize=7, label=f"threshold {number(chosen)}"
            )
            axes.set(xlim=(0, 1.02), ylim=(0, 1.03))
            drawing.percent(axes.xaxis, axes.yaxis)
            axes.legend(loc="lower left")

        positive = self.task.labels[1]
        return Panel(
            "Precision and recall",
            f"The model finds {share(float(recall(at)))} of all “{positive}”, and {share(float(precision(at)))} of the"
            f" rows that it flags are “{positive}”; of rows flagged at random {share(rate)} would be.",
            drawing.draw("precision-recall", 3.1, paint),
        )


def thinned(values: NDArray[Any]) -> NDArray[np.int64]:
    """Indices of at most `POINTS` values, evenly spread, with the first and the last."""
    return np.unique(np.linspace(0, len(values) - 1, min(POINTS, len(values))).astype(np.int64))


def precision(counts: Counts) -> NDArray[np.float64]:
    """Precision; 1 where no row is flagged."""
    hits, all_flagged = counts.true_positive, counts.true_positive + counts.false_positive
    return np.asarray(np.where(all_flagged > 0, hits / np.maximum(all_flagged, 1), 1.0))


def recall(counts: Counts) -> NDArray[np.float64]:
    """Recall."""
    return np.asarray(counts.true_positive / np.maximum(counts.true_positive + counts.false_negative, 1))


def flagged(counts: Counts) -> NDArray[np.float64]:
    """The share of rows that are called positive."""
    return np.asarray((counts.true_positive + counts.false_positive) / sum(counts))
