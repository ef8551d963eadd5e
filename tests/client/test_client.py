"""The clients over REST and gRPC, and scripts/request.py, get a served model's answers, or fail with one sentence."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc

from santander.problem import PROBLEM
from santander.sample import sample
from tabserve.client.client import Client, wait
from tabserve.client.grpc import GrpcClient
from tabserve.client.local_server import SERVE, Server, free_ports
from tabserve.client.metadata import DTYPES
from tabserve.client.rest import RestClient
from tabserve.encoding.encoder import Encoder
from tabserve.errors import InvalidRequest, ServerError, UsageError
from tabserve.model.decision import threshold_of
from tabserve.model.model import Model, load
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import stream

ROOT = Path(__file__).parents[2]
SCRIPT, ROWS = ROOT / "scripts" / "request.py", ROOT / "scripts" / "rows.csv"
BOTH = ["predict", "predict_proba"]
MODEL = "xgboost-model"


@pytest.fixture(scope="module")
def server(served: Server) -> Server:
    """A running server."""
    return served


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    """The model that the server serves."""
    return load(model_folder)


@pytest.fixture(params=["rest", "grpc"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


def client_at(protocol: str, address: str, model: str = MODEL, timeout: float = 20) -> Client:
    """A client of the server at host:port."""
    return (
        GrpcClient(address, model, timeout) if protocol == "grpc" else RestClient(f"http://{address}", model, timeout)
    )


def client_for(server: Server, protocol: str, **options: Any) -> Client:  # noqa: ANN401 (the clients' own)
    """A client of this server."""
    return client_at(protocol, server.grpc if protocol == "grpc" else server.url.removeprefix("http://"), **options)


def test_answers_are_those_of_the_model(server: Server, model: Model, sample_frame: Frame, protocol: str) -> None:
    """The client gets the requested outputs to the bit, and the threshold."""
    features = sample_frame.features[:70]
    answer, expected = client_for(server, protocol).ask(features, BOTH), model.score(features)
    assert list(answer.outputs) == BOTH
    assert np.array_equal(answer.outputs["predict"][:, 0], expected.label)
    assert np.array_equal(answer.outputs["predict_proba"][:, 1].astype(np.float32), expected.probability)
    assert answer.threshold == threshold_of(model.decision)
    assert list(client_for(server, protocol).ask(features, BOTH[:1]).outputs) == BOTH[:1]


def test_a_refusal_has_the_servers_own_message(server: Server, protocol: str) -> None:
    """This holds for wrong rows, outputs and model names."""
    client = client_for(server, protocol)
    with pytest.raises(InvalidRequest, match=r"has shape \[1, 3\]; expected \[rows, 200\]"):
        client.ask(np.zeros((1, 3), np.float32), BOTH)
    with pytest.raises(InvalidRequest, match="Output 'label' is unknown"):
        client.ask(np.zeros((1, 200), np.float32), ["label"])
    with pytest.raises(InvalidRequest, match="Model 'nobody' is not found; this server has 'xgboost-model'"):
        client_for(server, protocol, model="nobody").ask(np.zeros((1, 200), np.float32), BOTH)


def test_wait_returns_if_the_model_is_ready_and_fails_at_its_deadline(server: Server, protocol: str) -> None:
    """A model that never becomes ready is an error after the given seconds."""
    wait(client_for(server, protocol).ready, "The model", 0.001)
    with pytest.raises(ServerError, match=r"^The model was not ready within 0\.001 s"):
        wait(client_for(server, protocol, model="nobody").ready, "The model", 0.001)


def test_an_unreachable_server_is_one_sentence(protocol: str) -> None:
    """The error has the address and advice."""
    (port,) = free_ports(1)
    client = client_at(protocol, f"127.0.0.1:{port}")
    assert not client.ready()
    with pytest.raises(ServerError, match=f"^No server answers at .*127.0.0.1:{port}; start one with 'tabserve serve"):
        client.ask(np.zeros((1, 200), np.float32), BOTH)


def test_a_silent_server_is_given_up_after_the_timeout(protocol: str) -> None:
    """The error has the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_at(protocol, f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.2)
        with pytest.raises(ServerError, match=r"did not answer within 0\.2 s"):
            client.ask(np.zeros((1, 200), np.float32), BOTH)


