"""V2 inference as plain data: request documents in, float32 features out; scores in, output tensors out.

The one place where a request is validated, and where the sentence that refuses it is written. A request is what a JSON
parser leaves of it (dicts, lists, strings, numbers, True, False, None), whichever transport brought it.
"""

import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest
from tabserve.problem import Problem
from tabserve.scoring import Scores

MAX_ROWS = 10_000
"""Rows that one request may hold."""

INPUT = "predict"
"""What the metadata calls the one input tensor; any other name does as well."""

INTEGERS = {f"{sign}{bits}": np.iinfo(f"{sign}{bits}".lower()) for sign in ("INT", "UINT") for bits in (8, 16, 32, 64)}

DATATYPES = ("FP32", "FP64", *INTEGERS)

FLOAT32_MAX = float(np.finfo(np.float32).max)


class Output(NamedTuple):
    """An answered tensor: its V2 datatype and its values, of shape (rows, columns)."""

    name: str
    datatype: str
    values: NDArray[np.int64] | NDArray[np.float32]


class Request(NamedTuple):
    """A valid request: float32 features of shape (rows, features), and the outputs it asks for, in its order."""

    features: NDArray[np.float32]
    outputs: tuple[str, ...]


class Input(NamedTuple):
    """A tensor of a request: its parts have the right types, and are not yet compared with each other."""

    name: str
    datatype: str
    shape: list[int]
    data: list[Any]


class OutputKind(NamedTuple):
    """What the model can be asked for: the V2 datatype, the number of columns, and the values of a batch of scores."""

    datatype: str
    columns: int
    values: Callable[[Scores], NDArray[np.int64] | NDArray[np.float32]]


OUTPUTS = {
    "predict": OutputKind("INT64", 1, lambda scores: scores.label[:, np.newaxis]),
    "predict_proba": OutputKind(
        "FP32", 2, lambda scores: np.column_stack([1 - scores.probability, scores.probability])
    ),
}
"""The label, and the probability of the negative and of the positive class."""


def read(document: object, problem: Problem) -> Request:
    """Validate a request.

    Args:
        document: `{"inputs": [...], "outputs": [...]}`. The inputs are either one tensor of any name and of shape
            [rows, features], or one tensor of shape [rows] or [rows, 1] for each feature, in any order; the problem's
            id column may stand beside them. The outputs, where there are any, name some of `OUTPUTS`.
        problem: names the features, and says whether a value may be missing (null or NaN).

    Raises:
        InvalidRequest: with one sentence that says what was expected and what came.
    """
    request = _members(document, "The request", inputs=list)
    if not request["inputs"]:
        raise InvalidRequest("The request has no inputs; expected one tensor, or one for each feature.")
    inputs = [_input(item, f"inputs[{place}]") for place, item in enumerate(request["inputs"])]
    outputs = _outputs(request.get("outputs"))
    matrix = _columns if len(inputs) > 1 or _is_column(inputs[0], problem) else _matrix
    return Request(matrix(inputs, problem).astype(np.float32, order="C"), outputs)


def answer(scores: Scores, outputs: Iterable[str]) -> list[Output]:
    """The named outputs, in this order."""
    return [Output(name, OUTPUTS[name].datatype, OUTPUTS[name].values(scores)) for name in outputs]


def _members(document: object, place: str, **members: type) -> dict[str, Any]:
    """The document, if it is an object with members of these types."""
    if not isinstance(document, dict):
        raise InvalidRequest(f"{place} is {_shown(document)}; expected an object with {', '.join(members)}.")
    for name, expected in members.items():
        if name not in document:
            raise InvalidRequest(f"{place} has no {name!r}; expected an object with {', '.join(members)}.")
        if not isinstance(document[name], expected):
            kind = "a list" if expected is list else "a string"
            raise InvalidRequest(f"{place} has {_shown(document[name])} as its {name!r}; expected {kind}.")
    return document


