"""A wrong gRPC request is refused with the right code and a sentence, and the next one is answered."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
import requests
from grpc import StatusCode
from mlserver.grpc import dataplane_pb2, model_repository_pb2

from santander.problem import PROBLEM
from tabserve.client.local_server import Server
from tabserve.model.model import Model
from tabserve.table.frame import Frame

SECONDS = 20
"""Deadline for the server's answer."""
INFERENCE, REPOSITORY = "inference.GRPCInferenceService", "inference.model_repository.ModelRepositoryService"
ROW = [0.0] * 200
ZEROS = np.zeros(200, np.float32)
MIB = 2**20


@pytest.fixture(scope="module")
def channel(edge: Server) -> Iterator[grpc.Channel]:
    """A gRPC channel to the shared server that can send messages of any size."""
    with grpc.insecure_channel(edge.grpc, [("grpc.max_send_message_length", -1)]) as opened:
        yield opened


def tensor(
    values: Any = None,  # noqa: ANN401  numbers, an array, or bytes
    shape: tuple[int, ...] = (1, 200),
    name: str = "x",
    datatype: str = "FP32",
    contents: str = "fp32_contents",
) -> tuple[Any, bytes | None]:
    """An input, and its raw contents or None if its contents are typed."""
    message = dataplane_pb2.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if isinstance(values, bytes | np.ndarray):
        return message, bytes(values)
    getattr(message.contents, contents).extend(ROW if values is None else values)
    return message, None


def serialized(*inputs: tuple[Any, bytes | None], outputs: tuple[str, ...] = (), **members: Any) -> bytes:  # noqa: ANN401  a request's own
    """A serialized request with these inputs."""
    request = dataplane_pb2.ModelInferRequest(**{"model_name": "xgboost-model", **members})
    request.inputs.extend(message for message, _ in inputs)
    request.raw_input_contents.extend(raw for _, raw in inputs if raw is not None)
    for name in outputs:
        request.outputs.add(name=name)
    return bytes(request.SerializeToString())


def columns(*names: str, rows: int = 1) -> list[tuple[Any, bytes | None]]:
    """An input of zeros for each column."""
    return [tensor(bytes(4 * rows), (rows, 1), name) for name in names]


def infer(channel: grpc.Channel, message: bytes, seconds: float = SECONDS) -> Any:  # noqa: ANN401  protobuf's type
    """The server's response to a serialized request."""
    parse = dataplane_pb2.ModelInferResponse.FromString
    return channel.unary_unary(f"/{INFERENCE}/ModelInfer", response_deserializer=parse)(message, timeout=seconds)


def code_and_sentence(
    channel: grpc.Channel, message: bytes, method: str = f"{INFERENCE}/ModelInfer"
) -> tuple[Any, str]:
    """The code and the sentence with which the server refuses a serialized message."""
    with pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{method}")(message, timeout=SECONDS)
    return raised.value.code(), raised.value.details()


VALID = serialized(tensor(ZEROS))
FEATURES = list(PROBLEM.features)


class Case(NamedTuple):
    """A wrong message, and the sentence (a regular expression) and code of its refusal."""

    message: bytes
    sentence: str
    code: StatusCode = StatusCode.INVALID_ARGUMENT


def doubles(*cell: float) -> bytes:
    """A request for a row that begins with these cells, as raw 64-bit floats."""
    return serialized(tensor(np.array([*cell, *ROW[len(cell) :]], "<f8"), datatype="FP64"))


def halves(*cell: float) -> bytes:
    """A request for a row that begins with these cells, as raw 16-bit floats."""
    return serialized(tensor(np.array([*cell, *ROW[len(cell) :]], "<f2"), datatype="FP16"))


def two_fields() -> tuple[Any, None]:
    """An FP32 input with values in two fields of typed contents."""
    message, _ = tensor()
    message.contents.int_contents.append(1)
    return message, None


NAN, INFINITY = float("nan"), float("inf")
MIXED = (
    "Input 'x' has values in fp32_contents beside the request's raw_input_contents;"
    " send the values of all inputs in one of both"
)

