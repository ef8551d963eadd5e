"""Send named columns by each transport in each of its encodings, and return the answer or the refusal."""

import json
from typing import Any, NamedTuple

import grpc
import numpy as np
import requests
from mlserver.grpc.dataplane_pb2 import ModelInferRequest
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub

from tabserve.client.local_server import Server
from tabserve.encoding.numbers import DATATYPES
from tabserve.serving.protocol.datatypes import BYTES, LENGTH

SECONDS = 20

Columns = dict[str, tuple[str, list[Any]]]
"""The datatype and the cells of each column; a cell of bytes stands for a text that is no UTF-8."""

FIELDS = {
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT64": "int64_contents",
    "BOOL": "bool_contents",
    BYTES: "bytes_contents",
}


class Reply(NamedTuple):
    """The values of the first output (numbers as 32-bit floats), or the status and the sentence of a refusal."""

    values: list[Any]
    refused: str
    sentence: str


def pack(datatype: str, values: list[Any]) -> bytes:
    """The cells as packed bytes; None becomes NaN or an empty text."""
    if datatype == BYTES:
        return b"".join(LENGTH.pack(len(text)) + text for text in map(encode, values))
    numbers = [np.nan if value is None else value for value in values]
    return np.array(numbers, DATATYPES[datatype]).tobytes()


def encode(text: str | bytes | None) -> bytes:
    """The text in UTF-8; bytes stay as they are, and None becomes an empty text."""
    return text if isinstance(text, bytes) else (text or "").encode()


def tensor(name: str, datatype: str, values: list[Any], **members: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    """A tensor of one dimension in JSON."""
    return {"name": name, "datatype": datatype, "shape": [len(values)], **members}


def rest(server: Server, model: str, body: bytes, headers: dict[str, str]) -> Reply:
    """The reply over REST."""
    answer = requests.post(f"{server.url}/v2/models/{model}/infer", data=body, headers=headers, timeout=SECONDS)
    document = answer.json()
    if answer.status_code != 200:
        return Reply([], str(answer.status_code), document["error"])
    output = document["outputs"][0]
    return Reply(np.array(output["data"], np.float32 if output["datatype"] == "FP32" else None).tolist(), "", "")


def by_json(server: Server, model: str, columns: Columns) -> Reply:
    """The reply over REST to values in JSON."""
    inputs = [tensor(name, datatype, values, data=values) for name, (datatype, values) in columns.items()]
    return rest(server, model, json.dumps({"inputs": inputs}).encode(), {})


def by_binary(server: Server, model: str, columns: Columns) -> Reply:
    """The reply over REST to binary values behind the JSON."""
    packed = {name: pack(*column) for name, column in columns.items()}
    inputs = [
        tensor(name, *column, parameters={"binary_data_size": len(packed[name])}) for name, column in columns.items()
    ]
    head = json.dumps({"inputs": inputs}).encode()
    return rest(server, model, head + b"".join(packed.values()), {"Inference-Header-Content-Length": str(len(head))})


def by_grpc(server: Server, message: ModelInferRequest) -> Reply:
    """The reply over gRPC."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated without types
        try:
            answer = stub.ModelInfer(message, timeout=SECONDS)
        except grpc.RpcError as error:
            return Reply([], error.code().name, error.details())
    output = answer.outputs[0]
    if output.datatype == BYTES:
        assert not answer.raw_output_contents, "no test reads raw labels"
        return Reply([text.decode() for text in output.contents.bytes_contents], "", "")
    if answer.raw_output_contents:
        return Reply(np.frombuffer(answer.raw_output_contents[0], DATATYPES[output.datatype]).tolist(), "", "")
    return Reply([*getattr(output.contents, FIELDS[output.datatype])], "", "")


def by_typed(server: Server, model: str, columns: Columns) -> Reply:
    """The reply over gRPC to typed contents."""
    message = ModelInferRequest(model_name=model)
    for name, (datatype, values) in columns.items():
        contents = message.inputs.add(name=name, datatype=datatype, shape=[len(values)]).contents
        cells = [encode(cell) if datatype == BYTES else np.nan if cell is None else cell for cell in values]
        getattr(contents, FIELDS[datatype]).extend(cells)
    return by_grpc(server, message)


def by_raw(server: Server, model: str, columns: Columns) -> Reply:
    """The reply over gRPC to raw contents."""
    message = ModelInferRequest(model_name=model)
    for name, (datatype, values) in columns.items():
        message.inputs.add(name=name, datatype=datatype, shape=[len(values)])
        message.raw_input_contents.append(pack(datatype, values))
    return by_grpc(server, message)


BINARY = (by_binary, by_typed, by_raw)
"""The encodings in which each cell has the type of its tensor's datatype."""
