"""V2 inference as plain data: request documents in, float32 features out; scores in, output tensors out.

The one place where a request is validated, and where the sentence that refuses it is written. A request is what a JSON
parser leaves of it (dicts, lists, strings, numbers, True, False, None), whichever transport brought it; the data of a
tensor may be a flat array as well.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, TooLarge
from tabserve.problem import Problem
from tabserve.scoring import Scores
from tabserve.serving.features import Features, Input, features, named
from tabserve.serving.parser import Numbers
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
        outputs: names of what it asks for, in its order.
        id: its own name for itself, if it has one.
    """

    features: Features
    outputs: tuple[str, ...]
    id: str | None


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
    return Request(features(inputs, problem), outputs, _id(request.get("id")))


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
    members = _members(item, place, name=str, datatype=str, shape=list, data=(list, np.ndarray, Numbers))
    tensor = Input(members["name"], members["datatype"], members["shape"], members["data"])
    if not tensor.shape or not all([type(size) is int and size > 0 for size in tensor.shape]):  # noqa: C419  a list is faster
        raise InvalidRequest(f"{named(tensor)}; a shape is a list of whole numbers, each at least 1.")
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


def _check_rows(inputs: list[Input], max_rows: int) -> None:
    rows = max(tensor.shape[0] for tensor in inputs)
    if rows > max_rows:
        raise TooLarge(f"The request has {shown(rows)} rows; send at most {max_rows} at a time.")
