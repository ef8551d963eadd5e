"""A model's signature, its requests and its answers in MLServer's types."""

import json
from typing import Any

from mlserver.types import (
    Datatype,
    InferenceRequest,
    MetadataTensor,
    Parameters,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)

from tabserve.model.decision import OutputKind
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.datatypes import plain
from tabserve.serving.protocol.request import Output
from tabserve.serving.protocol.signature import InputKind


def input_tensor(name: str, kind: InputKind) -> MetadataTensor:
    """The metadata of an input: its kind, and whether it may be left out, or its columns and which may be missing."""
    names = {"columns": _json(kind.names), "missing": _json(kind.missing)} if kind.names else {}
    optional = {"optional": True} if kind.optional else {}
    return _tensor(name, kind.datatype, (kind.columns,), names | optional | {"kind": kind.kind})


def output_tensor(name: str, kind: OutputKind) -> MetadataTensor:
    """The metadata of an output, with the names along its axes if they have any, and the most rows if it is costly."""
    lists = {"labels": kind.labels, "columns": kind.columns, "sources": kind.sources}
    most = {"max_rows": kind.max_rows} if kind.max_rows else {}
    return _tensor(name, kind.datatype, kind.shape, {key: _json(names) for key, names in lists.items() if names} | most)


def table_columns(problem: Problem) -> dict[str, str]:
    """The names of a table's columns that are no inputs, by their roles; those that are ignored as a JSON list."""
    time = problem.time if problem.time not in problem.features else None
    roles = {"id": problem.id, "target": problem.target, "group": problem.group, "time": time}
    ignored = {"ignored": _json(problem.ignored)} if problem.ignored else {}
    return {role: name for role, name in roles.items() if name} | ignored


def document(payload: InferenceRequest) -> dict[str, Any]:
    """The request as plain data."""
    return {
        "inputs": [
            {
                "name": tensor.name,
                "datatype": tensor.datatype,
                "shape": tensor.shape,
                "data": tensor.data.root,
                "parameters": _parameters(tensor),
            }
            for tensor in payload.inputs
        ],
        "outputs": [{"name": output.name, "parameters": _parameters(output)} for output in payload.outputs or []],
        "parameters": _parameters(payload),
    }


def response_output(output: Output) -> ResponseOutput:
    """An output tensor of a response."""
    return ResponseOutput(
        name=output.name,
        datatype=Datatype(output.datatype),
        shape=list(output.values.shape),
        data=TensorData(root=plain(output.values, output.datatype)),
    )


def _json(names: tuple[str, ...]) -> str:
    """A list of names as JSON, as a parameter over gRPC cannot be a list."""
    return json.dumps(names, ensure_ascii=False)


def _parameters(item: InferenceRequest | RequestInput | RequestOutput) -> dict[str, Any] | None:
    return item.parameters.model_dump() if item.parameters else None  # type: ignore[no-untyped-call]


def _tensor(name: str, datatype: str, shape: tuple[int, ...], parameters: dict[str, Any]) -> MetadataTensor:
    return MetadataTensor(
        name=name,
        datatype=Datatype(datatype),
        shape=[-1, *shape],
        parameters=Parameters.model_validate(parameters) if parameters else None,
    )
