"""Over real sockets: an invalid request is refused with one sentence, and the next request is answered."""

import gzip
import json
import re
import shutil
import signal
import socket
import struct
import time
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
import requests
import tritonclient.http
from bench import memory
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from tests.serving.wire import DEPLOY, INFER, SECONDS, connect, head
from urllib3.exceptions import NewConnectionError

from santander.problem import PROBLEM
from tabserve.client.local_server import Server, running
from tabserve.model.model import Model
from tabserve.table.frame import Frame
from tabserve.wording import shown

MODEL = "/v2/models/xgboost-model"
CLOSING_SECONDS = 10
"""Most time to close a silent connection; the server's own timeout is 2."""
MIB = 2**20
LIMIT = 1_000_000
"""Most bytes of a body on the server `small`; set in conftest.py."""


class Call(NamedTuple):
    """A request as the client sends it."""

    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    method: str = "POST"
    path: str = INFER


class Case(NamedTuple):
    """An invalid request, with the status and the sentence of its refusal (a regular expression)."""

    call: Call
    status: int
    sentence: str


def request(data: object, shape: object = (1, 200), **others: object) -> dict[str, Any]:
    """The JSON document of a request with one tensor."""
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": shape, "data": data}], **others}


def encode(*arguments: Any, **members: object) -> bytes:  # noqa: ANN401  any JSON
    """The body of such a request."""
    return json.dumps(request(*arguments, **members)).encode()


def literal(cells: str, shape: str = "[1, 200]") -> bytes:
    """The body of such a request, with data that no JSON writer would write."""
    return f'{{"inputs":[{{"name":"x","datatype":"FP32","shape":{shape},"data":{cells}}}]}}'.encode()


