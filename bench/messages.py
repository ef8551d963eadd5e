"""Requests and answers as bytes: JSON, gzipped JSON and binary tensors over HTTP, protobuf over gRPC."""

import gzip
import socket
from collections.abc import Callable
from http.client import HTTPResponse
from typing import Any, NamedTuple

import grpc
import numpy as np
import orjson
from mlserver.grpc.dataplane_pb2 import ModelInferRequest, ModelInferResponse
from numpy.typing import NDArray

from bench.clients import GRPC_METHOD
from tabserve.client.grpc import ENABLE_HTTP_PROXY
from tabserve.client.local_server import Server
from tabserve.errors import InvalidRequest

OUTPUT = "predict_proba"

ANSWER_SECONDS = 60.0


class Format(NamedTuple):
    """One format of requests and answers.

    Attributes:
        encode: rows to a whole request; rows are float32 of shape (rows, features), unless the format says otherwise.
        decode: an answer and its number of rows to probabilities, float32 of shape (rows * 2,), row by row.
        address: a server's host and port for this format.
        ask: send one request to an address; raises InvalidRequest where the server refuses it or lacks the format.
        transport: as `load.measure` takes it.
    """

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes, int], NDArray[np.float32]]
    address: Callable[[Server], str]
    ask: Callable[[str, bytes], bytes]
    transport: str


def post(body: bytes, *headers: str, model: str = "xgboost-model") -> bytes:
    """A whole HTTP request to the infer route."""
    lines = (f"POST /v2/models/{model}/infer HTTP/1.1", "Host: localhost", *headers)
    return "\r\n".join((*lines, f"Content-Length: {len(body)}", "", "")).encode() + body


def connect(address: str) -> socket.socket:
    """Open a TCP connection to host:port."""
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), ANSWER_SECONDS)


def exchange(connection: socket.socket, request: bytes) -> bytes:
    """Send one HTTP request and return the body of the answer.

    Raises:
        InvalidRequest: the status is not 200; the message begins with it.
    """
    connection.sendall(request)
    response = HTTPResponse(connection)
    response.begin()
    answer = response.read()
    if response.status != 200:
        raise InvalidRequest(f"{response.status} {answer[:200].decode(errors='replace')}")
    return answer


def _document(features: NDArray[np.float32]) -> bytes:
    tensor = {"name": "predict", "datatype": "FP32", "shape": features.shape, "data": features.ravel()}
    return orjson.dumps({"inputs": [tensor], "outputs": [{"name": OUTPUT}]}, option=orjson.OPT_SERIALIZE_NUMPY)


def _json(features: NDArray[np.float32]) -> bytes:
    return post(_document(features), "Content-Type: application/json")


def _packed(features: NDArray[np.float32]) -> bytes:
    body = gzip.compress(_document(features), compresslevel=1)
    return post(body, "Content-Type: application/json", "Content-Encoding: gzip")


def _from_json(answer: bytes, _: int) -> NDArray[np.float32]:
    return np.array(orjson.loads(answer)["outputs"][0]["data"], dtype=np.float32).ravel()


def _binary(features: NDArray[np.float32]) -> bytes:
    size = {"binary_data_size": features.nbytes}
    tensor = {"name": "predict", "datatype": "FP32", "shape": features.shape, "parameters": size}
    output = {"name": OUTPUT, "parameters": {"binary_data": True}}
    head = orjson.dumps({"inputs": [tensor], "outputs": [output]})
    length = f"Inference-Header-Content-Length: {len(head)}"
    return post(head + features.astype("<f4").tobytes(), "Content-Type: application/octet-stream", length)


def _from_binary(answer: bytes, rows: int) -> NDArray[np.float32]:
    return np.frombuffer(answer[-8 * rows :], "<f4")


def _grpc(features: NDArray[np.float32]) -> bytes:
    request = ModelInferRequest(
        model_name="xgboost-model",
        inputs=[ModelInferRequest.InferInputTensor(name="predict", datatype="FP32", shape=features.shape)],
        outputs=[ModelInferRequest.InferRequestedOutputTensor(name=OUTPUT)],
        raw_input_contents=[features.astype("<f4").tobytes()],
    )
    return bytes(request.SerializeToString())


def _from_grpc(answer: bytes, _: int) -> NDArray[np.float32]:
    return np.frombuffer(ModelInferResponse.FromString(answer).raw_output_contents[0], "<f4")


def _http_address(server: Server) -> str:
    return server.url.removeprefix("http://")


def _ask_http(address: str, request: bytes) -> bytes:
    with connect(address) as connection:
        return exchange(connection, request)


def _grpc_address(server: Server) -> str:
    return server.grpc


def _ask_grpc(address: str, request: bytes) -> bytes:
    with grpc.insecure_channel(address, options=[(ENABLE_HTTP_PROXY, 0)]) as channel:
        try:
            return bytes(channel.unary_unary(GRPC_METHOD)(request, timeout=ANSWER_SECONDS))
        except grpc.RpcError as error:
            raise InvalidRequest(f"{error.code().name} {error.details()[:200]}") from error


FORMATS = {
    "json": Format(_json, _from_json, _http_address, _ask_http, "http"),
    "gzip": Format(_packed, _from_json, _http_address, _ask_http, "http"),
    "binary": Format(_binary, _from_binary, _http_address, _ask_http, "http"),
    "grpc": Format(_grpc, _from_grpc, _grpc_address, _ask_grpc, "grpc"),
}
