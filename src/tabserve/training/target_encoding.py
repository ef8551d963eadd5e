"""XGBoost over the target's mean at each level, for categories of too many levels to split by.

Each training row gets the mean of rows in other inner folds (cross-fitting), so that its own target is not among its
features; a row to predict gets the mean of all training rows. The means are smoothed (Micci-Barreca, A Preprocessing
Scheme for High-Cardinality Categorical Attributes, SIGKDD Explorations 3, 2001).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone

from tabserve.encoding.encoder import Encoder
from tabserve.predictors.booster import Booster
from tabserve.predictors.encoded_booster import QUANTITY, EncodedBooster, LevelValues
from tabserve.problem.criterion import FloatArray, IntArray
from tabserve.training.inner_split import ENCODING_FOLDS

MIN_ROWS = 10
"""The smallest number of training rows for a level to have a mean of its own; all rarer levels share one."""

SMOOTHING = 20.0
"""The number of rows that the mean of all rows counts for in the mean of a level."""

Features = NDArray[np.float32]


class Sums(NamedTuple):
    """Sums over rows of some kinds.

    Attributes:
        total: of what is averaged, shape (*kinds, values).
        rows: their number, shape (*kinds,).
    """

    total: FloatArray
    rows: IntArray

    def means(self) -> FloatArray:
        """The smoothed means, given kinds of (levels, …); NaN if there is no row at all."""
        with np.errstate(invalid="ignore"):
            prior = self.total.sum(axis=0) / self.rows.sum(axis=0)[..., np.newaxis]
        return np.asarray((self.total + SMOOTHING * prior) / (self.rows[..., np.newaxis] + SMOOTHING))

    def all_folds(self) -> "Sums":
        """The sums of each level, given those of (level, fold)."""
        return Sums(self.total.sum(axis=1), self.rows.sum(axis=1))

    def other_folds(self) -> "Sums":
        """The sums of each level over all folds but one, given those of (level, fold)."""
        others = 1 - np.eye(self.rows.shape[1], dtype=np.int64)  # a difference would let the own fold in by rounding
        return Sums(np.einsum("lfv,fo->lov", self.total, others), self.rows @ others)


class TargetEncoded(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What `TargetEncodedClassifier` and `TargetEncodedRegressor` have in common."""

    def __init__(self, estimator: xgb.XGBModel, columns: Sequence[int]) -> None:
        """Set the parameters.

        Args:
            estimator: an unfitted model with the `feature_types` of the encoder's features; every fit clones it.
            columns: positions of the categories that means replace, ascending.
        """
        self.estimator = estimator
        self.columns = columns

    def fit(self, X: Features, y: NDArray[Any], fold: IntArray | None = None) -> Self:  # noqa: N803 (scikit-learn's)
        """Find the means of all levels, and fit the booster on cross-fitted ones.

        Args:
            X: quantities, and codes of categories, NaN where missing; shape (rows, features).
            y: the index of each row's class, from 0, or its amount; shape (rows,).
            fold: the number of each row's inner fold, from 0; drawn by chance if left out.

        Raises:
            ValueError: a code is negative.
        """
        if fold is None:
            fold = np.random.default_rng(0).permutation(len(X)) % ENCODING_FOLDS
        encoded = [self._encode(X[:, column], y, fold) for column in self.columns]
        levels = np.zeros(X.shape[1], np.int64)
        levels[[*self.columns]] = [len(means) - 1 for _, means in encoded]
        values: Features = np.concatenate([means for _, means in encoded]).astype(np.float32)
        self.table_ = LevelValues(tuple(levels.tolist()), np.array(self.columns, np.int64), values)
        own = np.concatenate([X[:, self.table_.kept], *(rows for rows, _ in encoded)], axis=1, dtype=np.float32)
        types = self.table_.arrange(self.estimator.feature_types or [QUANTITY] * X.shape[1], QUANTITY)
        self.estimator_ = clone(self.estimator).set_params(feature_types=types, enable_categorical=True).fit(own, y)
        return self

    def predict(self, X: Features) -> NDArray[Any]:  # noqa: N803
        """The booster's prediction of each row, shape (rows,)."""
        return np.asarray(self.estimator_.predict(self.table_.replace(X)))

    def get_booster(self) -> xgb.Booster:
        """The fitted trees, whose features are those kept and the means."""
        return self.estimator_.get_booster()  # type: ignore[no-any-return]

    def get_predictor(self, encoder: Encoder) -> EncodedBooster:
        """The fitted model as a predictor for features of this encoder."""
        return EncodedBooster(Booster(self.get_booster().copy()), _widened(self.table_, encoder.levels))

    def _encode(self, codes: Features, y: NDArray[Any], fold: IntArray) -> tuple[FloatArray, FloatArray]:
        """The cross-fitted means of each row, and the means of each level and last of missing ones."""
        slot, slots = _slots(codes)
        group, folds = _groups(slot, slots), int(fold.max()) + 1
        sums = self._sums(group[slot] * folds + fold, y, (slots + 1, folds))
        return sums.other_folds().means()[group[slot], fold], sums.all_folds().means()[group]

    def _sums(self, kind: IntArray, y: NDArray[Any], shape: tuple[int, int]) -> Sums:
        """The sums over the rows of each kind, which is an index into an array of this shape."""
        raise NotImplementedError


