"""The parts of reports that differ by task: target facts, column statistics and the decision."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tabserve.model.decision import COVERAGE, threshold_of
from tabserve.model.model import Model
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression


class TaskReport(Protocol):
    """The parts of tables and of the model card that depend on the task."""

    @property
    def purpose(self) -> str:
        """What the model does, as a phrase after `to`."""

    @property
    def chosen(self) -> str:
        """Name of the parameter that is chosen on out-of-fold predictions."""

    def provenance(self, target: NDArray[Any]) -> dict[str, Any]:
        """The manifest's facts about the target."""

    def rows(self, data: Mapping[str, Any]) -> str:
        """These facts in words, after the number of rows."""

    def columns(self, values: pd.DataFrame, target: NDArray[Any]) -> dict[str, pd.Series]:
        """How the values of each column relate to the target; each series has one value per column."""

    def decision(self, model: Model, measure: str) -> str:
        """A section that explains how raw outputs become predictions; `measure` names what is best then."""


THRESHOLD = """## The threshold

A row is called `{labels[1]}` when its probability is at least **{threshold:.4f}**, else `{labels[0]}`.
This threshold has the {measure} on the out-of-fold probabilities of the development rows; the hold-out had no part
in it."""

TEMPERATURE = """## The temperature

A row gets its most probable label. The margins are divided by **{temperature:.4f}** before they become probabilities:
of all temperatures, this one has the smallest log loss on the out-of-fold margins of the development rows; the hold-out
had no part in it."""

INTERVAL = """## The interval

Each amount stands in an interval that is meant to hold the true amount of {meant:.0%} of the rows. Its width depends on
the predicted amount: {narrowest:.4g} to {widest:.4g} to either side, in {bins} bins, chosen by the out-of-fold errors
of the development rows; the hold-out had no part in it. {covered}"""


class BinaryReport:
    """Report of two classes."""

    purpose = "rank and flag rows"
    chosen = "threshold"

    def __init__(self, task: Binary) -> None:
        self.task = task

    def provenance(self, target: NDArray[Any]) -> dict[str, Any]:
        """The number of positive rows."""
        return {"positives": int(target.sum())}

    def rows(self, data: Mapping[str, Any]) -> str:
        """The number of positive rows."""
        return f"{data['positives']:,} of them positive"

    def columns(self, values: pd.DataFrame, target: NDArray[Any]) -> dict[str, pd.Series]:
        """The mean of each class, and their difference over the standard deviation of all rows."""
        negative, positive = values[target == 0].mean(), values[target == 1].mean()
        shift = (positive - negative) / values.std()
        return {"mean, negative": negative, "mean, positive": positive, "shift": shift}

    def decision(self, model: Model, measure: str) -> str:
        """The threshold at which the figures were measured."""
        threshold = threshold_of(model.measured_with)
        return THRESHOLD.format(labels=self.task.labels, threshold=threshold, measure=measure)


class MulticlassReport:
    """Report of several classes."""

    purpose = "tell the labels of rows apart"
    chosen = "temperature"

    def __init__(self, task: Multiclass) -> None:
        self.task = task

    def provenance(self, target: NDArray[Any]) -> dict[str, Any]:
        """The number of rows of each label."""
        counts = np.bincount(target, minlength=len(self.task.labels)).tolist()
        return {"labels": dict(zip(self.task.labels, counts, strict=True))}

    def rows(self, data: Mapping[str, Any]) -> str:
        """The number of rows of each label."""
        return ", ".join(f"{count:,} of `{label}`" for label, count in data["labels"].items())

    def columns(self, values: pd.DataFrame, target: NDArray[Any]) -> dict[str, pd.Series]:
        """The mean of each class."""
        return {f"mean, {label}": values[target == code].mean() for code, label in enumerate(self.task.labels)}

    def decision(self, model: Model, _measure: str) -> str:
        """The temperature."""
        return TEMPERATURE.format(**vars(model.measured_with))


class RegressionReport:
    """Report of a regression."""

    purpose = "predict the amounts of rows"
    chosen = "interval"

    def __init__(self, task: Regression) -> None:
        self.task = task

    def provenance(self, target: NDArray[Any]) -> dict[str, Any]:
        """The mean and the range of the amounts."""
        return {"amounts": {"mean": float(target.mean()), "low": float(target.min()), "high": float(target.max())}}

    def rows(self, data: Mapping[str, Any]) -> str:
        """The mean and the range of the amounts."""
        text = "amounts from {low:,.6g} to {high:,.6g}, {mean:,.6g} on average".format(**data["amounts"])
        return f"{text} (in {self.task.unit})" if self.task.unit else text

    def columns(self, values: pd.DataFrame, target: NDArray[Any]) -> dict[str, pd.Series]:
        """The correlation with the amount."""
        return {"correlation": values.corrwith(pd.Series(target, values.index))}

    def decision(self, model: Model, _measure: str) -> str:
        """The interval, and its coverage of the hold-out."""
        widths = vars(model.measured_with)["widths"]
        return INTERVAL.format(
            meant=COVERAGE, narrowest=min(widths), widest=max(widths), bins=len(widths), covered=_coverage(model)
        )


def _coverage(model: Model) -> str:
    shares = [model.metrics["holdout"].get(name) for name in ("coverage", "coverage_dearest_tenth")]
    if None in shares:
        return "It was not measured on the hold-out."
    overall, dearest = (f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})" for share in shares)
    where = "On the hold-out, which is later than all of them," if model.problem.time else "There"
    return f"{where} it holds {overall} of the amounts, and {dearest} of the dearest tenth."


REPORTS: Mapping[str, Callable[[Any], TaskReport]] = {
    Binary.KIND: BinaryReport,
    Multiclass.KIND: MulticlassReport,
    Regression.KIND: RegressionReport,
}
"""Report by kind of task."""


def report_of(problem: Problem) -> TaskReport:
    """The report of a problem's task."""
    return REPORTS[problem.task.KIND](problem.task)
