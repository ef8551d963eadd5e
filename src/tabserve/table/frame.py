"""A table on disk in, validated arrays out."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabserve.encoding.categories import MAX_CHARACTERS, MAX_LEVELS
from tabserve.encoding.cells import BadCell, Cells, described, is_missing
from tabserve.encoding.dates import Dates
from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.table.columns import Columns, bad_cell
from tabserve.table.reader import batches, column_names
from tabserve.wording import listed

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
    """Rows with their target.

    Attributes:
        target: what the problem's task makes of each cell: int8, the index of its label, or float64, an amount;
            shape (rows,).
        problem: names the columns and the labels.
        encoder: made the features.
        group: of each row, where the problem has groups; shape (rows,).
        moment: of each row, where the problem has a time; a day, or a second where the column has times; shape (rows,).
    """

    target: NDArray[Any]
    problem: Problem
    encoder: Encoder
    group: NDArray[np.object_] | None = None
    moment: NDArray[np.datetime64] | None = None

    def take(self, rows: NDArray[np.int64]) -> "Frame":
        """The rows at these positions, in this order."""
        group = None if self.group is None else self.group[rows]
        moment = None if self.moment is None else self.moment[rows]
        features, target = self.features[rows], self.target[rows]
        return replace(self, ids=self.ids[rows], features=features, target=target, group=group, moment=moment)

    def encoded_by(self, encoder: Encoder) -> "Frame":
        """The same rows; a level that the other encoder does not know is a missing one."""
        return replace(self, features=self.encoder.recode(self.features, encoder), encoder=encoder)


def read(path: Path, problem: Problem, ignored: Collection[str] = ()) -> Frame:
    """Read a labelled table whole, whose rows are each called by another id.

    Args:
        path: .csv, .csv.gz, .zip with a `train.csv`, or .parquet; columns are found by name, in any order.
        problem: says which columns, and how labels are spelled.
        ignored: columns that may be there and are not read.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    frame = read_repeated(path, problem, ignored)
    _refuse_repeated(path, frame.ids)
    return frame


def read_repeated(path: Path, problem: Problem, ignored: Collection[str] = ()) -> Frame:
    """Read as `read` does a table in which several rows may have the same id."""
    columns, member = to_train(problem, ignored), "train.csv"
    encoder = learn(path, problem, columns, member)
    parts = _parts(path, problem, columns, member, partial(labelled, problem, encoder))
    frame = _joined(path, parts, problem, encoder)
    refuse_empty(path, frame)
    refuse_one_target(path, frame)
    return frame


def read_to_measure(path: Path, problem: Problem) -> Frame:
    """Read as `read` does rows that are measured and not split: their group and time may be there and are not read."""
    not_read = [name for name in (problem.group, problem.time) if name]
    frame = read(path, replace(problem, group=None, time=None), not_read)
    return replace(frame, problem=problem)


def stream(path: Path, problem: Problem, encoder: Encoder) -> Iterator[Rows]:
    """Read rows to score, a batch at a time in constant memory; a target column may be there and is not looked at.

    Args:
        path: .csv, .csv.gz, .zip with a `test.csv`, or .parquet; columns are found by name, in any order.
        problem: says which columns.
        encoder: makes their features.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
    """
    yield from _parts(path, problem, to_score(problem), "test.csv", partial(rows, problem, encoder))


def learn(path: Path, problem: Problem, columns: Columns, member: str) -> Encoder:
    """Learn from all rows, in constant memory, what the encoder must know; of numbers and texts it knows all already.

    Args:
        path: as for `read`.
        problem: says which columns.
        columns: what to read of the table.
        member: the csv inside a zip.

    Raises:
        DataError: a column has too many levels, or none.
    """
    names = Encoder.learned(problem)
    seen: dict[str, dict[str, None]] = {name: {} for name in names}
    if names:
        for batch in batches(path, columns.only(names), member, partial(_distinct, names)):
            for name, cells in batch.items():
                if len(seen[name]) <= MAX_LEVELS:
                    seen[name].update(dict.fromkeys(cells))
    try:
        return Encoder.learn(problem, {name: [*cells] for name, cells in seen.items()})
    except BadCell as error:
        raise DataError(f"{path}, column {error.column!r}: {error}.") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _distinct(names: list[str], batch: pa.RecordBatch) -> dict[str, list[str]]:
    for name in names:
        long = pc.fill_null(pc.greater(pc.utf8_length(batch[name]), MAX_CHARACTERS), False)
        if len(rows := np.flatnonzero(long)):
            cell = batch[name][int(rows[0])].as_py()
            raise bad_cell(rows, name, f"a text of at most {MAX_CHARACTERS} characters", described(cell))
    return {name: batch[name].unique().to_pylist() for name in names}