def binary(size: object = 800, tail: bytes = bytes(800), length: str | None = None, **members: object) -> Call:
    """A request whose values follow the JSON as bytes."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 200], "parameters": {"binary_data_size": size}, **members}
    head = json.dumps({"inputs": [tensor]}).encode()
    return Call(head + tail, {"Inference-Header-Content-Length": str(len(head)) if length is None else length})


def with_flag(name: str, value: object) -> Call:
    """A request with a parameter about binary outputs."""
    if name == "binary_data_output":
        return Call(encode(ROW, parameters={name: value}))
    return Call(encode(ROW, outputs=[{"name": "predict", "parameters": {name: value}}]))


def compressed(body: bytes, encoding: str = "gzip") -> Call:
    """A request whose header says that its body is compressed."""
    return Call(body, {"Content-Encoding": encoding})


ROW = [0.0] * 200
VALUES: list[object] = [1, "true", None, []]
VALID = encode(ROW)
ZEROS = ",".join(["0"] * 199)
HIDDEN = b'{"outputs":null,' + literal(f"[0,[0],{ZEROS[2:]}]")[1:]
LENGTH = "Inference-Header-Content-Length is"

REFUSED: dict[str, Case] = {
    "empty": Case(Call(b""), 400, "The body is not JSON"),
    "not JSON": Case(Call(b"hello"), 400, "The body is not JSON"),
    "truncated": Case(Call(VALID[:-9]), 400, "The body is not JSON"),
    "text after it": Case(Call(VALID + b"}"), 400, "The body is not JSON"),
    "a byte order mark": Case(Call(b"\xef\xbb\xbf" + VALID), 400, "The body is not JSON .*byte order mark"),
    "UTF-16": Case(Call(VALID.decode().encode("utf-16")), 400, "The body is not JSON"),
    "not UTF-8": Case(Call(VALID.replace(b'"x"', b'"\xff"')), 400, "The body is not JSON"),
    "1e400": Case(Call(literal(f"[1e400,{ZEROS}]")), 400, "Row 0, column 'var_0', is Infinity; expected a finite"),
    "nested deeply": Case(Call(b"[" * 100_000), 400, "The body holds lists or objects nested too deep to be read"),
    "data nested deeply": Case(Call(literal("[" * 500 + "]" * 500)), 400, "Input 'x' has shape"),
    **{
        f"not an object: {text}": Case(
            Call(text.encode()), 400, f"The request is {re.escape(text)}; expected an object"
        )
        for text in ("[]", "1", "null", "true", "1.5")
    },
    "no inputs": Case(Call(b"{}"), 400, "The request has no 'inputs'"),
    "inputs an object": Case(Call(b'{"inputs": {}}'), 400, "as its 'inputs'; expected a list"),
    "inputs empty": Case(Call(b'{"inputs": []}'), 400, "The request has no inputs"),
    "data a number": Case(Call(encode(1)), 400, "as its 'data'; expected a list"),
    "data an object": Case(Call(encode({})), 400, "as its 'data'; expected a list"),
    **{
        f"cell {cell[:9]} of {len(cell)}": Case(
            Call(literal(f"[{cell},{ZEROS}]")), 400, "The body is not JSON|Row 0, column 'var_0', is"
        )
        for cell in (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e400",
            "1e39",
            "9" * 400,
            "9" * 5_000,
            "null",
            "[0]",
            "01",
            "+1",
            "0x1",
            '"0"',
            "{}",
        )
    },
    "a list among numbers": Case(Call(literal(f"[[1,[2],{ZEROS[2:]}]]")), 400, "Row 0, column 'var_1', is"),
    "a list in flat data": Case(Call(literal(f"[0,[0],{ZEROS[2:]}]")), 400, "Row 0, column 'var_1', is"),
    "a list beside null outputs": Case(Call(HIDDEN), 400, "Row 0, column 'var_1', is"),
    "an empty list beside null outputs": Case(
        Call(HIDDEN.replace(b"[0]", b"[],0")), 400, "has shape|column 'var_1', is"
    ),
    "a list for two numbers": Case(Call(literal(f"[[1,2],{ZEROS[2:]}]")), 400, "found 199"),
    "an empty list more": Case(
        Call(literal(f"[[[],{ZEROS},0]]")), 400, "Row 0|expected row 0 of length 200, found 201"
    ),
    "ragged": Case(Call(encode([ROW[:199], [*ROW, 0.0]], [2, 200])), 400, "row 0 of length 200, found 199"),
    "rows missing": Case(Call(encode([ROW], [2, 200])), 400, "expected data of length 400, or 2 if nested, found 1"),
    "rows too many": Case(Call(encode([ROW, ROW], [1, 200])), 400, "length 200, or 1 if nested, found 2"),
    "rows of half the width": Case(Call(encode([ROW[:100], ROW[:100]])), 400, "or 1 if nested, found 2"),
    "a row no list": Case(Call(encode([ROW, 0.0], [2, 200])), 400, "expected row 1 as a list"),
    "shape negative": Case(Call(encode(ROW, [-1, 200])), 400, "a shape is a list of whole numbers"),
    **{
        f"shape {shape}": Case(Call(encode(ROW, shape)), 400, "Input 'x' has shape")
        for shape in ([1, 2**63], [1, 2**64], [1, 10**30], [True, 200], [1, 200, 1], [[1], 200], [])
    },
    **{
        name: Case(Call(encode(ROW, shape)), 400, "a shape is a list of whole numbers|expected .rows, 200.")
        for name, shape in {
            "shape of a word": ["a", 10**15],
            "shape of a list": [[0], 10**14],
            "shape of huge numbers": [1, *[2**63 - 1] * 60_000],
        }.items()
    },
    "another encoding": Case(compressed(VALID, "br"), 400, "has the Content-Encoding 'br'; expected gzip"),
    "two encodings": Case(compressed(gzip.compress(VALID), "gzip, gzip"), 400, "has the Content-Encoding"),
    "not gzip": Case(compressed(VALID), 400, "cannot be unpacked as gzip"),
    "gzip damaged": Case(compressed(gzip.compress(VALID)[:-8] + bytes(8)), 400, "cannot be unpacked as gzip"),
    "gzip truncated": Case(compressed(gzip.compress(VALID)[:-5]), 400, "not one whole gzip stream"),
    "gzip empty": Case(compressed(b""), 400, "not one whole gzip stream"),
    "gzip with text after it": Case(compressed(gzip.compress(VALID) + b"something"), 400, "cannot be unpacked as gzip"),
    "gzip with half a member after it": Case(
        compressed(gzip.compress(VALID) + gzip.compress(b" ")[:-1]), 400, "not one whole gzip"
    ),
    "gzip of two requests": Case(compressed(gzip.compress(VALID) * 2), 400, "The body is not JSON"),
    "deflate twice": Case(
        compressed(zlib.compress(VALID) * 2, "deflate"), 400, "goes on behind 1 whole deflate stream;"
    ),
    "deflate truncated": Case(compressed(zlib.compress(VALID)[:-5], "deflate"), 400, "not one whole deflate stream"),
    "too many rows": Case(Call(encode([0] * 200 * 10_001, [10_001, 200])), 413, "has 10001 rows; send at most 10000"),
    "announced too large": Case(Call(bytes(64 * MIB + 1)), 413, "larger than 67108864 bytes"),
    "GET": Case(Call(b"", method="GET"), 405, "Inference takes POST, not GET"),
    "PUT": Case(Call(VALID, method="PUT"), 405, "Inference takes POST, not PUT"),
    "DELETE": Case(Call(b"", method="DELETE"), 405, "Inference takes POST, not DELETE"),
    "unknown model": Case(Call(VALID, path="/v2/models/nobody/infer"), 404, "Model 'nobody' is not found"),
    "odd model": Case(Call(VALID, path="/v2/models/%ff%00%0a/infer"), 404, "is not found"),
    "unknown version": Case(Call(VALID, path=f"{MODEL}/versions/v9/infer"), 404, "of version 'v9' is not found"),
    "unknown path": Case(Call(VALID, path="/v3/nothing"), 404, "Not Found"),
    **{
        f"a line feed after {word}": Case(Call(VALID, path=f"{MODEL}/{word}%0A"), 404, "Not Found")
        for word in ("infer", "generate", "infer_stream", "ready", "config")
    },
    "models are not listed": Case(Call(b"{}", path="/v2/repository/index"), 403, "is closed; an operator opens it"),
    **{
        f"a model is not {verb}ed": Case(
            Call(b"", path=f"/v2/repository/models/xgboost-model/{verb}"), 403, "is closed"
        )
        for verb in ("load", "unload")
    },
    "head length negative": Case(binary(length="-1"), 400, f"{LENGTH} '-1'"),
    "head length a word": Case(binary(length="many"), 400, f"{LENGTH} 'many'"),
    "head length too large": Case(binary(length="999999"), 400, f"{LENGTH} '999999'"),
    "head length huge": Case(binary(length="9" * 5_000), 400, LENGTH),
    "head length zero": Case(binary(length="0"), 400, "The body is not JSON"),
    "head length empty": Case(binary(length=""), 400, LENGTH),
    "head length short": Case(binary(length="20"), 400, "The body is not JSON"),
    "bytes left over": Case(binary(796), 400, "has 800 bytes behind its JSON, and .* add up to 796"),
    "bytes of no tensor": Case(binary(None, data=ROW), 400, "add up to 0"),
    "bytes too few": Case(binary(804), 400, "has 804 as its binary_data_size"),
    "bytes of a fifth": Case(binary(799, bytes(799)), 400, "FP32 needs multiples of 4"),
    "bytes of fewer cells": Case(binary(796, bytes(796)), 400, "expected data of length 200.* found 199"),
    "size negative": Case(binary(-4), 400, "has -4 as its binary_data_size"),
    "size huge": Case(binary(10**30), 400, "as its binary_data_size"),
    "size a word": Case(binary("800"), 400, "has '800' as its binary_data_size"),
    "size a fraction": Case(binary(800.0), 400, "has 800.0 as its binary_data_size"),
    "size a boolean": Case(binary(True), 400, "has true as its binary_data_size"),
    "size and data": Case(binary(data=ROW), 400, "has both data and binary_data_size"),
    "bytes of NaN": Case(binary(tail=b"\xff" * 800), 400, "Row 0, column 'var_0', is NaN"),
    "bytes of strings": Case(binary(datatype="BYTES"), 400, "has datatype 'BYTES'|add up to"),
    "size without bytes": Case(Call(binary().body[:-800]), 400, "inputs.0. has no 'data'"),
    **{
        f"{name} {value!r}": Case(with_flag(name, value), 400, f"as its {name!r}; expected true or false")
        for name in ("binary_data_output", "binary_data")
        for value in VALUES
    },
    **{
        f"{owner} {value!r}": Case(call, 400, f"has {re.escape(shown(value))} as its 'parameters'; expected an object")
        for value in ([], [1], "", "a", 0, 1.5, False)
        for owner, call in {
            "parameters": Call(encode(ROW, parameters=value)),
            "an input's parameters": Call(VALID.replace(b'"x"', b'"x", "parameters": ' + json.dumps(value).encode())),
            "a binary input's parameters": binary(parameters=value),
            "an output's parameters": Call(encode(ROW, outputs=[{"name": "predict", "parameters": value}])),
        }.items()
    },
    "id a number": Case(Call(encode(ROW, id=7)), 400, "has 7 as its 'id'; expected a string"),
    "id huge": Case(Call(encode(ROW, id=10**30)), 400, "as its 'id'; expected a string"),
    "id a list": Case(Call(encode(ROW, id=["a"])), 400, "as its 'id'; expected a string"),
    "id nested deeply": Case(Call(encode(ROW, id=None).replace(b"null", b"[" * 400 + b"]" * 400)), 400, "as its 'id'"),
    "id half a surrogate": Case(Call(encode(ROW, id="\ud800")), 400, "has '.*ud800' as its 'id'; expected whole"),
}


def send(server: Server, call: Call) -> requests.Response:
    """Send a request; returns the response."""
    url = server.url + call.path
    return requests.request(call.method, url, data=call.body, headers=call.headers, timeout=SECONDS)


def is_serving(server: Server) -> bool:
    """Whether the server answers a valid request."""
    return send(server, Call(VALID)).status_code == 200


def has_closed(connection: socket.socket) -> bool:
    """Wait until the server closes the connection; returns True."""
    connection.settimeout(CLOSING_SECONDS)
    with suppress(ConnectionResetError):
        while connection.recv(65_536):
            pass
    return True


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
def test_an_invalid_request_gets_one_sentence_and_the_next_is_answered(edge: Server, case: Case) -> None:
    """The refusal is JSON, with the right status; a 405 names the allowed methods."""
    answer = send(edge, case.call)
    assert answer.status_code == case.status, answer.text
    assert re.search(case.sentence, answer.json()["error"])
    assert answer.headers.get("Allow") == ("OPTIONS, POST" if case.status == 405 else None)
    assert is_serving(edge)


@pytest.mark.parametrize("opening", [b"{", b'{"inputs": [{'], ids=["the request", "a tensor"])
def test_parsing_many_members_takes_linear_time(edge: Server, opening: bytes) -> None:
    """In quadratic time, 200,000 members would exceed the client's timeout."""
    members = json.dumps({f"member {number}": 0 for number in range(200_000)})[1:-1].encode()
    assert send(edge, Call(opening + members + b"," + VALID.removeprefix(opening))).status_code == 200