REFUSED = {
    "nothing": Case(b"", "Model '' is not found", StatusCode.NOT_FOUND),
    "unknown model": Case(serialized(model_name="nobody"), "Model 'nobody' is not found", StatusCode.NOT_FOUND),
    "unknown version": Case(serialized(model_version="v9"), "of version 'v9' is not found", StatusCode.NOT_FOUND),
    "garbage": Case(b"\xff\xfe garbage", "is not one that ModelInfer takes"),
    "truncated": Case(VALID[:-9], "is not one that ModelInfer takes"),
    "JSON": Case(b'{"inputs": []}', "is not one that ModelInfer takes"),
    "no inputs": Case(serialized(), "The request has no inputs"),
    "raw without inputs": Case(serialized() + b"\x3a\x04aaaa", "has 0 inputs and 1 raw contents; expected as many"),
    "raw for one of two": Case(
        serialized(tensor(ZEROS), tensor([])), "has 2 inputs and 1 raw contents; expected as many"
    ),
    "raw for two of one": Case(serialized(tensor(ZEROS)) + b"\x3a\x04aaaa", "has 1 inputs and 2 raw contents"),
    "raw beside typed": Case(serialized((tensor()[0], bytes(800))), MIXED),
    "raw beside one value": Case(serialized((tensor([0.0])[0], bytes(800))), MIXED),
    "raw beside typed of another type": Case(
        serialized((tensor([1], contents="int_contents")[0], bytes(800))), "Input 'x' has values in int_contents beside"
    ),
    "raw for one and typed for one": Case(
        serialized(tensor(ZEROS, name="y"), tensor()), "Input 'x' has values in fp32_contents beside"
    ),
    "raw beside the typed id": Case(
        serialized(*columns(*FEATURES), tensor([b"7"], (1,), "ID_code", "BYTES", "bytes_contents")),
        "Input 'ID_code' has values in bytes_contents beside",
    ),
    "typed too short": Case(serialized(tensor(ROW[:199])), "expected data of length 200.* found 199"),
    "typed too long": Case(serialized(tensor([*ROW, 0.0])), "expected data of length 200.* found 201"),
    "raw too short": Case(serialized(tensor(bytes(796))), "expected data of length 200.* found 199"),
    "raw too long": Case(serialized(tensor(bytes(804))), "expected data of length 200.* found 201"),
    "raw empty": Case(serialized(tensor(b"")), "expected data of length 200.* found 0"),
    "raw in part of a number": Case(
        serialized(tensor(bytes(799))), "Input 'x' has 799 bytes; FP32 needs multiples of 4"
    ),
    **{
        f"{datatype} in {contents}": Case(
            serialized(tensor([value] * 200, datatype=datatype, contents=contents)),
            f"Input 'x' has datatype '{datatype}' and values in {contents}; expected them in {right} alone",
        )
        for datatype, contents, value, right in [
            ("FP32", "int_contents", 1, "fp32_contents"),
            ("FP32", "fp64_contents", 0.5, "fp32_contents"),
            ("FP64", "fp32_contents", 0.5, "fp64_contents"),
            ("INT64", "int_contents", 1, "int64_contents"),
            ("UINT8", "int_contents", 1, "uint_contents"),
            ("BOOL", "int_contents", 1, "bool_contents"),
            ("INT8", "bool_contents", True, "int_contents"),
            ("FP32", "bytes_contents", b"1", "fp32_contents"),
        ]
    },
    "typed in two fields": Case(
        serialized(two_fields()),
        "Input 'x' has datatype 'FP32' and values in int_contents; expected them in fp32_contents",
    ),
    "FP16, typed": Case(
        serialized(tensor(datatype="FP16")), "Input 'x' has datatype 'FP16'; send its values in raw_input_contents"
    ),
    "FP16 in part of a number": Case(serialized(tensor(bytes(399), datatype="FP16")), "FP16 needs multiples of 2"),
    "FP16 too short": Case(serialized(tensor(bytes(398), datatype="FP16")), "expected data of length 200.* found 199"),
    "FP16 NaN": Case(halves(0, NAN), "Row 0, column 'var_1', is NaN; this model needs a number"),
    "FP16 Infinity": Case(halves(-INFINITY), "Row 0, column 'var_0', is -Infinity; expected a finite number"),
    "BOOL too long": Case(serialized(tensor(bytes(201), datatype="BOOL")), "expected data of length 200.* found 201"),
    "BOOL of 2": Case(
        serialized(tensor(b"\0\1\2" + bytes(197), datatype="BOOL")),
        "Row 0, column 'var_2', is the byte 2; a BOOL is 1 for true, or 0 for false",
    ),
    "no shape": Case(
        serialized(tensor(shape=())), r"has shape \[\]; a shape is a list of whole numbers, each at least 1"
    ),
    **{
        f"shape {shape}": Case(serialized(tensor(ZEROS, shape)), sentence)
        for shape, sentence in {
            (-1, 200): "each at least 1",
            (0, 200): "each at least 1",
            (1, -(2**63)): "each at least 1",
            (1, 2**63 - 1): "one column for each feature",
            (1, 199): "one column for each feature",
            (1, 201): "one column for each feature",
            (1, 200, 1): "one column for each feature",
            (1, 1, 200): "one column for each feature",
            (200,): "one column for each feature",
            (2, 200): "expected data of length 400.* found 200",
        }.items()
    },
    "199 columns": Case(serialized(tensor(bytes(796), (1, 199))), r"has shape \[1, 199\]; expected \[rows, 200\]"),
    "201 columns": Case(serialized(tensor(bytes(804), (1, 201))), r"has shape \[1, 201\]; expected \[rows, 200\]"),
    **{
        f"datatype {datatype!r}": Case(
            serialized(tensor(bytes(1600), datatype=datatype)), "has datatype .* expected one of"
        )
        for datatype in ("", "BF16", "BYTES", "fp32", "FP32 ", "x" * 300, "日本語")
    },
    "BYTES, typed": Case(serialized(tensor([b"0"] * 200, datatype="BYTES", contents="bytes_contents")), "'BYTES'"),
    "NaN": Case(doubles(0, float("nan")), "Row 0, column 'var_1', is NaN; this model needs a number"),
    "Infinity": Case(doubles(float("inf")), "Row 0, column 'var_0', is Infinity; expected a finite number"),
    "minus Infinity, typed": Case(serialized(tensor([-np.inf, *ROW[1:]])), "is -Infinity; expected a finite number"),
    "beyond float32": Case(doubles(0, 0, 1e39), "Row 0, column 'var_2', is 1e.39; a 32-bit float reaches only"),
    "beyond INT8": Case(
        serialized(tensor([200] * 200, datatype="INT8", contents="int_contents")),
        "Row 0, column 'var_0', is 200.0; its tensor's datatype INT8 cannot hold that",
    ),
    "a column missing": Case(serialized(*columns(*FEATURES[1:])), "no inputs for the features 'var_0'"),
    "a column more": Case(serialized(*columns(*FEATURES, "more")), "inputs that are no features: 'more'"),
    "a column twice": Case(serialized(*columns(*FEATURES, "var_7")), "more than one input named 'var_7'"),
    "ragged columns": Case(
        serialized(*columns(*FEATURES[:-1]), *columns(FEATURES[-1], rows=2)), "expected the same number of rows"
    ),
    "a column too wide": Case(
        serialized(*columns(*FEATURES[:-1]), tensor(bytes(8), (1, 2), FEATURES[-1])),
        r"expected \[rows\] or \[rows, 1\]",
    ),
    "output unknown": Case(serialized(tensor(ZEROS), outputs=("label",)), "Output 'label' is unknown"),
    "output twice": Case(
        serialized(tensor(ZEROS), outputs=("predict", "predict")), "is asked for 2 times; name it once"
    ),
    "too many rows": Case(
        serialized(tensor(bytes(800 * 10_001), (10_001, 200))),
        "has 10001 rows; send at most 10000 at a time",
        StatusCode.RESOURCE_EXHAUSTED,
    ),
    "immensely many rows": Case(
        serialized(tensor(ZEROS, (2**63 - 1, 200))), "rows; send at most 10000", StatusCode.RESOURCE_EXHAUSTED
    ),
    "too large a message": Case(serialized(tensor(bytes(64 * MIB))), "larger than max", StatusCode.RESOURCE_EXHAUSTED),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=[ascii(name) for name in REFUSED])
