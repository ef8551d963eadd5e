"""A parameter that asks for an unsupported feature is refused by its name; one that changes nothing is ignored."""

import json
import subprocess
import sys
from typing import Any

import grpc
import numpy as np
import pytest
import requests
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from tests.serving.wire import DEPLOY, INFER, SECONDS

from tabserve.client.local_server import Server
from tabserve.errors import InvalidRequest
from tabserve.serving.protocol import parameters

WHERE = ("the request", "an input", "an output")

ASKS: dict[str, Any] = {
    "classification": 2,
    "sequence_id": 7,
    "sequence_start": True,
    "sequence_end": True,
    "shared_memory_region": "here",
    "shared_memory_byte_size": 800,
    "shared_memory_offset": 8,
    "content_type": "base64",
}
"""Parameters of Triton's and MLServer's clients that would change the response."""

CHANGES_NOTHING: dict[str, Any] = {
    "priority": 1,
    "timeout": 1_000,
    "sequence_id": 0,
    "sequence_start": False,
    "content_type": "np",
    "triton_enable_empty_final_response": True,
    "of my own": "x",
}

DOCUMENT = (DEPLOY.parent / "docs" / "serving.md").read_text()


def document(where: str, added: dict[str, Any]) -> dict[str, Any]:
    """A valid request with these parameters."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0.0] * 200}
    request: dict[str, Any] = {"inputs": [tensor], "outputs": [{"name": "predict"}]}
    {"the request": request, "an input": tensor, "an output": request["outputs"][0]}[where]["parameters"] = added
    return request


def message(where: str, added: dict[str, Any]) -> dataplane_pb2.ModelInferRequest:
    """The same request for gRPC."""
    request = dataplane_pb2.ModelInferRequest(model_name="xgboost-model", raw_input_contents=[bytes(800)])
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 200])
    output = request.outputs.add(name="predict")
    kinds = {bool: "bool_param", int: "int64_param", str: "string_param"}
    for name, value in added.items():
        holder = {"the request": request, "an input": tensor, "an output": output}[where]
        setattr(holder.parameters[name], kinds[type(value)], value)
    return request


def call_grpc(server: Server, request: dataplane_pb2.ModelInferRequest) -> Any:  # noqa: ANN401  protobuf's type
    """The response over gRPC."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
        return stub.ModelInfer(request, timeout=SECONDS)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", ASKS)
def test_a_parameter_that_would_change_the_response_is_refused_by_its_name(
    server: Server, name: str, where: str
) -> None:
    """Over both transports, also under plain MLServer."""
    added = {name: ASKS[name]}
    response = requests.post(server.url + INFER, json=document(where, added), timeout=SECONDS)
    assert response.status_code == 400, response.text
    assert name in response.json()["error"]
    with pytest.raises(grpc.RpcError) as raised:
        call_grpc(server, message(where, added))
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert name in raised.value.details()


@pytest.mark.parametrize("where", WHERE)
def test_a_parameter_that_changes_nothing_is_ignored(server: Server, where: str) -> None:
    """Over both transports."""
    plain = requests.post(server.url + INFER, json=document(where, {}), timeout=SECONDS).json()
    response = requests.post(
        server.url + INFER, json=document(where, {**CHANGES_NOTHING, "headers": {}}), timeout=SECONDS
    )
    assert response.status_code == 200, response.text
    assert response.json()["outputs"] == plain["outputs"]
    assert call_grpc(server, message(where, CHANGES_NOTHING)).outputs == call_grpc(server, message(where, {})).outputs


TRITON = """
import sys, numpy, tritonclient.{kind} as triton
from tritonclient.utils import InferenceServerException
with triton.InferenceServerClient(sys.argv[1]) as client:
    for where in ("an output", "the input", "the first", "the last"):
        here, there = (triton.InferInput(name, [1, 200], "FP32") for name in ("here", "there"))
        here.set_data_from_numpy(numpy.zeros((1, 200), "float32"))
        there.set_shared_memory("region", 800)
        output = triton.InferRequestedOutput("predict")
        inputs = {{"the input": [there], "the first": [there, here], "the last": [here, there]}}.get(where, [here])
        if where == "an output":
            output.set_shared_memory("region", 8)
        try:
            client.infer("xgboost-model", inputs, outputs=[output])
        except InferenceServerException as error:
            print(error.status(), error.message())
"""


@pytest.mark.parametrize(("kind", "status"), [("http", "400"), ("grpc", "StatusCode.INVALID_ARGUMENT")])
def test_shared_memory_of_tritons_client_is_refused(edge: Server, kind: str, status: str) -> None:
    """For inputs and outputs; in a process of its own, as Triton's gRPC module clashes with MLServer's."""
    address = edge.url.removeprefix("http://") if kind == "http" else edge.grpc
    words = [sys.executable, "-c", TRITON.format(kind=kind), address]
    lines = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(lines) == 4
    for line in lines:
        assert line.startswith(f"{status} ")
        assert "has the parameter 'shared_memory_region'; leave it out: tensors travel in the request" in line


def test_the_codec_of_an_output_must_fit_its_datatype() -> None:
    """A text codec fits labels that are texts, not those that are numbers."""
    item = {"name": "predict", "parameters": {"content_type": "str"}}
    parameters.check(item, "Output 'predict'")
    with pytest.raises(
        InvalidRequest, match=r"Output 'predict' has the content_type 'str'; expected 'np', 'pd', or none"
    ):
        parameters.check(item, "Output 'predict'", "INT64")


def test_the_document_lists_refused_and_ignored_parameters() -> None:
    """By name."""
    assert all(f"`{name}`" in DOCUMENT for name in [*parameters.REFUSED, parameters.CONTENT_TYPE, *parameters.CODECS])
    assert all(f"`{name}`" in DOCUMENT for name in ["headers", *CHANGES_NOTHING] if name != "of my own")


def test_the_parameters_of_a_binary_request_are_checked_too(edge: Server) -> None:
    """Beside the size of its bytes."""
    values = np.zeros((1, 200), np.float32).tobytes()
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 200]}
    cases: list[tuple[dict[str, str], int]] = [({}, 200), ({"content_type": "base64"}, 400)]
    for more, status in cases:
        sized = {**tensor, "parameters": dict[str, Any](binary_data_size=len(values), **more)}
        head = json.dumps({"inputs": [sized]}).encode()
        length = {"Inference-Header-Content-Length": str(len(head))}
        assert (
            requests.post(edge.url + INFER, data=head + values, headers=length, timeout=SECONDS).status_code == status
        )