def test_a_server_starts_without_a_warning(server: Server) -> None:
    """Its log has no warning before the model is loaded."""
    before, loaded, _ = server.log.read_text().partition("Loaded model")
    assert loaded
    assert "WARNING" not in before


# Servers whose responses break the protocol.


def as_bytes(document: object) -> bytes:
    """Encode a document as JSON."""
    return json.dumps(document).encode()


METADATA: dict[str, Any] = {
    "name": MODEL,
    "parameters": {"id": "ID_code", "target": "target"},
    "inputs": [
        {
            "name": "predict",
            "datatype": "FP32",
            "shape": [-1, 200],
            "parameters": {"columns": json.dumps(PROBLEM.features), "missing": "[]"},
        }
    ],
    "outputs": [
        {"name": "predict", "datatype": "INT64", "shape": [-1, 1]},
        {"name": "predict_proba", "datatype": "FP32", "shape": [-1, 2]},
    ],
}
"""The right metadata of their model."""


def with_grpc_parameters(document: dict[str, Any]) -> dict[str, Any]:
    """The metadata with parameters in the form of gRPC's messages."""
    parameters = {name: {"string_param": value} for name, value in document.get("parameters", {}).items()}
    members = [member for member in ("inputs", "outputs") if member in document]
    tensors = {member: [with_grpc_parameters(tensor) for tensor in document[member]] for member in members}
    return document | {"parameters": parameters} | tensors


NO_HEADERS: Mapping[str, str] = {}


