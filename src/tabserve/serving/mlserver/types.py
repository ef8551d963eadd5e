"""Requests and answers in MLServer's types."""

from typing import Any

from mlserver.types import (
    Datatype,
    InferenceRequest,
    RequestInput,
    RequestOutput,
    ResponseOutput,
    TensorData,
)

from tabserve.serving.protocol.datatypes import plain
from tabserve.serving.protocol.request import Output


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


def _parameters(item: InferenceRequest | RequestInput | RequestOutput) -> dict[str, Any] | None:
    return item.parameters.model_dump() if item.parameters else None  # type: ignore[no-untyped-call]
