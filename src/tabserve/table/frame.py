"""Read a table from disk into validated arrays."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabserve.encoding.categories import MAX_CHARACTERS, MAX_LEVELS
from tabserve.encoding.cells import BadCell, Cells, Distinct, describe_cell, is_missing
from tabserve.encoding.dates import Dates
from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.table.columns import Columns, bad_cell, check_names, naming_rows, no_rows
from tabserve.table.reader import batches, column_names
from tabserve.table.source import Source, TableLike, as_source
from tabserve.wording import listed

Batch = TypeVar("Batch", bound="Rows")

PER_ROW = ("ids", "features", "target", "group", "moment", "content")
"""The fields of a frame that have an entry for each row."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to score.

    Attributes:
        ids: texts, shape (rows,).
        features: float32, shape (rows, features), or texts, shape (rows,).
        new_levels: of each column of categories with any, the levels that the encoder lacks, and how many rows have
            each; a frame is kept and transformed, so it has none.
    """

    ids: NDArray[np.object_]
    features: NDArray[Any]
    new_levels: Mapping[str, Counter[str]] = field(default_factory=dict, kw_only=True)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Frame(Rows):
    """Rows with their target.

    Attributes:
        target: shape (rows,); int8, the index of each row's label, or float64, its amount.
        problem: names the columns and the labels.
        encoder: made the features.
        group: shape (rows,), if the problem has groups.
        moment: shape (rows,), if the problem has a time; in days, or in seconds if the column has times.
        content: a whole number that only copies of a row have in common, shape (rows,), if it is known.
    """

    target: NDArray[Any]
    problem: Problem
    encoder: Encoder
    group: NDArray[np.object_] | None = None
    moment: NDArray[np.datetime64] | None = None
    content: NDArray[np.int64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The rows with these indices, in this order."""
        arrays = {name: getattr(self, name) for name in PER_ROW}
        return replace(self, **{name: array[rows] for name, array in arrays.items() if array is not None})

    def narrowed_encoder(self) -> Encoder:
        """The encoder with only the levels that occur in these rows."""
        return self.encoder.narrow(self.features)

    def with_encoder(self, encoder: Encoder) -> Self:
        """The same rows with the features of another encoder; a level that it does not know becomes missing."""
        return replace(self, features=self.encoder.recode(self.features, encoder), encoder=encoder)


def read(
    table: TableLike, problem: Problem, encoder: Encoder | None = None, *, drop_empty_target: bool = False
) -> Frame:
    """Read a whole labelled table, whose ids must be unique.

    Args:
        table: a path (.csv, .csv.gz, .zip with a `train.csv`, or .parquet), a frame of pandas or polars, or an Arrow
            table; columns are found by name, in any order.
        problem: names the columns and the labels.
        encoder: makes the features; None to learn one from the table.
        drop_empty_target: whether rows without a target are left out; they are refused otherwise.

    Raises:
        DataError: the table is invalid; the message names the file and, if there is one, the row and column.
    """
    source = as_source(table)
    frame = read_with_repeated_ids(source, problem, encoder, drop_empty_target=drop_empty_target)
    if problem.id:
        _refuse_repeated(source.name, frame.ids)
    return frame


def read_with_repeated_ids(
    table: TableLike, problem: Problem, encoder: Encoder | None = None, *, drop_empty_target: bool = False
) -> Frame:
    """As `read`, but several rows may have the same id."""
    source, columns = as_source(table), training_columns(problem)
    encoder = encoder or learn_encoder(source, problem, columns)
    convert = partial(batch_to_frame, problem, encoder, allow_empty_target=drop_empty_target)
    frames = map(_with_target, _read_batches(source, problem, columns, convert))
    frame = _concatenate_frames(source.name, frames, problem, encoder)
    refuse_one_target(source.name, frame)
    refuse_empty(source.name, frame)
    return frame


def read_to_measure(table: TableLike, problem: Problem, encoder: Encoder | None = None) -> Frame:
    """As `read`, for rows that are measured and not split: the columns of the group and the time are not read."""
    others = [name for name in (problem.group, problem.time) if name and name not in problem.features]
    frame = read(table, replace(problem, group=None, time=None, ignored=(*problem.ignored, *others)), encoder)
    return replace(frame, problem=problem)


