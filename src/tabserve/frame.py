"""A table on disk in, validated arrays out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabserve.columns import Columns, bad_cell
from tabserve.errors import DataError
from tabserve.problem import Problem
from tabserve.table import batches, listed, located


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to score: ids of shape (rows,) and float32 features of shape (rows, features)."""

    ids: NDArray[np.str_]
    features: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Frame(Rows):
    """Rows with their target (int8, 0 or 1, shape (rows,)) and the problem they belong to."""

    target: NDArray[np.int8]
    problem: Problem

    def take(self, rows: NDArray[np.int64]) -> "Frame":
        """The rows at these positions, in this order."""
        return Frame(self.ids[rows], self.features[rows], self.target[rows], self.problem)


def read(path: Path, problem: Problem) -> Frame:
    """Read a labelled table whole.

    Args:
        path: .csv, .csv.gz, .zip with a `train.csv`, or .parquet; columns are found by name, in any order.
        problem: says which columns, and how labels are spelled.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    columns = Columns(problem.features, [*_ids(problem), problem.target])
    parts, texts = zip(*_rows(path, problem, columns, "train.csv"), strict=True)
    ids = np.concatenate([part.ids for part in parts])
    _refuse_repeated(path, ids)
    target = _target(path, problem, pa.chunked_array([text[problem.target] for text in texts]))
    return Frame(ids, np.concatenate([part.features for part in parts]), target, problem)


def stream(path: Path, problem: Problem) -> Iterator[Rows]:
    """Read rows to score, a batch at a time in constant memory; a target column may be there and is not looked at.

    Args:
        path: .csv, .csv.gz, .zip with a `test.csv`, or .parquet; columns are found by name, in any order.
        problem: says which columns.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    columns = Columns(problem.features, _ids(problem), [problem.target])
    yield from (rows for rows, _ in _rows(path, problem, columns, "test.csv"))


def _ids(problem: Problem) -> list[str]:
    return [problem.id] if problem.id else []


def _rows(path: Path, problem: Problem, columns: Columns, member: str) -> Iterator[tuple[Rows, pa.RecordBatch]]:
    """A table's rows, and its texts beside them, a batch at a time."""
    seen = 0
    for features, named, texts in batches(path, columns, member, partial(_cells, problem, columns)):
        ids = named if problem.id else range(seen, seen + len(features))
        yield Rows(np.array(ids, dtype=np.str_), features), texts
        seen += len(features)
    if not seen:
        raise DataError(f"{path} has a header and no rows; a table needs at least one row below its header.")


def _cells(
    problem: Problem, columns: Columns, batch: pa.RecordBatch
) -> tuple[NDArray[np.float32], list[str], pa.RecordBatch]:
    """A batch's features, all finite, the ids of its rows if they have such, and its texts."""
    features = _features(problem, batch)
    ids: list[str] = batch[problem.id].to_pylist() if problem.id else []
    if problem.id and not all(ids):
        raise bad_cell(next(row for row, name in enumerate(ids) if not name), problem.id, "an id", "an empty cell")
    return features, ids, batch.select(columns.texts)


def _features(problem: Problem, batch: pa.RecordBatch) -> NDArray[np.float32]:
    numbers = batch.select(problem.features).to_tensor(null_to_nan=True, row_major=True).to_numpy()
    with np.errstate(over="ignore"):
        features: NDArray[np.float32] = numbers.astype(np.float32)
    bad = np.isinf(features) if problem.allow_missing else ~np.isfinite(features)
    if bad.any():
        row, column = (int(place) for place in np.argwhere(bad)[0])
        name = problem.features[column]
        cell = batch[name][row].as_py()
        found = "an empty cell" if cell is None else f"{cell}, which is no finite 32-bit float"
        raise bad_cell(row, name, "a number", found)
    return features


def _target(path: Path, problem: Problem, spelled: pa.ChunkedArray) -> NDArray[np.int8]:
    """Labels as 0 and 1; both must occur, and nothing else."""
    spelled = spelled.fill_null("")
    codes = pc.index_in(spelled, value_set=pa.array(problem.labels, pa.string()))
    if codes.null_count:
        row, values = int(np.argmax(codes.is_null().to_numpy())), sorted(spelled.unique().to_pylist())
        expected = " or ".join(map(repr, problem.labels))
        label = spelled[row].as_py()
        found = repr(label) if label else "an empty cell"
        found += f"; the column holds {listed(values)}"
        raise located(path, bad_cell(row, problem.target, expected, found))
    if len(codes.unique()) == 1:
        only = spelled[0].as_py()
        raise DataError(
            f"{path} has only {only!r} in column {problem.target!r}; a classifier needs rows of both classes."
        )
    return np.asarray(codes, dtype=np.int8)


def _refuse_repeated(path: Path, ids: NDArray[np.str_]) -> None:
    names = ids.tolist()
    if len(set(names)) < len(names):
        first, times = Counter(names).most_common(1)[0]
        raise DataError(f"{path} has the id {first!r} {times} times; every row needs an id of its own.")
