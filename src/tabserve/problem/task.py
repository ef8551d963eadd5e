"""The three tasks: predict one of two labels, one of several labels, or an amount."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import UsageError
from tabserve.problem.criterion import (
    F1,
    MAE,
    RMSE,
    Accuracy,
    BalancedAccuracy,
    Costs,
    Criterion,
    Loss,
    f1,
    rmse,
)

MAX_LABELS = 127
"""Most labels that a target of type int8 can hold."""

MAX_AMOUNT = 1e36
"""The largest amount, of either sign: 32 bits hold answers and their intervals, which reach further than amounts."""


@dataclass(frozen=True)
class Binary:
    """One of two labels, by a threshold.

    `METRICS` has the measures that can rank candidates, each with the criterion that it needs, or None for any.

    Attributes:
        labels: how the target column spells the negative and then the positive class.
        criterion: what the threshold maximises, from the four counts of a confusion matrix.
        metric: the measure that ranks candidates, of `METRICS`; the criterion itself if empty.
    """

    KIND: ClassVar[str] = "binary"
    AMOUNT: ClassVar[bool] = False
    METRICS: ClassVar[Mapping[str, Criterion | None]] = {
        "f1": f1,
        "accuracy": Accuracy(),
        "balanced_accuracy": BalancedAccuracy(),
        "average_precision": None,
        "roc_auc": None,
        "log_loss": None,
        "brier": None,
    }

    labels: tuple[str, ...] = ("0", "1")
    criterion: Criterion = f1
    metric: str = ""

    def __post_init__(self) -> None:
        """Refuse other than two labels, a criterion that does not take counts, and an unknown metric."""
        _check_labels(self.labels, "exactly two different labels", 2)
        _check_criterion(self.criterion, "f1, Costs(...), Accuracy() or BalancedAccuracy()", (RMSE, MAE))
        _check_metric(self.metric, self.criterion, self.METRICS)

    @property
    def ranked_by(self) -> str:
        """The name of the measure that ranks candidates."""
        return self.metric or self.criterion.name

    @property
    def expected(self) -> str:
        """What a cell of the target column must hold, in words."""
        return " or ".join(map(repr, self.labels))

    def spelled(self, target: int) -> str:
        """A target as the table spells it."""
        return repr(self.labels[target])

    def target(self, cells: Sequence[Any]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """The index of each cell's label, and the rows whose cell is not a label."""
        return _codes(self.labels, cells)