@contextmanager
def rest_server(
    status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS, *, metadata: bytes | None = None
) -> Iterator[str]:
    """Run an HTTP server that answers every inference and every metadata request the same; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            statistics = {"model_stats": [{"name": MODEL}]}
            described = as_bytes(METADATA) if metadata is None else metadata
            self.wfile.write(as_bytes(statistics) if self.path.endswith("/stats") else described)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


@contextmanager
def grpc_server(response: dataplane_pb2.ModelInferResponse) -> Iterator[str]:
    """Run a gRPC server with the right metadata that answers every inference request the same; yields its address."""

    class Service(dataplane_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelMetadata(self, *_request: object) -> dataplane_pb2.ModelMetadataResponse:  # noqa: N802  the protocol's name
            message = dataplane_pb2.ModelMetadataResponse()
            json_format.ParseDict(with_grpc_parameters(METADATA), message)
            return message

        def ModelInfer(self, *_request: object) -> dataplane_pb2.ModelInferResponse:  # noqa: N802  the protocol's name
            return response

    with ThreadPoolExecutor(1) as threads:
        server = grpc.server(threads)
        dataplane_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)  # type: ignore[no-untyped-call]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait(20)


Output = tuple[str, str, list[int], list[Any]]
"""Name, datatype, shape and values."""

PREDICT: Output = ("predict", "INT64", [2, 1], [0, 1])
PROBA: Output = ("predict_proba", "FP32", [2, 2], [0.75, 0.25, 0.25, 0.75])
"""Right outputs for two rows."""


def as_json(outputs: list[Output], threshold: object = "0.5") -> bytes:
    """The outputs as a response over REST."""
    tensors = [dict(zip(("name", "datatype", "shape", "data"), output, strict=True)) for output in outputs]
    return json.dumps({"outputs": tensors, "parameters": {"threshold": threshold}}).encode()


def as_message(outputs: list[Output], threshold: str = "0.5") -> dataplane_pb2.ModelInferResponse:
    """The outputs as a response over gRPC."""
    kind = dataplane_pb2.ModelInferResponse
    return kind(
        outputs=[kind.InferOutputTensor(name=n, datatype=datatype, shape=shape) for n, datatype, shape, _ in outputs],
        raw_output_contents=[np.array(values, DTYPES.get(datatype)).tobytes() for _, datatype, _, values in outputs],
        parameters={"threshold": dataplane_pb2.InferParameter(string_param=threshold)},
    )


@contextmanager
def server_that_answers(protocol: str, outputs: list[Output], threshold: str = "0.5") -> Iterator[str]:
    """Run a server of either protocol that answers every inference request with these outputs; yields its address."""
    rest, by_grpc = rest_server(200, as_json(outputs, threshold)), grpc_server(as_message(outputs, threshold))
    with by_grpc if protocol == "grpc" else rest as address:
        yield address


TWO = np.zeros((2, 200), np.float32)


def test_right_outputs_are_accepted(protocol: str) -> None:
    """Other outputs in the response are ignored, and data may be nested according to its shape."""
    with server_that_answers(protocol, [PROBA, ("extra", "INT64", [1], [1]), PREDICT]) as address:
        answer = client_at(protocol, address).ask(TWO, BOTH)
    assert {name: values.tolist() for name, values in answer.outputs.items()} == {
        "predict": [[0], [1]],
        "predict_proba": [[0.75, 0.25], [0.25, 0.75]],
    }
    assert answer.threshold == 0.5
    with rest_server(200, as_json([(*PROBA[:3], [[0.75, 0.25], [0.25, 0.75]])], None)) as address:
        nested = client_at("rest", address).ask(TWO, BOTH[1:])
    assert np.array_equal(nested.outputs["predict_proba"], answer.outputs["predict_proba"])
    assert nested.threshold is None


WRONG_OUTPUTS: dict[str, tuple[list[Output], str]] = {
    "no outputs": ([], "its answer lacks the output 'predict'"),
    "an output is missing": ([PREDICT], "its answer lacks the output 'predict_proba'"),
    "too few rows": (
        [("predict", "INT64", [1, 1], [1]), PROBA],
        r"of shape \[1, 1\], expected 'INT64' of shape \[2, 1\]",
    ),
    "too many rows": ([("predict", "INT64", [3, 1], [1, 0, 1]), PROBA], r"shape \[3, 1\]"),
    "one column of two": ([PREDICT, ("predict_proba", "FP32", [2, 1], [0.5, 0.5])], r"shape \[2, 1\], expected 'FP32'"),
    "no columns": ([("predict", "INT64", [2], [0, 1]), PROBA], r"shape \[2\]"),
    "a negative size": ([("predict", "INT64", [-1, 1], [0, 1]), PROBA], r"shape \[-1, 1\]"),
    "fewer values than the shape says": ([PREDICT, (*PROBA[:3], [0.5, 0.5])], "does not hold the values"),
    "another datatype": ([("predict", "FP32", [2, 1], [0.0, 1.0]), PROBA], "its output 'predict' is 'FP32'"),
    "a label of 2": ([("predict", "INT64", [2, 1], [0, 2]), PROBA], "something other than INT64 from 0 to 1"),
    "a negative probability": ([PREDICT, (*PROBA[:3], [1.5, -0.5, 0, 1])], "other than FP32 from 0 to 1"),
}


@pytest.mark.parametrize("fault", WRONG_OUTPUTS)
def test_wrong_outputs_are_refused(fault: str, protocol: str) -> None:
    """Both protocols have the same message, with the server's address."""
    outputs, sentence = WRONG_OUTPUTS[fault]
    with server_that_answers(protocol, outputs) as address:
        with pytest.raises(ServerError, match="is no V2 inference server; .*" + sentence) as refused:
            client_at(protocol, address).ask(TWO, BOTH)
        assert str(refused.value).startswith(f"What answers at {'http://' if protocol == 'rest' else ''}{address}")


@pytest.mark.parametrize("threshold", ["high", "nan", "inf", "", "0,5"])
def test_a_threshold_that_is_not_a_number_is_refused(threshold: str, protocol: str) -> None:
    """This holds for both protocols."""
    with (
        server_that_answers(protocol, [PREDICT], threshold) as address,
        pytest.raises(ServerError, match="its threshold is"),
    ):
        client_at(protocol, address).ask(TWO, BOTH[:1])


