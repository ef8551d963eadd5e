"""The input tensors of a request: their names, shapes and cells."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple

from tabserve.encoding.numbers import Values
from tabserve.errors import InvalidRequest
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.datatypes import Packed
from tabserve.serving.protocol.json_numbers import Numbers
from tabserve.wording import listed, shown


class Input(NamedTuple):
    """An input tensor; its members have the right types, but may not fit each other."""

    name: str
    datatype: str
    shape: list[int]
    data: Values | Numbers | Packed


def named(tensor: Input, word: str = "Input") -> str:
    """A tensor's name and shape, as the beginning of a message."""
    return f"{word} {shown(tensor.name)} has shape {shown(tensor.shape)}"


def is_column(tensor: Input) -> bool:
    """Whether a tensor has one value per row."""
    return tensor.shape[1:] in ([], [1])


def by_column(inputs: list[Input], problem: Problem, expected: Callable[[], str]) -> dict[str, Input]:
    """The inputs by the names of the columns, all of them of as many rows; the id's, where it is there, is left out.

    Args:
        inputs: at least one. A column that may be missing may be left out.
        problem: names the columns.
        expected: what they should be, for a sentence; called only for an error.

    Raises:
        InvalidRequest: their names or shapes are others.
    """
    needed = [column.name for column in problem.columns if not column.missing]

    def advice() -> str:
        if len(needed) == len(problem.features):
            return expected()
        return expected() + (f", of which {listed(needed)} must be there" if needed else ", at least one of them")

    given = _by_name(inputs, problem, needed, advice)
    columns = {name: given[name] for name in problem.features if name in given}
    if not columns:
        raise InvalidRequest(f"The request has no inputs for the columns; {advice()}.")
    first = next(iter(columns.values()))
    for tensor in columns.values():
        _check_column(tensor, first)
    return columns


def _by_name(
    inputs: list[Input], problem: Problem, needed: Iterable[str], advice: Callable[[], str]
) -> dict[str, Input]:
    """The inputs by their names: each a feature or the id, none of them twice, and among them what is needed."""
    names = [tensor.name for tensor in inputs]
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InvalidRequest(f"The request has more than one input named {listed(repeated)}; name each column once.")
    given, known = set(names), {*problem.features, problem.id}
    if extra := [name for name in names if name not in known]:
        raise InvalidRequest(f"The request has inputs that are no features: {listed(extra)}; {advice()}.")
    if missing := [name for name in needed if name not in given]:
        raise InvalidRequest(f"The request has no inputs for the features {listed(missing)}; {advice()}.")
    return dict(zip(names, inputs, strict=True))


def _check_column(column: Input, first: Input) -> None:
    """Refuse a tensor that is not a column with as many rows as the first."""
    if not is_column(column):
        raise InvalidRequest(f"{named(column)}; expected [rows] or [rows, 1], as it is one column of several.")
    if column.shape[0] != first.shape[0]:
        raise InvalidRequest(
            f"{named(column)}, and {named(first, 'input')}; expected the same number of rows in every column."
        )


def cells(tensor: Input) -> Values:
    """The values of a tensor without packed texts, in row-major order, from flat or nested data.

    Raises:
        InvalidRequest: the data do not fit the shape.
    """
    assert not isinstance(tensor.data, Packed)
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
