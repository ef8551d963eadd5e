"""A linear model over numbers and one-hot categories, which needs numpy alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.numbers import FLOAT32_MAX
from tabserve.errors import ArtifactError
from tabserve.predictors import feature_rows, npz
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression

Floats = NDArray[np.float64]

CHUNK = 256
"""Most rows that are computed at once: their terms should fit the processor's cache."""

ABSENT = -1
"""Stands for the code of a missing cell: its weight is in the row before those of the levels."""

MAX_EXPONENT = 88.0
"""Largest exponent whose power is a 32-bit float."""

ARRAYS = {
    "link": (np.uint8, 1),
    "bounds": (np.float32, 2),
    "slopes": (np.float64, 3),
    "absent": (np.float64, 2),
    "weights": (np.float64, 2),
    "intercept": (np.float64, 1),
}
"""The arrays of a model file, with the type and number of dimensions of each."""


def signed_log(values: Floats) -> Floats:
    """log(1 + |x|) with the sign of x, which shortens long tails."""
    return np.copysign(np.log1p(np.abs(values)), values)


def _logistic(margin: Floats) -> NDArray[np.float32]:
    return (1 / (1 + np.exp(np.minimum(-margin, 700.0)))).astype(np.float32)  # exp(700) is finite


def _exponential(margin: Floats) -> Floats:
    return np.exp(np.minimum(margin, MAX_EXPONENT))


SEVERAL = "margins"
"""The link of several classes, whose raw outputs are the margins themselves."""

LINKS: Mapping[str, Mapping[str, Callable[[Floats], NDArray[Any]]]] = {
    Binary.KIND: {"logit": _logistic},
    Multiclass.KIND: {SEVERAL: lambda margin: margin},
    Regression.KIND: {"identity": lambda margin: margin, "log": _exponential},
}
"""The links of each task, as generalised linear models have them, and what makes raw outputs of margins by each."""

INVERSES = {link: inverse for links in LINKS.values() for link, inverse in links.items()}