DEEP = b"[" * 5_000 + b"]" * 5_000
NESTED = as_bytes(json.loads("[" * 200 + "]" * 200))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "200 OK: ''"),
        (b"<html>\n<body>", r"it says 200 OK: '<html>\\n<body>'\."),
        (b"\xff\xfe", "200 OK"),
        (b"[]", "200 OK"),
        (b"null", "200 OK"),
        (DEEP, "200 OK"),
        (as_bytes({"outputs": None}), "200 OK"),
        (as_bytes({"outputs": [{"name": "predict"}]}), "200 OK"),
        (as_bytes({"outputs": [["predict"]]}), "200 OK"),
        (as_bytes({"outputs": [], "parameters": ["threshold"]}), "200 OK"),
        (as_json([("predict", "INT64", [2, 1], ["0", "1"])]), "holds something other than INT64"),
        (as_json([("predict", "INT64", [2, 1], [0.5, 1.0])]), "holds something other than INT64"),
        (as_json([("predict", "INT64", [2, 1], [2**63, 1])]), "holds something other than INT64"),
        (as_json([("predict", "INT64", [2, 1], [None, {}])]), "holds something other than INT64"),
        (as_json([("predict", "INT64", [2, 1], [[0, 1]])]), "does not hold the values"),
        (as_json([("predict", "INT64", [2, 1], [[0], [1, 1]])]), "200 OK"),
        (as_json([("predict", "INT64", [2, 1], json.loads(NESTED))]), "200 OK"),
        (as_json([("predict", "INT64", json.loads(NESTED), [0, 1])]), r"shape \[\[\[\["),
        (as_json([PREDICT], json.loads(NESTED)), r"its threshold is \[\[\[\["),
        (as_json([PREDICT], {"is": 1}), "its threshold is {'is': 1}"),
        (as_json([("predict", "INT64", [2, 1], [float("nan"), 1])]), "200 OK"),
    ],
    ids=str,
)
def test_a_body_that_is_not_a_response_is_refused(body: bytes, sentence: str) -> None:
    """The message is one line, with the beginning of the body if it is not JSON of the right structure."""
    with rest_server(200, body) as address, pytest.raises(ServerError, match=sentence) as refused:
        client_at("rest", address).ask(TWO, BOTH[:1])
    assert "\n" not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "datatype", "shape", "data"]), inner),
)


def with_input(**members: Any) -> bytes:  # noqa: ANN401  any JSON
    """The model's metadata with other members of its input."""
    return as_bytes(METADATA | {"inputs": [{**METADATA["inputs"][0], **members}]})


