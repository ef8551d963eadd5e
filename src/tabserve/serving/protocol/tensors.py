"""The tensors of a request beside each other: their names, their shapes, and the cells of each."""

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
    """A tensor of a request: its parts have the right types, and are not yet compared with each other."""

    name: str
    datatype: str
    shape: list[int]
    data: Values | Numbers | Packed


def named(tensor: Input, word: str = "Input") -> str:
    """A tensor's name and shape, as a sentence begins."""
    return f"{word} {shown(tensor.name)} has shape {shown(tensor.shape)}"


def is_column(tensor: Input) -> bool:
    """Whether it has one value for each row."""
    return tensor.shape[1:] in ([], [1])


def by_name(
    inputs: list[Input], problem: Problem, needed: Iterable[str], expected: Callable[[], str]
) -> dict[str, Input]:
    """The inputs by their names: each a feature or the id, none of them twice, and among them what is needed.

    Raises:
        InvalidRequest: they are not so; with what is `expected`, which is asked for only then.
    """
    names = [tensor.name for tensor in inputs]
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InvalidRequest(f"The request has more than one input named {listed(repeated)}; name each column once.")
    given, known = set(names), {*problem.features, problem.id}
    if extra := [name for name in names if name not in known]:
        raise InvalidRequest(f"The request has inputs that are no features: {listed(extra)}; {expected()}.")
    if missing := [name for name in needed if name not in given]:
        raise InvalidRequest(f"The request has no inputs for the features {listed(missing)}; {expected()}.")
    return dict(zip(names, inputs, strict=True))


def check_column(column: Input, first: Input) -> None:
    """Refuse what is no column as long as the first one.

    Raises:
        InvalidRequest: it has another shape.
    """
    if not is_column(column):
        raise InvalidRequest(f"{named(column)}; expected [rows] or [rows, 1], as it is one column of several.")
    if column.shape[0] != first.shape[0]:
        raise InvalidRequest(
            f"{named(column)}, and {named(first, 'input')}; expected the same number of rows in every column."
        )


def cells(tensor: Input) -> Values:
    """The values in row-major order of a tensor that holds no packed texts, from flat or nested data.

    Raises:
        InvalidRequest: they are more or fewer than its shape says, or nested otherwise.
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
