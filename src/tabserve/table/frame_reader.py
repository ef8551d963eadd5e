"""Read a whole table into a frame, or its rows batch by batch."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.problem.problem import Problem
from tabserve.table.columns import refuse_no_rows
from tabserve.table.conversion import batch_to_frame, batch_to_rows, row_numbers, scoring_columns, training_columns
from tabserve.table.frame import PER_ROW, Frame, Rows
from tabserve.table.frame_checks import mixed_moments, refuse_empty, refuse_one_target, refuse_repeated
from tabserve.table.learned_texts import learn_encoder
from tabserve.table.reader import batches, column_names, convert_kept
from tabserve.table.source import Source, TableLike, as_source

Batch = TypeVar("Batch", bound=Rows)


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
        refuse_repeated(source.name, frame.ids)
    return frame


def read_with_repeated_ids(
    table: TableLike, problem: Problem, encoder: Encoder | None = None, *, drop_empty_target: bool = False
) -> Frame:
    """As `read`, but several rows may have the same id."""
    source, columns = as_source(table), training_columns(problem)
    convert = partial(batch_to_frame, problem, allow_empty_target=drop_empty_target)
    if encoder is None and Encoder.learned_columns(problem):
        encoder, kept = learn_encoder(source, problem, columns, convert)
        frames = convert_kept(source, kept, partial(convert, encoder))
    else:
        encoder = encoder or Encoder.learn(problem, {})
        frames = batches(source, columns, partial(convert, encoder))
    with_target = map(_with_target, _numbered(source, problem, frames))
    frame = _concatenate_frames(source.name, with_target, problem, encoder)
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
    rows = batches(source, scoring_columns(problem), partial(batch_to_rows, problem, encoder))
    yield from _numbered(source, problem, rows)


def has_target(table: TableLike, problem: Problem) -> bool:
    """Whether a table has the target column, as `read` needs; only the header is read.

    Raises:
        DataError: the file cannot be read.
    """
    return problem.target in column_names(as_source(table))


def _numbered(source: Source, problem: Problem, parts: Iterable[Batch]) -> Iterator[Batch]:
    """Give rows their number as their id if the problem has no id column.

    Raises:
        DataError: there are no rows.
    """
    count = 0
    for part in parts:
        yield part if problem.id else replace(part, ids=row_numbers(count + 1, len(part)))
        count += len(part)
    refuse_no_rows(source.name, count)


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


def _with_target(frame: Frame) -> Frame:
    """The rows that have a target; the same frame if all have one."""
    has_one = ~np.isnan(frame.target) if frame.problem.task.AMOUNT else frame.target >= 0
    return frame if has_one.all() else frame.take(np.flatnonzero(has_one))