def with_output(**members: Any) -> bytes:  # noqa: ANN401  any JSON
    """The model's metadata with an output of two columns that has other members."""
    return as_bytes(METADATA | {"outputs": [{"name": "predict", "datatype": "FP32", "shape": [-1, 2], **members}]})


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (b"", "it says 200 OK: ''"),
        (b"[]", "its metadata are none of a model"),
        (b"null", "it says 200 OK: 'null'"),
        (DEEP, "it says 200 OK"),
        (as_bytes({"inputs": 1, "outputs": []}), "its metadata are none of a model"),
        (as_bytes(METADATA | {"inputs": [[]]}), "its metadata are none of a model"),
        (as_bytes(METADATA | {"inputs": []}), "its metadata name no inputs"),
        (as_bytes(METADATA | {"outputs": [{"name": "predict", "datatype": "FP8"}]}), "an output of datatype 'FP8'"),
        (as_bytes(METADATA | {"outputs": []}), "its metadata lack the output 'predict'"),
        (with_output(shape=[-1, "2"]), r"its metadata have the shape \[-1, '2'\]"),
        (with_output(shape=[-1, 2, 3, 4]), r"its metadata have the shape \[-1, 2, 3, 4\]"),
        (
            with_output(parameters={"columns": '["a"]'}),
            "its metadata name other than 2 columns of the output 'predict'",
        ),
        (
            with_output(parameters={"sources": '["a"]'}),
            "its metadata name other than 2 columns of the output 'predict'",
        ),
        (
            with_output(datatype="INT64", parameters={"labels": '["a"]'}),
            "its metadata name 1 labels of the output 'predict', expected two",
        ),
        (with_output(parameters={"max_rows": 0}), "its metadata have 0 as 'max_rows'"),
        (with_output(parameters={"max_rows": "9"}), "its metadata have '9' as 'max_rows'"),
        (with_input(datatype="INT8"), "its metadata name an input of datatype 'INT8', which is not sent here"),
        (with_input(shape=[-1, "200"]), r"its metadata have the shape \[-1, '200'\]"),
        (with_input(shape=[]), r"its metadata have the shape \[\]"),
        (with_input(parameters={"columns": '["a"]'}), "its metadata name 1 columns of a tensor that has 200"),
        (with_input(parameters={"columns": "{}"}), "its metadata have {} as 'columns'"),
        (with_input(parameters={"columns": "a, b"}), "its metadata have 'a, b' as 'columns'"),
        (with_input(parameters=["columns"]), "its metadata are none of a model"),
    ],
)
def test_wrong_metadata_are_refused(metadata: bytes, sentence: str) -> None:
    """The message is one line that says what is wrong."""
    with (
        rest_server(200, as_json([PREDICT]), metadata=metadata) as address,
        pytest.raises(ServerError, match="is no V2 inference server; .*" + sentence) as refused,
    ):
        client_at("rest", address).ask(TWO, BOTH[:1])
    assert "\n" not in str(refused.value)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from(["name", "datatype", "shape", "parameters"]), JSON))
def test_any_metadata_lead_to_an_answer_or_a_known_error(members: dict[str, Any]) -> None:
    """No metadata of an input makes the client fail in another way."""
    with (
        rest_server(200, as_json([PREDICT]), metadata=with_input(**members)) as address,
        suppress(ServerError, UsageError),
    ):
        assert client_at("rest", address).ask(TWO, BOTH[:1]).outputs["predict"].shape == (2, 1)


@pytest.mark.parametrize(
    ("status", "body", "headers", "sentence"),
    [
        (404, b"nothing here", {}, "is no V2 inference server; it says 404 Not Found: 'nothing here'"),
        (404, b'{"error": {"deep": []}}', {}, "is no V2 inference server; it says 404 Not Found"),
        (499, b"?", {}, "it says 499"),
        (500, b'{"error": "Scoring\\nfailed."}', {}, r"^Scoring failed\.$"),
        (302, b"", {"Location": "/v2/models/xgboost-model/infer"}, "it says 302 Found"),
        (307, b"", {"Location": "nowhere://"}, "it says 307 Temporary Redirect"),
        (200, b"not zipped", {"Content-Encoding": "gzip"}, "its answer cannot be read"),
        (200, b"{}", {"Content-Length": "2, 3"}, "its answer cannot be read"),
        (200, b"zz\r\n", {"Transfer-Encoding": "chunked"}, "No server answers"),
    ],
)
def test_a_wrong_http_response_is_a_server_error(
    status: int, body: bytes, headers: dict[str, str], sentence: str
) -> None:
    """The client raises ServerError, and does not follow redirects."""
    with rest_server(status, body, headers) as address, pytest.raises(ServerError, match=sentence):
        client_at("rest", address).ask(TWO, BOTH)


@settings(max_examples=30)
@given(st.tuples(*[st.just(part) | JSON for part in PREDICT]), st.just("0.5") | JSON)
def test_any_json_is_an_answer_or_a_server_error(output: Output, threshold: object) -> None:
    """This holds for any JSON as name, datatype, shape, data or threshold."""
    with rest_server(200, as_json([output], threshold)) as address, suppress(ServerError):
        assert client_at("rest", address).ask(TWO, BOTH[:1]).outputs["predict"].shape == (2, 1)


