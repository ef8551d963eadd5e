"""Boosted trees behind a table of numbers: each level of some categories is replaced by what training saw of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.categories import Categories
from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.predictors import feature_rows, npz
from tabserve.predictors.booster import Booster, Features
from tabserve.problem.problem import Problem

ARRAYS = {"booster": (np.uint8, 1), "columns": (np.int64, 1), "values": (np.float32, 2)}
"""The arrays of a model file, with the type and number of dimensions of each."""

QUANTITY = "q"
"""XGBoost's type of a feature that is not a category."""

Fact = TypeVar("Fact")


@dataclass(frozen=True, eq=False)
class LevelValues:
    """Numbers that replace the codes of some features.

    Attributes:
        levels: number of levels of each feature; 0 for a quantity.
        columns: positions of the features that are replaced, ascending, int64, shape (columns,).
        values: float32, shape (rows, values of a level). Each replaced feature in turn has one row for each level, and
            one more for a missing or unseen level.
    """

    levels: tuple[int, ...]
    columns: NDArray[np.int64]
    values: NDArray[np.float32]
    _order: NDArray[np.int64] = field(init=False, repr=False)
    _counts: NDArray[np.int64] = field(init=False, repr=False)
    _starts: NDArray[np.int64] = field(init=False, repr=False)
    _blocks: NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare what `replace` needs; each feature that it adds has a block of values, one after another."""
        counts = np.array([self.levels[column] for column in self.columns], np.int64)
        blocks = [rows.T.ravel() for rows in np.split(self.values, np.cumsum(counts + 1)[:-1])]
        repeated = counts.repeat(self.width)
        object.__setattr__(self, "_order", np.concatenate([self.kept, self.columns.repeat(self.width)]))
        object.__setattr__(self, "_counts", repeated)
        object.__setattr__(self, "_starts", np.cumsum(repeated + 1) - repeated - 1)
        object.__setattr__(self, "_blocks", np.concatenate(blocks))

    @cached_property
    def kept(self) -> NDArray[np.int64]:
        """The positions of the features that are not replaced."""
        return np.setdiff1d(np.arange(len(self.levels)), self.columns)

    @property
    def width(self) -> int:
        """The number of values that replace one code."""
        return int(self.values.shape[1])

    @property
    def level_count(self) -> int:
        """The number of levels of all replaced features."""
        return len(self.values) - len(self.columns)

    def replace(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """The features that are kept, and then the values of each one replaced; shape (rows, features of the trees)."""
        if len(features) == 1:
            return self._replace_one(features[0].tolist())
        replaced = features.take(self._order, axis=1)
        codes = replaced[:, len(self.kept) :]
        known = (codes >= 0) & (codes < self._counts)
        codes[:] = self._blocks.take(np.where(known, codes, self._counts).astype(np.int64) + self._starts)
        return replaced

    def _replace_one(self, row: list[float]) -> NDArray[np.float32]:
        """As `replace`; for one row it takes half the time, as numpy's calls cost more than the cells."""
        kept, added, blocks = self._plan
        cells = [row[position] for position in kept]
        for position, start, count in added:
            code = row[position]
            cells.append(blocks[start + (int(code) if 0 <= code < count else count)])
        return np.array([cells], np.float32)

    @cached_property
    def _plan(self) -> tuple[list[int], list[tuple[int, int, int]], memoryview]:
        """The positions that are kept; the position, start and number of levels of each feature added; all values."""
        added = zip(self.columns.repeat(self.width), self._starts, self._counts, strict=True)
        return self.kept.tolist(), [(int(a), int(b), int(c)) for a, b, c in added], self._blocks.data

    def arrange(self, facts: Sequence[Fact], added: Fact) -> list[Fact]:
        """A fact about each feature in, about each feature that `replace` gives out; `added` is that of a value."""
        return [facts[position] for position in self.kept] + [added] * (len(self.columns) * self.width)