def test_a_wrong_request_is_refused_and_the_next_one_answered(channel: grpc.Channel, case: Case) -> None:
    """The refusal has the right code and sentence; the next request is on the same connection."""
    code, sentence = code_and_sentence(channel, case.message)
    assert code is case.code, sentence
    assert re.search(case.sentence, sentence)
    assert infer(channel, VALID).model_name == "xgboost-model"


REPOSITORY_METHODS: dict[str, Any] = {
    f"{INFERENCE}/RepositoryIndex": dataplane_pb2.RepositoryIndexRequest(),
    f"{INFERENCE}/RepositoryModelLoad": dataplane_pb2.RepositoryModelLoadRequest(model_name="xgboost-model"),
    f"{INFERENCE}/RepositoryModelUnload": dataplane_pb2.RepositoryModelUnloadRequest(model_name="xgboost-model"),
    f"{REPOSITORY}/RepositoryIndex": model_repository_pb2.RepositoryIndexRequest(),
    f"{REPOSITORY}/RepositoryModelLoad": model_repository_pb2.RepositoryModelLoadRequest(model_name="xgboost-model"),
    f"{REPOSITORY}/RepositoryModelUnload": model_repository_pb2.RepositoryModelUnloadRequest(model_name="x"),
}


@pytest.mark.parametrize("method", REPOSITORY_METHODS)
def test_the_repository_is_closed_by_default(channel: grpc.Channel, method: str) -> None:
    """Its methods in both services are refused with PERMISSION_DENIED."""
    code, sentence = code_and_sentence(channel, REPOSITORY_METHODS[method].SerializeToString(), method)
    assert code is StatusCode.PERMISSION_DENIED
    assert "is closed; an operator opens it" in sentence
    assert infer(channel, VALID)


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"])
def test_an_unknown_model_or_version_is_not_found(edge: Server, channel: grpc.Channel, method: str) -> None:
    """The sentence lists the server's models, and the log has no traceback."""
    before = edge.log.stat().st_size
    for request in (
        dataplane_pb2.ModelReadyRequest(name="nobody"),
        dataplane_pb2.ModelReadyRequest(name="xgboost-model", version="v9"),
    ):
        code, sentence = code_and_sentence(channel, request.SerializeToString(), f"{INFERENCE}/{method}")
        assert code is StatusCode.NOT_FOUND
        assert sentence.endswith("is not found; this server has 'xgboost-model'.")
    assert b"Traceback" not in edge.log.read_bytes()[before:]