def test_inconsistent_grpc_responses_are_refused() -> None:
    """Raw contents do not fit, are missing, or have an unknown datatype; or the threshold has another type."""
    torn, fewer, foreign, other = (as_message([PREDICT]) for _ in range(4))
    torn.raw_output_contents[0] = b"12345"
    del fewer.raw_output_contents[:]
    foreign.outputs[0].datatype = "FP8"
    other.parameters["threshold"].int64_param = 1
    for message, sentence in (
        (torn, "its raw contents do not fit its outputs"),
        (fewer, "its raw contents do not fit its outputs"),
        (foreign, "its raw contents do not fit its outputs: 'FP8'"),
        (other, "its threshold is ''"),
    ):
        with grpc_server(message) as address, pytest.raises(ServerError, match=sentence):
            client_at("grpc", address).ask(TWO, BOTH[:1])


def test_a_server_of_the_other_protocol_is_one_sentence(server: Server) -> None:
    """The client over gRPC connects to REST's port, and the other way round."""
    for protocol, address in (("grpc", server.url.removeprefix("http://")), ("rest", server.grpc)):
        client = client_at(protocol, address)
        assert not client.ready()
        with pytest.raises(ServerError, match=address):
            client.ask(TWO, BOTH)


@pytest.mark.parametrize(
    "url",
    ["nowhere", "ftp://x", "localhost:8080", "http://", "http://[::1", "http://a..b", "http://é..é", "http://x:99999"],
)
def test_an_invalid_url_is_refused(url: str) -> None:
    """The error has an example of a valid URL."""
    with pytest.raises(UsageError, match="is not an address such as http://localhost:8080"):
        RestClient(url, MODEL, 20).ready()


def test_an_invalid_grpc_address_is_refused() -> None:
    """The error has an example of a valid address."""
    with pytest.raises(UsageError, match="is not an address such as localhost:8081"):
        GrpcClient("http://[::1", MODEL, 20)


Ask = Callable[..., "subprocess.CompletedProcess[str]"]


def ports(server: Server) -> dict[str, str]:
    """The variables by which scripts/request.py finds a server."""
    return {"MLSERVER_HTTP_PORT": server.url.rpartition(":")[2], "MLSERVER_GRPC_PORT": server.grpc.rpartition(":")[2]}


@pytest.fixture
def ask(script: Ask) -> Ask:
    """Run scripts/request.py."""
    return lambda *options, server=None: script(SCRIPT, *options, **(ports(server) if server else {}))


def test_the_default_rows_are_ten_rows_of_the_sample() -> None:
    """They have the format of Kaggle's test.csv, and ids that call them synthetic."""
    (rows,), drawn = stream(ROWS, PROBLEM, Encoder.learn(PROBLEM, {})), sample(10, seed=7)
    assert rows.ids.tolist() == drawn.ids.tolist() == [f"synthetic_{number}" for number in range(10)]
    assert np.array_equal(rows.features, drawn.features)
    assert ROWS.read_text().startswith("ID_code,var_0,var_1,")


