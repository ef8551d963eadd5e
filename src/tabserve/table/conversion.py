"""Convert the batches of a table to rows and frames: the columns that a problem reads, and what their cells become."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tabserve.encoding.cells import Cells, Distinct, is_missing
from tabserve.encoding.dates import Dates
from tabserve.encoding.encoder import Encoder
from tabserve.encoding.numbers import FLOAT32_MAX
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.table.columns import Columns, bad_cell, naming_rows
from tabserve.table.frame import Frame, Rows
from tabserve.wording import listed


def training_columns(problem: Problem) -> Columns:
    """The columns of a labelled table."""
    numbers, texts = _by_type(problem)
    texts += filter(None, (problem.id, problem.group, problem.time if problem.time not in texts else None))
    (numbers if problem.task.AMOUNT else texts).append(problem.target)
    levels = [*Encoder.learned_columns(problem), *filter(None, [problem.target, problem.group])]
    return Columns(numbers, texts, problem.ignored, levels, problem.blanks)


def scoring_columns(problem: Problem) -> Columns:
    """The columns of a table whose rows are to be scored; it needs those whose cells may not be missing."""
    numbers, texts = _by_type(problem)
    texts += filter(None, [problem.id])
    others = [name for name in (problem.target, problem.group, problem.time) if name and name not in texts]
    optional = [column.name for column in problem.columns if column.missing]
    levels = Encoder.learned_columns(problem)
    return Columns(numbers, texts, [*others, *problem.ignored], levels, problem.blanks, optional)


def _by_type(problem: Problem) -> tuple[list[str], list[str]]:
    """The names of the columns that are read as numbers, and of those that are read as text."""
    return (
        [column.name for column in problem.columns if not column.as_text],
        [column.name for column in problem.columns if column.as_text],
    )


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


def narrowed(problem: Problem, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its numbers as the 32-bit floats that their features are, in half the memory.

    A column with a number that is too large stays as it is, for `batch_to_rows` to refuse.
    """
    numbers, _ = _by_type(problem)
    narrow = {name: batch[name].cast(pa.float32(), safe=False) for name in numbers if _fits(batch[name])}
    return pa.record_batch([narrow.get(name, batch[name]) for name in batch.schema.names], batch.schema.names)


def _fits(numbers: pa.DoubleArray) -> bool:
    return bool(pc.all(pc.less_equal(pc.abs(numbers), FLOAT32_MAX)).as_py())


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


def row_numbers(first: int, rows: int) -> NDArray[np.object_]:
    """The numbers of rows, which files without ids count from 1, as messages do; shape (rows,)."""
    return np.arange(first, first + rows).astype(np.object_)


def parse_moments(batch: pa.RecordBatch, name: str) -> NDArray[np.datetime64]:
    """The dates of a column, in days, or in seconds if they have times; shape (rows,).

    Raises:
        BadRow: a cell is not a date, or has another format than the first; the error names the first row.
    """
    cells = required_texts(batch, name, "a date").tolist()
    with naming_rows(name):
        dates = Dates.as_written(Column(name, "date"), cells)
        return dates.moments(cells).astype("M8[s]" if dates.hours else "M8[D]")


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
