"""The server survives any bytes on any port: it neither fails nor hangs, and then answers a valid request as before."""

import json
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlserver.grpc import dataplane_pb2
from tests.serving.wire import INFER, SECONDS, connect, head

from tabserve.client.local_server import Server

CALL = "/inference.GRPCInferenceService/ModelInfer"
CLOSING_SECONDS = 10
"""Deadline for the server to close a silent connection; it is set to close one after 2 seconds."""
LOOK_SECONDS = 0.02
"""How long to wait for an answer before the next message is sent; late answers are checked at the end."""

TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0.5] * 200}
DOCUMENT: dict[str, Any] = {"id": "one", "parameters": {}, "inputs": [TENSOR], "outputs": [{"name": "predict_proba"}]}
BODY = json.dumps(DOCUMENT).encode()
OTHER_TENSORS = [{**TENSOR, "datatype": "FP16"}, {**TENSOR, "datatype": "BOOL", "data": [True, False] * 100}]
BODIES = [BODY, *(json.dumps({**DOCUMENT, "inputs": [tensor]}).encode() for tensor in OTHER_TENSORS)]
HEAD = head(len(BODY))


def message(datatype: str, size: int) -> bytes:
    """A gRPC request for one row of zeros, each of `size` bytes."""
    tensor = dataplane_pb2.ModelInferRequest.InferInputTensor(name="x", datatype=datatype, shape=[1, 200])
    request = dataplane_pb2.ModelInferRequest(
        model_name="xgboost-model", inputs=[tensor], raw_input_contents=[bytes(200 * size)]
    )
    return bytes(request.SerializeToString())


MESSAGE = message("FP32", 4)
MESSAGES = [MESSAGE, message("FP16", 2), message("BOOL", 1)]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""The HTTP/2 connection preface, with an empty SETTINGS frame."""

CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}

fuzzed = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with a few pieces overwritten, removed, inserted or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        piece = data[start : start + length]
        data = data[:start] + draw(st.binary(max_size=9) | st.just(piece * 2)) + data[start + length :]
    return data


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A valid request with one value at any depth replaced by any JSON."""
    document = json.loads(draw(st.sampled_from(BODIES)))
    holder: Any = document
    key: Any = draw(st.sampled_from([*DOCUMENT]))
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.booleans()):
        holder = holder[key]
        key = draw(st.sampled_from([*holder])) if isinstance(holder, dict) else draw(st.integers(0, len(holder) - 1))
    holder[key] = draw(JSON)
    return json.dumps(document).encode()


def answer(server: Server, body: bytes) -> requests.Response:
    """The server's response to a body."""
    return requests.post(server.url + INFER, data=body, timeout=SECONDS)


def probabilities(server: Server) -> object:
    """The outputs that the server returns for the valid request."""
    response = answer(server, BODY)
    assert response.status_code == 200
    return response.json()["outputs"]