def _input(item: object, place: str) -> Input:
    members = _members(item, place, name=str, datatype=str, shape=list, data=list)
    tensor = Input(*(members[name] for name in Input._fields))
    if not tensor.shape or any(type(size) is not int or size < 1 for size in tensor.shape):
        raise InvalidRequest(f"{_named(tensor)}; a shape is a list of whole numbers, each at least 1.")
    return tensor


def _outputs(items: object) -> tuple[str, ...]:
    if items is None or items == []:
        return tuple(OUTPUTS)
    if not isinstance(items, list):
        raise InvalidRequest(f"The request has {_shown(items)} as its 'outputs'; expected a list.")
    names = [_members(item, f"outputs[{place}]", name=str)["name"] for place, item in enumerate(items)]
    for name, times in Counter(names).items():
        if name not in OUTPUTS:
            raise InvalidRequest(f"Output {_shown(name)} is unknown; this model answers {_listed(OUTPUTS)}.")
        if times > 1:
            raise InvalidRequest(f"Output {_shown(name)} is asked for {times} times; name it once.")
    return tuple(names)


def _is_column(tensor: Input, problem: Problem) -> bool:
    return tensor.shape[1:] in ([], [1]) and tensor.name in problem.features


def _matrix(inputs: list[Input], problem: Problem) -> NDArray[np.float64]:
    """The values of the one tensor of shape [rows, features]."""
    (tensor,), width = inputs, len(problem.features)
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise InvalidRequest(f"{_named(tensor)}; expected [rows, {width}], one column for each feature.")
    _check_rows(tensor.shape[0])

    def place(cell: int) -> str:
        return f"Row {cell // width}, column {problem.features[cell % width]!r},"

    values = _numbers(_cells(tensor), place, allow_missing=problem.allow_missing)
    _check_whole(tensor.datatype, values, 0, place)
    return values.reshape(tensor.shape)


def _columns(inputs: list[Input], problem: Problem) -> NDArray[np.float64]:
    """The values of one tensor for each feature, put in the features' order by name."""
    _check_names([tensor.name for tensor in inputs], problem)
    by_name = {tensor.name: tensor for tensor in inputs}
    columns = [by_name[name] for name in problem.features]
    rows = columns[0].shape[0]
    for column in columns:
        _check_column(column, columns[0])
    _check_rows(rows)

    def place(cell: int) -> str:
        return f"Row {cell % rows}, column {problem.features[cell // rows]!r},"

    cells = list(chain.from_iterable(map(_cells, columns)))
    values = _numbers(cells, place, allow_missing=problem.allow_missing)
    for start, column in zip(range(0, len(cells), rows), columns, strict=True):
        _check_whole(column.datatype, values[start : start + rows], start, place)
    return values.reshape(len(columns), rows).T


def _check_names(names: list[str], problem: Problem) -> None:
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InvalidRequest(f"The request has more than one input named {_listed(repeated)}; name each column once.")
    expected = f"expected one tensor, or one for each of the {len(problem.features)} features"
    given, known = set(names), {*problem.features, problem.id}
    if extra := [name for name in names if name not in known]:
        raise InvalidRequest(f"The request has inputs that are no features: {_listed(extra)}; {expected}.")
    if missing := [name for name in problem.features if name not in given]:
        raise InvalidRequest(f"The request has no inputs for the features {_listed(missing)}; {expected}.")


def _check_column(column: Input, first: Input) -> None:
    if column.shape[1:] not in ([], [1]):
        raise InvalidRequest(f"{_named(column)}; expected [rows] or [rows, 1], as it is one column of several.")
    if column.shape[0] != first.shape[0]:
        raise InvalidRequest(
            f"{_named(column)}, and {_named(first, 'input')}; expected the same number of rows in every column."
        )


def _check_rows(rows: int) -> None:
    if rows > MAX_ROWS:
        raise InvalidRequest(f"The request has {_shown(rows)} rows; send at most {MAX_ROWS} at a time.")