def test_an_aligned_table_is_printed(server: Server, model: Model) -> None:
    """The script, as a process, prints the id, the label and the probability of the positive class."""
    environment = os.environ | ports(server)
    command = [sys.executable, str(SCRIPT)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    header, *lines = ended.stdout.splitlines()
    assert header.split() == ["ID_code", "label", "probability"]
    assert {len(line) for line in lines} == {len(header)}
    (rows,) = stream(ROWS, PROBLEM, Encoder.learn(PROBLEM, {}))
    expected = zip(rows.ids, *reversed(model.score(rows.features)), strict=True)
    assert [line.split() for line in lines] == [[name, str(label), f"{p:.6f}"] for name, label, p in expected]


def test_json_is_one_document(ask: Ask, server: Server, model: Model, protocol: str) -> None:
    """It holds the model, its threshold and the first rows, to the bit over both protocols."""
    ended = ask("--json", "--rows", "3", "--protocol", protocol, server=server)
    assert (ended.returncode, ended.stderr) == (0, "")
    document = json.loads(ended.stdout)
    (rows,) = stream(ROWS, PROBLEM, Encoder.learn(PROBLEM, {}))
    scores = model.score(rows.features[:3])
    assert (document["model"], document["threshold"]) == (MODEL, threshold_of(model.decision))
    assert [row["ID_code"] for row in document["rows"]] == rows.ids[:3].tolist()
    assert [row["label"] for row in document["rows"]] == [*map(str, scores.label)]
    assert [np.float32(row["probability"]) for row in document["rows"]] == scores.probability.tolist()


@pytest.mark.parametrize(
    ("outputs", "header"), [("predict", ["ID_code", "label"]), ("predict_proba", ["ID_code", "probability"])]
)
def test_one_output_makes_one_column(ask: Ask, server: Server, outputs: str, header: list[str]) -> None:
    """Only the requested output is printed."""
    assert ask("--outputs", outputs, server=server).stdout.splitlines()[0].split() == header


def as_zip(table: pd.DataFrame, folder: Path) -> Path:
    """Write the table without its target to a zip, as Kaggle does."""
    with zipfile.ZipFile(folder / "rows.zip", "w") as archive:
        archive.writestr("test.csv", table.drop(columns="target").to_csv(index=False))
    return folder / "rows.zip"


def as_gz(table: pd.DataFrame, folder: Path) -> Path:
    """Write the table with its target to a compressed csv."""
    (folder / "rows.csv.gz").write_bytes(gzip.compress(table.to_csv(index=False).encode()))
    return folder / "rows.csv.gz"


def as_parquet(table: pd.DataFrame, folder: Path) -> Path:
    """Write the table with its target to a parquet file."""
    table.to_parquet(folder / "rows.parquet")
    return folder / "rows.parquet"


def test_many_rows_of_any_format_are_answered_in_order(
    ask: Ask, server: Server, model: Model, sample_frame: Frame, tmp_path: Path
) -> None:
    """The rows take several requests; a target column is ignored."""
    table = pd.DataFrame(sample_frame.features[:2300], columns=PROBLEM.features)
    table.insert(0, "target", sample_frame.target[:2300])
    table.insert(0, "ID_code", sample_frame.ids[:2300].astype(object))
    expected = model.score(sample_frame.features[:2300])
    for write in (as_zip, as_gz, as_parquet):
        ended = ask("--json", "--data", write(table, tmp_path), server=server)
        assert (ended.returncode, ended.stderr) == (0, "")
        rows = json.loads(ended.stdout)["rows"]
        assert [row["ID_code"] for row in rows] == sample_frame.ids[:2300].tolist()
        assert [np.float32(row["probability"]) for row in rows] == expected.probability.tolist()


def one_line(text: str) -> str:
    """Check that the text is one line, and return it."""
    assert text.count("\n") == 1
    return text.strip()


def test_a_refusal_is_printed_with_exit_code_3(ask: Ask, server: Server, protocol: str) -> None:
    """The model's name may hold any characters."""
    for name in ("nobody", "a?b#c", "modèle 模型"):
        ended = ask("--model", name, "--protocol", protocol, server=server)
        assert (ended.returncode, ended.stdout) == (InvalidRequest.exit_code, "")
        assert re.match(f"^Model '{re.escape(name)}' is not found", one_line(ended.stderr))


def test_wrong_outputs_end_the_script_with_exit_code_5(ask: Ask, protocol: str) -> None:
    """The script prints one sentence."""
    with server_that_answers(protocol, [PREDICT]) as address:
        ended = ask("--url", f"http://{address}", "--protocol", protocol, "--rows", "2", "--model", MODEL)
    assert (ended.returncode, ended.stdout) == (ServerError.exit_code, "")
    assert one_line(ended.stderr).endswith("its answer lacks the output 'predict_proba'.")


def test_a_table_that_cannot_be_used_ends_the_script_with_exit_code_3(ask: Ask, server: Server, tmp_path: Path) -> None:
    """The script prints one sentence that names the file."""
    (tmp_path / "rows.csv").write_text("ID_code,var_0\na,1\n")
    ended = ask("--data", str(tmp_path / "rows.csv"), server=server)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert str(tmp_path / "rows.csv") in one_line(ended.stderr)


def test_an_unreachable_server_ends_the_script_with_exit_code_5(ask: Ask, protocol: str) -> None:
    """The script prints one sentence."""
    (port,) = free_ports(1)
    ended = ask("--url", f"http://127.0.0.1:{port}", "--protocol", protocol)
    assert (ended.returncode, ended.stdout) == (ServerError.exit_code, "")
    assert one_line(ended.stderr).startswith("No server answers at ")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--rows", "0", "a whole number of at least 1"),
        ("--timeout", "1e300", "seconds, above 0 and at most 86400 (one day)"),
        ("--wait", "inf", "seconds, above 0 and at most 86400 (one day)"),
        ("--outputs", "label", "predict or predict_proba or predict_interval, or several with commas"),
        ("--outputs", "", "names between commas"),
        ("--model", "", "printable text"),
        ("--url", "", "printable text"),
    ],
)
def test_a_wrong_option_is_a_usage_error(ask: Ask, option: str, value: str, expected: str) -> None:
    """The script ends with exit code 2 and argparse's message."""
    ended = ask(option, value)
    assert (ended.returncode, ended.stdout) == (UsageError.exit_code, "")
    assert ended.stderr.endswith(f"argument {option}: expected {expected}, not {value!r}\n")