def stream(table: TableLike, problem: Problem, encoder: Encoder) -> Iterator[Rows]:
    """Read rows to score, batch by batch in constant memory; a target column is ignored.

    Args:
        table: a path (.csv, .csv.gz, .zip with a `test.csv`, or .parquet), a frame of pandas or polars, or an Arrow
            table; columns are found by name, in any order.
        problem: names the columns.
        encoder: makes the features.

    Raises:
        DataError: the table is invalid; the message names the file and, if there is one, the row and column.
    """
    source = as_source(table, "test.csv")
    yield from _read_batches(source, problem, scoring_columns(problem), partial(batch_to_rows, problem, encoder))


def learn_encoder(source: Source, problem: Problem, columns: Columns) -> Encoder:
    """Learn the encoder from all rows, in constant memory; columns of numbers and texts need no reading.

    Args:
        source: the table.
        problem: names the columns.
        columns: the columns of the table.

    Raises:
        DataError: a column is invalid, empty, or has too many levels.
    """
    names = Encoder.learned_columns(problem)
    seen: dict[str, pa.StringArray] = {}
    if names:
        check_names(source.name, column_names(source), columns)
        for batch in batches(source, columns.only(names), partial(distinct_texts, names)):
            seen = add_texts(seen, batch)
        _refuse_no_rows(source, sum(map(len, seen.values())))
    return encoder_of_texts(source.name, problem, seen)


def encoder_of_texts(table: str, problem: Problem, texts: Mapping[str, pa.StringArray]) -> Encoder:
    """The encoder of a problem, given the distinct texts of each column that it is learned from.

    Raises:
        DataError: a column is invalid, empty, or has too many levels; the message names the table.
    """
    try:
        return Encoder.learn(problem, {name: cells.to_pylist() for name, cells in texts.items()})
    except BadCell as error:
        raise DataError(f"{table}, column {error.column!r}: {error}.") from error
    except DataError as error:
        raise DataError(f"{table}: {error}") from error


def add_texts(seen: Mapping[str, pa.StringArray], more: Mapping[str, pa.StringArray]) -> dict[str, pa.StringArray]:
    """The distinct texts of each column of both, in this order; none are added to more than `MAX_LEVELS`."""
    added = dict(seen)
    for name, texts in more.items():
        known = seen.get(name, texts[:0])
        if len(known) <= MAX_LEVELS:
            new = texts.filter(pc.invert(pc.is_in(texts, known)))
            added[name] = pa.concat_arrays([known, new]) if len(new) else known
    return added


def distinct_texts(names: list[str], batch: pa.RecordBatch) -> dict[str, pa.StringArray]:
    """The distinct texts of each of these columns, in the order of the rows.

    Raises:
        BadRow: a text is too long.
    """
    distinct = {name: batch[name].unique().dictionary_decode() for name in names}
    for name, texts in distinct.items():
        if (pc.max(pc.utf8_length(texts)).as_py() or 0) > MAX_CHARACTERS:
            cells = batch[name].to_pylist()
            rows = [row for row, cell in enumerate(cells) if cell and len(cell) > MAX_CHARACTERS]
            expected = f"a text of at most {MAX_CHARACTERS} characters"
            raise bad_cell(rows, name, expected, describe_cell(cells[rows[0]]))
    return distinct


def training_columns(problem: Problem) -> Columns:
    """The columns of a labelled table."""
    numbers, texts = _by_type(problem)
    texts += filter(None, (problem.id, problem.group, problem.time if problem.time not in texts else None))
    (numbers if problem.task.AMOUNT else texts).append(problem.target)
    levels = [*Encoder.learned_columns(problem), *filter(None, [problem.target, problem.group])]
    return Columns(numbers, texts, problem.ignored, levels, problem.blanks)


def scoring_columns(problem: Problem) -> Columns:
    """The columns of a table whose rows are to be scored."""
    numbers, texts = _by_type(problem)
    texts += filter(None, [problem.id])
    others = [name for name in (problem.target, problem.group, problem.time) if name and name not in texts]
    return Columns(numbers, texts, [*others, *problem.ignored], Encoder.learned_columns(problem), problem.blanks)


def _by_type(problem: Problem) -> tuple[list[str], list[str]]:
    """The names of the columns that are read as numbers, and of those that are read as text."""
    return (
        [column.name for column in problem.columns if not column.as_text],
        [column.name for column in problem.columns if column.as_text],
    )


