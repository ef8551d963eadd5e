"""Figures of amounts: predictions and truth, errors with the interval, and the interval's coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tabserve.model.decision import COVERAGE, Amounts
from tabserve.problem.task import Regression
from tabserve.reports.html import drawing
from tabserve.reports.html.holdout import HoldOut, equal_bins, wilson
from tabserve.reports.html.page import Panel, Table
from tabserve.reports.html.spelling import count, number, share, short
from tabserve.reports.tables import TITLES

BINS = 8


@dataclass(frozen=True)
class RegressionPage:
    """What the report says about amounts."""

    task: Regression
    level_measure = TITLES["mae"]
    outputs = ("amount",)
    quantity = "mean {}"

    def purpose(self, target: str, data: Mapping[str, Any]) -> str:
        """What the model predicts."""
        unit, amounts = f" in {self.task.unit}" if self.task.unit else "", data["amounts"]
        low, high, mean = (number(amounts[name], 4) for name in ("low", "high", "mean"))
        return f"Predicts the amount “{target}”{unit}, which goes from {low} to {high} and is {mean} on average."

    def panels(self, holdout: HoldOut) -> list[Panel]:
        """The figures of the hold-out."""
        target, amounts = holdout.target, holdout.answers
        name = short(holdout.model.problem.target) + (f" ({short(self.task.unit, 10)})" if self.task.unit else "")
        return [_truth(target, amounts, name), _errors(target, amounts, name), _coverage(target, amounts)]

    def tables(self, _holdout: HoldOut) -> list[Table]:
        """None: the measures say it all."""
        return []

    def spell(self, value: float) -> str:
        """An average of these, as text."""
        return number(value)

    def observed(self, target: NDArray[Any], _answers: Amounts) -> NDArray[np.float64]:
        """What should be predicted, shape (rows, outputs)."""
        return np.asarray(target[:, np.newaxis], dtype=np.float64)

    def predicted(self, answers: Amounts) -> NDArray[np.float64]:
        """What is predicted, shape (rows, outputs)."""
        return answers.prediction[:, np.newaxis].astype(np.float64)

    def effect(self, _output: int, *, additive: bool) -> str:
        """What contributions to an output add up to."""
        return "amount" if additive else "logarithm of the amount"

    def measure(self, target: NDArray[Any], answers: Amounts, _decision: object) -> float:
        """The mean absolute error of some rows."""
        return float(self.error(target, answers).mean())

    def wrong(self, target: NDArray[Any], answers: Amounts) -> NDArray[np.bool_]:
        """Whether each prediction is another amount than the true one."""
        return np.asarray(self.error(target, answers) > 0)

    def error(self, target: NDArray[Any], answers: Amounts) -> NDArray[np.float64]:
        """The absolute error of each row."""
        return np.asarray(np.abs(target - answers.prediction.astype(np.float64)))

    def answered(self, target: NDArray[Any], answers: Amounts) -> dict[str, list[str]]:
        """The truth and the answer for each row, as columns of texts."""
        return {
            "true": [number(value, 4) for value in target.tolist()],
            "predicted": [number(value, 4) for value in answers.prediction.tolist()],
            "interval": [
                f"{number(low, 4)} to {number(high, 4)}" for low, high in zip(answers.low, answers.high, strict=True)
            ],
        }


def _truth(target: NDArray[Any], amounts: Amounts, name: str) -> Panel:
    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x=f"predicted {name}", y="true", grid="both")
        drawing.cloud(axes, amounts.prediction, target)
        low, high = (pick(pick(target), pick(amounts.prediction)) for pick in (min, max))
        axes.plot([low, high], [low, high], "--", color=drawing.MUTED, linewidth=1, label="perfect")
        axes.legend(loc="upper left")

    error = np.abs(target - amounts.prediction)
    spread = float(np.sum((target - target.mean()) ** 2))
    explained = f"{share(1 - float(np.sum(error**2)) / spread)} of the variance" if spread else "no variance to explain"
    tenth = np.quantile(error, 0.9)
    return Panel(
        "Predicted and true",
        f"Half of the predictions are within {number(float(np.median(error)))} of the truth, nine in ten within"
        f" {number(float(tenth))}; they explain {explained}. The darker a square, the more rows.",
        drawing.draw("truth", 3.2, paint),
    )


def _errors(target: NDArray[Any], amounts: Amounts, name: str) -> Panel:
    error, order = target - amounts.prediction, np.argsort(amounts.prediction, kind="stable")

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x=f"predicted {name}", y="true − predicted", grid="both")
        drawing.cloud(axes, amounts.prediction, error)
        for bound, label in ((amounts.low, f"interval for {COVERAGE:.0%}".replace("%", " %")), (amounts.high, None)):
            x, y = _steps(amounts.prediction[order], (bound - amounts.prediction)[order])
            axes.plot(x, y, color=drawing.WARM, linewidth=1.2, label=label)
        axes.axhline(0, color=drawing.MUTED, linewidth=0.8)
        axes.legend(loc="upper left")

    width = (amounts.high - amounts.low) / 2
    first, last = float(width[order[0]]), float(width[order[-1]])
    side = "too low" if error.mean() > 0 else "too high"
    return Panel(
        "Errors by prediction",
        f"Predictions are {number(abs(float(error.mean())))} {side} on average. The interval reaches"
        f" {number(first)} to either side of the smallest prediction and {number(last)} of the largest.",
        drawing.draw("errors", 3.2, paint),
    )


def _steps(x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The first and the last point of each run of nearly equal values, so that a step function needs few points."""
    change = np.abs(np.diff(y)) > 1e-3 * np.abs(y).max()
    kept = np.unique(np.concatenate([[0, len(x) - 1], np.flatnonzero(change), np.flatnonzero(change) + 1]))
    return x[kept], y[kept]


def _coverage(target: NDArray[Any], amounts: Amounts) -> Panel:
    inside = (amounts.low <= target) & (target <= amounts.high)
    bins = equal_bins(amounts.prediction, BINS)
    shares = wilson(np.array([inside[rows].sum() for rows in bins]), np.array([len(rows) for rows in bins]))
    names = [f"{number(amounts.prediction[rows].min())} to {number(amounts.prediction[rows].max())}" for rows in bins]

    def paint(figure: Figure) -> None:
        axes = drawing.axes_of(figure, x="share of true amounts inside their interval", grid="x")
        heights = drawing.rows_of(axes, names)
        drawing.whiskers(axes, heights, shares)
        axes.axvline(COVERAGE, linestyle="--", color=drawing.MUTED, linewidth=1)
        axes.set_title("rows by prediction, with 95 % intervals", fontsize=8)
        drawing.percent(axes.xaxis)

    values = [each.value for each in shares]
    return Panel(
        "Does the interval hold?",
        f"The intervals hold {share(float(inside.mean()))} of the true amounts, and {share(COVERAGE)} are meant; in"
        f" {count(len(bins), 'group')} of similar prediction {share(min(values))} to"
        f" {share(max(values))}.",
        drawing.draw("coverage", 0.9 + 0.28 * len(bins), paint),
    )
