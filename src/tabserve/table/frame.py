"""A table on disk in, validated arrays out."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabserve.errors import DataError
from tabserve.problem.problem import Problem
from tabserve.table.columns import Columns, bad_cell, listed
from tabserve.table.reader import batches, names

Part = TypeVar("Part", bound="Rows")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to score: ids (texts, shape (rows,)) and float32 features of shape (rows, features), or texts (rows,)."""

    ids: NDArray[np.object_]
    features: NDArray[Any]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Frame(Rows):
    """Rows with their target and the problem they belong to.

    Attributes:
        target: int8, the place of each row's label among the problem's, shape (rows,).
        problem: names the labels.
        group: of each row, where the problem has groups; shape (rows,).
    """

    target: NDArray[np.int8]
    problem: Problem
    group: NDArray[np.object_] | None = None

    def take(self, rows: NDArray[np.int64]) -> "Frame":
        """The rows at these positions, in this order."""
        group = None if self.group is None else self.group[rows]
        return Frame(self.ids[rows], self.features[rows], self.target[rows], self.problem, group)


def read(path: Path, problem: Problem) -> Frame:
    """Read a labelled table whole.

    Args:
        path: .csv, .csv.gz, .zip with a `train.csv`, or .parquet; columns are found by name, in any order.
        problem: says which columns, and how labels are spelled.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
        UsageError: the problem has more than two labels, or groups.
    """
    frame = _joined(parts(path, problem, to_train(problem), "train.csv", partial(labelled, problem)), problem)
    _refuse_repeated(path, frame.ids)
    refuse_one_class(path, frame)
    return frame


def stream(path: Path, problem: Problem) -> Iterator[Rows]:
    """Read rows to score, a batch at a time in constant memory; a target column may be there and is not looked at.

    Args:
        path: .csv, .csv.gz, .zip with a `test.csv`, or .parquet; columns are found by name, in any order.
        problem: says which columns.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    yield from parts(path, problem, to_score(problem), "test.csv", partial(rows, problem))


def to_train(problem: Problem) -> Columns:
    """The columns of a labelled table.

    Raises:
        UsageError: the problem has more than two labels, or groups.
    """
    problem.check_numbers()
    return Columns(problem.features, [*_id(problem), problem.target])


def to_score(problem: Problem) -> Columns:
    """The columns of a table whose rows are to be scored.

    Raises:
        UsageError: the problem has more than two labels, or groups.
    """
    problem.check_numbers()
    return Columns(problem.features, _id(problem), [problem.target])


def has_target(path: Path, problem: Problem) -> bool:
    """Whether a table has the target's column, so that `read` takes it.

    Raises:
        DataError: the file cannot be read.
    """
    return problem.target in names(path, "train.csv")


def _id(problem: Problem) -> list[str]:
    return [problem.id] if problem.id else []


def parts(
    path: Path, problem: Problem, columns: Columns, member: str, convert: Callable[[pa.RecordBatch], Part]
) -> Iterator[Part]:
    """A table, a batch at a time; rows without an id are numbered over all of them.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    seen = 0
    for part in batches(path, columns, member, convert):
        yield part if problem.id else replace(part, ids=_numbers(seen, len(part)))
        seen += len(part)
    if not seen:
        raise DataError(f"{path} has a header and no rows; a table needs at least one row below its header.")


def _numbers(start: int, rows: int) -> NDArray[np.object_]:
    return np.arange(start, start + rows).astype(np.str_).astype(np.object_)


def _joined(found: Iterator[Frame], problem: Problem) -> Frame:
    """One frame of many, in memory that holds their features once: the array grows where it is."""
    features, names, target = np.empty((0, len(problem.features)), np.float32), [], []
    for part in found:
        above = len(features)
        features.resize((above + len(part), features.shape[1]), refcheck=False)
        features[above:] = part.features
        names.append(part.ids)
        target.append(part.target)
    return Frame(np.concatenate(names), features, np.concatenate(target), problem)


def labelled(problem: Problem, batch: pa.RecordBatch) -> Frame:
    """The rows of a batch whose columns have the types of `to_train`.

    Raises:
        BadRow: naming the first row without an id or a label, or the first cell that is no number.
    """
    found = rows(problem, batch)
    return Frame(found.ids, found.features, targets(problem, batch), problem)


def rows(problem: Problem, batch: pa.RecordBatch) -> Rows:
    """The rows of a batch whose columns have the types of `to_score`.

    Raises:
        BadRow: naming the first row without an id, or the first cell that is no number.
    """
    return Rows(ids(problem, batch), _features(problem, batch))


def ids(problem: Problem, batch: pa.RecordBatch) -> NDArray[np.object_]:
    """What the rows are called, shape (rows,).

    Raises:
        BadRow: naming the first row without an id.
    """
    if not problem.id:
        return np.empty(len(batch), np.object_)  # `parts` knows their numbers
    return filled(batch, problem.id, "an id")


def filled(batch: pa.RecordBatch, name: str, expected: str) -> NDArray[np.object_]:
    """A column of texts, none of which is empty, shape (rows,).

    Raises:
        BadRow: naming the first that is.
    """
    texts = np.array(batch[name].to_pylist(), np.object_)  # `to_numpy` imports pandas first
    if not texts.all():
        raise bad_cell(np.flatnonzero(~texts.astype(bool)), name, expected, "an empty cell")
    return texts


def _features(problem: Problem, batch: pa.RecordBatch) -> NDArray[np.float32]:
    """The features, all finite, or missing where they may be."""
    numbers = batch.select(problem.features).to_tensor(null_to_nan=True, row_major=True).to_numpy()
    with np.errstate(over="ignore"):
        features: NDArray[np.float32] = numbers.astype(np.float32)
    bad = np.isinf(features) if problem.allow_missing else ~np.isfinite(features)
    if bad.any():
        rows = np.flatnonzero(bad.any(axis=1))
        name = problem.features[np.argmax(bad[rows[0]])]
        cell = batch[name][rows[0]].as_py()
        found = "an empty cell" if cell is None else f"{cell}, which is no finite 32-bit float"
        raise bad_cell(rows, name, "a number", found)
    return features


def targets(problem: Problem, batch: pa.RecordBatch) -> NDArray[np.int8]:
    """Labels as their places among the problem's, shape (rows,).

    Raises:
        BadRow: naming the first label that is none of them.
    """
    spelled = [label or "" for label in batch[problem.target].to_pylist()]
    codes = {label: place for place, label in enumerate(problem.labels)}
    target = np.array([codes.get(label, -1) for label in spelled], np.int8)
    if len(rows := np.flatnonzero(target < 0)):
        expected = " or ".join(map(repr, problem.labels))
        found = repr(spelled[rows[0]]) if spelled[rows[0]] else "an empty cell"
        if len(held := set(spelled)) > 1:  # a row that is alone says nothing of its column
            found += f"; the column holds {listed(sorted(held))}"
        raise bad_cell(rows, problem.target, expected, found)
    return target


def _refuse_repeated(path: Path, ids: NDArray[np.object_]) -> None:
    if len(set(ids)) < len(ids):
        first, times = Counter(ids).most_common(1)[0]
        raise DataError(f"{path} has the id {first!r} {times} times; every row needs an id of its own.")


def refuse_one_class(path: Path | str, frame: Frame) -> None:
    """Refuse rows that are all of one class.

    Raises:
        DataError: naming it.
    """
    if len(found := np.unique(frame.target)) == 1:
        only, name = frame.problem.labels[found[0]], frame.problem.target
        raise DataError(f"{path} has only {only!r} in column {name!r}; a classifier needs rows of both classes.")
