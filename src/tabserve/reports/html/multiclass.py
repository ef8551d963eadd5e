"""Figures of several classes: confusion, the measures of each class, and calibration of the most probable one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tabserve.model.decision import Scores
from tabserve.problem.task import Multiclass
from tabserve.reports.html import calibration, confusion, drawing
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.html.page import Panel, Table
from tabserve.reports.html.spelling import count, interval, listed, number, share, short
from tabserve.reports.tables import TITLES
from tabserve.training.bootstrap import Interval

MOST_OUTPUTS = 4
"""Most classes whose shares are shown by level."""

MOST_CLASSES = 20
"""Most classes that a figure has room for."""


@dataclass(frozen=True)
class MulticlassPage:
    """What the report says about several classes."""

    task: Multiclass
    quantity = "share of “{}”"
    level_measure = "share answered right"

    def purpose(self, target: str, data: Mapping[str, Any]) -> str:
        """What the model predicts."""
        counts = sorted(data["labels"].items(), key=lambda pair: -pair[1])
        known = [f"“{label}” ({share(rows / data['rows'])})" for label, rows in counts[:MOST_OUTPUTS]]
        others = [f"{len(counts) - len(known)} others"] if len(counts) > len(known) else []
        return f"Predicts which label “{target}” has: {listed([*known, *others])}."

    @property
    def outputs(self) -> tuple[str, ...]:
        """The classes, or right answers if there are many classes."""
        return self.task.labels if len(self.task.labels) <= MOST_OUTPUTS else ("right answers",)

    def panels(self, holdout: HoldOut) -> list[Panel]:
        """The figures of the hold-out."""
        scores, target = holdout.answers, holdout.target
        top = np.take_along_axis(scores.probability, scores.label[:, np.newaxis], axis=1)[:, 0]
        return [
            confusion.panel(target, scores.label, self.task.labels, "by the largest probability"),
            self._classes(_measured(holdout)),
            calibration.panel(scores.label == target, top, "right"),
        ]

    def tables(self, holdout: HoldOut) -> list[Table]:
        """The measures of each class."""
        rows = [
            [
                label,
                f"{measured['rows']:,}",
                *(_cell(Interval(**measured[name])) for name in ("f1", "precision", "recall")),
            ]
            for label, measured in _measured(holdout).items()
        ]
        head = ["class", "rows", "F1", "precision", "recall"]
        return [Table("Measures of each class on the hold-out, with 95 % intervals", head, rows)]

    def spell(self, value: float) -> str:
        """An average of these, as text."""
        return share(value)

    def observed(self, target: NDArray[Any], answers: Scores) -> NDArray[np.float64]:
        """What should be predicted, shape (rows, outputs)."""
        happened = (
            target == answers.label if len(self.outputs) == 1 else target == np.arange(len(self.outputs))[:, None]
        )
        return np.atleast_2d(happened).T.astype(np.float64)

    def predicted(self, answers: Scores) -> NDArray[np.float64]:
        """What is predicted, shape (rows, outputs)."""
        probability = answers.probability.astype(np.float64)
        return probability.max(axis=1, keepdims=True) if len(self.outputs) == 1 else probability

    def effect(self, output: int, *, additive: bool) -> str:  # noqa: ARG002
        """What contributions to an output add up to."""
        return f"margin of “{self.task.labels[output]}”"

    def measure(self, target: NDArray[Any], answers: Scores, _decision: object) -> float:
        """The share of rows that get their true label."""
        return float((answers.label == target).mean())

    def wrong(self, target: NDArray[Any], answers: Scores) -> NDArray[np.bool_]:
        """Whether each row gets another label than its own."""
        return np.asarray(answers.label != target)

    def error(self, target: NDArray[Any], answers: Scores) -> NDArray[np.float64]:
        """What each row's probability of its true class lacks to 1."""
        return (
            1 - np.take_along_axis(answers.probability.astype(np.float64), target[:, np.newaxis].astype(int), 1)[:, 0]
        )

    def answered(self, target: NDArray[Any], answers: Scores) -> dict[str, list[str]]:
        """The truth and the answer for each row, as columns of texts."""
        labels = self.task.labels
        top = np.take_along_axis(answers.probability, answers.label[:, np.newaxis], axis=1)[:, 0]
        return {
            "true": [labels[code] for code in target],
            "predicted": [labels[code] for code in answers.label],
            "its probability": [*map(share, top.tolist())],
            "probability of the true one": [*map(share, (1 - self.error(target, answers)).tolist())],
        }

    def _classes(self, measured: dict[str, Any]) -> Panel:
        order = sorted(measured, key=lambda label: (-measured[label]["f1"]["value"], label))
        shown = order if len(order) <= MOST_CLASSES else [*order[: MOST_CLASSES // 2], *order[-MOST_CLASSES // 2 :]]

        def paint(figure: Figure) -> None:
            axes = drawing.axes_of(figure, x=TITLES["f1"], grid="x")
            heights = drawing.rows_of(axes, [short(f"{label} ({measured[label]['rows']:,})") for label in shown])
            drawing.whiskers(axes, heights, [Interval(**measured[label]["f1"]) for label in shown])
            axes.set_xlim(-0.02, 1.02)

        best, worst = order[0], order[-1]
        rare = min(measured, key=lambda label: measured[label]["rows"])
        return Panel(
            "Each class",
            f"F1 is best for “{best}” ({number(measured[best]['f1']['value'])}) and worst for “{worst}”"
            f" ({number(measured[worst]['f1']['value'])}); the rarest class, “{rare}”, has"
            f" {count(measured[rare]['rows'], 'row')} here.",
            drawing.draw("classes", 0.9 + 0.27 * len(shown), paint),
        )


def _measured(holdout: HoldOut) -> dict[str, Any]:
    """The measures of each class, as the evaluation kept them."""
    classes: dict[str, Any] = holdout.model.metrics["classes"]
    return classes


def _cell(value: Interval) -> str:
    return f"{number(value.value)} ({interval(value)})"
