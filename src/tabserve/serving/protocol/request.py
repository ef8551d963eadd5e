"""V2 inference as plain data: request documents in, features out; scores in, output tensors out.

The one place where a request is validated, and where the sentence that refuses it is written. A request is what a JSON
parser leaves of it (dicts, lists, strings, numbers, True, False, None), whichever transport brought it; the data of a
tensor may be a flat array, or texts in bytes, as well.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.texts import is_writable
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.model.decision import OutputKind, Scores
from tabserve.serving.protocol import parameters
from tabserve.serving.protocol.datatypes import Packed
from tabserve.serving.protocol.json_numbers import Numbers
from tabserve.serving.protocol.signature import Features, Signature
from tabserve.serving.protocol.tensors import Input, named
from tabserve.wording import listed, shown

MAX_ROWS = 10_000
"""Rows that one request may hold, unless the server's settings say otherwise."""

MAX_TENSORS = 100_000
"""Inputs or outputs that one request may hold, far more than any model has: each costs hundreds of bytes to look at."""


class Output(NamedTuple):
    """An answered tensor: its V2 datatype and its values, of shape (rows, columns)."""

    name: str
    datatype: str
    values: NDArray[Any]


class Request(NamedTuple):
    """A valid request.

    Attributes:
        outputs: names of what it asks for, in its order.
        id: its own name for itself, if it has one.
    """

    features: Features
    outputs: tuple[str, ...]
    id: str | None


def read(document: object, signature: Signature, max_rows: int = MAX_ROWS) -> Request:
    """Validate a request.

    Args:
        document: `{"inputs": [...], "outputs": [...]}`. The outputs, where there are any, name some of the signature's.
        signature: says what the inputs may be.
        max_rows: rows that the request may hold.

    Raises:
        InvalidRequest: with one sentence that says what was expected and what came.
        TooLarge: it holds more rows.
    """
    request = _members(document, "The request", inputs=list)
    if "parameters" in request:
        parameters.check(request, "The request")
    if not request["inputs"]:
        raise InvalidRequest("The request has no inputs; expected one tensor, or one for each feature.")
    check_count("inputs", len(request["inputs"]))
    quick = signature.quick(request["inputs"])
    inputs = [] if quick else [_input(item, f"inputs[{place}]") for place, item in enumerate(request["inputs"])]
    _check_rows(quick.rows if quick else max([tensor.shape[0] for tensor in inputs]), max_rows)
    outputs = _outputs(request.get("outputs"), signature.outputs)
    return Request(quick or signature.features(inputs), outputs, _id(request.get("id")))


def answer(scores: Scores, outputs: Iterable[str], signature: Signature) -> list[Output]:
    """The named outputs, in this order."""
    kinds = signature.outputs
    return [Output(name, kinds[name].datatype, kinds[name].values(scores)) for name in outputs]


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
    try:
        members = _members(item, place, name=str, datatype=str, shape=list, data=(list, np.ndarray, Numbers, Packed))
    except InvalidRequest:
        if isinstance(item, dict):
            parameters.check(item, place)  # which may say that its data are elsewhere
        raise
    tensor = Input(members["name"], members["datatype"], members["shape"], members["data"])
    if not tensor.shape or not all([type(size) is int and size > 0 for size in tensor.shape]):  # noqa: C419  a list is faster
        raise InvalidRequest(f"{named(tensor)}; a shape is a list of whole numbers, each at least 1.")
    if "parameters" in members:
        parameters.check(members, place)
    return tensor


def _id(found: object) -> str | None:
    if found is None or (isinstance(found, str) and is_writable(found)):
        return found
    expected = "whole characters, not half of a surrogate pair" if isinstance(found, str) else "a string"
    raise InvalidRequest(f"The request has {shown(found)} as its 'id'; expected {expected}.")


def _outputs(items: object, known: Mapping[str, OutputKind]) -> tuple[str, ...]:
    if items is None or items == []:
        return tuple(known)
    if not isinstance(items, list):
        raise InvalidRequest(f"The request has {shown(items)} as its 'outputs'; expected a list.")
    check_count("outputs", len(items))
    names = [_members(item, f"outputs[{place}]", name=str)["name"] for place, item in enumerate(items)]
    for name in names:
        if name not in known:
            raise InvalidRequest(f"Output {shown(name)} is unknown; this model answers {listed(known)}.")
        if (times := names.count(name)) > 1:
            raise InvalidRequest(f"Output {shown(name)} is asked for {times} times; name it once.")
    for item in items:
        if "parameters" in item:
            parameters.check(item, f"Output {shown(item['name'])}", known[item["name"]].datatype)
    return tuple(names)


def _check_rows(rows: int, max_rows: int) -> None:
    if rows > max_rows:
        raise TooLarge(f"The request has {shown(rows)} rows; send at most {max_rows} at a time.")
