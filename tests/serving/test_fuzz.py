"""Whatever bytes reach a port, the server neither breaks nor hangs, and then answers a good request as before."""

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
"""That it may take to end a connection on which nothing more comes; it is set to 2."""
LOOK_SECONDS = 0.02
"""After which an unanswered message is looked at later, beside the others."""

TENSOR = {"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0.5] * 200}
DOCUMENT: dict[str, Any] = {"id": "one", "parameters": {}, "inputs": [TENSOR], "outputs": [{"name": "predict_proba"}]}
BODY = json.dumps(DOCUMENT).encode()
OTHERS = [{**TENSOR, "datatype": "FP16"}, {**TENSOR, "datatype": "BOOL", "data": [True, False] * 100}]
BODIES = [BODY, *(json.dumps({**DOCUMENT, "inputs": [each]}).encode() for each in OTHERS)]
HEAD = head(len(BODY))


def message(datatype: str, size: int) -> bytes:
    """The same for gRPC, of zeros of so many bytes each."""
    tensor = dataplane_pb2.ModelInferRequest.InferInputTensor(name="x", datatype=datatype, shape=[1, 200])
    asked = dataplane_pb2.ModelInferRequest(
        model_name="xgboost-model", inputs=[tensor], raw_input_contents=[bytes(200 * size)]
    )
    return bytes(asked.SerializeToString())


MESSAGE = message("FP32", 4)
MESSAGES = [MESSAGE, message("FP16", 2), message("BOOL", 1)]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How HTTP/2 begins, with an empty frame of settings."""

CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}

fuzzed = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with a few stretches overwritten, cut out, put in or doubled."""
    for _ in range(draw(st.integers(1, 4))):
        start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 40))
        piece = data[start : start + length]
        data = data[:start] + draw(st.binary(max_size=9) | st.just(piece * 2)) + data[start + length :]
    return data


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """The valid request with one value replaced, wherever it stands, or a member renamed."""
    document = json.loads(draw(st.sampled_from(BODIES)))
    holder: Any = document
    key: Any = draw(st.sampled_from([*DOCUMENT]))
    while isinstance(holder[key], dict | list) and holder[key] and draw(st.booleans()):
        holder = holder[key]
        key = draw(st.sampled_from([*holder])) if isinstance(holder, dict) else draw(st.integers(0, len(holder) - 1))
    holder[key] = draw(JSON)
    return json.dumps(document).encode()


def answer(server: Server, body: bytes) -> requests.Response:
    """What the server answers."""
    return requests.post(server.url + INFER, data=body, timeout=SECONDS)


def probabilities(server: Server) -> object:
    """What it answers to the good request."""
    good = answer(server, BODY)
    assert good.status_code == 200
    return good.json()["outputs"]


def received(connection: socket.socket, seconds: float) -> bytes | None:
    """The first that came, empty where the server ended the connection; None where nothing came in this time."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65_536)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""


def survives(
    server: Server, address: str, messages: st.SearchStrategy[bytes], is_right: Callable[[bytes], bool]
) -> None:
    """Send each on a connection of its own; all must be answered rightly, or ended before the deadline."""
    before, open_yet = probabilities(server), []

    @fuzzed
    @given(messages)
    def send(message: bytes) -> None:
        connection = connect(address)
        with suppress(ConnectionError):
            connection.sendall(message)
        if (found := received(connection, LOOK_SECONDS)) is None:
            open_yet.append(connection)
            return
        connection.close()
        assert is_right(found), found

    send()
    for connection in open_yet:
        with connection:
            found = received(connection, CLOSING_SECONDS)
            assert found is not None, "the connection was neither answered nor ended"
            assert is_right(found), found
    assert probabilities(server) == before


def is_http(found: bytes) -> bool:
    """Whether this begins with a status that is no fault of the server, or is nothing."""
    return not found or re.match(rb"HTTP/1\.1 ([1-4]\d\d|503) ", found) is not None


def test_any_body_is_answered(edge: Server) -> None:
    """Valid JSON that is no valid request, and bytes that were one once."""
    before = probabilities(edge)

    @fuzzed
    @given(documents() | st.sampled_from(BODIES).flatmap(mutated))
    def send(body: bytes) -> None:
        found = answer(edge, body)
        assert found.status_code == 503 or found.status_code < 500, found.text
        assert found.status_code == 200 or found.json()["error"]

    send()
    assert probabilities(edge) == before


def test_any_bytes_on_the_port_of_rest_are_answered_or_ended(edge: Server) -> None:
    """Heads that lie among them, and what is no HTTP at all."""
    lying = mutated(HEAD).map(lambda head: head + BODY)
    survives(edge, edge.url, lying | mutated(HEAD + BODY) | st.binary(min_size=1, max_size=99), is_http)


def test_any_message_is_answered_over_grpc(edge: Server) -> None:
    """By a status that blames it, where it is no request."""
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


QUESTIONS = {
    "grpc.health.v1.Health/Check": HealthCheckRequest(service="xgboost-model"),
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ServerReflectionRequest(
        file_containing_symbol="inference.GRPCInferenceService"
    ),
}


@pytest.mark.parametrize("method", QUESTIONS)
def test_any_question_of_grpcs_own_tools_is_answered(edge: Server, method: str) -> None:
    """By a status that blames it, where it is none; the log stays clean."""
    before, asked = edge.log.stat().st_size, QUESTIONS[method].SerializeToString()
    with grpc.insecure_channel(edge.grpc) as channel:
        ask = channel.stream_stream(f"/{method}")

        @fuzzed
        @given(mutated(asked) | st.binary(max_size=99))
        def send(sent: bytes) -> None:
            call = ask(iter([sent]), timeout=SECONDS)
            with suppress(grpc.RpcError):
                next(call, None)
            assert call.code().name in CODES

        send()
        assert next(ask(iter([asked]), timeout=SECONDS))
    assert b"Traceback" not in edge.log.read_bytes()[before:]


def test_any_bytes_on_the_port_of_grpc_do_no_harm(edge: Server) -> None:
    """HTTP/2 that breaks off or breaks its rules; other clients are answered."""
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