@pytest.mark.parametrize("method", ["ServerReady", "ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"])
def test_every_method_refuses_garbage(channel: grpc.Channel, method: str) -> None:
    """It gets INVALID_ARGUMENT and a sentence that names the method."""
    code, sentence = code_and_sentence(channel, b"\xff\xff", f"{INFERENCE}/{method}")
    assert (code, sentence) == (StatusCode.INVALID_ARGUMENT, f"The message is not one that {method} takes.")


def test_streamed_inference_is_refused(channel: grpc.Channel) -> None:
    """An empty stream and one of valid requests get UNIMPLEMENTED and a sentence."""
    for messages in ([], [VALID, VALID]):
        with pytest.raises(grpc.RpcError) as raised:
            list(channel.stream_stream(f"/{INFERENCE}/ModelStreamInfer")(iter(messages), timeout=SECONDS))
        assert raised.value.code() is StatusCode.UNIMPLEMENTED
        assert raised.value.details() == "This server streams nothing; ask by ModelInfer."


@pytest.mark.parametrize("identity", ["plain", "Grüße", "日本語", "שלום", "🎈", '\x00\n\r"\\\x7f', "a" * 10_000])
def test_a_response_has_the_requests_id(channel: grpc.Channel, identity: str) -> None:
    """The id may be of any script, and may have been refused before."""
    assert code_and_sentence(channel, serialized(id=identity))[0] is StatusCode.INVALID_ARGUMENT
    assert infer(channel, serialized(tensor(ZEROS), id=identity)).id == identity


def test_a_name_of_any_script_gets_a_refusal(channel: grpc.Channel) -> None:
    """Names may have control characters."""
    for name in ("日本語", "שלום", "🎈", "\x00\n\r\x7f"):
        code, sentence = code_and_sentence(channel, serialized(tensor(ZEROS, (1, 7), name)))
        assert code is StatusCode.INVALID_ARGUMENT
        assert "expected [rows, 200]" in sentence


