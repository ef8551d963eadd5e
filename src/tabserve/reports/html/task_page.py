"""The parts of the page that differ by task."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression
from tabserve.reports.html.binary import BinaryPage
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.html.multiclass import MulticlassPage
from tabserve.reports.html.page import Panel, Table
from tabserve.reports.html.regression import RegressionPage


class TaskPage(Protocol):
    """What the report says about a task."""

    def purpose(self, target: str, data: Mapping[str, Any], /) -> str:
        """What the model predicts, given the target's name and the manifest's facts about the data."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what is predicted."""

    @property
    def quantity(self) -> str:
        """What the mean of one of them over some rows is, with `{}` for its name."""

    @property
    def level_measure(self) -> str:
        """The title of the measure of the rows of a level."""

    def panels(self, holdout: HoldOut, /) -> list[Panel]:
        """The figures of the hold-out."""

    def tables(self, holdout: HoldOut, /) -> list[Table]:
        """The tables below them."""

    def spell(self, value: float, /) -> str:
        """An average of these, as text."""

    def observed(self, target: NDArray[Any], answers: Any, /) -> NDArray[Any]:  # noqa: ANN401
        """What should be predicted, float64, shape (rows, outputs)."""

    def predicted(self, answers: Any, /) -> NDArray[Any]:  # noqa: ANN401  Scores or Amounts
        """What is predicted, float64, shape (rows, outputs)."""

    def effect(self, output: int, /, *, additive: bool) -> str:
        """What contributions to a raw output add up to, in words; `additive` if to the raw output itself."""

    def measure(self, target: NDArray[Any], answers: Any, decision: Any, /) -> float:  # noqa: ANN401
        """The measure of the rows of a level; NaN if it cannot be measured."""

    def wrong(self, target: NDArray[Any], answers: Any, /) -> NDArray[np.bool_]:  # noqa: ANN401
        """Whether each answer is wrong, shape (rows,)."""

    def error(self, target: NDArray[Any], answers: Any, /) -> NDArray[Any]:  # noqa: ANN401
        """How wrong each answer is, float64, shape (rows,); larger is worse."""

    def answered(self, target: NDArray[Any], answers: Any, /) -> dict[str, list[str]]:  # noqa: ANN401
        """The truth and the answer for each row, as columns of texts."""


PAGES: Mapping[str, Callable[[Any], TaskPage]] = {
    Binary.KIND: BinaryPage,
    Multiclass.KIND: MulticlassPage,
    Regression.KIND: RegressionPage,
}
"""Part of the page by kind of task."""


def page_of(problem: Problem) -> TaskPage:
    """The part of the page that is about a problem's task."""
    return PAGES[problem.task.KIND](problem.task)
