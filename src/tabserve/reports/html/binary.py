"""Figures of two classes: the threshold, precision and recall, calibration, and the confusion at the threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.model.decision import Scores, Threshold, threshold_of
from tabserve.problem.criterion import Counts
from tabserve.problem.metric import plain
from tabserve.problem.task import Binary
from tabserve.reports.html import calibration, confusion, precision_recall, threshold
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.html.page import Panel, Table
from tabserve.reports.html.spelling import number, share, short
from tabserve.reports.tables import TITLES
from tabserve.training.threshold import curve


@dataclass(frozen=True)
class BinaryPage:
    """What the report says about two classes."""

    task: Binary
    quantity = "share of “{}”"

    def purpose(self, target: str, data: Mapping[str, Any]) -> str:
        """What the model predicts."""
        negative, positive = self.task.labels
        rate = share(data["positives"] / data["rows"])
        return f"Predicts whether “{target}” is “{positive}”, as in {rate} of the rows, or “{negative}”."

    @property
    def outputs(self) -> tuple[str, ...]:
        """The name of what is predicted."""
        return (self.task.labels[1],)

    @property
    def level_measure(self) -> str:
        """The title of the measure of the rows of a level."""
        return f"{TITLES[self.task.criterion.name]} at the threshold"

    def panels(self, holdout: HoldOut) -> list[Panel]:
        """The figures of the hold-out."""
        chosen, positive = threshold_of(holdout.model.decision), self.task.labels[1]
        probability = holdout.answers.probability.astype(np.float64)
        at = Counts.at(chosen, holdout.target, probability)
        how = f"by the threshold {number(chosen)}"
        return [
            threshold.panel(curve(holdout.target, probability), at, chosen, self.task.criterion),
            precision_recall.panel(curve(holdout.target, probability), at, chosen, positive),
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

    def measure(self, target: NDArray[Any], answers: Scores, decision: Threshold) -> float:
        """The criterion of some rows at the threshold; NaN if none of them is positive."""
        counts = Counts.at(decision.threshold, target, answers.probability.astype(np.float64))
        return (
            plain(self.task.criterion.name, float(self.task.criterion(counts))) if (target == 1).any() else float("nan")
        )

    def wrong(self, target: NDArray[Any], answers: Scores) -> NDArray[np.bool_]:
        """Whether each row gets another label than its own."""
        return np.asarray(answers.label != target)

    def error(self, target: NDArray[Any], answers: Scores) -> NDArray[np.float64]:
        """How far each row's probability is from the truth."""
        return np.asarray(np.abs(target - answers.probability.astype(np.float64)))

    def answered(self, target: NDArray[Any], answers: Scores) -> dict[str, list[str]]:
        """The truth and the answer for each row, as columns of texts."""
        labels = self.task.labels
        return {
            "true": [labels[code] for code in target],
            "predicted": [labels[code] for code in answers.label],
            f"probability of {labels[1]}": [*map(share, answers.probability.tolist())],
        }