@dataclass(frozen=True)
class Multiclass:
    """One of several labels, the most probable.

    `METRICS` is as for `Binary`.

    Attributes:
        labels: how the target column spells each class.
        criterion: from the counts of each class against all others; its mean over the classes is maximised.
        metric: the measure that ranks candidates, of `METRICS`; the mean of the criterion if empty.
        other: the label that every other cell counts as, so that rare classes are one; empty if there is none.
    """

    KIND: ClassVar[str] = "multiclass"
    AMOUNT: ClassVar[bool] = False
    METRICS: ClassVar[Mapping[str, Criterion | None]] = {
        "macro_f1": f1,
        "accuracy": None,
        "balanced_accuracy": None,
        "log_loss": None,
    }

    labels: tuple[str, ...]
    criterion: Criterion = f1
    metric: str = ""
    other: str = ""

    def __post_init__(self) -> None:
        """Refuse fewer than two labels, too many, a criterion without counts, an unknown metric or other label."""
        _check_labels(self.labels, f"at least two different labels, and at most {MAX_LABELS}", MAX_LABELS)
        _check_criterion(self.criterion, "f1 or Costs(...)", (Accuracy, BalancedAccuracy, RMSE, MAE))
        _check_metric(self.metric, self.criterion, self.METRICS)
        if self.other != "" and self.other not in self.labels:
            raise UsageError(f"A task needs one of its labels as the other label, not {self.other!r:.60}.")

    @property
    def ranked_by(self) -> str:
        """The name of the measure that ranks candidates."""
        return self.metric or f"macro_{self.criterion.name}"

    @property
    def expected(self) -> str:
        """What a cell of the target column must hold, in words."""
        return " or ".join(map(repr, self.labels))

    def spelled(self, target: int) -> str:
        """A target as the table spells it."""
        return repr(self.labels[target])

    def target(self, cells: Sequence[Any]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """The index of each cell's label, and the rows whose cell is not a label, or empty."""
        return _codes(self.labels, cells, self.other)


@dataclass(frozen=True)
class Regression:
    """An amount, with an interval around it.

    `METRICS` is as for `Binary`.

    Attributes:
        unit: of the amount, such as `USD`; empty where it has none.
        criterion: what selection maximises, such as minus the root mean squared error.
        metric: the measure that ranks candidates, of `METRICS`; the criterion itself if empty.
    """

    KIND: ClassVar[str] = "regression"
    AMOUNT: ClassVar[bool] = True
    METRICS: ClassVar[Mapping[str, Loss | None]] = {
        "rmse": rmse,
        "mae": MAE(),
        "median_absolute_error": None,
        "r2": None,
    }

    unit: str = ""
    criterion: Loss = rmse
    metric: str = ""

    def __post_init__(self) -> None:
        """Refuse a unit that is not a text of one line, a criterion without amounts, and an unknown metric."""
        unit: object = self.unit
        if not isinstance(unit, str) or not unit.isprintable():
            raise UsageError(f"A regression needs a text of one line as its unit, not {self.unit!r:.60}.")
        _check_criterion(self.criterion, "rmse or MAE()", (F1, Accuracy, BalancedAccuracy, Costs))
        _check_metric(self.metric, self.criterion, self.METRICS)

    @property
    def ranked_by(self) -> str:
        """The name of the measure that ranks candidates."""
        return self.metric or self.criterion.name

    @property
    def labels(self) -> tuple[str, ...]:
        """Empty: an amount has no labels."""
        return ()

    @property
    def expected(self) -> str:
        """What a cell of the target column must hold, in words."""
        return f"a finite number of at most {MAX_AMOUNT:g}"

    def spelled(self, target: float) -> str:
        """A target as the table spells it."""
        return f"{target:g}"

    def target(self, cells: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Each cell as a float64, and the rows whose cell is no number or a larger one than `MAX_AMOUNT`."""
        values = np.array(cells, dtype=np.float64)
        return values, np.flatnonzero(~(np.abs(values) <= MAX_AMOUNT))


Task = Binary | Multiclass | Regression

TASKS: dict[str, type[Task]] = {task.KIND: task for task in (Binary, Multiclass, Regression)}
"""The tasks by their kind in a manifest."""


def _codes(
    labels: tuple[str, ...], cells: Sequence[Any], other: str = ""
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    index = {label: code for code, label in enumerate(labels)}
    unknown = index.get(other, -1)
    codes = np.array([index.get(cell, unknown if cell else -1) for cell in cells], np.int8)
    return codes, np.flatnonzero(codes < 0)


def _check_labels(labels: object, expected: str, most: int) -> None:
    texts = isinstance(labels, tuple) and all(isinstance(label, str) for label in labels)
    if not isinstance(labels, tuple) or not texts or not 2 <= len(labels) <= most or len({*labels}) < len(labels):
        raise UsageError(f"A task needs {expected}, each written as text, not {labels!r:.60}.")


def _check_criterion(criterion: object, expected: str, others: tuple[type, ...]) -> None:
    named = isinstance(getattr(criterion, "name", None), str)
    if isinstance(criterion, (type, *others)) or not callable(criterion) or not named:
        raise UsageError(
            f"A task needs {expected} of tabserve.problem.criterion as its criterion, not {criterion!r:.60}."
        )


def _check_metric(metric: object, criterion: object, metrics: Mapping[str, object]) -> None:
    """Refuse a metric that the task does not have, or that is measured beside another criterion only."""
    if metric == "":
        return
    if not isinstance(metric, str) or metric not in metrics:
        raise UsageError(f"A task needs one of {', '.join(metrics)} as its metric, not {metric!r:.60}.")
    if metrics[metric] not in (None, criterion):
        raise UsageError(
            f"A task with the metric {metric} needs the criterion {metrics[metric]}, not {criterion!r:.60}."
        )
