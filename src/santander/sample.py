"""A synthetic Santander table, drawn from published statistics of the real columns.

No row is a real customer's. The real columns are close to independent given the class (largest correlation
0.0098), so each column is drawn on its own: a sinh-arcsinh shape fitted to class 0's 1 % and 99 % quantiles, shared by
both classes, then each class's own mean and standard deviation, clipped to the real range, rounded to 4 decimals.

Sources of `feature_statistics.csv`: audits of OpenML data set 45566, the second-place team's published tables
(KazukiOnodera), and a published Gaussian naive Bayes. The distribution: Jones & Pewsey, Biometrika 96 (2009).
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import fsolve
from scipy.special import ndtri

from santander.problem import PROBLEM
from tabserve.encoding.encoder import Encoder
from tabserve.table.frame import Frame

POSITIVE_SHARE = 20_098 / 200_000
"""Share of positives in the real 200,000 rows."""

DECIMALS = 4

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Shape(NamedTuple):
    """A standardised sinh-arcsinh distribution: (sinh((arcsinh(normal) + skew) / tail) - mean) / sd."""

    skew: float
    tail: float
    mean: float
    sd: float

    @classmethod
    def of(cls, skew: float, tail: float) -> "Shape":
        """The shape with this skew and tail; its mean and sd come from Gauss-Hermite quadrature."""
        values = np.sinh((np.arcsinh(_NODES) + skew) / tail)
        mean = float(_WEIGHTS @ values)
        return cls(skew, tail, mean, float(np.sqrt(_WEIGHTS @ (values - mean) ** 2)))

    def from_normal(self, normal: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standardised values of this shape, given standard normal ones."""
        return (np.sinh((np.arcsinh(normal) + self.skew) / self.tail) - self.mean) / self.sd

    def log_density(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density at standardised `values`, up to a constant."""
        raw = self.mean + self.sd * values
        angle = self.tail * np.arcsinh(raw) - self.skew
        log_density: NDArray[np.float64] = np.log(np.cosh(angle)) - np.sinh(angle) ** 2 / 2 - np.log1p(raw**2) / 2
        return log_density


@cache
def statistics() -> pd.DataFrame:
    """The published statistics, one row per feature in the problem's order."""
    with files("santander").joinpath("feature_statistics.csv").open() as file:
        return pd.read_csv(file, index_col="feature").loc[list(PROBLEM.features)]


@cache
def shapes() -> tuple[Shape, ...]:
    """One shape per feature, fitted to class 0's published 1 % and 99 % quantiles."""
    table = statistics()
    quantiles = table[["q01_0", "q99_0"]].sub(table["mean_0"], axis=0).div(table["std_0"], axis=0)
    return tuple(_fit(pair) for pair in quantiles.to_numpy())


@cache
def moments() -> NDArray[np.float64]:
    """Published mean and standard deviation of each class in each column, shape (2 moments, 2 classes, features)."""
    table = statistics()
    return np.array([[table[f"{moment}_{label}"] for label in (0, 1)] for moment in ("mean", "std")], dtype=np.float64)


def sample(rows: int, seed: int = 0) -> Frame:
    """Draw `rows` synthetic rows; the same rows and seed give the same table.

    Returns:
        A Frame with float32 features of shape (rows, 200), targets with the real share of positives, and ids
        `synthetic_0`, `synthetic_1`, …
    """
    rng = np.random.default_rng([seed, rows])
    target = (np.arange(rows) < round(rows * POSITIVE_SHARE)).astype(np.int8)
    rng.shuffle(target)
    features = np.empty((rows, len(PROBLEM.features)), dtype=np.float32)
    (mean, sd), (low, high) = moments(), statistics()[["min", "max"]].to_numpy(np.float64).T
    for column, shape in enumerate(shapes()):
        values = shape.from_normal(rng.standard_normal(rows)) * sd[target, column] + mean[target, column]
        features[:, column] = values.clip(low[column], high[column]).round(DECIMALS)
    ids = np.array([f"synthetic_{row}" for row in range(rows)], np.object_)
    return Frame(ids, features, target, PROBLEM, Encoder.learn(PROBLEM, {}))


def log_odds(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """The log odds of a positive under the sample's own distribution; no model can rank the sample better."""
    total = np.full(len(features), np.log(POSITIVE_SHARE / (1 - POSITIVE_SHARE)))
    mean, sd = moments()
    for column, shape in enumerate(shapes()):
        values = features[:, column].astype(np.float64)
        negative, positive = (shape.log_density((values - mean[c, column]) / sd[c, column]) for c in (0, 1))
        total += positive - negative + np.log(sd[0, column] / sd[1, column])
    return total


def _fit(quantiles: NDArray[np.float64]) -> Shape:
    """The shape whose standardised 1 % and 99 % quantiles are these two."""
    normal = ndtri([0.01, 0.99])
    skew, log_tail = fsolve(lambda p: Shape.of(p[0], np.exp(p[1])).from_normal(normal) - quantiles, (0.0, 0.0))
    return Shape.of(float(skew), float(np.exp(log_tail)))