def received(connection: socket.socket, seconds: float) -> bytes | None:
    """The first bytes received: empty if the server closed the connection, None if nothing came in time."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65_536)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""


def check_survives(
    server: Server, address: str, messages: st.SearchStrategy[bytes], is_right: Callable[[bytes], bool]
) -> None:
    """Send each message on its own connection; each must get a right answer, or be closed before the deadline."""
    before, unanswered = probabilities(server), []

    @fuzzed
    @given(messages)
    def send(message: bytes) -> None:
        connection = connect(address)
        with suppress(ConnectionError):
            connection.sendall(message)
        if (answer_bytes := received(connection, LOOK_SECONDS)) is None:
            unanswered.append(connection)
            return
        connection.close()
        assert is_right(answer_bytes), answer_bytes

    send()
    for connection in unanswered:
        with connection:
            answer_bytes = received(connection, CLOSING_SECONDS)
            assert answer_bytes is not None, "the connection was neither answered nor ended"
            assert is_right(answer_bytes), answer_bytes
    assert probabilities(server) == before


def is_http(answer_bytes: bytes) -> bool:
    """Whether the bytes are empty, or begin with an HTTP status other than a server error, except 503."""
    return not answer_bytes or re.match(rb"HTTP/1\.1 ([1-4]\d\d|503) ", answer_bytes) is not None


def test_any_body_gets_a_status_below_500_or_503(edge: Server) -> None:
    """Bodies are valid JSON with one wrong value, or mutated bytes of a valid request."""
    before = probabilities(edge)

    @fuzzed
    @given(documents() | st.sampled_from(BODIES).flatmap(mutated))
    def send(body: bytes) -> None:
        response = answer(edge, body)
        assert response.status_code == 503 or response.status_code < 500, response.text
        assert response.status_code == 200 or response.json()["error"]

    send()
    assert probabilities(edge) == before


def test_any_bytes_on_the_rest_port_are_answered_or_the_connection_is_closed(edge: Server) -> None:
    """Bytes include request heads with wrong lengths, and data that is no HTTP at all."""
    wrong_heads = mutated(HEAD).map(lambda head: head + BODY)
    check_survives(edge, edge.url, wrong_heads | mutated(HEAD + BODY) | st.binary(min_size=1, max_size=99), is_http)


def test_any_grpc_message_gets_an_answer_or_a_refusal(edge: Server) -> None:
    """Bytes that are no request never get INTERNAL or UNKNOWN."""
    before = probabilities(edge)
    with grpc.insecure_channel(edge.grpc) as channel:
        call = channel.unary_unary(CALL)

        @fuzzed
        @given(st.sampled_from(MESSAGES).flatmap(mutated) | st.binary(max_size=99))
        def send(sent: bytes) -> None:
            code = "OK"
            try:
                call(sent, timeout=SECONDS)
            except grpc.RpcError as error:
                code = error.code().name
            assert code in CODES

        send()
        assert call(MESSAGE, timeout=SECONDS)
    assert probabilities(edge) == before


MESSAGES_BY_METHOD = {
    "grpc.health.v1.Health/Check": HealthCheckRequest(service="xgboost-model"),
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ServerReflectionRequest(
        file_containing_symbol="inference.GRPCInferenceService"
    ),
}


@pytest.mark.parametrize("method", MESSAGES_BY_METHOD)
def test_any_message_to_health_and_reflection_gets_an_answer_or_a_refusal(edge: Server, method: str) -> None:
    """Bytes that are no such message never get INTERNAL or UNKNOWN, and the log has no traceback."""
    before, valid = edge.log.stat().st_size, MESSAGES_BY_METHOD[method].SerializeToString()
    with grpc.insecure_channel(edge.grpc) as channel:
        ask = channel.stream_stream(f"/{method}")

        @fuzzed
        @given(mutated(valid) | st.binary(max_size=99))
        def send(sent: bytes) -> None:
            call = ask(iter([sent]), timeout=SECONDS)
            with suppress(grpc.RpcError):
                next(call, None)
            assert call.code().name in CODES

        send()
        assert next(ask(iter([valid]), timeout=SECONDS))
    assert b"Traceback" not in edge.log.read_bytes()[before:]


def test_any_bytes_on_the_grpc_port_leave_other_clients_unharmed(edge: Server) -> None:
    """Bytes are truncated or invalid HTTP/2, or HTTP/1.1."""
    before = probabilities(edge)

    @fuzzed
    @given(mutated(PREFACE) | st.binary(max_size=99).map(PREFACE.__add__) | st.just(HEAD + BODY))
    def send(message: bytes) -> None:
        with connect(edge.grpc) as connection, suppress(ConnectionError):
            connection.sendall(message)
            received(connection, LOOK_SECONDS)

    send()
    with grpc.insecure_channel(edge.grpc) as channel:
        assert channel.unary_unary(CALL)(MESSAGE, timeout=SECONDS)
    assert probabilities(edge) == before
