"""Inputs of a model over numbers alone, into features: one tensor of all columns, or one tensor for each."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.numbers import DATATYPES, RECAST, Values, check_held, numbers, read
from tabserve.errors import InvalidRequest
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.json_numbers import UNUSUAL, Numbers
from tabserve.serving.protocol.signature import Features, InputKind
from tabserve.serving.protocol.tensors import Input, by_column, cells, is_column, named
from tabserve.wording import listed, shown

INPUT = "predict"
"""What the metadata calls the one input tensor; any other name does as well."""


def inputs(problem: Problem) -> dict[str, InputKind]:
    """What a model is asked with: one tensor, whose columns have names."""
    missing = tuple(column.name for column in problem.columns if column.missing)
    return {INPUT: InputKind("FP32", len(problem.columns), names=problem.features, missing=missing)}


def features(given: list[Input], problem: Problem) -> Features:
    """The features in one tensor of any name and of shape [rows, features], or in one for each feature.

    A value of a column that may be missing may be null or NaN, and its tensor may be left out. The problem's id column
    may stand beside the columns.

    Raises:
        InvalidRequest: their names, shapes, datatypes or values are not those of the problem's features.
    """
    if len(given) > 1 or _is_column(given[0], problem):
        return _at_once(_columns(given, problem))
    (tensor,) = given
    _check_matrix(tensor, problem)
    if isinstance(tensor.data, Numbers):
        return Features(tensor.shape[0], _parsed(tensor, tensor.data, problem))
    return _at_once(_matrix(tensor, problem))


def quick(_inputs: list[Any]) -> Features | None:
    """None: `features` is quick enough."""
    return None


def _at_once(values: NDArray[Any]) -> Features:
    return Features(len(values), [_float32(values)])


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, order="C", copy=False)


def _is_column(tensor: Input, problem: Problem) -> bool:
    return is_column(tensor) and tensor.name in problem.features


def _check_matrix(tensor: Input, problem: Problem) -> None:
    if len(tensor.shape) != 2 or tensor.shape[1] != len(problem.features):
        raise InvalidRequest(f"{named(tensor)}; expected [rows, {len(problem.features)}], one column for each feature.")
    _check_datatype(tensor.name, tensor.datatype)


def _matrix(tensor: Input, problem: Problem) -> NDArray[Any]:
    """The values of the one tensor of shape [rows, features]."""
    return _complete(_checked(_cells(tensor), 0, tensor, problem).reshape(tensor.shape), 0, problem)


def _parsed(tensor: Input, text: Numbers, problem: Problem) -> Iterator[NDArray[np.float32]]:
    """The same of a long text, row by row as its numbers are parsed; all that are left, if it holds something else."""
    rows, width = tensor.shape
    values, found, given = np.empty(rows * width, np.float32), 0, 0
    with suppress(*UNUSUAL):
        for piece in text.cells():
            values[found : found + len(piece)] = _checked(piece, found, tensor, problem)
            found += len(piece)
            yield _complete(values[given * width : found - found % width].reshape(-1, width), given, problem)
            given = found // width
        if found == len(values):
            return
    yield _float32(_matrix(tensor, problem)[given:])


def _checked(values: Values, start: int, tensor: Input, problem: Problem) -> NDArray[Any]:
    """Values of the tensor, from the cell `start` on."""

    def place(cell: int) -> str:
        row, column = divmod(start + cell, len(problem.features))
        return _place(problem.features[column], row)

    return read(values, tensor.datatype, place, allow_missing=any(problem.missing))


def _complete(values: NDArray[Any], start: int, problem: Problem) -> NDArray[Any]:
    """Rows, from the one at `start` on, unless a value is missing in a column that has none while others have some."""
    if any(problem.missing) and not all(problem.missing):
        bad = np.isnan(values) & ~np.array(problem.missing)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise InvalidRequest(f"{_place(problem.features[column], start + row)} is null or NaN; expected a number.")
    return values


def _columns(given: list[Input], problem: Problem) -> NDArray[np.float64]:
    """The values of one tensor for each feature, put in the features' order by name; NaN where one is left out."""
    expected = f"expected one tensor, or one for each of the {len(problem.features)} features"
    columns = by_column(given, problem, expected.__str__)
    rows = next(iter(columns.values())).shape[0]

    def place(cell: int) -> str:
        return _place(problem.features[cell // rows], cell % rows)

    parts = [_column(columns[name], problem) if name in columns else [None] * rows for name in problem.features]
    flat = list(chain.from_iterable(part.tolist() if isinstance(part, np.ndarray) else part for part in parts))
    values = numbers(flat, place, allow_missing=any(problem.missing))
    for start, name in zip(range(0, len(flat), rows), problem.features, strict=True):
        if name in columns:
            check_held(columns[name].datatype, values[start : start + rows], start, place)
    return _complete(values.reshape(len(problem.features), rows).T, 0, problem)


def _column(column: Input, problem: Problem) -> Values:
    """The values of a column: numbers already where they are not what they say, such as true."""
    values = _cells(column)
    if column.datatype not in RECAST:
        return values
    return read(values, column.datatype, partial(_place, column.name), allow_missing=any(problem.missing))


def _place(column: str, row: int) -> str:
    return f"Row {row}, column {column!r},"


def _check_datatype(name: str, datatype: str) -> None:
    if datatype not in DATATYPES:
        raise InvalidRequest(
            f"Input {shown(name)} has datatype {shown(datatype)}; expected one of {listed(DATATYPES)}."
        )


def _cells(tensor: Input) -> Values:
    """The tensor's values in row-major order."""
    _check_datatype(tensor.name, tensor.datatype)
    return cells(tensor)
