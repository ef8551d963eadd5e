"""Validate V2 inference requests as plain data, and make their output tensors.

Requests are validated here alone, whatever transport they come by. A request is plain data as a JSON parser returns it;
the data of a tensor may also be a flat array, or packed texts.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.texts import is_encodable
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.model.decision import Scores
from tabserve.serving.protocol import parameters
from tabserve.serving.protocol.datatypes import Packed
from tabserve.serving.protocol.json_numbers import Numbers
from tabserve.serving.protocol.signature import Features, Signature
from tabserve.serving.protocol.tensors import Input, describe_shape
from tabserve.wording import listed, shown

MAX_ROWS = 10_000
"""Default of the most rows of a request."""

MAX_TENSORS = 100_000
"""Most inputs or outputs of a request, far more than any model has; each costs hundreds of bytes to validate."""


class Output(NamedTuple):
    """An output tensor: its name, V2 datatype and values of shape (rows, columns)."""

    name: str
    datatype: str
    values: NDArray[Any]


class Request(NamedTuple):
    """A valid request.

    Attributes:
        features: of its rows.
        outputs: the names of the outputs that it asks for, in its order.
        id: its own id, if it has one.
    """

    features: Features
    outputs: tuple[str, ...]
    id: str | None


def validate(document: object, signature: Signature, max_rows: int = MAX_ROWS) -> Request:
    """Validate a request.

    Args:
        document: `{"inputs": [...], "outputs": [...]}`; the outputs are optional and name some of the signature's.
        signature: of the model.
        max_rows: most rows.

    Raises:
        InvalidRequest: the message says in one sentence what was expected and what came.
        TooLarge: the request holds more rows.
    """
    request = _members(document, "The request", inputs=list)
    if "parameters" in request:
        parameters.check(request, "The request")
    if not request["inputs"]:
        raise InvalidRequest("The request has no inputs; expected one tensor, or one for each feature.")
    check_count("inputs", len(request["inputs"]))
    quick = signature.quick(request["inputs"])
    inputs = [] if quick else [_input(item, f"inputs[{index}]") for index, item in enumerate(request["inputs"])]
    rows = quick.rows if quick else max([tensor.shape[0] for tensor in inputs])
    _check_rows(rows, max_rows)
    outputs = _outputs(request.get("outputs"), signature, rows)
    return Request(quick or signature.features(inputs), outputs, _id(request.get("id")))


def answer(scores: Scores, outputs: Iterable[str], signature: Signature) -> list[Output]:
    """The output tensors of these names, in this order."""
    kinds = signature.outputs
    return [Output(name, kinds[name].datatype, kinds[name].values(scores)) for name in outputs]


def check_count(name: str, count: int) -> None:
    """Refuse too many inputs or outputs.

    Raises:
        InvalidRequest: there are more than `MAX_TENSORS`.
    """
    if count > MAX_TENSORS:
        raise InvalidRequest(f"The request has {count} {name}; expected at most {MAX_TENSORS}.")


def _members(document: object, place: str, **members: type | tuple[type, ...]) -> dict[str, Any]:
    """The document as an object with members of these types."""
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
    try:
        members = _members(item, place, name=str, datatype=str, shape=list, data=(list, np.ndarray, Numbers, Packed))
    except InvalidRequest:
        if isinstance(item, dict):
            parameters.check(item, place)  # such as shared memory
        raise
    tensor = Input(members["name"], members["datatype"], members["shape"], members["data"])
    if not tensor.shape or not all([type(size) is int and size > 0 for size in tensor.shape]):  # noqa: C419  a list is faster
        raise InvalidRequest(f"{describe_shape(tensor)}; a shape is a list of whole numbers, each at least 1.")
    if "parameters" in members:
        parameters.check(members, place)
    return tensor


def _id(value: object) -> str | None:
    if value is None or (isinstance(value, str) and is_encodable(value)):
        return value
    expected = "whole characters, not half of a surrogate pair" if isinstance(value, str) else "a string"
    raise InvalidRequest(f"The request has {shown(value)} as its 'id'; expected {expected}.")


def _outputs(items: object, signature: Signature, rows: int) -> tuple[str, ...]:
    if items is None or items == []:
        return signature.default_outputs
    if not isinstance(items, list):
        raise InvalidRequest(f"The request has {shown(items)} as its 'outputs'; expected a list.")
    check_count("outputs", len(items))
    known = signature.outputs
    names = [_members(item, f"outputs[{index}]", name=str)["name"] for index, item in enumerate(items)]
    for name in names:
        if name not in known:
            raise InvalidRequest(f"Output {shown(name)} is unknown; this model answers {listed(known)}.")
        if (times := names.count(name)) > 1:
            raise InvalidRequest(f"Output {shown(name)} is asked for {times} times; name it once.")
    for item in items:
        if "parameters" in item:
            parameters.check(item, f"Output {shown(item['name'])}", known[item["name"]].datatype)
        _check_cost(item["name"], rows, known[item["name"]].max_rows)
    return tuple(names)


def _check_rows(rows: int, max_rows: int) -> None:
    if rows > max_rows:
        raise TooLarge(f"The request has {shown(rows)} rows; send at most {max_rows} at a time.")


def _check_cost(output: str, rows: int, max_rows: int | None) -> None:
    if max_rows is not None and rows > max_rows:
        raise TooLarge(
            f"The request asks for output {output!r} of {shown(rows)} rows; ask for it of at most {max_rows} at a time."
        )
