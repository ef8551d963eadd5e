"""What a server says of a model: the columns that it takes, and the outputs that it answers."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tabserve.serving.protocol.datatypes import BYTES

DTYPES = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", BYTES: "O"}
"""The V2 datatypes that are sent and read here, as numpy has them."""

SENT = ("FP32", "FP64", BYTES)
"""Those of them that a column may have: 64-bit floats hold no INT64."""


class Column(NamedTuple):
    """A column that a model is asked with.

    Attributes:
        datatype: of V2.
        optional: whether its cells may be missing, so that all of it may be left out.
    """

    name: str
    datatype: str
    optional: bool


class Output(NamedTuple):
    """What a model can be asked for.

    Attributes:
        datatype: of V2.
        columns: how many.
        labels: what the columns are called, where they are the probabilities of labels of these names.
    """

    datatype: str
    columns: int
    labels: tuple[str, ...]


class Metadata(NamedTuple):
    """What a server says of a model.

    Attributes:
        columns: that it is asked with, in its order; none where the server does not name them.
        tensor: the name of the one tensor that holds all columns; None where each column has one.
        outputs: by name.
        id: the column of a table that names its rows, if it has one.
        ignored: other columns of a table that are no inputs, such as the target.
    """

    columns: tuple[Column, ...]
    tensor: str | None
    outputs: Mapping[str, Output]
    id: str | None
    ignored: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that are answered as texts."""
        return next((output.labels for output in self.outputs.values() if output.labels), ())


def parsed(document: Any) -> Metadata:  # noqa: ANN401  any JSON
    """The metadata in V2's document.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is none, or names what this client does not know.
    """
    inputs, said = document["inputs"], document.get("parameters") or {}
    if not inputs:
        raise ValueError("its metadata name no inputs")
    lone = inputs[0] if len(inputs) == 1 and _is_matrix(inputs[0]) else None
    columns = _columns_of(lone) if lone else tuple(map(_column, inputs))
    outputs = {str(each["name"]): _output(each) for each in document["outputs"]}
    ignored = tuple(str(said[what]) for what in ("target", "group") if what in said)
    return Metadata(columns, str(lone["name"]) if lone else None, outputs, said.get("id"), ignored)


def _is_matrix(tensor: Mapping[str, Any]) -> bool:
    return _width(tensor) != 1 or "columns" in _parameters(tensor)


def _columns_of(tensor: Mapping[str, Any]) -> tuple[Column, ...]:
    """Those of the one tensor, if it names them."""
    names, missing = (_names(tensor, what) for what in ("columns", "missing"))
    if names and len(names) != _width(tensor):
        raise ValueError(f"its metadata name {len(names)} columns of a tensor that has {_width(tensor)}")
    return tuple(Column(name, _sent(tensor), name in missing) for name in names)


def _column(tensor: Mapping[str, Any]) -> Column:
    return Column(str(tensor["name"]), _sent(tensor), bool(_parameters(tensor).get("optional")))


def _output(tensor: Mapping[str, Any]) -> Output:
    if tensor["datatype"] not in DTYPES:
        raise ValueError(f"its metadata name an output of datatype {tensor['datatype']!r:.60}")
    return Output(tensor["datatype"], _width(tensor), _names(tensor, "labels"))


def _sent(tensor: Mapping[str, Any]) -> str:
    if tensor["datatype"] not in SENT:
        raise ValueError(f"its metadata name an input of datatype {tensor['datatype']!r:.60}, which is not sent here")
    return str(tensor["datatype"])


def _width(tensor: Mapping[str, Any]) -> int:
    shape = tensor["shape"]
    if not isinstance(shape, list) or len(shape) not in {1, 2} or not all(type(size) is int for size in shape):
        raise ValueError(f"its metadata have the shape {shape!r:.60}")
    return int([*shape, 1][1])


def _names(tensor: Mapping[str, Any], parameter: str) -> tuple[str, ...]:
    """A list of names, which is a text in JSON, as gRPC's parameters know no lists."""
    said = _parameters(tensor).get(parameter, "[]")
    try:
        found = json.loads(said)
    except ValueError:
        found = said
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"its metadata have {found!r:.60} as {parameter!r}")
    return tuple(found)


def _parameters(tensor: Mapping[str, Any]) -> Mapping[str, Any]:
    return tensor.get("parameters") or {}
