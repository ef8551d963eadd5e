"""Make features of the inputs of a model over numbers: one tensor of all columns, or one tensor per column."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.numbers import DATATYPES, RECAST, Values, check_fits_datatype, check_numbers, from_tensor
from tabserve.errors import InvalidRequest
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.json_numbers import UNUSUAL, Numbers
from tabserve.serving.protocol.signature import Features, InputKind
from tabserve.serving.protocol.tensors import Input, by_column, describe_shape, flat_values, is_column
from tabserve.wording import listed, shown

INPUT = "predict"
"""The name of the one input tensor in the metadata; a request may use any other."""


def inputs(problem: Problem) -> dict[str, InputKind]:
    """The input of the metadata: one tensor, whose columns have names."""
    missing = tuple(column.name for column in problem.columns if column.missing)
    return {INPUT: InputKind("FP32", len(problem.columns), names=problem.features, missing=missing)}


def features(tensors: list[Input], problem: Problem) -> Features:
    """Make features of one tensor of any name and of shape [rows, features], or of one tensor per feature.

    A value of a column that may be missing may be null or NaN, and its tensor may be left out. The problem's id column
    may be there.

    Raises:
        InvalidRequest: the names, shapes, datatypes or values are not those of the problem's features.
    """
    if len(tensors) > 1 or _is_column(tensors[0], problem):
        return _one_chunk(_stack_columns(tensors, problem))
    (tensor,) = tensors
    _check_matrix(tensor, problem)
    if isinstance(tensor.data, Numbers):
        return Features(tensor.shape[0], _parse_chunks(tensor, tensor.data, problem))
    return _one_chunk(_matrix(tensor, problem))


def quick_features(_inputs: list[Any]) -> Features | None:
    """None, as `features` is fast enough."""
    return None


def _one_chunk(values: NDArray[Any]) -> Features:
    return Features(len(values), [_to_float32(values)])


def _to_float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, order="C", copy=False)


def _is_column(tensor: Input, problem: Problem) -> bool:
    return is_column(tensor) and tensor.name in problem.features


def _check_matrix(tensor: Input, problem: Problem) -> None:
    if len(tensor.shape) != 2 or tensor.shape[1] != len(problem.features):
        raise InvalidRequest(
            f"{describe_shape(tensor)}; expected [rows, {len(problem.features)}], one column for each feature."
        )
    _check_datatype(tensor.name, tensor.datatype)


def _matrix(tensor: Input, problem: Problem) -> NDArray[Any]:
    """The values of a tensor of shape [rows, features]."""
    return _refuse_missing(_check(_values(tensor), 0, tensor, problem).reshape(tensor.shape), 0, problem)


def _parse_chunks(tensor: Input, text: Numbers, problem: Problem) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of a long text as their numbers are parsed.

    If the text holds something other than numbers, the general parser makes the last chunk of all rows that are left.
    """
    rows, width = tensor.shape
    values, parsed, yielded = np.empty(rows * width, np.float32), 0, 0  # cells parsed, rows yielded
    with suppress(*UNUSUAL):
        for piece in text.cells():
            values[parsed : parsed + len(piece)] = _check(piece, parsed, tensor, problem)
            parsed += len(piece)
            yield _refuse_missing(
                values[yielded * width : parsed - parsed % width].reshape(-1, width), yielded, problem
            )
            yielded = parsed // width
        if parsed == len(values):
            return
    yield _to_float32(_matrix(tensor, problem)[yielded:])


def _check(values: Values, start: int, tensor: Input, problem: Problem) -> NDArray[Any]:
    """Validate values of a tensor, of which `start` is the index of the first."""

    def position(cell: int) -> str:
        row, column = divmod(start + cell, len(problem.features))
        return _position(problem.features[column], row)

    return from_tensor(values, tensor.datatype, position, allow_missing=any(problem.missing))


def _refuse_missing(values: NDArray[Any], start: int, problem: Problem) -> NDArray[Any]:
    """Return the rows, of which `start` is the index of the first, or refuse a missing value in a required column.

    Where no column may be missing, `_check` has already refused missing values.
    """
    if any(problem.missing) and not all(problem.missing):
        bad = np.isnan(values) & ~np.array(problem.missing)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise InvalidRequest(
                f"{_position(problem.features[column], start + row)} is null or NaN; expected a number."
            )
    return values


def _stack_columns(tensors: list[Input], problem: Problem) -> NDArray[np.float64]:
    """The values of one tensor per feature, in the order of the features; NaN where a tensor is left out."""
    expected = f"expected one tensor, or one for each of the {len(problem.features)} features"
    columns = by_column(tensors, problem, expected.__str__)
    rows = next(iter(columns.values())).shape[0]

    def position(cell: int) -> str:
        return _position(problem.features[cell // rows], cell % rows)

    parts = [_column_values(columns[name], problem) if name in columns else [None] * rows for name in problem.features]
    flat = list(chain.from_iterable(part.tolist() if isinstance(part, np.ndarray) else part for part in parts))
    values = check_numbers(flat, position, allow_missing=any(problem.missing))
    for start, name in zip(range(0, len(flat), rows), problem.features, strict=True):
        if name in columns:
            check_fits_datatype(columns[name].datatype, values[start : start + rows], start, position)
    return _refuse_missing(values.reshape(len(problem.features), rows).T, 0, problem)


def _column_values(column: Input, problem: Problem) -> Values:
    """The values of a column; those of a datatype in `RECAST` are converted to numbers."""
    values = _values(column)
    if column.datatype not in RECAST:
        return values
    return from_tensor(values, column.datatype, partial(_position, column.name), allow_missing=any(problem.missing))


def _position(column: str, row: int) -> str:
    return f"Row {row}, column {column!r},"


def _check_datatype(name: str, datatype: str) -> None:
    if datatype not in DATATYPES:
        raise InvalidRequest(
            f"Input {shown(name)} has datatype {shown(datatype)}; expected one of {listed(DATATYPES)}."
        )


def _values(tensor: Input) -> Values:
    """The values of a tensor of numbers, in row-major order."""
    _check_datatype(tensor.name, tensor.datatype)
    return flat_values(tensor)
