"""The input tensors of a request: their names, shapes and values."""

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
    """An input tensor whose members have the right types, but may not fit each other."""

    name: str
    datatype: str
    shape: list[int]
    data: Values | Numbers | Packed


def describe_shape(tensor: Input, word: str = "Input") -> str:
    """The name and shape of a tensor, as the beginning of a message."""
    return f"{word} {shown(tensor.name)} has shape {shown(tensor.shape)}"


def is_column(tensor: Input) -> bool:
    """Whether a tensor has one value per row."""
    return tensor.shape[1:] in ([], [1])


def by_column(inputs: list[Input], problem: Problem, expected: Callable[[], str]) -> dict[str, Input]:
    """The inputs by column name, all with the same number of rows; an input for the id is dropped.

    Args:
        inputs: at least one. A column that may be missing may be left out.
        problem: names the columns.
        expected: describes the expected inputs; called only for an error message.

    Raises:
        InvalidRequest: an input is unknown, repeated or missing, or has another shape.
    """
    required = [column.name for column in problem.columns if not column.missing]

    def advice() -> str:
        if len(required) == len(problem.features):
            return expected()
        return expected() + (f", of which {listed(required)} must be there" if required else ", at least one of them")

    named = _by_name(inputs, problem, required, advice)
    columns = {name: named[name] for name in problem.features if name in named}
    if not columns:
        raise InvalidRequest(f"The request has no inputs for the columns; {advice()}.")
    first = next(iter(columns.values()))
    for tensor in columns.values():
        _check_column(tensor, first)
    return columns


def _by_name(
    inputs: list[Input], problem: Problem, required: Iterable[str], advice: Callable[[], str]
) -> dict[str, Input]:
    """The inputs by name; an unknown, repeated or missing name is refused."""
    names = [tensor.name for tensor in inputs]
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InvalidRequest(f"The request has more than one input named {listed(repeated)}; name each column once.")
    present, known = set(names), {*problem.features, problem.id}
    if extra := [name for name in names if name not in known]:
        raise InvalidRequest(f"The request has inputs that are no features: {listed(extra)}; {advice()}.")
    if missing := [name for name in required if name not in present]:
        raise InvalidRequest(f"The request has no inputs for the features {listed(missing)}; {advice()}.")
    return dict(zip(names, inputs, strict=True))


def _check_column(column: Input, first: Input) -> None:
    """Refuse a tensor that is not a column with as many rows as the first."""
    if not is_column(column):
        raise InvalidRequest(f"{describe_shape(column)}; expected [rows] or [rows, 1], as it is one column of several.")
    if column.shape[0] != first.shape[0]:
        raise InvalidRequest(
            f"{describe_shape(column)}, and {describe_shape(first, 'input')};"
            " expected the same number of rows in every column."
        )


def flat_values(tensor: Input) -> Values:
    """The values of a tensor in row-major order, from flat or nested data that are not packed texts.

    Raises:
        InvalidRequest: the data do not fit the shape.
    """
    assert not isinstance(tensor.data, Packed)
    data = tensor.data.plain() if isinstance(tensor.data, Numbers) else tensor.data
    rows, width = tensor.shape[0], tensor.shape[-1] if len(tensor.shape) > 1 else 1
    if len(tensor.shape) > 1 and len(data) == rows and isinstance(data[0], list):
        return _flatten(tensor, data, width)
    if len(data) != rows * width:
        nested = f", or {rows} if nested" if len(tensor.shape) > 1 else ""
        expected = f"expected data of length {rows * width}{nested}"
        raise InvalidRequest(f"{describe_shape(tensor)}; {expected}, found {len(data)}.")
    return data


def _flatten(tensor: Input, data: Values, width: int) -> list[Any]:
    """Join lists of `width` values each."""
    for number, row in enumerate(data):
        if not isinstance(row, list):
            raise InvalidRequest(f"{describe_shape(tensor)}; expected row {number} as a list, found {shown(row)}.")
        if len(row) != width:
            raise InvalidRequest(
                f"{describe_shape(tensor)}; expected row {number} of length {width}, found {len(row)}."
            )
    return list(chain.from_iterable(data))