class TargetEncodedClassifier(ClassifierMixin, TargetEncoded):  # type: ignore[misc]  # scikit-learn has no types
    """An XGBClassifier for which the share of each class (of two, of the second alone) replaces codes of categories."""

    @property
    def classes_(self) -> NDArray[Any]:
        """The indices of the classes."""
        return np.asarray(self.estimator_.classes_)

    def predict_proba(self, X: Features) -> NDArray[np.float32]:  # noqa: N803
        """The probability of each class, shape (rows, classes)."""
        return np.asarray(self.estimator_.predict_proba(self.table_.replace(X)))

    def _sums(self, kind: IntArray, y: NDArray[Any], shape: tuple[int, int]) -> Sums:
        classes = int(y.max()) + 1
        counts = np.bincount(kind * classes + y, minlength=np.prod(shape) * classes).reshape(*shape, classes)
        total: FloatArray = counts[..., 1:].astype(np.float64) if classes == 2 else counts.astype(np.float64)
        return Sums(total, counts.sum(axis=-1))


class TargetEncodedRegressor(RegressorMixin, TargetEncoded):  # type: ignore[misc]  # scikit-learn has no types
    """An XGBRegressor for which the mean amount replaces codes of categories."""

    def _sums(self, kind: IntArray, y: NDArray[Any], shape: tuple[int, int]) -> Sums:
        size = int(np.prod(shape))
        total, rows = np.bincount(kind, y, size), np.bincount(kind, minlength=size)
        return Sums(total.astype(np.float64).reshape(*shape, 1), rows.reshape(shape))


def _slots(codes: Features) -> tuple[IntArray, int]:
    """The slot of each row, that of its level or the last one if it is missing, and the number of slots."""
    if (codes < 0).any():
        raise ValueError("a code of a category is negative")
    levels = int(np.nanmax(codes, initial=-1)) + 1
    return np.where(np.isnan(codes), levels, codes).astype(np.int64), levels + 1


def _groups(slot: IntArray, slots: int) -> IntArray:
    """The number of the mean of each slot, shape (slots,): its own, or `slots` if it has fewer than `MIN_ROWS` rows."""
    return np.where(np.bincount(slot, minlength=slots) < MIN_ROWS, slots, np.arange(slots))


def _widened(table: LevelValues, levels: Sequence[int]) -> LevelValues:
    """The table for more levels of each feature; those that training did not see have the values of missing ones."""
    ends = np.cumsum([table.levels[column] + 1 for column in table.columns])
    parts = np.split(table.values, ends[:-1])
    wide = [
        np.concatenate([part, part[-1:].repeat(levels[column] + 1 - len(part), axis=0)])
        for column, part in zip(table.columns, parts, strict=True)
    ]
    return LevelValues(tuple(levels), table.columns, np.concatenate(wide))
