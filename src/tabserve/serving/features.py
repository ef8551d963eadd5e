"""The inputs of a request into features: one tensor of all columns, or one tensor for each."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest
from tabserve.problem import Problem
from tabserve.serving.parser import UNUSUAL, Numbers
from tabserve.serving.values import DATATYPES, Values, check_whole, numbers
from tabserve.serving.wording import listed, shown


class Input(NamedTuple):
    """A tensor of a request: its parts have the right types, and are not yet compared with each other."""

    name: str
    datatype: str
    shape: list[int]
    data: Values | Numbers


class Features(NamedTuple):
    """The features of a request.

    Attributes:
        rows: how many they are.
        parts: float32, shape (some rows, features); to be taken once. Those of a long text are parsed, validated and
            refused (InvalidRequest) while they are taken.
    """

    rows: int
    parts: Iterable[NDArray[np.float32]]


def features(inputs: list[Input], problem: Problem) -> Features:
    """The features in the inputs that `tensors.read` describes.

    Raises:
        InvalidRequest: their names, shapes, datatypes or values are not those of the problem's features.
    """
    if len(inputs) > 1 or _is_column(inputs[0], problem):
        return _at_once(_columns(inputs, problem))
    (tensor,) = inputs
    _check_matrix(tensor, problem)
    if isinstance(tensor.data, Numbers):
        return Features(tensor.shape[0], _parsed(tensor, tensor.data, problem))
    return _at_once(_matrix(tensor, problem))


def _at_once(values: NDArray[Any]) -> Features:
    return Features(len(values), [_float32(values)])


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, order="C", copy=False)


def named(tensor: Input, word: str = "Input") -> str:
    """A tensor's name and shape, as a sentence begins."""
    return f"{word} {shown(tensor.name)} has shape {shown(tensor.shape)}"


def _is_column(tensor: Input, problem: Problem) -> bool:
    return tensor.shape[1:] in ([], [1]) and tensor.name in problem.features


def _check_matrix(tensor: Input, problem: Problem) -> None:
    if len(tensor.shape) != 2 or tensor.shape[1] != len(problem.features):
        raise InvalidRequest(f"{named(tensor)}; expected [rows, {len(problem.features)}], one column for each feature.")
    _check_datatype(tensor.name, tensor.datatype)


def _matrix(tensor: Input, problem: Problem) -> NDArray[Any]:
    """The values of the one tensor of shape [rows, features]."""
    return _checked(_cells(tensor), 0, tensor, problem).reshape(tensor.shape)


def _parsed(tensor: Input, text: Numbers, problem: Problem) -> Iterator[NDArray[np.float32]]:
    """The same of a long text, row by row as its numbers are parsed; all that are left, if it holds something else."""
    rows, width = tensor.shape
    values, found, given = np.empty(rows * width, np.float32), 0, 0
    with suppress(*UNUSUAL):
        for piece in text.cells():
            values[found : found + len(piece)] = _checked(piece, found, tensor, problem)
            found += len(piece)
            yield values[given * width : found - found % width].reshape(-1, width)
            given = found // width
        if found == len(values):
            return
    yield _float32(_matrix(tensor, problem)[given:])


def _checked(values: Values, start: int, tensor: Input, problem: Problem) -> NDArray[Any]:
    """Values of the tensor, from the cell `start` on."""

    def place(cell: int) -> str:
        row, column = divmod(start + cell, len(problem.features))
        return f"Row {row}, column {problem.features[column]!r},"

    found = numbers(values, place, allow_missing=problem.allow_missing)
    check_whole(tensor.datatype, found, 0, place)
    return found


def _columns(inputs: list[Input], problem: Problem) -> NDArray[np.float64]:
    """The values of one tensor for each feature, put in the features' order by name."""
    _check_names([tensor.name for tensor in inputs], problem)
    by_name = {tensor.name: tensor for tensor in inputs}
    columns = [by_name[name] for name in problem.features]
    rows = columns[0].shape[0]
    for column in columns:
        _check_column(column, columns[0])

    def place(cell: int) -> str:
        return f"Row {cell % rows}, column {problem.features[cell // rows]!r},"

    parts = map(_cells, columns)
    cells = list(chain.from_iterable(part.tolist() if isinstance(part, np.ndarray) else part for part in parts))
    values = numbers(cells, place, allow_missing=problem.allow_missing)
    for start, column in zip(range(0, len(cells), rows), columns, strict=True):
        check_whole(column.datatype, values[start : start + rows], start, place)
    return values.reshape(len(columns), rows).T


def _check_names(names: list[str], problem: Problem) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InvalidRequest(f"The request has more than one input named {listed(repeated)}; name each column once.")
    expected = f"expected one tensor, or one for each of the {len(problem.features)} features"
    given, known = set(names), {*problem.features, problem.id}
    if extra := [name for name in names if name not in known]:
        raise InvalidRequest(f"The request has inputs that are no features: {listed(extra)}; {expected}.")
    if missing := [name for name in problem.features if name not in given]:
        raise InvalidRequest(f"The request has no inputs for the features {listed(missing)}; {expected}.")


def _check_column(column: Input, first: Input) -> None:
    if column.shape[1:] not in ([], [1]):
        raise InvalidRequest(f"{named(column)}; expected [rows] or [rows, 1], as it is one column of several.")
    if column.shape[0] != first.shape[0]:
        raise InvalidRequest(
            f"{named(column)}, and {named(first, 'input')}; expected the same number of rows in every column."
        )


def _check_datatype(name: str, datatype: str) -> None:
    if datatype not in DATATYPES:
        raise InvalidRequest(
            f"Input {shown(name)} has datatype {shown(datatype)}; expected one of {listed(DATATYPES)}."
        )


def _cells(tensor: Input) -> Values:
    """The tensor's values in row-major order, from flat or nested data."""
    _check_datatype(tensor.name, tensor.datatype)
    data = tensor.data.plain() if isinstance(tensor.data, Numbers) else tensor.data
    rows, width = tensor.shape[0], tensor.shape[-1] if len(tensor.shape) > 1 else 1
    if len(tensor.shape) > 1 and len(data) == rows and isinstance(data[0], list):
        return _unnested(tensor, data, width)
    if len(data) != rows * width:
        nested = f", or {rows} if nested" if len(tensor.shape) > 1 else ""
        expected = f"expected data of length {rows * width}{nested}"
        raise InvalidRequest(f"{named(tensor)}; {expected}, found {len(data)}.")
    return data


def _unnested(tensor: Input, data: Values, width: int) -> list[Any]:
    for number, row in enumerate(data):
        if not isinstance(row, list):
            raise InvalidRequest(f"{named(tensor)}; expected row {number} as a list, found {shown(row)}.")
        if len(row) != width:
            raise InvalidRequest(f"{named(tensor)}; expected row {number} of length {width}, found {len(row)}.")
    return list(chain.from_iterable(data))
