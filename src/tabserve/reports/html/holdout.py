"""The model's answers for the rows of the hold-out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.model.model import Model
from tabserve.reports.html.measure import Measure, ranking_measure
from tabserve.table.frame import Frame
from tabserve.training.bootstrap import Interval
from tabserve.training.task_training import TaskTraining, training_of

NORMAL = 1.96
"""The 97.5 % quantile of the normal distribution."""


@dataclass(frozen=True, eq=False)
class HoldOut:
    """A model and rows that it has not seen.

    Attributes:
        model: evaluated on these rows.
        frame: the rows.
    """

    model: Model
    frame: Frame

    @cached_property
    def answers(self) -> Any:  # noqa: ANN401  Scores or Amounts, as the decision has it
        """The answers for all rows."""
        return self.model.score(self.frame.features)

    @property
    def target(self) -> NDArray[Any]:
        """The truth, shape (rows,)."""
        return self.frame.target

    @property
    def training(self) -> TaskTraining:
        """How the task is measured."""
        return training_of(self.model.problem)

    @cached_property
    def measure(self) -> Measure:
        """The measure that ranked the candidates."""
        return Measure(ranking_measure(self.model.metrics))

    def score(self, features: NDArray[Any], target: NDArray[Any]) -> float:
        """That measure of rows with these features and this truth, as people know it."""
        measured = self.training.measures(target, self.model.score(features), self.model.decision)
        return self.measure.plain(measured[ranking_measure(self.model.metrics)])

    def sample(self, rows: int) -> NDArray[np.int64]:
        """The indices of about that many rows, drawn by the problem's seed, with at least one of every stratum."""
        order = np.random.default_rng(self.model.problem.seed).permutation(len(self.frame))
        _, first = np.unique(self.training.strata(self.target)[order], return_index=True)
        return np.unique(np.concatenate([order[first], order[:rows]]))


def taken(answers: Any, rows: NDArray[Any]) -> Any:  # noqa: ANN401  Scores or Amounts
    """The answers of some rows."""
    return type(answers)(*(values[rows] for values in answers))


def wilson(hits: NDArray[Any], rows: NDArray[Any]) -> list[Interval]:
    """The share of hits among some rows with its 95 % interval, one for each entry (Wilson, JASA 1927)."""
    share = hits / rows
    middle = share + NORMAL**2 / (2 * rows)
    reach = NORMAL * np.sqrt(share * (1 - share) / rows + (NORMAL / rows) ** 2 / 4)
    scale = 1 + NORMAL**2 / rows
    return [*map(Interval, share.tolist(), ((middle - reach) / scale).tolist(), ((middle + reach) / scale).tolist())]


def equal_bins(values: NDArray[Any], bins: int) -> list[NDArray[np.int64]]:
    """The indices of the rows of each bin of nearly equally many rows, by rising value; equal values stay together."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    number = np.searchsorted(edges, values, side="left")
    return [np.flatnonzero(number == code) for code in np.unique(number)]
