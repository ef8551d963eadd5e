"""V2 inference as plain data: request documents in, float32 features out; scores in, output tensors out.

The one place where a request is validated, and where the sentence that refuses it is written. A request is what a JSON
parser leaves of it (dicts, lists, strings, numbers, True, False, None), whichever transport brought it; the data of a
tensor may be a flat array as well.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, TooLarge
from tabserve.problem import Problem
from tabserve.scoring import Scores
from tabserve.serving.values import DATATYPES, Values, check_whole, numbers
from tabserve.serving.wording import listed, shown

MAX_ROWS = 10_000
"""Rows that one request may hold, unless the server's settings say otherwise."""

MAX_TENSORS = 100_000
"""Inputs or outputs that one request may hold, far more than any model has: each costs hundreds of bytes to look at."""

INPUT = "predict"
"""What the metadata calls the one input tensor; any other name does as well."""


class Output(NamedTuple):
    """An answered tensor: its V2 datatype and its values, of shape (rows, columns)."""

    name: str
    datatype: str
    values: NDArray[np.int64] | NDArray[np.float32]


class Request(NamedTuple):
    """A valid request.

    Attributes:
        features: float32, shape (rows, features).
        outputs: names of what it asks for, in its order.
        id: its own name for itself, if it has one.
    """

    features: NDArray[np.float32]
    outputs: tuple[str, ...]
    id: str | None


class Input(NamedTuple):
    """A tensor of a request: its parts have the right types, and are not yet compared with each other."""

    name: str
    datatype: str
    shape: list[int]
    data: Values


class OutputKind(NamedTuple):
    """What the model can be asked for: the V2 datatype, the number of columns, and the values of a batch of scores."""

    datatype: str
    columns: int
    values: Callable[[Scores], NDArray[np.int64] | NDArray[np.float32]]


OUTPUTS = {
    "predict": OutputKind("INT64", 1, lambda scores: scores.label[:, np.newaxis]),
    "predict_proba": OutputKind("FP32", 2, lambda scores: _both_classes(scores.probability)),
}
"""The label, and the probability of the negative and of the positive class."""


def read(document: object, problem: Problem, max_rows: int = MAX_ROWS) -> Request:
    """Validate a request.

    Args:
        document: `{"inputs": [...], "outputs": [...]}`. The inputs are either one tensor of any name and of shape
            [rows, features], or one tensor of shape [rows] or [rows, 1] for each feature, in any order; the problem's
            id column may stand beside them. The outputs, where there are any, name some of `OUTPUTS`.
        problem: names the features, and says whether a value may be missing (null or NaN).
        max_rows: rows that the request may hold.

    Raises:
        InvalidRequest: with one sentence that says what was expected and what came.
        TooLarge: it holds more rows.
    """
    request = _members(document, "The request", inputs=list)
    if not request["inputs"]:
        raise InvalidRequest("The request has no inputs; expected one tensor, or one for each feature.")
    check_count("inputs", len(request["inputs"]))
    inputs = [_input(item, f"inputs[{place}]") for place, item in enumerate(request["inputs"])]
    _check_rows(inputs, max_rows)
    outputs = _outputs(request.get("outputs"))
    matrix = _columns if len(inputs) > 1 or _is_column(inputs[0], problem) else _matrix
    return Request(matrix(inputs, problem).astype(np.float32, order="C", copy=False), outputs, _id(request.get("id")))


def answer(scores: Scores, outputs: Iterable[str]) -> list[Output]:
    """The named outputs, in this order."""
    return [Output(name, OUTPUTS[name].datatype, OUTPUTS[name].values(scores)) for name in outputs]


def _both_classes(probability: NDArray[np.float32]) -> NDArray[np.float32]:
    """As `np.column_stack` would, in half the time for one row."""
    both = np.empty((len(probability), 2), np.float32)
    both[:, 0], both[:, 1] = 1 - probability, probability
    return both


def check_count(name: str, count: int) -> None:
    """Refuse more inputs or outputs than a request may hold.

    Raises:
        InvalidRequest: there are more.
    """
    if count > MAX_TENSORS:
        raise InvalidRequest(f"The request has {count} {name}; expected at most {MAX_TENSORS}.")


def _members(document: object, place: str, **members: type | tuple[type, ...]) -> dict[str, Any]:
    """The document, if it is an object with members of these types."""
    if not isinstance(document, dict):
        raise InvalidRequest(f"{place} is {shown(document)}; expected an object with {', '.join(members)}.")
    for name, expected in members.items():
        if name not in document:
            raise InvalidRequest(f"{place} has no {name!r}; expected an object with {', '.join(members)}.")
        if not isinstance(document[name], expected):
            kind = "a string" if expected is str else "a list"
            raise InvalidRequest(f"{place} has {shown(document[name])} as its {name!r}; expected {kind}.")
    return document