@pytest.mark.parametrize(
    ("datatype", "contents"),
    [
        ("FP32", "fp32_contents"),
        ("FP64", "fp64_contents"),
        ("INT16", "int_contents"),
        ("UINT64", "uint64_contents"),
        ("BOOL", "bool_contents"),
    ],
)
def test_raw_and_typed_values_get_the_same_predictions(
    channel: grpc.Channel, model: Model, datatype: str, contents: str
) -> None:
    """Raw requests get raw responses, typed requests typed ones."""
    kind = {"FP32": "<f4", "FP64": "<f8", "INT16": "<i2", "UINT64": "<u8", "BOOL": "?"}[datatype]
    values = (np.arange(200) % (2 if kind == "?" else 200)).astype(kind)
    expected = model.score(values.astype(np.float32)[np.newaxis]).probability
    raw = infer(channel, serialized(tensor(values, datatype=datatype)))
    typed = infer(channel, serialized(tensor(values.tolist(), datatype=datatype, contents=contents)))
    assert np.frombuffer(raw.raw_output_contents[1], np.float32)[1:].tolist() == expected.tolist()
    assert np.array(typed.outputs[1].contents.fp32_contents, np.float32)[1:].tolist() == expected.tolist()
    assert not typed.raw_output_contents


def test_a_16_bit_float_is_scored_as_the_same_32_bit_float(channel: grpc.Channel, model: Model) -> None:
    """It may come in a matrix, or in columns beside those of 32-bit floats."""
    values = np.random.default_rng(2).normal(0, 20, (2, 200)).astype("<f2")
    expected = model.score(values.astype(np.float32)).probability.tolist()
    raw = infer(channel, serialized(tensor(values, (2, 200), datatype="FP16"), outputs=("predict_proba",)))
    assert np.frombuffer(raw.raw_output_contents[0], np.float32)[1::2].tolist() == expected
    kinds = ["FP16" if index % 2 else "FP32" for index in range(200)]
    inputs = [
        tensor(values[:, index].astype("<f2" if kind == "FP16" else "<f4").tobytes(), (2,), FEATURES[index], kind)
        for index, kind in enumerate(kinds)
    ]
    raw = infer(channel, serialized(*inputs, outputs=("predict_proba",)))
    assert np.frombuffer(raw.raw_output_contents[0], np.float32)[1::2].tolist() == expected


def test_columns_are_matched_by_name(channel: grpc.Channel, model: Model, sample_frame: Frame) -> None:
    """The order of the 200 columns in the request does not matter."""
    features = sample_frame.features[:3]
    order = np.random.default_rng(1).permutation(200)
    inputs = [tensor(features[:, index].tobytes(), (3,), FEATURES[index]) for index in order]
    raw = infer(channel, serialized(*inputs, outputs=("predict_proba",))).raw_output_contents[0]
    assert np.frombuffer(raw, np.float32)[1::2].tobytes() == model.score(features).probability.tobytes()


MANY = serialized(tensor(bytes(800 * 10_000), (10_000, 200)))


