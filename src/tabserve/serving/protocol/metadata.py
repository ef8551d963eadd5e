"""The metadata of a model as plain data: its inputs, its outputs, and what their axes mean."""

import json
from typing import Any

from tabserve.model.decision import OutputKind
from tabserve.problem.problem import Problem
from tabserve.serving.protocol.signature import InputKind, Signature

Tensor = dict[str, Any]


def tensors(signature: Signature) -> dict[str, list[Tensor]]:
    """The members `inputs` and `outputs` of a model's metadata."""
    return {
        "inputs": [input_tensor(name, kind) for name, kind in signature.inputs.items()],
        "outputs": [output_tensor(name, kind) for name, kind in signature.outputs.items()],
    }


def input_tensor(name: str, kind: InputKind) -> Tensor:
    """The metadata of an input: its kind, and whether it may be left out, or its columns and which may be missing."""
    names = {"columns": _json(kind.names), "missing": _json(kind.missing)} if kind.names else {}
    optional = {"optional": True} if kind.optional else {}
    return _tensor(name, kind.datatype, (kind.columns,), names | optional | {"kind": kind.kind})


def output_tensor(name: str, kind: OutputKind) -> Tensor:
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


def _json(names: tuple[str, ...]) -> str:
    """A list of names as JSON, as a parameter over gRPC cannot be a list."""
    return json.dumps(names, ensure_ascii=False)


def _tensor(name: str, datatype: str, shape: tuple[int, ...], parameters: dict[str, Any]) -> Tensor:
    tensor = {"name": name, "datatype": datatype, "shape": [-1, *shape]}
    return {**tensor, "parameters": parameters} if parameters else tensor