@dataclass(frozen=True, eq=False)
class EncodedBooster:
    """Boosted trees, some of whose features are values of levels; see `Predictor`.

    Attributes:
        booster: the trees, whose features are those that `table` gives.
        table: replaces codes by values.
    """

    FILE: ClassVar[str] = "encoded.npz"
    BATCH_ROWS: ClassVar[int] = Booster.BATCH_ROWS
    PARALLEL: ClassVar[bool] = Booster.PARALLEL
    LIBRARIES: ClassVar[tuple[str, ...]] = Booster.LIBRARIES

    booster: Booster
    table: LevelValues

    @classmethod
    def read(cls, path: Path, file: bytes, problem: Problem, encoder: Encoder) -> Self:
        """Load a model file.

        Args:
            path: the file's name in errors.
            file: its bytes.
            problem: its task must fit the trees.
            encoder: it must have as many levels of each replaced feature as the file has values of.

        Raises:
            ArtifactError: the file holds other arrays, arrays that do not fit the encoder, or trees that
                `Booster.load` refuses.
        """
        try:
            arrays = npz.load_arrays(file, ARRAYS)
        except ValueError as error:
            raise ArtifactError(
                f"{path} is not a model of a booster with values of levels ({error}); copy or train the model again."
            ) from error
        columns, values = arrays["columns"], arrays["values"]
        if fault := _fault(columns, values, problem, encoder):
            raise ArtifactError(f"{path} {fault}; copy or train the model again.")
        table = LevelValues(encoder.levels, columns, values)
        features = Features((), table.arrange(encoder.types, QUANTITY), table.arrange(encoder.levels, 0))
        return cls(Booster.load(path, arrays["booster"].tobytes(), problem, features), table)

    @property
    def outputs(self) -> int:
        """That of the trees."""
        return self.booster.outputs

    @property
    def facts(self) -> Mapping[str, str]:
        """The numbers of boosting rounds and of encoded levels."""
        return {**self.booster.facts, "encoded levels": str(self.table.level_count)}

    @property
    def described(self) -> str:
        """That of the trees, and how many levels of how many columns are replaced."""
        columns = len(self.table.columns)
        noun = "column" if columns == 1 else "columns"
        return f"{self.booster.described}, with values for {self.table.level_count:,} levels of {columns} {noun}"

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Raw outputs for the encoder's features, float32 of shape (rows, features); see `Booster.raw`."""
        return self.booster.raw(self.table.replace(features))

    def contributions(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Booster.contributions`; that of a replaced feature is the sum over its values.

        Returns:
            Shape (rows, outputs, features + 1), for the encoder's features.
        """
        trees = self.booster.contributions(self.table.replace(features))
        kept, values, base = np.split(trees, [len(self.table.kept), -1], axis=2)
        summed = np.empty((*trees.shape[:2], len(self.table.levels) + 1), np.float32)
        summed[..., self.table.kept] = kept
        summed[..., self.table.columns] = values.reshape(*trees.shape[:2], -1, self.table.width).sum(axis=3)
        summed[..., -1:] = base
        return summed

    def from_json(self, rows: list[Any]) -> NDArray[np.float32]:
        """Features from one list of numbers per row, with None for a missing one.

        Raises:
            ValueError: the lists do not have the encoder's number of features.
        """
        return feature_rows.from_json(rows, len(self.table.levels))

    def examples(self, features: NDArray[np.float32], rows: int = 8, seed: int = 0) -> NDArray[np.float32]:
        """Draw each cell on its own, so that no row of the training table is published."""
        return feature_rows.draw_cells(features, rows, seed)

    def to_bytes(self) -> bytes:
        """The bytes of a file that `read` takes, in numpy's format."""
        booster = np.frombuffer(self.booster.to_bytes(), np.uint8)
        return npz.dump_arrays(booster=booster, columns=self.table.columns, values=self.table.values)

    def on_one_thread(self) -> None:
        """See `Booster.on_one_thread`."""
        self.booster.on_one_thread()


def _fault(columns: NDArray[np.int64], values: NDArray[np.float32], problem: Problem, encoder: Encoder) -> str | None:
    """What does not fit the problem and the encoder, or None."""
    categories = [position for position, kind in enumerate(encoder.types) if kind == Categories.TYPE]
    if not len(columns) or not np.isin(columns, categories).all() or (np.diff(columns) <= 0).any():
        return "replaces other features than categories, or one of them twice"
    rows, (count, width) = sum(encoder.levels[column] + 1 for column in columns), values.shape
    if count != rows or width not in {1, len(problem.labels)}:
        return f"holds {width} values of {count} levels, expected {rows} levels"
    return None if np.isfinite(values).all() else "holds a value that is not finite"