def _cells(tensor: Input) -> list[Any]:
    """The tensor's values in row-major order, from flat or nested data."""
    if tensor.datatype not in DATATYPES:
        raise InvalidRequest(
            f"Input {_shown(tensor.name)} has datatype {_shown(tensor.datatype)}; expected one of {_listed(DATATYPES)}."
        )
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
            raise InvalidRequest(f"{_named(tensor)}; expected row {number} as a list, found {_shown(row)}.")
        if len(row) != width:
            raise InvalidRequest(f"{_named(tensor)}; expected row {number} of length {width}, found {len(row)}.")
    return list(chain.from_iterable(tensor.data))


def _numbers(cells: list[Any], place: Callable[[int], str], *, allow_missing: bool) -> NDArray[np.float64]:
    """The cells as float64, if each is a number that float32 can hold (or, where allowed, null or NaN)."""
    if set(map(type, cells)) <= {float, int, *([type(None)] if allow_missing else [])}:
        with suppress(OverflowError):
            values = np.array(cells, dtype=np.float64)
            if ((np.abs(values) <= FLOAT32_MAX) | (allow_missing & np.isnan(values))).all():
                return values
    complaints = (_complaint(cell, allow_missing=allow_missing) for cell in cells)
    cell, complaint = next((cell, complaint) for cell, complaint in enumerate(complaints) if complaint)
    raise InvalidRequest(f"{place(cell)} {complaint}.")


def _complaint(cell: object, *, allow_missing: bool) -> str:
    """What is wrong with a cell, or nothing."""
    if cell is None or cell != cell:  # noqa: PLR0124  only NaN differs from itself
        return "" if allow_missing else f"is {_shown(cell)}; this model needs a number for every feature"
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return f"is {_shown(cell)}; expected a number"
    if cell in (np.inf, -np.inf):
        return f"is {_shown(cell)}; expected a finite number"
    return "" if abs(cell) <= FLOAT32_MAX else f"is {_shown(cell)}; a 32-bit float reaches only {FLOAT32_MAX:.4g}"


def _check_whole(datatype: str, values: NDArray[np.float64], start: int, place: Callable[[int], str]) -> None:
    """Refuse what an integer datatype cannot hold; the values are the cells from `start` on."""
    if datatype in INTEGERS:
        low, high = float(INTEGERS[datatype].min), float(INTEGERS[datatype].max)
        fits = ((values == np.floor(values)) & (values >= low) & (values <= high)) | np.isnan(values)
        if not fits.all():
            cell = int(np.argmin(fits))
            found = _shown(float(values[cell]))
            raise InvalidRequest(
                f"{place(start + cell)} is {found}; its tensor's datatype {datatype} cannot hold that."
            )


class _Json(reprlib.Repr):
    """Shows a value as JSON would, shortened."""

    def repr_NoneType(self, _value: None, _level: int) -> str:  # noqa: N802  reprlib finds it by this name
        return "null"

    def repr_bool(self, value: bool, _level: int) -> str:
        return str(value).lower()

    def repr_int(self, value: int, _level: int) -> str:
        return str(value) if value.bit_length() <= 64 else "an integer of more than 64 bits"

    def repr_float(self, value: float, _level: int) -> str:
        return repr(value).replace("nan", "NaN").replace("inf", "Infinity")


_json = _Json()
_json.maxstring, _json.maxother = 60, 60


def _shown(value: object) -> str:
    return _json.repr(value)


def _named(tensor: Input, word: str = "Input") -> str:
    return f"{word} {_shown(tensor.name)} has shape {_shown(tensor.shape)}"


def _listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    shown: Sequence[str] = [_shown(name) for name in names]
    more = f" and {len(shown) - 12} more" if len(shown) > 12 else ""
    return ", ".join(shown[:12]) + more
