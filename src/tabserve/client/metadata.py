"""A model's metadata in the V2 protocol: its columns and its outputs."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tabserve.serving.protocol.datatypes import BYTES

INT64 = "INT64"

DTYPES = {"FP32": "<f4", "FP64": "<f8", INT64: "<i8", BYTES: "O"}
"""The numpy dtype of each V2 datatype that the client supports."""

INPUT_DATATYPES = ("FP32", "FP64", BYTES)
"""The datatypes that an input may have; INT64 is not one, because a 64-bit float cannot hold all of its values."""


class Column(NamedTuple):
    """An input column of a model.

    Attributes:
        datatype: of the V2 protocol.
        optional: whether its cells may be missing; then a request may leave out the column.
        kind: what its cells are: a `number`, a `category`, a `date` or a `text`; empty if the server does not say.
    """

    name: str
    datatype: str
    optional: bool
    kind: str = ""


class Output(NamedTuple):
    """An output of a model.

    Attributes:
        datatype: of the V2 protocol.
        shape: of the values of a row.
        labels: the labels along the first axis of a row's values; of whole numbers, the labels that these count from 0.
        columns: names of the columns, which are the last axis, if the server names them.
        sources: name of the input column that each of these is made of.
        max_rows: most rows of a request for this output, which only a request that names it gets; None for an output
            that every response has by default.
    """

    datatype: str
    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    max_rows: int | None = None


class Metadata(NamedTuple):
    """The metadata of a model.

    Attributes:
        columns: the input columns in the model's order; empty if the server does not name them.
        tensor: the name of the one tensor that holds all columns; None if each column has a tensor of its own.
        outputs: by name.
        id: the column of a table that identifies its rows, if any.
        ignored: other columns of a table that are not inputs, such as the target.
    """

    columns: tuple[Column, ...]
    tensor: str | None
    outputs: Mapping[str, Output]
    id: str | None
    ignored: tuple[str, ...]

    @property
    def default_outputs(self) -> tuple[str, ...]:
        """The names of the outputs that every response has by default."""
        return tuple(name for name, output in self.outputs.items() if output.max_rows is None)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of a model that answers labels, if the server names them; empty for others."""
        return next((output.labels for output in self.outputs.values() if output.labels), ())


def parse(document: Any) -> Metadata:  # noqa: ANN401  any JSON
    """Parse the metadata document of the V2 protocol.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is not such a document, or the client does not support it.
    """
    inputs, parameters = document["inputs"], document.get("parameters") or {}
    if not inputs:
        raise ValueError("its metadata name no inputs")
    matrix = inputs[0] if len(inputs) == 1 and _is_matrix(inputs[0]) else None
    columns = _columns_of_matrix(matrix) if matrix else tuple(map(_column, inputs))
    outputs = {str(output["name"]): _output(output) for output in document["outputs"]}
    others = [str(parameters[role]) for role in ("target", "group", "time") if role in parameters]
    ignored = (*others, *_names(document, "ignored"))
    return Metadata(columns, str(matrix["name"]) if matrix else None, outputs, parameters.get("id"), ignored)


def _is_matrix(tensor: Mapping[str, Any]) -> bool:
    return _width(tensor) != 1 or "columns" in _parameters(tensor)


def _columns_of_matrix(tensor: Mapping[str, Any]) -> tuple[Column, ...]:
    """The columns of the tensor that holds all of them; empty if it does not name them."""
    names, missing = (_names(tensor, parameter) for parameter in ("columns", "missing"))
    if names and len(names) != _width(tensor):
        raise ValueError(f"its metadata name {len(names)} columns of a tensor that has {_width(tensor)}")
    return tuple(Column(name, _input_datatype(tensor), name in missing, _kind(tensor)) for name in names)


def _column(tensor: Mapping[str, Any]) -> Column:
    optional = bool(_parameters(tensor).get("optional"))
    return Column(str(tensor["name"]), _input_datatype(tensor), optional, _kind(tensor))


def _output(tensor: Mapping[str, Any]) -> Output:
    if tensor["datatype"] not in DTYPES:
        raise ValueError(f"its metadata name an output of datatype {tensor['datatype']!r:.60}")
    shape = _shape(tensor)
    labels, columns, sources = (_names(tensor, parameter) for parameter in ("labels", "columns", "sources"))
    if any(names and len(names) != shape[-1] for names in (columns, sources)):
        raise ValueError(f"its metadata name other than {shape[-1]} columns of the output {tensor['name']!r:.60}")
    if tensor["datatype"] == INT64 and len(labels) not in (0, 2):
        raise ValueError(f"its metadata name {len(labels)} labels of the output {tensor['name']!r:.60}, expected two")
    return Output(tensor["datatype"], shape, labels, columns, sources, _max_rows(tensor))


def _max_rows(tensor: Mapping[str, Any]) -> int | None:
    rows = _parameters(tensor).get("max_rows")
    if rows is not None and (type(rows) is not int or rows < 1):
        raise ValueError(f"its metadata have {rows!r:.60} as 'max_rows'")
    return rows


def _input_datatype(tensor: Mapping[str, Any]) -> str:
    if tensor["datatype"] not in INPUT_DATATYPES:
        raise ValueError(f"its metadata name an input of datatype {tensor['datatype']!r:.60}, which is not sent here")
    return str(tensor["datatype"])


def _kind(tensor: Mapping[str, Any]) -> str:
    return str(_parameters(tensor).get("kind", ""))


def _width(tensor: Mapping[str, Any]) -> int:
    sizes = _shape(tensor)
    if len(sizes) != 1:
        raise ValueError(f"its metadata have the shape {tensor['shape']!r:.60}")
    return sizes[0]


def _shape(tensor: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of the values of a row; a tensor of shape [rows] has one value per row."""
    shape = tensor["shape"]
    if not isinstance(shape, list) or not 1 <= len(shape) <= 3 or not all(type(size) is int for size in shape):
        raise ValueError(f"its metadata have the shape {shape!r:.60}")
    return tuple(shape[1:]) or (1,)


def _names(tensor: Mapping[str, Any], parameter: str) -> tuple[str, ...]:
    """Parse a parameter that holds a list of names as JSON text, because parameters of gRPC cannot hold lists."""
    value = _parameters(tensor).get(parameter, "[]")
    try:
        names = json.loads(value)
    except ValueError:
        names = value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"its metadata have {names!r:.60} as {parameter!r}")
    return tuple(names)


def _parameters(tensor: Mapping[str, Any]) -> Mapping[str, Any]:
    return tensor.get("parameters") or {}