def has_target(table: TableLike, problem: Problem) -> bool:
    """Whether a table has the target column, as `read` needs; only the header is read.

    Raises:
        DataError: the file cannot be read.
    """
    return problem.target in column_names(as_source(table))


def _read_batches(
    source: Source, problem: Problem, columns: Columns, convert: Callable[[pa.RecordBatch], Batch]
) -> Iterator[Batch]:
    """Read and convert a table batch by batch; without an id column, rows get their index as their id.

    Raises:
        DataError: the table is invalid; the message names the file and, if there is one, the row and column.
    """
    count = 0
    for batch in batches(source, columns, convert):
        yield batch if problem.id else replace(batch, ids=_row_numbers(count, len(batch)))
        count += len(batch)
    _refuse_no_rows(source, count)


def _refuse_no_rows(source: Source, rows: int) -> None:
    if not rows:
        raise no_rows(source.name)


def _row_numbers(start: int, rows: int) -> NDArray[np.object_]:
    return np.array([*map(str, range(start, start + rows))], np.object_)


def _concatenate_frames(name: str, frames: Iterator[Frame], problem: Problem, encoder: Encoder) -> Frame:
    """Concatenate frames, and hold their features in memory only once: the array grows in place."""
    first = next(frames)
    features, others = first.features.copy(), [_other_fields(first)]
    for frame in frames:
        start = len(features)
        features.resize((start + len(frame), *features.shape[1:]), refcheck=False)
        features[start:] = frame.features
        others.append(_other_fields(frame))
    return Frame(features=features, problem=problem, encoder=encoder, **_concatenate_fields(name, others))


def _other_fields(frame: Frame) -> dict[str, NDArray[Any] | None]:
    """The arrays of a frame other than its features, by name."""
    return {name: getattr(frame, name) for name in PER_ROW if name != "features"}


def _concatenate_fields(table: str, frames: list[dict[str, NDArray[Any] | None]]) -> dict[str, Any]:
    """Concatenate the arrays of each name.

    Raises:
        DataError: some frames have moments with a time, and others without; `parse_moments` refuses both in one batch.
    """
    fields: dict[str, Any] = {}
    for name in frames[0]:
        arrays = [array for frame in frames if (array := frame[name]) is not None]
        if name == "moment" and len({array.dtype for array in arrays}) > 1:
            raise mixed_moments(table)
        fields[name] = np.concatenate(arrays) if arrays else None
    return fields


def mixed_moments(table: str) -> DataError:
    """The error of a table some of whose moments have a time."""
    return DataError(f"{table} has dates with and without a time in the column that it is split by; write all alike.")


def _with_target(frame: Frame) -> Frame:
    """The rows that have a target; the same frame if all have one."""
    has_one = ~np.isnan(frame.target) if frame.problem.task.AMOUNT else frame.target >= 0
    return frame if has_one.all() else frame.take(np.flatnonzero(has_one))


def batch_to_frame(
    problem: Problem, encoder: Encoder, batch: pa.RecordBatch, *, allow_empty_target: bool = False
) -> Frame:
    """Convert a batch with the columns of `training_columns` to a frame.

    An empty target that is allowed is NaN, or -1 in place of a label.

    Raises:
        BadRow: a row lacks its id or its target, or a column cannot hold a cell; the error names the first row.
    """
    rows = batch_to_rows(problem, encoder, batch)
    group = required_texts(batch, problem.group, "a group") if problem.group else None
    moment = parse_moments(batch, problem.time) if problem.time else None
    target = parse_targets(problem, batch, allow_empty=allow_empty_target)
    return Frame(rows.ids, rows.features, target, problem, encoder, group, moment)


def batch_to_rows(problem: Problem, encoder: Encoder, batch: pa.RecordBatch) -> Rows:
    """Convert a batch with the columns of `scoring_columns` to rows.

    Raises:
        BadRow: a row lacks its id, or a column cannot hold a cell; the error names the first row.
    """
    ids = required_texts(batch, problem.id, "an id") if problem.id else np.empty(len(batch), np.object_)
    if encoder.numeric:
        return Rows(ids, _numeric(problem, batch))
    cells = [_cells(batch[name]) for name in problem.features]
    with naming_rows():
        features, unseen = encoder.encode(cells)
    return Rows(ids, features, new_levels=encoder.unseen_levels(cells, unseen) if unseen else {})