def _input(item: object, place: str) -> Input:
    members = _members(item, place, name=str, datatype=str, shape=list, data=(list, np.ndarray))
    tensor = Input(members["name"], members["datatype"], members["shape"], members["data"])
    if not tensor.shape or not all([type(size) is int and size > 0 for size in tensor.shape]):  # noqa: C419  a list is faster
        raise InvalidRequest(f"{_named(tensor)}; a shape is a list of whole numbers, each at least 1.")
    if not isinstance(members.get("parameters"), dict | None):
        raise InvalidRequest(f"{place} has {shown(members['parameters'])} as its 'parameters'; expected an object.")
    return tensor


def _id(found: object) -> str | None:
    if found is None or isinstance(found, str):
        return found
    raise InvalidRequest(f"The request has {shown(found)} as its 'id'; expected a string.")


def _outputs(items: object) -> tuple[str, ...]:
    if items is None or items == []:
        return tuple(OUTPUTS)
    if not isinstance(items, list):
        raise InvalidRequest(f"The request has {shown(items)} as its 'outputs'; expected a list.")
    check_count("outputs", len(items))
    names = [_members(item, f"outputs[{place}]", name=str)["name"] for place, item in enumerate(items)]
    for name in names:
        if name not in OUTPUTS:
            raise InvalidRequest(f"Output {shown(name)} is unknown; this model answers {listed(OUTPUTS)}.")
        if (times := names.count(name)) > 1:
            raise InvalidRequest(f"Output {shown(name)} is asked for {times} times; name it once.")
    return tuple(names)


def _is_column(tensor: Input, problem: Problem) -> bool:
    return tensor.shape[1:] in ([], [1]) and tensor.name in problem.features


def _matrix(inputs: list[Input], problem: Problem) -> NDArray[np.float64]:
    """The values of the one tensor of shape [rows, features]."""
    (tensor,), width = inputs, len(problem.features)
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise InvalidRequest(f"{_named(tensor)}; expected [rows, {width}], one column for each feature.")

    def place(cell: int) -> str:
        return f"Row {cell // width}, column {problem.features[cell % width]!r},"

    values = numbers(_cells(tensor), place, allow_missing=problem.allow_missing)
    check_whole(tensor.datatype, values, 0, place)
    return values.reshape(tensor.shape)


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
        raise InvalidRequest(f"{_named(column)}; expected [rows] or [rows, 1], as it is one column of several.")
    if column.shape[0] != first.shape[0]:
        raise InvalidRequest(
            f"{_named(column)}, and {_named(first, 'input')}; expected the same number of rows in every column."
        )


def _check_rows(inputs: list[Input], max_rows: int) -> None:
    rows = max(tensor.shape[0] for tensor in inputs)
    if rows > max_rows:
        raise TooLarge(f"The request has {shown(rows)} rows; send at most {max_rows} at a time.")


def _check_datatype(name: str, datatype: str) -> None:
    if datatype not in DATATYPES:
        raise InvalidRequest(
            f"Input {shown(name)} has datatype {shown(datatype)}; expected one of {listed(DATATYPES)}."
        )


def _cells(tensor: Input) -> Values:
    """The tensor's values in row-major order, from flat or nested data."""
    _check_datatype(tensor.name, tensor.datatype)
    rows, width = tensor.shape[0], tensor.shape[-1] if len(tensor.shape) > 1 else 1
    if len(tensor.shape) > 1 and len(tensor.data) == rows and isinstance(tensor.data[0], list):
        return _unnested(tensor, width)
    if len(tensor.data) != rows * width:
        nested = f", or {rows} if nested" if len(tensor.shape) > 1 else ""
        expected = f"expected data of length {rows * width}{nested}"
        raise InvalidRequest(f"{_named(tensor)}; {expected}, found {len(tensor.data)}.")
    return tensor.data


def _unnested(tensor: Input, width: int) -> list[Any]:
    for number, row in enumerate(tensor.data):
        if not isinstance(row, list):
            raise InvalidRequest(f"{_named(tensor)}; expected row {number} as a list, found {shown(row)}.")
        if len(row) != width:
            raise InvalidRequest(f"{_named(tensor)}; expected row {number} of length {width}, found {len(row)}.")
    return list(chain.from_iterable(tensor.data))


def _named(tensor: Input, word: str = "Input") -> str:
    return f"{word} {shown(tensor.name)} has shape {shown(tensor.shape)}"