@pytest.mark.parametrize("digits", [19, 20, 30, 38])
def test_a_long_integer_equals_the_same_number_in_exponent_form(edge: Server, digits: int) -> None:
    """Up to the largest 32-bit float."""
    answers = [
        send(edge, Call(literal(f"[{number},{ZEROS}]"))) for number in ("1" + "0" * (digits - 1), f"1e{digits - 1}")
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["outputs"] == answers[1].json()["outputs"]


TWICE = {
    "inputs": b'{"inputs": [], ' + VALID[1:],
    "data": VALID.replace(b'"data"', b'"data": [1], "data"'),
    "shape": VALID.replace(b'"shape"', b'"shape": [7, 200], "shape"'),
    "id": b'{"id": "first", "id": "last", ' + VALID[1:],
}


@pytest.mark.parametrize("body", TWICE.values(), ids=list(TWICE))
def test_the_last_of_two_members_of_one_name_counts(edge: Server, body: bytes) -> None:
    """As in Python's own parser."""
    answer = send(edge, Call(body))
    assert answer.status_code == 200
    assert answer.json()["outputs"] == send(edge, Call(VALID)).json()["outputs"]
    assert answer.json()["id"] == json.loads(body).get("id", answer.json()["id"])


@pytest.mark.parametrize("identity", ["plain", "Grüße", "日本語", "שלום", "🎈", '\x00\n"\\', "a" * 10_000])
def test_the_response_has_the_id_of_the_request(edge: Server, identity: str) -> None:
    """In any script."""
    assert send(edge, Call(encode(ROW, id=identity))).json()["id"] == identity


def test_a_request_without_an_id_gets_one(edge: Server) -> None:
    """A different one for each request."""
    first, second = (send(edge, Call(VALID)).json()["id"] for _ in range(2))
    assert first
    assert second
    assert first != second


def test_columns_are_matched_by_name(edge: Server, model: Model, sample_frame: Frame) -> None:
    """200 inputs in random order give the same probabilities as the model."""
    features = sample_frame.features[:3]
    inputs = [
        {"name": PROBLEM.features[index], "datatype": "FP32", "shape": [3, 1], "data": features[:, index].tolist()}
        for index in np.random.default_rng(1).permutation(200)
    ]
    answer = send(edge, Call(json.dumps({"inputs": inputs, "outputs": [{"name": "predict_proba"}]}).encode()))
    probability = np.array(answer.json()["outputs"][0]["data"], np.float32).reshape(3, 2)[:, 1]
    assert probability.tobytes() == model.score(features).probability.tobytes()


@pytest.mark.parametrize("compression", [None, "gzip", "deflate"])
@pytest.mark.parametrize("rows", [1, 700])
def test_tritons_client_gets_the_models_exact_outputs(
    edge: Server, model: Model, sample_frame: Frame, compression: str | None, rows: int
) -> None:
    """It sends and receives binary tensors by default; they are equal to the bit."""
    features = sample_frame.features[:rows]
    tensor = tritonclient.http.InferInput("any", features.shape, "FP32").set_data_from_numpy(features)
    with tritonclient.http.InferenceServerClient(edge.url.removeprefix("http://"), network_timeout=SECONDS) as client:
        result = client.infer("xgboost-model", [tensor], request_compression_algorithm=compression)
    expected = model.score(features)
    assert all("binary_data_size" in output["parameters"] for output in result.get_response()["outputs"])
    assert result.as_numpy("predict").ravel().tolist() == expected.label.tolist()
    negative_and_positive = np.column_stack([1 - expected.probability, expected.probability])
    assert result.as_numpy("predict_proba").tobytes() == negative_and_positive.tobytes()


@pytest.mark.parametrize("cuts", [[], [1], [40, 41], [*range(0, len(VALID), 10)]], ids=len)
def test_gzip_may_have_several_members(edge: Server, cuts: list[int]) -> None:
    """Wherever the body was cut (RFC 1952); members may be empty."""
    parts = [VALID[start:end] for start, end in zip([0, *cuts], [*cuts, len(VALID)], strict=True)]
    answer = send(edge, compressed(b"".join(gzip.compress(part) for part in [b"", *parts, b""]), "gzip"))
    assert answer.json()["outputs"] == send(edge, Call(VALID)).json()["outputs"]


REPEATED_HEADERS = {
    "gzip, gzip": [b"Content-Encoding: gzip", b"Content-Encoding: gzip"],
    "gzip, identity": [b"Content-Encoding: gzip", b"X: y", b"content-encoding: identity"],
    "identity, gzip": [b"Content-Encoding: identity", b"Content-Encoding: gzip"],
    "gzip, deflate, gzip": [b"Content-Encoding: gzip, deflate", b"Content-Encoding: gzip"],
    "9, 9": [b"Inference-Header-Content-Length: 9", b"Inference-Header-Content-Length: 9"],
}


@pytest.mark.parametrize("values", REPEATED_HEADERS, ids=list(REPEATED_HEADERS))
def test_repeated_headers_about_the_body_are_refused(edge: Server, values: str) -> None:
    """The refusal names all values; the last one alone does not count."""
    lines = b"".join(line + b"\r\n" for line in REPEATED_HEADERS[values])
    for body in (VALID, gzip.compress(VALID), gzip.compress(gzip.compress(VALID))):
        with connect(edge.url) as connection:
            connection.sendall(head(len(body))[:-2] + lines + b"Connection: close\r\n\r\n" + body)
            response = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert response.startswith(b"HTTP/1.1 400 ")
        assert f"'{values}'" in json.loads(response.partition(b"\r\n\r\n")[2])["error"]


CHUNKED = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
HALF = {
    "nothing": b"",
    "half a line": b"POST /v2/mod",
    "half a head": head(9)[:-6],
    "half a body": head(len(VALID)) + VALID[:500],
    "a head alone": head(9),
    "half a chunk": CHUNKED + b"ff\r\n{",
}


def test_half_a_request_is_closed_after_receive_seconds(edge: Server) -> None:
    """Whichever part of it has arrived; other clients are answered meanwhile."""
    with ExitStack() as stack:
        connections = {name: stack.enter_context(connect(edge.url)) for name in HALF}
        for name, connection in connections.items():
            connection.sendall(HALF[name])
        assert is_serving(edge)
        for connection in connections.values():
            assert has_closed(connection)


def test_a_slow_drip_of_bytes_is_closed_after_receive_seconds(edge: Server) -> None:
    """A byte now and then does not keep the connection open."""
    deadline = time.monotonic() + CLOSING_SECONDS
    with connect(edge.url) as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(head(9)[:-2] + b"X: ")
        while time.monotonic() < deadline:
            connection.sendall(b"a")
            time.sleep(0.1)
    assert time.monotonic() < deadline


def test_a_huge_head_is_refused(edge: Server) -> None:
    """By 400, or by closing the connection."""
    with connect(edge.url) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(head(0)[:-2] + b"X: " + b"a" * 200_000)
        connection.settimeout(CLOSING_SECONDS)
        with suppress(ConnectionResetError):
            assert connection.recv(65_536)[:12] in {b"", b"HTTP/1.1 400"}
    assert is_serving(edge)


@pytest.mark.parametrize("path", [INFER, "/v2/health/live", "/v2/models/nobody/infer"])
@pytest.mark.parametrize("trailer", [b"a:\r\n" * 16_384, b"a" * 65_536], ids=["many", "one"])
def test_huge_trailers_are_not_read(edge: Server, path: str, trailer: bytes) -> None:
    """The server closes the connection on every route, and its memory does not grow."""
    memory.forget_peak(edge.process.pid)
    before = memory.resident(edge.process.pid)
    with connect(edge.url) as connection, suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(CHUNKED.replace(INFER.encode(), path.encode()) + b"2\r\n{}\r\n0\r\na:")
        for _ in range(500):
            connection.sendall(trailer)
    assert is_serving(edge)
    assert memory.peak(edge.process.pid) - before < 16 * MIB


def test_a_body_of_many_small_chunks_is_read(edge: Server) -> None:
    """Though most of its bytes are not body; a few trailers are read too."""
    chunks = b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in VALID + b" " * 30_000)
    with connect(edge.url) as connection:
        connection.sendall(CHUNKED + chunks + b"0\r\na: b\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_length_of_thousands_of_digits_is_refused(edge: Server) -> None:
    """Even if they are leading zeros."""
    with connect(edge.url) as connection:
        connection.sendall(head(len(VALID)).replace(b"Length: ", b"Length: " + b"0" * 5_000) + VALID)
        response = connection.recv(65_536)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"The Content-Length has too many digits" in response


def test_idle_connections_do_not_block_others(edge: Server) -> None:
    """With 300 of them open, a request is answered."""
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connect(edge.url))
        assert is_serving(edge)