def required_texts(batch: pa.RecordBatch, name: str, expected: str) -> NDArray[np.object_]:
    """The cells of a column of texts, none of which may be empty; shape (rows,).

    Raises:
        BadRow: a cell is empty; the error names the first row.
    """
    cells = _cells(batch[name])
    texts: NDArray[np.object_] = np.array(cells.values if isinstance(cells, Distinct) else cells, np.object_)
    if isinstance(cells, Distinct):
        texts = texts[cells.indices]
    if not texts.all():
        raise bad_cell(np.flatnonzero(~texts.astype(bool)), name, expected, "an empty cell")
    return texts


def parse_moments(batch: pa.RecordBatch, name: str) -> NDArray[np.datetime64]:
    """The dates of a column, in days, or in seconds if they have times; shape (rows,).

    Raises:
        BadRow: a cell is not a date, or has another format than the first; the error names the first row.
    """
    cells = required_texts(batch, name, "a date").tolist()
    with naming_rows(name):
        dates = Dates.as_written(Column(name, "date"), cells)
        return dates.moments(cells).astype("M8[s]" if dates.hours else "M8[D]")


def _cells(column: pa.Array) -> Cells | Distinct:
    """The cells of a column, in a form that the encoder takes."""
    if pa.types.is_floating(column.type):
        tensor = pa.record_batch([column], [""]).to_tensor(null_to_nan=True)
        return tensor.to_numpy()[:, 0]  # type: ignore[no-any-return]
    if pa.types.is_dictionary(column.type):
        values, indices = column.dictionary.to_pylist(), column.indices
        if indices.null_count:
            values, indices = [*values, None], indices.fill_null(len(values))
        return Distinct(values, np.from_dlpack(indices).astype(np.int32))  # `to_numpy` imports pandas first
    return column.to_pylist()  # type: ignore[no-any-return]


def _numeric(problem: Problem, batch: pa.RecordBatch) -> NDArray[np.float32]:
    """The features of a batch of numbers; each must be finite, or missing where that is allowed."""
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


def parse_targets(problem: Problem, batch: pa.RecordBatch, *, allow_empty: bool = False) -> NDArray[Any]:
    """The target of each row, converted by the problem's task; shape (rows,). One that may be empty is NaN or -1 then.

    Raises:
        BadRow: a cell is not a target of the task; the error names the first row.
    """
    cells = _cells(batch[problem.target])
    if isinstance(cells, Distinct):
        target, bad = problem.task.target(cells.values)
        if not len(bad):
            return target[cells.indices]  # type: ignore[no-any-return]  # an array by an array
    cells = batch[problem.target].to_pylist()
    target, bad = problem.task.target(cells)
    if allow_empty:
        bad = bad[[not is_missing(cells[row]) for row in bad]]
    if len(bad):
        first = cells[bad[0]]
        found = "an empty cell" if is_missing(first) else repr(first)
        if (
            problem.labels and len(present := {cell or "" for cell in cells}) > 1
        ):  # a single row tells nothing about its column
            found += f"; the column holds {listed(sorted(present))}"
        raise bad_cell(bad, problem.target, problem.task.expected, found)
    return target


def _refuse_repeated(name: str, ids: NDArray[np.object_]) -> None:
    """Refuse ids that are not unique."""
    if len(set(ids)) < len(ids):
        first, times = Counter(ids).most_common(1)[0]
        raise DataError(f"{name} has the id {first!r} {times} times; every row needs an id of its own.")


def refuse_empty(table: str, frame: Frame) -> None:
    """Refuse a column of numbers that is empty throughout; the encoder refuses empty columns of other kinds.

    Raises:
        DataError: a column is empty; the message names it.
    """
    numbers = {column.name for column in frame.problem.columns if column.missing and not column.as_text}
    for index, name in enumerate(frame.encoder.names):
        column = frame.features[:, index]
        if name in numbers and np.isnan(column[0]) and np.isnan(column).all():
            raise DataError(f"{table}: Column {name!r} is empty throughout; leave it out.")


def refuse_one_target(table: str, frame: Frame) -> None:
    """Refuse rows that all have the same target.

    Raises:
        DataError: all rows have the same target; the message names it.
    """
    if not len(targets := np.unique(frame.target)):
        raise DataError(f"{table} has no row with a target in column {frame.problem.target!r}.")
    if len(targets) == 1:
        only, name = frame.problem.task.spelled(targets[0]), frame.problem.target
        raise DataError(f"{table} has only {only} in column {name!r}; a model needs rows of different targets.")
