"""Linear models over numbers and one-hot categories, fitted by scikit-learn and served as a `OneHotLinear`."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import LogisticRegression, TweedieRegressor

from tabserve.encoding.encoder import Encoder
from tabserve.predictors.one_hot import INVERSES, SEVERAL, OneHotLinear
from tabserve.training.candidate import Grid
from tabserve.training.one_hot_design import Design

Features = NDArray[np.float32]
Floats = NDArray[np.float64]

LOGISTIC_GRID: Grid = {"C": [0.01, 0.1, 1.0, 10.0]}
"""Values to choose from for a `OneHotLogistic`."""

RIDGE_GRID: Grid = {"alpha": [0.1, 1.0, 10.0, 100.0], "link": ["identity", "log"]}
"""Values to choose from for a `OneHotRidge`."""

POWERS = {"identity": 0, "log": 1}
"""The power of the mean that the variance is proportional to, by link: of the normal and the Poisson distribution."""

SMALL = 2_500_000
"""Most cells of the design matrix and the Hessian for Newton's method, which is exact and takes few steps."""

FEW = 10
"""Most outputs for Newton's method, which takes a step in Python for each pair of them: minutes for a hundred."""


class OneHotLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Logistic regression with a ridge penalty, over standardised numbers and one-hot categories."""

    def __init__(self, types: Sequence[str], C: float = 1.0) -> None:  # noqa: N803 (scikit-learn's name)
        """Set the parameters.

        Args:
            types: the type of each feature, `q` or `c` (`Encoder.types`).
            C: the inverse of the penalty's strength.
        """
        self.types = types
        self.C = C

    def fit(self, X: Features, y: NDArray[np.int8]) -> Self:  # noqa: N803 (scikit-learn's name)
        """Fit on features of an encoder, shape (rows, features), and the index of each row's class."""
        self.design_ = Design.learn(X, self.types)
        matrix = self.design_.matrix(X)
        outputs = classes if (classes := len(np.unique(y))) > 2 else 1
        model = LogisticRegression(C=self.C, max_iter=1_000, **_solver(matrix, outputs))
        self.model_ = _quietly_fitted(model, matrix, y)
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X: Features) -> NDArray[Any]:  # noqa: N803 (scikit-learn's name)
        """The most probable class of each row."""
        return np.asarray(self.model_.predict(self.design_.matrix(X)))

    def predict_proba(self, X: Features) -> Floats:  # noqa: N803 (scikit-learn's name)
        """The probability of each class, shape (rows, classes)."""
        return np.asarray(self.model_.predict_proba(self.design_.matrix(X)))

    def get_predictor(self, encoder: Encoder) -> OneHotLinear:
        """The fitted model as a predictor of the encoder's features."""
        link = "logit" if len(self.classes_) == 2 else SEVERAL
        return self.design_.predictor(link, self.model_.coef_.T, self.model_.intercept_, encoder.levels)


class OneHotRidge(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Regression with a ridge penalty, over standardised numbers and one-hot categories.

    By the link `identity` the amount is linear, fitted by least squares. By `log` its logarithm is, fitted by the
    likelihood of a Poisson distribution, which estimates the mean of any amount that is not negative (Gourieroux,
    Monfort & Trognon, Econometrica 1984). Amounts of which some are negative are fitted by `identity` in either case.
    """

    def __init__(self, types: Sequence[str], alpha: float = 1.0, link: Literal["identity", "log"] = "identity") -> None:
        """Set the parameters.

        Args:
            types: the type of each feature, `q` or `c` (`Encoder.types`).
            alpha: the penalty's strength, for amounts that are divided by their spread or, by `log`, by their mean.
            link: see above.
        """
        self.types = types
        self.alpha = alpha
        self.link = link

    def fit(self, X: Features, y: Floats) -> Self:  # noqa: N803 (scikit-learn's name)
        """Fit on features of an encoder, shape (rows, features), and the amount of each row."""
        self.design_ = Design.learn(X, self.types)
        matrix = self.design_.matrix(X)
        self.link_ = self.link if y.min() >= 0 and y.mean() > 0 else "identity"
        unit = float(y.mean() if self.link_ == "log" else y.std() or 1.0)
        model = TweedieRegressor(
            power=POWERS[self.link_],
            link=self.link_,
            alpha=self.alpha / len(y),
            max_iter=1_000,
            **_solver(matrix),
        )
        model = _quietly_fitted(model, matrix, y / unit)
        multiplied = self.link_ == "identity"
        self.coef_ = model.coef_ * unit if multiplied else model.coef_
        self.intercept_ = model.intercept_ * unit if multiplied else model.intercept_ + np.log(unit)
        return self

    def predict(self, X: Features) -> Floats:  # noqa: N803 (scikit-learn's name)
        """The amount of each row, shape (rows,)."""
        return INVERSES[self.link_](self.design_.matrix(X) @ self.coef_ + self.intercept_)

    def get_predictor(self, encoder: Encoder) -> OneHotLinear:
        """The fitted model as a predictor of the encoder's features."""
        weights, intercept = self.coef_[:, np.newaxis], np.array([self.intercept_])
        return self.design_.predictor(self.link_, weights, intercept, encoder.levels)


def _solver(matrix: sparse.csr_array, outputs: int = 1) -> dict[str, Any]:
    """Newton's method if the matrix is small, else steps that end at a gradient at which predictions hardly change."""
    rows, weights = matrix.shape[0], matrix.shape[1] * outputs
    small = outputs <= FEW and (rows + weights) * weights <= SMALL
    return {"solver": "newton-cholesky", "tol": 1e-6} if small else {"solver": "lbfgs", "tol": 1e-4}


def _quietly_fitted(model: BaseEstimator, matrix: sparse.csr_array, target: NDArray[Any]) -> BaseEstimator:
    """Fit without warnings: weights that have not quite converged are measured as any others."""
    with warnings.catch_warnings(action="ignore"):
        return model.fit(matrix, target)