@dataclass(frozen=True, eq=False)
class OneHotLinear:
    """A linear model over numbers and one-hot categories; see `Predictor`.

    A margin is the intercept plus a term for each feature: of a number x, clipped to its bounds,
    `slopes[0] * x + slopes[1] * signed_log(x)`; of a category the weight of its level; of either, if the cell is
    missing, the weight in `absent`. Each row is summed in the same order, whatever rows are beside it.

    Attributes:
        link: one of `LINKS`.
        levels: the number of levels of each feature; 0 for a quantity.
        bounds: smallest and largest value of each feature, float32, shape (2, features); 0 for a category.
        slopes: of the value and of its signed logarithm, shape (2, features, outputs); 0 for a category.
        absent: shape (features, outputs).
        weights: of all levels of the first category, then of the next, shape (levels, outputs).
        intercept: shape (outputs,).
    """

    FILE: ClassVar[str] = "one_hot.npz"
    BATCH_ROWS: ClassVar[int] = 256
    PARALLEL: ClassVar[bool] = False
    LIBRARIES: ClassVar[tuple[str, ...]] = ()

    link: str
    levels: tuple[int, ...]
    bounds: NDArray[np.float32]
    slopes: Floats
    absent: Floats
    weights: Floats
    intercept: Floats
    _bounds: tuple[NDArray[np.float32], NDArray[np.float32]] = field(init=False, repr=False)
    _coded: NDArray[np.float32] = field(init=False, repr=False)
    _row: NDArray[np.intp] = field(init=False, repr=False)
    _table: Floats = field(init=False, repr=False)

    @classmethod
    def read(cls, path: Path, file: bytes, problem: Problem, encoder: Encoder) -> Self:
        """Load a model file.

        Args:
            path: the file's name in errors.
            file: its bytes.
            problem: its task must have the model's link and number of outputs.
            encoder: the model must have a weight for each of its levels.

        Raises:
            ArtifactError: the file holds other arrays, or arrays that do not fit each other, the task or the encoder.
        """
        try:
            arrays = npz.load_arrays(file, ARRAYS)
            link = arrays.pop("link").tobytes().decode()
        except ValueError as error:
            raise ArtifactError(
                f"{path} is not a model of numbers and categories ({error}); copy or train the model again."
            ) from error
        links = LINKS[problem.task.KIND]
        if link not in links:
            raise ArtifactError(f"{path} holds a model of link {link!r:.60}, expected {' or '.join(map(repr, links))}.")
        _check(path, arrays, encoder.levels, len(problem.labels) if link == SEVERAL else 1)
        model = cls(link, encoder.levels, **arrays)
        if not model._margin_bound() < FLOAT32_MAX:
            raise ArtifactError(f"{path} holds weights so large that answers overflow.")
        return model

    def __post_init__(self) -> None:
        """Put all weights into one table: of each feature first the absent one, then its levels, or 0 for a number.

        Constants of one row have two dimensions, as numpy is then several times as fast on one row.
        """
        zero, ends = np.zeros((1, self.outputs)), np.cumsum(self.levels)[:-1]
        blocks = np.split(self.weights, ends) if self.levels else []
        blocks = [block if len(block) else zero for block in blocks]
        sizes = np.array([1 + len(block) for block in blocks], np.intp)
        parts = [part for pair in zip(self.absent[:, np.newaxis], blocks, strict=True) for part in pair]
        for name, value in {
            "_bounds": (self.bounds[:1], self.bounds[1:]),
            "_coded": (np.array([self.levels]) > 0).astype(np.float32),
            "_row": (np.cumsum(sizes) - sizes - ABSENT)[np.newaxis],
            "_table": np.concatenate(parts),
        }.items():
            object.__setattr__(self, name, value)

    @property
    def outputs(self) -> int:
        """The number of classes if there are several, else 1."""
        return len(self.intercept)

    @property
    def facts(self) -> dict[str, str]:
        """The number of weights."""
        return {"weights": str(2 * self._quantities * self.outputs + self.absent.size + self.weights.size)}

    @property
    def described(self) -> str:
        """How many features and levels it has."""
        categories = len(self.levels) - self._quantities
        return f"linear, over {self._quantities:,} numbers and {sum(self.levels):,} levels of {categories:,} categories"

    @property
    def _quantities(self) -> int:
        return self.levels.count(0)

    def raw(self, features: NDArray[np.float32]) -> NDArray[Any]:
        """Raw outputs for float32 features of shape (rows, features).

        Returns:
            For two classes the probability of the positive one (float32), for several the margin of each, or the amount
            (float64); shape (rows, outputs).
        """
        chunks = [self._margins(features[row : row + CHUNK]) for row in range(0, max(1, len(features)), CHUNK)]
        return INVERSES[self.link](np.concatenate(chunks) if len(chunks) > 1 else chunks[0])

    def from_json(self, rows: list[Any]) -> NDArray[np.float32]:
        """Features from one list of numbers per row, with None for a missing one.

        Raises:
            ValueError: the lists do not have this model's number of features, or a number is the code of no level.
        """
        features = feature_rows.from_json(rows, len(self.levels))
        counts = np.array(self.levels)
        codes, counts = features[:, counts > 0], counts[counts > 0]
        if not (np.isnan(codes) | ((codes >= 0) & (codes < counts) & (codes == np.floor(codes)))).all():
            raise ValueError("codes of levels are expected")
        return features

    def examples(self, features: NDArray[np.float32], rows: int = 8, seed: int = 0) -> NDArray[np.float32]:
        """Draw each cell on its own, so that no row of the training table is published."""
        return feature_rows.draw_cells(features, rows, seed)

    def to_bytes(self) -> bytes:
        """The bytes of a file that `read` takes, in numpy's format."""
        arrays = {name: getattr(self, name) for name in ARRAYS} | {"link": np.frombuffer(self.link.encode(), np.uint8)}
        return npz.dump_arrays(**arrays)

    def on_one_thread(self) -> None:
        """It always does."""

    def _margins(self, features: NDArray[np.float32]) -> Floats:
        """The margins of a few rows, shape (rows, outputs)."""
        missing = np.isnan(features)
        values = features.clip(*self._bounds).astype(np.float64)
        values[missing] = 0
        codes = features * self._coded
        codes[missing] = ABSENT
        terms = self._table.take(codes.astype(np.intp) + self._row, axis=0)
        terms += values[:, :, np.newaxis] * self.slopes[:1]
        terms += signed_log(values)[:, :, np.newaxis] * self.slopes[1:]
        margins: Floats = terms.sum(axis=1) + self.intercept
        return margins

    def _margin_bound(self) -> float:
        """An upper bound of the size of a margin."""
        largest = np.abs(self.bounds).max(axis=0, initial=0).astype(np.float64)
        with np.errstate(over="ignore"):
            terms = np.abs(self.slopes[0]) * largest[:, np.newaxis]
            terms += np.abs(self.slopes[1]) * signed_log(largest)[:, np.newaxis]
            each = terms.sum(axis=0) + np.abs(self._table).sum(axis=0) + np.abs(self.intercept)
        return float(each.max())


def _check(path: Path, arrays: Mapping[str, NDArray[Any]], levels: tuple[int, ...], outputs: int) -> None:
    """Refuse arrays that do not fit the levels of the features and the number of outputs, or are not finite."""
    features = len(levels)
    shapes = {
        "bounds": (2, features),
        "slopes": (2, features, outputs),
        "absent": (features, outputs),
        "weights": (sum(levels), outputs),
        "intercept": (outputs,),
    }
    if any(arrays[name].shape != shape for name, shape in shapes.items()):
        raise ArtifactError(
            f"{path} does not hold weights of {features} features with {sum(levels)} levels for {outputs} outputs."
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ArtifactError(f"{path} holds weights that are not finite.")
    low, high = arrays["bounds"]
    if (low > high).any() or arrays["bounds"][:, np.array(levels, np.intp) > 0].any():
        raise ArtifactError(f"{path} holds bounds that are swapped, or bounds of a category.")
