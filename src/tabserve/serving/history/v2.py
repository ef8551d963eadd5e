"""V2 requests and responses as JSON, made later of tensors that came, or went, as bytes or protocol buffers."""

from collections.abc import Iterable, Mapping
from functools import partial
from math import prod
from typing import Any

import numpy as np
import orjson

from tabserve.serving.history.entry import Json, Later
from tabserve.serving.models import Model
from tabserve.serving.protocol.datatypes import Packed
from tabserve.serving.protocol.document import Bytes
from tabserve.serving.protocol.json_numbers import Numbers
from tabserve.serving.protocol.request import Output, Request

CELL = 40
"""Bytes of a cell in a list, about."""


def sent(body: Bytes, document: dict[str, Any], *, is_json: bool) -> Json:
    """What a history keeps of a REST request: its body if that is JSON alone."""
    return body if is_json else request(document)


def request(document: dict[str, Any]) -> Later:
    """The JSON of a valid request whose tensors hold arrays or packed texts."""
    return Later(partial(_request, document), sum(_size(tensor["data"]) for tensor in document["inputs"]))


def facts(model: Model, request: Request) -> tuple[str, str, str, int]:
    """The id, the model, its version and the number of rows of a request that is answered."""
    return request.id or "", model.name, model.version or "", request.features.rows


def response(model: Model, request: Request, outputs: list[Output]) -> Later:
    """The JSON of a response with these outputs."""
    parameters = {**model.signature.parameters}
    head = {"model_name": model.name, "model_version": model.version, "id": request.id, "parameters": parameters}
    return Later(partial(_response, head, outputs), sum(output.values.nbytes for output in outputs))


def _request(document: Mapping[str, Any]) -> bytes:
    members = {name: value for name, value in document.items() if value}
    inputs = [_without_nothing({**tensor, "data": _cells(tensor)}) for tensor in document["inputs"]]
    return orjson.dumps({**members, "inputs": inputs}, option=orjson.OPT_SERIALIZE_NUMPY)


def _without_nothing(tensor: dict[str, Any]) -> dict[str, Any]:
    """A tensor without the size of its bytes, and without parameters if there are no others."""
    parameters = {
        name: value for name, value in (tensor.pop("parameters", None) or {}).items() if name != "binary_data_size"
    }
    return {**tensor, "parameters": parameters} if parameters else tensor


def _response(head: dict[str, Any], outputs: Iterable[Output]) -> bytes:
    tensors = [
        {"name": name, "shape": values.shape, "datatype": datatype, "data": values.ravel().tolist()}
        for name, datatype, values in outputs
    ]
    return orjson.dumps({**head, "outputs": tensors})


def _size(data: Any) -> int:  # noqa: ANN401  whatever holds the values of a tensor
    if isinstance(data, np.ndarray):
        return data.nbytes
    if isinstance(data, Packed):
        return len(data.raw)
    if isinstance(data, Numbers):
        return len(data.text)
    return sum(CELL + len(cell) if isinstance(cell, bytes | str) else CELL for cell in data)


def _cells(tensor: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The values of a tensor as orjson takes them; a text that is no UTF-8 has signs in place of its wrong bytes."""
    data = tensor["data"]
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, Numbers):
        return data.plain()
    if isinstance(data, Packed):
        data = data.texts(prod(tensor["shape"]), lambda cell: f"Cell {cell}")
    return [str(cell, "utf-8", "replace") if isinstance(cell, bytes) else cell for cell in data]