@pytest.mark.parametrize("part", [0.5, 1.0])
def test_a_client_that_leaves_does_not_disturb_the_server(edge: Server, part: float) -> None:
    """In the middle of sending 10,000 rows, or before their response."""
    body, before = encode([0] * 2_000_000, [10_000, 200]), edge.log.stat().st_size
    with connect(edge.url) as connection:
        connection.sendall(head(len(body)) + body[: int(part * len(body))])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # end by a reset
    assert is_serving(edge)
    assert b"Traceback" not in edge.log.read_bytes()[before:]


@pytest.mark.parametrize("member", ["inputs", "outputs"])
def test_too_many_tensors_are_refused_before_they_are_validated(edge: Server, member: str) -> None:
    """Over REST and gRPC; two bytes of a gRPC message would take half a kilobyte of memory."""
    sentence = f"The request has 100001 {member}; expected at most 100000."
    tensors: dict[str, Any] = {member: [{}] * 100_001}
    answer = send(edge, Call(json.dumps({**request(ROW), **tensors}).encode()))
    assert (answer.status_code, answer.json()) == (400, {"error": sentence})
    message = dataplane_pb2.ModelInferRequest(model_name="xgboost-model", **tensors)
    with grpc.insecure_channel(edge.grpc) as channel, pytest.raises(grpc.RpcError) as raised:
        dataplane_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(message, timeout=SECONDS)  # type: ignore[no-untyped-call]
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, sentence)