def to_train(problem: Problem, ignored: Collection[str] = ()) -> Columns:
    """The columns of a labelled table."""
    numbers, texts = _by_type(problem)
    texts += filter(None, (problem.id, problem.group, problem.time if problem.time not in texts else None))
    (numbers if problem.task.AMOUNT else texts).append(problem.target)
    return Columns(numbers, texts, [name for name in ignored if name not in {*numbers, *texts}])


def to_score(problem: Problem) -> Columns:
    """The columns of a table whose rows are to be scored."""
    numbers, texts = _by_type(problem)
    ignored = filter(None, (problem.target, problem.group, problem.time))
    return Columns(numbers, [*texts, *filter(None, [problem.id])], [*ignored])


def _by_type(problem: Problem) -> tuple[list[str], list[str]]:
    """The names of the columns that are read as numbers, and of those that are read as text."""
    return (
        [column.name for column in problem.columns if not column.as_text],
        [column.name for column in problem.columns if column.as_text],
    )


def has_target(path: Path, problem: Problem) -> bool:
    """Whether a table has the target's column, so that `read` takes it.

    Raises:
        DataError: the file cannot be read.
    """
    return problem.target in column_names(path, "train.csv")


def _parts(
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


def _joined(path: Path, parts: Iterator[Frame], problem: Problem, encoder: Encoder) -> Frame:
    """One frame of many, in memory that holds their features once: the array grows where it is."""
    first = next(parts)
    features, others = first.features.copy(), [_without_features(first)]
    for part in parts:
        above = len(features)
        features.resize((above + len(part), *features.shape[1:]), refcheck=False)
        features[above:] = part.features
        others.append(_without_features(part))
    return Frame(features=features, problem=problem, encoder=encoder, **_concatenated(path, others))


def _without_features(part: Frame) -> dict[str, NDArray[Any] | None]:
    """What else a part has of each row."""
    return {name: getattr(part, name) for name in ("ids", "target", "group", "moment")}


def _concatenated(path: Path, parts: list[dict[str, NDArray[Any] | None]]) -> dict[str, Any]:
    """What parts have of each row, together.

    Raises:
        DataError: some moments have a time and others none; within a part, the encoding of dates has refused that.
    """
    found: dict[str, Any] = {}
    for name in parts[0]:
        arrays = [array for part in parts if (array := part[name]) is not None]
        if name == "moment" and len({array.dtype for array in arrays}) > 1:
            raise DataError(
                f"{path} has dates with and without a time in the column that it is split by; write all alike."
            )
        found[name] = np.concatenate(arrays) if arrays else None
    return found


def labelled(problem: Problem, encoder: Encoder, batch: pa.RecordBatch) -> Frame:
    """The rows of a batch whose columns have the types of `to_train`.

    Raises:
        BadRow: naming the first row without an id or a label, or the first cell that its column does not take.
    """
    found = rows(problem, encoder, batch)
    group = filled(batch, problem.group, "a group") if problem.group else None
    moment = moments(batch, problem.time) if problem.time else None
    return Frame(found.ids, found.features, targets(problem, batch), problem, encoder, group, moment)


def rows(problem: Problem, encoder: Encoder, batch: pa.RecordBatch) -> Rows:
    """The rows of a batch whose columns have the types of `to_score`.

    Raises:
        BadRow: naming the first row without an id, or the first cell that its column does not take.
    """
    ids = filled(batch, problem.id, "an id") if problem.id else np.empty(len(batch), np.object_)
    return Rows(ids, _features(problem, encoder, batch))


def filled(batch: pa.RecordBatch, name: str, expected: str) -> NDArray[np.object_]:
    """A column of texts, none of which is empty, shape (rows,).

    Raises:
        BadRow: naming the first that is.
    """
    texts = np.array(batch[name].to_pylist(), np.object_)  # `to_numpy` imports pandas first
    if not texts.all():
        raise bad_cell(np.flatnonzero(~texts.astype(bool)), name, expected, "an empty cell")
    return texts


def moments(batch: pa.RecordBatch, name: str) -> NDArray[np.datetime64]:
    """When each row was: days where no cell has a time, seconds where each has one, shape (rows,).

    Raises:
        BadRow: naming the first row without a date, or with one of another format than the first.
    """
    cells = filled(batch, name, "a date").tolist()
    try:
        dates = Dates.learn(Column(name, "date"), cells)
        return dates.moments(cells).astype("M8[s]" if dates.hours else "M8[D]")
    except BadCell as error:
        raise bad_cell(error.rows, name, error.expected, error.found) from error


def _features(problem: Problem, encoder: Encoder, batch: pa.RecordBatch) -> NDArray[Any]:
    if encoder.numeric:
        return _numeric(problem, batch)
    try:
        return encoder.encode([_cells(batch[name]) for name in problem.features]).features
    except BadCell as error:
        raise bad_cell(error.rows, error.column or "", error.expected, error.found) from error


def _cells(column: pa.Array) -> Cells:
    """The cells of a column, as an encoder takes them."""
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    return column.to_pylist()  # type: ignore[no-any-return]


def _numeric(problem: Problem, batch: pa.RecordBatch) -> NDArray[np.float32]:
    """The features of columns of numbers alone, all finite, or missing where they may be."""
    numbers = batch.select(problem.features).to_tensor(null_to_nan=True, row_major=True).to_numpy()
    with np.errstate(over="ignore"):
        features: NDArray[np.float32] = numbers.astype(np.float32)
    bad = ~np.isfinite(features)
    if bad.any():
        bad &= ~(np.isnan(features) & [column.missing for column in problem.columns])
    if bad.any():
        rows = np.flatnonzero(bad.any(axis=1))
        name = problem.features[np.argmax(bad[rows[0]])]
        cell = batch[name][rows[0]].as_py()
        found = "an empty cell" if is_missing(cell) else f"{cell}, which is no finite 32-bit float"
        raise bad_cell(rows, name, "a number", found)
    return features


def targets(problem: Problem, batch: pa.RecordBatch) -> NDArray[Any]:
    """What the task makes of the target's cells, shape (rows,).

    Raises:
        BadRow: naming the first cell that is no target.
    """
    cells = batch[problem.target].to_pylist()
    target, bad = problem.task.target(cells)
    if len(bad):
        first = cells[bad[0]]
        found = "an empty cell" if is_missing(first) else repr(first)
        if problem.labels and len(held := {cell or "" for cell in cells}) > 1:  # a lone row says nothing of its column
            found += f"; the column holds {listed(sorted(held))}"
        raise bad_cell(bad, problem.target, problem.task.expected, found)
    return target


def _refuse_repeated(path: Path, ids: NDArray[np.object_]) -> None:
    if len(set(ids)) < len(ids):
        first, times = Counter(ids).most_common(1)[0]
        raise DataError(f"{path} has the id {first!r} {times} times; every row needs an id of its own.")


def refuse_empty(path: Path | str, frame: Frame) -> None:
    """Refuse a column of numbers that is empty throughout; an encoder refuses others.

    Raises:
        DataError: naming it.
    """
    may_be = {column.name for column in frame.problem.columns if column.missing and not column.as_text}
    for place, name in enumerate(frame.encoder.names):
        if name in may_be and np.isnan(frame.features[:, place]).all():
            raise DataError(f"{path}: Column {name!r} is empty throughout; leave it out.")


def refuse_one_target(path: Path | str, frame: Frame) -> None:
    """Refuse rows that all have the same target.

    Raises:
        DataError: naming it.
    """
    if len(found := np.unique(frame.target)) == 1:
        only, name = frame.problem.task.spelled(found[0]), frame.problem.target
        raise DataError(f"{path} has only {only} in column {name!r}; a model needs rows of different targets.")
