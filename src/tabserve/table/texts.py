"""A table of texts on disk in, validated texts out."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tabserve.encoding.ngrams import says_something
from tabserve.problem.problem import Problem
from tabserve.table.columns import Columns, bad_cell
from tabserve.table.frame import Frame, filled, ids, parts, targets


def read(path: Path, problem: Problem, ignored: Collection[str] = ()) -> Frame:
    """Read a labelled table of texts whole.

    Args:
        path: .csv, .csv.gz, .zip with a `train.csv`, or .parquet; columns are found by name, in any order.
        problem: says which columns, and how labels are spelled.
        ignored: columns that may be there and are not read.

    Returns:
        A frame whose features are the texts of each row, joined by a space; the same id may stand in several rows.

    Raises:
        DataError: naming the file and, where there is one, the row and column.
        UsageError: the problem says that values may be missing.
    """
    problem.check_texts()
    wanted = [*problem.features, problem.target, *filter(None, (problem.id, problem.group))]
    columns = Columns((), wanted, [name for name in ignored if name not in wanted])
    return joined(list(parts(path, problem, columns, "train.csv", partial(labelled, problem))))


def joined(frames: list[Frame]) -> Frame:
    """The rows of several frames of one problem, at least one, in their order."""
    first = frames[0]
    groups = [frame.group for frame in frames if frame.group is not None]
    ids, features, target = (np.concatenate(each) for each in zip(*map(_arrays, frames), strict=True))
    return Frame(ids, features, target, first.problem, np.concatenate(groups) if groups else None)


def first_of_each(frame: Frame) -> Frame:
    """The first row of each id."""
    first = {each: row for row, each in reversed([*enumerate(frame.ids)])}
    return frame.take(np.sort(np.fromiter(first.values(), np.int64)))


def labelled(problem: Problem, batch: pa.RecordBatch) -> Frame:
    """The frame of a batch of texts.

    Raises:
        BadRow: naming the first cell that is not what it should be.
    """
    group = filled(batch, problem.group, "a group") if problem.group else None
    return Frame(ids(problem, batch), _texts(problem, batch), targets(problem, batch), problem, group)


def _arrays(frame: Frame) -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.int8]]:
    return frame.ids, frame.features, frame.target


def _texts(problem: Problem, batch: pa.RecordBatch) -> NDArray[np.object_]:
    """The texts of each row, joined; the first of them says something."""
    needed, *others = (batch[name].to_pylist() for name in problem.features)
    if silent := [row for row, text in enumerate(needed) if not says_something(text or "")]:
        found = repr(needed[silent[0]] or "")
        raise bad_cell(silent, problem.features[0], "a text with letters or digits", found)
    rows = zip(needed, *others, strict=True)
    return np.array([" ".join(filter(None, row)) for row in rows], np.object_)
