"""The three tasks: predict one of two labels, one of several labels, or an amount."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import UsageError
from tabserve.problem.criterion import F1, MAE, RMSE, Costs, Criterion, Loss, f1, rmse

MAX_LABELS = 127
"""Most labels that a target of type int8 can hold."""


@dataclass(frozen=True)
class Binary:
    """One of two labels, by a threshold.

    Attributes:
        labels: how the target column spells the negative and then the positive class.
        criterion: what the threshold maximises, from the four counts of a confusion matrix.
    """

    KIND: ClassVar[str] = "binary"
    AMOUNT: ClassVar[bool] = False

    labels: tuple[str, ...] = ("0", "1")
    criterion: Criterion = f1

    def __post_init__(self) -> None:
        """Refuse other than two labels, and a criterion that does not take counts."""
        _check_labels(self.labels, "exactly two different labels", 2)
        _check_criterion(self.criterion, "f1 or Costs(...)", (RMSE, MAE))

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

    Attributes:
        labels: how the target column spells each class.
        criterion: from the counts of each class against all others; its mean over the classes is maximised.
        other: the label that every other cell counts as, so that rare classes are one; empty if there is none.
    """

    KIND: ClassVar[str] = "multiclass"
    AMOUNT: ClassVar[bool] = False

    labels: tuple[str, ...]
    criterion: Criterion = f1
    other: str = ""

    def __post_init__(self) -> None:
        """Refuse fewer than two labels, too many, a criterion that does not take counts, and another `other` label."""
        _check_labels(self.labels, f"at least two different labels, and at most {MAX_LABELS}", MAX_LABELS)
        _check_criterion(self.criterion, "f1 or Costs(...)", (RMSE, MAE))
        if self.other != "" and self.other not in self.labels:
            raise UsageError(f"A task needs one of its labels as the other label, not {self.other!r:.60}.")

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

    Attributes:
        unit: of the amount, such as `USD`; empty where it has none.
        criterion: what selection maximises, such as minus the root mean squared error.
    """

    KIND: ClassVar[str] = "regression"
    AMOUNT: ClassVar[bool] = True

    unit: str = ""
    criterion: Loss = rmse

    def __post_init__(self) -> None:
        """Refuse a unit that is not a text of one line, and a criterion that does not take amounts."""
        unit: object = self.unit
        if not isinstance(unit, str) or not unit.isprintable():
            raise UsageError(f"A regression needs a text of one line as its unit, not {self.unit!r:.60}.")
        _check_criterion(self.criterion, "rmse or MAE()", (F1, Costs))

    @property
    def labels(self) -> tuple[str, ...]:
        """Empty: an amount has no labels."""
        return ()

    @property
    def expected(self) -> str:
        """What a cell of the target column must hold, in words."""
        return "a finite number"

    def spelled(self, target: float) -> str:
        """A target as the table spells it."""
        return f"{target:g}"

    def target(self, cells: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Each cell as a float64, and the rows whose cell is not a finite number."""
        values = np.array(cells, dtype=np.float64)
        return values, np.flatnonzero(~np.isfinite(values))


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