def queue_empties(server: Server) -> bool:
    """Whether the queue is empty within the deadline."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        text = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
        if re.search(r'^tabserve_queue_rows{model="xgboost-model"} 0\.0$', text, re.MULTILINE):
            return True
        time.sleep(0.05)
    return False


def test_a_cancelled_call_leaves_the_queue_and_harms_no_other(edge: Server, channel: grpc.Channel) -> None:
    """Other calls are answered, the queue becomes empty, and the log has no traceback."""
    before = edge.log.stat().st_size
    ask = channel.unary_unary(f"/{INFERENCE}/ModelInfer")
    calls = [ask.future(MANY, timeout=SECONDS) for _ in range(4)]
    calls[0].cancel()
    assert infer(channel, VALID)
    for call in calls[1:]:
        call.cancel()
    for call in calls:
        with suppress(grpc.FutureCancelledError):
            call.result(SECONDS)
    assert queue_empties(edge)
    assert infer(channel, VALID)
    assert b"Traceback" not in edge.log.read_bytes()[before:]


def rejected(server: Server) -> Counter[str]:
    """The number of refused gRPC calls, by code."""
    text = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
    counts = re.findall(r'^tabserve_rejected_total{protocol="grpc",status="(\w+)"} (\S+)$', text, re.MULTILINE)
    return Counter({code: round(float(count)) for code, count in counts})


def silent(stop: Event) -> Iterator[bytes]:
    """A stream that sends no message until `stop` is set."""
    stop.wait(SECONDS)
    yield from ()


@pytest.mark.parametrize("leaving", ["before its message", "by its deadline", "within its message"])
def test_a_cancelled_call_is_counted_and_logged_as_cancelled(edge: Server, leaving: str) -> None:
    """It is not refused as a call for a model without a name."""
    before, start, stop = rejected(edge), edge.log.stat().st_size, Event()
    with grpc.insecure_channel(edge.grpc, [("grpc.max_send_message_length", -1)]) as channel:
        if leaving == "within its message":
            call = channel.unary_unary(f"/{INFERENCE}/ModelInfer").future(bytes(200 * MIB))
        else:
            seconds = 0.3 if leaving == "by its deadline" else SECONDS
            call = channel.stream_unary(f"/{INFERENCE}/ModelInfer").future(silent(stop), timeout=seconds)
        time.sleep(0.1)
        if leaving != "by its deadline":
            call.cancel()
        deadline = time.monotonic() + SECONDS
        while not (counts := rejected(edge) - before):
            assert time.monotonic() < deadline, f"nothing was counted within {SECONDS} s"
            time.sleep(0.05)
        stop.set()
    assert counts == {"CANCELLED": 1}
    log = edge.log.read_bytes()[start:]
    assert log.count(b'"status":"CANCELLED","id":null,"reason":"The client left, or its deadline passed') == 1
    assert b"is not found" not in log


def test_a_call_without_a_message_is_refused(edge: Server, channel: grpc.Channel) -> None:
    """Every method refuses it with INVALID_ARGUMENT, and it is counted."""
    before = rejected(edge)
    for method in (f"{INFERENCE}/ModelInfer", f"{INFERENCE}/ModelReady", "grpc.health.v1.Health/Check"):
        with pytest.raises(grpc.RpcError) as raised:
            channel.stream_unary(f"/{method}")(iter(()), timeout=SECONDS)
        assert raised.value.code() is StatusCode.INVALID_ARGUMENT
        assert raised.value.details() == "The call ended without a message; send one."
    assert rejected(edge) - before == {"INVALID_ARGUMENT": 3}


def infer_repeatedly(channel: grpc.Channel, message: bytes, seconds: float) -> None:
    """Send the request up to 100 times, as a fast machine may answer within the deadline."""
    for _ in range(100):
        infer(channel, message, seconds)


def test_a_call_past_its_deadline_harms_no_other(edge: Server, channel: grpc.Channel) -> None:
    """The client gets DEADLINE_EXCEEDED, and the next call is answered."""
    before = edge.log.stat().st_size
    for seconds in (1e-6, 0.01):
        with pytest.raises(grpc.RpcError) as raised:
            infer_repeatedly(channel, MANY, seconds)
        assert raised.value.code() is StatusCode.DEADLINE_EXCEEDED
        assert infer(channel, VALID)
    assert queue_empties(edge)
    assert b"Traceback" not in edge.log.read_bytes()[before:]


def test_refusals_are_counted_and_logged(edge: Server, channel: grpc.Channel) -> None:
    """They are counted by code; each has a log line with the request's id, shortened if it is long."""
    count = re.compile(r'^tabserve_rejected_total{protocol="grpc",status="INVALID_ARGUMENT"} (\S+)$', re.MULTILINE)
    metrics = partial(requests.get, f"{edge.metrics}/metrics", timeout=SECONDS)
    code_and_sentence(channel, serialized())
    before = float(count.findall(metrics().text)[0])
    code_and_sentence(channel, serialized(id="who"))
    code_and_sentence(channel, serialized(id="w" * 10_000))
    code_and_sentence(channel, b"\xff")
    assert float(count.findall(metrics().text)[0]) == before + 3
    assert '"status":"INVALID_ARGUMENT","id":"who","reason":"The request has no inputs' in edge.log.read_text()
    assert f'"id":"{"w" * 200}","reason"' in edge.log.read_text()