def test_an_output_named_twice_is_printed_once(ask: Ask, server: Server) -> None:
    """A repeated name in --outputs is dropped."""
    assert ask("--outputs", "predict,predict", server=server).stdout.splitlines()[0].split() == ["ID_code", "label"]


def test_a_pipe_closed_by_its_reader_is_no_error(server: Server, sample_frame: Frame, tmp_path: Path) -> None:
    """`| head` ends the script quietly, though the table is larger than a pipe's buffer."""
    table = pd.DataFrame(sample_frame.features, columns=PROBLEM.features)
    table.insert(0, "ID_code", sample_frame.ids.astype(object))
    table.to_parquet(tmp_path / "rows.parquet")
    command = [sys.executable, str(SCRIPT), "--url", server.url, "--data", str(tmp_path / "rows.parquet")]
    pipe = ["bash", "-o", "pipefail", "-c", '"$@" | head -n 2', "bash", *command]
    ended = subprocess.run(pipe, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 2


def test_the_script_waits_for_a_server_that_starts_later(model_folder: Path) -> None:
    """`make run` uses --wait in this way."""
    ports = dict(zip(("HTTP", "GRPC", "METRICS"), map(str, free_ports(3)), strict=True))
    environment = os.environ | {f"MLSERVER_{name}_PORT": port for name, port in ports.items()}
    environment |= {"MLSERVER_HOST": "127.0.0.1", "TABSERVE_MODEL": str(model_folder)}
    command = [sys.executable, str(SCRIPT), "--wait", "60", "--rows", "1"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
        time.sleep(0.5)
        assert asking.poll() is None
        serve = [*SERVE, str(ROOT / "deploy")]
        with subprocess.Popen(serve, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                stdout, stderr = asking.communicate(timeout=60)
            finally:
                server.terminate()
    assert (asking.returncode, stderr) == (0, b"")
    assert len(stdout.splitlines()) == 2


def test_ctrl_c_ends_the_script_with_exit_code_130() -> None:
    """The script ends while it waits for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        command = [sys.executable, str(SCRIPT), "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as asking:
            connection, _ = silent.accept()
            asking.send_signal(signal.SIGINT)
            _, stderr = asking.communicate(timeout=20)
            connection.close()
    assert asking.returncode == 130
    assert one_line(stderr).startswith("Interrupted")