def test_metrics_count_answers_and_refusals(edge: Server) -> None:
    """Refusals by protocol and status, answers by model."""
    assert send(edge, Call(b"")).status_code == 400
    assert is_serving(edge)
    text = requests.get(f"{edge.metrics}/metrics", timeout=SECONDS).text
    assert re.search(r'^tabserve_rejected_total{.*"400".*} [1-9]', text, re.MULTILINE)
    assert re.search(r'^model_infer_request_success_total{model="xgboost-model".*} [1-9]', text, re.MULTILINE)


def test_the_admin_setting_opens_the_repository(small: Server) -> None:
    """It lists the model."""
    answer = send(small, Call(b"{}", path="/v2/repository/index"))
    assert (answer.status_code, [model["name"] for model in answer.json()]) == (200, ["xgboost-model"])


OVERSIZED = {
    "gzip members that unpack to too much": head(len(members := gzip.compress(bytes(MIB // 2)) * 2))[:-2]
    + b"Content-Encoding: gzip\r\n\r\n"
    + members,
    "gzip that unpacks to too much": head(len(bomb := gzip.compress(bytes(50 * MIB))))[:-2]
    + b"Content-Encoding: gzip\r\n\r\n"
    + bomb,
    "announced": head(LIMIT + 1) + bytes(LIMIT + 1),
    "in chunks": CHUNKED + b"10000\r\n%b\r\n" % bytes(65_536) * 16 + b"0\r\n\r\n",
}


@pytest.mark.parametrize("sent", OVERSIZED.values(), ids=list(OVERSIZED))
def test_a_body_over_the_limit_is_refused(small: Server, sent: bytes) -> None:
    """Whether the length is announced or not, before or after decompression."""
    with connect(small.url) as connection:
        connection.sendall(sent)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")
    assert is_serving(small)


def test_a_broken_folder_does_not_replace_the_loaded_model(model_folder: Path, tmp_path: Path) -> None:
    """On SIGHUP under load each request is answered, and the log says why the model stays."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    with running(DEPLOY, {"TABSERVE_MODEL": str(folder)}) as server:
        (folder / "model.ubj").write_bytes(b"broken")
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + SECONDS
        while "was not reloaded" not in server.log.read_text():
            assert is_serving(server)
            assert time.monotonic() < deadline, server.log.read_text()
        assert all(is_serving(server) for _ in range(20))
        assert "Model xgboost-model was not reloaded, and goes on as before: " in server.log.read_text()


def test_no_request_is_lost_when_the_server_ends(model_folder: Path) -> None:
    """On SIGTERM under load the server answers until the port is closed, then exits with code 0."""
    variables = {"TABSERVE_MODEL": str(model_folder), "TABSERVE_DRAIN_SECONDS": "1"}
    with running(DEPLOY, variables) as server, ThreadPoolExecutor(8) as pool:

        def until_refused() -> list[int]:
            statuses = []
            with requests.Session() as session:
                while True:
                    try:
                        statuses.append(session.post(server.url + INFER, data=VALID, timeout=SECONDS).status_code)
                    except requests.ConnectionError as error:
                        if isinstance(getattr(error.args[0], "reason", None), NewConnectionError):
                            return statuses
                        raise

        clients = [pool.submit(until_refused) for _ in range(8)]
        time.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        lost = [repr(error) for client in clients if (error := client.exception(SECONDS))]
        assert not lost, f"{lost}; the server's log: {server.log.read_text()}"
        assert {status for client in clients for status in client.result()} <= {200, 503}, server.log.read_text()
        assert server.process.wait(SECONDS) == 0, server.log.read_text()


def test_every_method_on_an_unknown_path_gets_404(edge: Server) -> None:
    """GET, HEAD and OPTIONS alike."""
    for path in ("/nobody", "/v2/models/nobody", "/v2/models/nobody/ready", "/v2/models/xgboost-model/nobody"):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert requests.request(method, edge.url + path, timeout=SECONDS).status_code == 404, (method, path)


def test_health_is_json(edge: Server) -> None:
    """With the members of the protocol's text and those of KServe's client; an unknown version gets 404."""
    health = {
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"live": True, "ready": True},
        "/v2/models/xgboost-model/ready": {"name": "xgboost-model", "ready": True},
        "/v2/models/xgboost-model/versions/v0.1.0/ready": {"name": "xgboost-model", "ready": True},
    }
    for path, expected in health.items():
        answer = requests.get(edge.url + path, timeout=SECONDS)
        assert (answer.json(), answer.headers["Content-Type"]) == (expected, "application/json")
    assert requests.get(f"{edge.url}/v2/models/xgboost-model/versions/v9/ready", timeout=SECONDS).status_code == 404


def test_the_server_reports_the_version_of_tabserve(edge: Server) -> None:
    """Over REST, in the OpenAPI document and over gRPC; never MLServer's version."""
    ours = metadata.version("tabserve")
    assert requests.get(f"{edge.url}/v2", timeout=SECONDS).json()["version"] == ours
    assert requests.get(f"{edge.url}/v2/docs/dataplane.json", timeout=SECONDS).json()["info"]["version"] == ours
    with grpc.insecure_channel(edge.grpc) as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
        assert stub.ServerMetadata(dataplane_pb2.ServerMetadataRequest(), timeout=SECONDS).version == ours
