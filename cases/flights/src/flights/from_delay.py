"""Boosted trees that start from the departure delay, and learn what else moves the arrival.

A sum of small trees follows a straight line slowly: it needs most of its trees to say that a flight which left an hour
later arrives an hour later, and has seen too few flights that were four hours late. Here the first tree says it.
"""

from dataclasses import replace
from typing import Any, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.training.candidate import Candidate
from tabserve.training.target_encoding import TargetEncoded

DELAYS = np.arange(-60, 1_441)
"""The departure delays, in minutes, that the first tree tells apart: from an hour early to a day late."""

BINS, DEPTH = 2_048, 12
"""The number of bins and the depth that give each of them a leaf."""


class FromDelay(xgb.XGBRegressor):
    """XGBoost behind a tree whose answer is the departure delay minus the mean of what flights make up for."""

    def __init__(self, column: int = 0, **parameters: Any) -> None:  # noqa: ANN401  of XGBoost
        """Set the position of the departure delay among the features, and XGBoost's parameters."""
        self.column = column
        super().__init__(**parameters)

    def fit(self, X: NDArray[Any], y: NDArray[Any], **options: Any) -> Self:  # noqa: N803, ANN401  as XGBoost has them
        """Fit the first tree on delays alone, and the others on what it misses."""
        first = self._first(X.shape[1], float(np.mean(X[:, self.column] - y)))
        return super().fit(X, y, xgb_model=first, **options)

    def get_xgb_params(self) -> dict[str, Any]:
        """The parameters of XGBoost, without the column."""
        return {name: value for name, value in super().get_xgb_params().items() if name != "column"}

    def _first(self, features: int, made_up: float) -> xgb.Booster:
        """A single tree over as many features, of which it looks at the departure delay alone."""
        rows = np.full((len(DELAYS), features), np.nan, np.float32)
        rows[:, self.column] = DELAYS
        tree = xgb.XGBRegressor(
            n_estimators=1,
            learning_rate=1.0,
            max_depth=DEPTH,
            max_bin=BINS,
            min_child_weight=0,
            reg_lambda=0,
            n_jobs=1,
            feature_types=self.feature_types,
            enable_categorical=True,
        ).fit(rows, DELAYS - made_up)
        return xgb.Booster(model_file=tree.get_booster().save_raw("ubj"))  # without its settings, such as the bins


def from_delay(candidate: Candidate, column: int) -> Candidate:
    """The same boosted trees behind the first one; `column` is the position of the departure delay."""
    name, estimator = f"{candidate.name}-from-delay", candidate.estimator
    if not isinstance(estimator, TargetEncoded):
        return replace(candidate, name=name, estimator=_behind(estimator, column))
    kept = column - sum(replaced < column for replaced in estimator.columns)
    inner = _behind(estimator.estimator, kept)
    return replace(candidate, name=name, estimator=type(estimator)(inner, estimator.columns))


def _behind(trees: xgb.XGBModel, column: int) -> FromDelay:
    given = {name: value for name, value in trees.get_params().items() if value is not None}
    return FromDelay(column, **given)
