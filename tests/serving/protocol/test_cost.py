"""The memory that parsing a request takes is bounded before it is parsed, whatever its shape and transport."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import numpy as np
import orjson
import pytest
import requests
from bench import memory
from cases.categories.tests.served import api
from hypothesis import given
from hypothesis import strategies as st
from mlserver.grpc.dataplane_pb2 import InferTensorContents, ModelInferRequest
from tests.serving.wire import DEPLOY, INFER, SECONDS

from categories.problem import PROBLEM
from tabserve.client.local_server import Server, running
from tabserve.encoding.encoder import Encoder
from tabserve.errors import TooLarge
from tabserve.serving.grpc import message_cost
from tabserve.serving.protocol import cost, document, json_numbers, records
from tabserve.serving.protocol.cost import MAX_COST, MIB
from tabserve.serving.protocol.request import MAX_TENSORS

BODY = 45 * MIB

Tensor = ModelInferRequest.InferInputTensor


def repeated(item: bytes, head: bytes = b'{"inputs":[', tail: bytes = b"]}") -> Callable[[int], bytes]:
    """Make JSON of a given size, nearly all of it one item repeated."""

    def make(size: int) -> bytes:
        return head + b",".join([item] * (size // (len(item) + 1))) + tail

    return make


def many_members(size: int) -> bytes:
    """One object of many members with distinct names."""
    return b"{" + b",".join(b'"%x":0' % number for number in range(size // 10)) + b"}"


ONE_ROW = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,%d],"data":[['
JSON: dict[str, Callable[[int], bytes]] = {
    "empty objects": repeated(b"{}"),
    "empty lists": repeated(b"[]"),
    "lists in lists": repeated(b"[[]]"),
    "nested deeply": repeated(b"[" * 500 + b"]" * 500),
    "objects nested deeply": repeated(b'{"":' * 500 + b"0" + b"}" * 500),
    "objects of one member": repeated(b'{"":0}'),
    "objects of a text": repeated('{"a":"é"}'.encode()),
    "members": many_members,
    "texts": repeated('"é"'.encode()),
    "texts of one character": repeated(b'"a"'),
    "numbers": repeated(b"0", b"[", b"]"),
    "negative numbers": repeated(b"-1.5", b"[", b"]"),
    "outputs": repeated(b'{"name":"x"}', b'{"inputs":[],"outputs":['),
    "parameters": repeated(b'"a":{}', b'{"inputs":[],"parameters":{', b"}}"),
    "a row of objects": lambda size: repeated(b"{}", ONE_ROW % (size // 3) + b"1,", b"]]}]}")(size),
    "a row of numbers": lambda size: repeated(b"1", ONE_ROW.replace(b"[1,", b"[1,1,") % (size // 2), b"]]}]}")(size),
    "behind numbers": repeated(b"{}", ONE_ROW % 1 + b'1]]}],"outputs":['),
    "products": repeated(b'{"title":"a"}', b'{"products":['),
}
"""Shapes of JSON that take much memory per byte."""

HALF = '{"y":"😀","x":"\\ud800'.encode()
"""The beginning of JSON with half of a surrogate pair, which orjson refuses, and with wide characters."""


@pytest.mark.parametrize("shape", JSON)
def test_hostile_json_is_refused_before_it_is_parsed(shape: str) -> None:
    """As V2 and as a case's API parse it; the message says what was found and expected."""
    text = JSON[shape](BODY)
    expected = (
        r"The JSON has \d+ brackets of lists and objects, and \d+ commas, which may take \d+ MiB or more to read;"
    )
    expected += rf" expected at most {MAX_COST // MIB} MiB: send less at a time\."
    with pytest.raises(TooLarge, match=expected):
        list(json_numbers.parse(text)["inputs"][0]["data"].cells())  # the numbers of a lone matrix are parsed later
    with pytest.raises(TooLarge, match=expected):
        document.parse(text, "products")


def field(number: int, value: bytes) -> bytes:
    """A field of a message with its length before it."""
    size, digits = len(value), []
    while size > 127:
        digits.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *digits, size]) + value


MESSAGES: dict[str, Callable[[int], bytes]] = {
    "tensors": lambda size: field(5, b"") * (size // 2),
    "tensors with contents": lambda size: field(5, field(5, b"")) * (size // 4),
    "tensors with a parameter": lambda size: field(5, field(4, b"")) * (size // 4),
    "tensors of one row": lambda size: field(5, b"\x18\x01") * (size // 4),
    "outputs": lambda size: field(6, b"") * (size // 2),
    "outputs with a parameter": lambda size: field(6, field(2, b"")) * (size // 4),
    "parameters": lambda size: field(4, b"") * (size // 2),
    "parameters of other names": lambda size: b"".join(field(4, field(1, b"%x" % n)) for n in range(size // 10)),
    "parameters of a tensor": lambda size: field(5, field(4, b"") * (size // 2)),
    "raw contents": lambda size: field(7, b"") * (size // 2),
    "a shape": lambda size: field(5, field(3, b"\1" * size)),
    "a shape of separate numbers": lambda size: field(5, b"\x18\x01" * (size // 2)),
    "whole numbers": lambda size: field(5, field(5, field(3, b"\1" * size))),
    "truths": lambda size: field(5, field(5, field(1, b"\1" * size))),
    "floats": lambda size: field(5, field(5, field(6, bytes(size // 4 * 4)))),
    "texts": lambda size: field(5, field(5, field(8, b"") * (size // 2))),
}
"""Shapes of messages that take much memory per byte."""


@pytest.mark.parametrize("shape", MESSAGES)
def test_hostile_messages_are_refused_before_they_are_parsed(shape: str) -> None:
    """Such as a million tensors of two bytes."""
    sent = MESSAGES[shape](BODY)
    with pytest.raises(TooLarge, match=rf"The message has too many .* expected at most {MAX_COST // MIB} MiB: send"):
        message_cost.check(sent)


MEASURE = """
import os, pathlib, sys
from {module} import {name}

def growth(path):
    text, status = pathlib.Path(path).read_bytes(), pathlib.Path("/proc/self/status")
    own = lambda name: int(status.read_text().split(name)[1].split()[0]) * 1024
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = own("VmRSS:")
    parsed = {name}.{parse}(text)
    return own("VmHWM:") - before

for line in sys.stdin:
    if not os.fork():
        print(growth(line.rstrip()), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""
SMALL = MAX_COST // 16
"""A bound that is reached in less time than the real one."""


Growth = Callable[[bytes], int]
"""Returns the most bytes by which a process grows while it parses a text."""


@contextmanager
def growth(folder: Path, module: str, name: str, parse: str) -> Iterator[Growth]:
    """Start a process that has imported the parser, and forks for each text that it parses."""
    command = [sys.executable, "-c", MEASURE.format(module=module, name=name, parse=parse)]
    path = folder / "sent"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def measure(text: bytes) -> int:
            path.write_bytes(text)
            stdin.write(f"{path}\n")
            stdin.flush()
            return int(stdout.readline())

        yield measure


@pytest.fixture(scope="module")
def growth_of_json(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Growth]:
    """The memory that parsing JSON takes."""
    with growth(tmp_path_factory.mktemp("json"), "tabserve.serving.protocol", "json_numbers", "parse") as measure:
        yield measure


@pytest.fixture(scope="module")
def growth_of_messages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Growth]:
    """The memory that parsing messages takes."""
    kind = ("mlserver.grpc.dataplane_pb2", "ModelInferRequest", "FromString")
    with growth(tmp_path_factory.mktemp("messages"), *kind) as measure:
        yield measure


def largest(make: Callable[[int], bytes], is_accepted: Callable[[bytes], bool], most: int) -> bytes:
    """The largest text of a shape that is accepted, to within a twentieth."""
    low, high = 0, most
    while high - low > most // 100 + 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_accepted(make(middle)) else (low, middle)
    return make(low)


@pytest.mark.parametrize("shape", JSON)
def test_parsing_json_takes_no_more_memory_than_the_bound(shape: str, growth_of_json: Growth) -> None:
    """Plus twice the bytes of the text, which is cut into pieces."""
    text = largest(JSON[shape], lambda text: cost.of(text) <= SMALL, SMALL // 2)
    assert growth_of_json(text) < SMALL + 2 * len(text) + MIB


def test_parsing_json_that_orjson_refuses_takes_bounded_memory(tmp_path: Path) -> None:
    """The second parser starts after the first one's memory is freed."""
    text = HALF + b"a" * (SMALL // 2) + b'\\ud83d\\ude00","inputs":[]}'
    with growth(tmp_path, "tabserve.serving.protocol", "document", 'parse(text, "") and len') as measure:
        assert measure(text) < 12 * len(text)


@pytest.mark.parametrize("shape", MESSAGES)
def test_parsing_a_message_takes_no_more_memory_than_the_bound(
    shape: str, growth_of_messages: Growth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plus the bytes of the message."""
    for module in (cost, message_cost):
        monkeypatch.setattr(module, "MAX_COST", SMALL)

    def is_accepted(sent: bytes) -> bool:
        try:
            message_cost.check(sent)
        except TooLarge:
            return False
        return True

    sent = largest(MESSAGES[shape], is_accepted, SMALL // 2)
    assert growth_of_messages(sent) < SMALL + len(sent) + MIB


def table(rows: int, columns: int) -> Any:  # noqa: ANN401  an array
    """Numbers with the usual count of digits."""
    return np.random.default_rng(0).normal(10, 5, (rows, columns)).astype(np.float32).round(4)


def to_json(document: object) -> bytes:
    """As JSON."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


TABLE = table(10_000, 200)
TEXTS = ['Brinco "Flor", [novo], par: azul, verde, à mão ' * 20] * 10_000


def v2(**members: object) -> dict[str, Any]:
    """A tensor of the table, with some members replaced."""
    return {"name": "x", "datatype": "FP32", "shape": TABLE.shape, "data": TABLE, **members}


LEGITIMATE = {
    "a matrix, nested": lambda: to_json({"inputs": [v2()]}),
    "a matrix, flat": lambda: to_json({"inputs": [v2(data=TABLE.ravel())]}),
    "a matrix with a null": lambda: to_json({"inputs": [v2()]}).replace(b"[[", b"[[null,", 1).replace(b"null,", b"", 1),
    "a matrix, spaced": lambda: json.dumps({"inputs": [v2(data=TABLE.astype(float).tolist())]}, indent=1).encode(),
    "columns": lambda: to_json(
        {"inputs": [v2(name=f"var_{n}", shape=[10_000], data=np.ascontiguousarray(TABLE[:, n])) for n in range(200)]}
    ),
    "texts": lambda: to_json({"inputs": [v2(datatype="BYTES", shape=[10_000], data=TEXTS)]}),
    "as many tensors as may be": lambda: to_json({"inputs": [v2(shape=[1], data=[1])] * MAX_TENSORS}),
}


@pytest.mark.parametrize("kind", LEGITIMATE)
def test_the_largest_requests_are_parsed(kind: str) -> None:
    """The most rows, of 200 columns or of texts, and the most tensors."""
    assert json_numbers.parse(LEGITIMATE[kind]())["inputs"]


def test_the_most_records_are_parsed() -> None:
    """As many as the API of categories accepts, each with a long title."""
    body = to_json({"products": [{"title": text} for text in TEXTS]})
    products = document.parse(body, "products")["products"]
    assert records.features(products, "products", Encoder.learn(PROBLEM, {}), 10_000).rows == 10_000


@pytest.mark.parametrize("name", ["fp32_contents", "fp64_contents", "int64_contents"])
def test_large_messages_are_accepted(name: str) -> None:
    """A tensor for each of 200 columns, with typed contents."""
    request = ModelInferRequest(model_name="x")
    for number in range(200):
        tensor = request.inputs.add(name=f"var_{number}", datatype="FP32", shape=[10_000])
        getattr(tensor.contents, name).extend(TABLE[:, number].astype(int).tolist())
    message_cost.check(request.SerializeToString())


def test_messages_of_the_most_tensors_are_accepted() -> None:
    """Each with all members of a tensor."""
    tensor = Tensor(name="var_0", datatype="FP32", shape=[1], contents=InferTensorContents(fp32_contents=[1]))
    message_cost.check(ModelInferRequest(model_name="x", inputs=[tensor] * MAX_TENSORS).SerializeToString())


@given(st.binary(max_size=200), st.integers(400, 10_000))
def test_any_bytes_are_accepted_or_refused(sent: bytes, most: int) -> None:
    """No other exception is raised, even if they are not a message."""
    with patch.object(cost, "MAX_COST", most), patch.object(message_cost, "MAX_COST", most), suppress(TooLarge):
        message_cost.check(sent)


@pytest.fixture(scope="module")
def large(model_folder: Path) -> Iterator[Server]:
    """A server of these tests alone, as they make its process grow."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}) as started:
        yield started


def growth_of_server(process: int, ask: Callable[[], object]) -> int:
    """The most bytes by which a server's process grows during a call."""
    memory.forget_peak(process)
    before = memory.resident(process)
    ask()
    return memory.peak(process) - before


@pytest.mark.parametrize("shape", ["empty objects", "nested deeply"])
def test_a_server_survives_hostile_json(large: Server, shape: str) -> None:
    """It answers 413, and grows by no more than the body and the bound."""
    text = JSON[shape](BODY)

    def ask() -> None:
        response = requests.post(large.url + INFER, data=text, timeout=SECONDS)
        assert response.status_code == 413
        assert "MiB or more to read; expected at most" in response.json()["error"]

    assert growth_of_server(large.process.pid, ask) < MAX_COST + 3 * BODY


def test_a_server_survives_hostile_messages(large: Server) -> None:
    """It refuses a million tensors before it parses them."""
    with grpc.insecure_channel(large.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        def ask() -> None:
            with pytest.raises(grpc.RpcError) as raised:
                infer(MESSAGES["tensors with a parameter"](BODY), timeout=SECONDS)
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "The message has too many fields" in raised.value.details()

        assert growth_of_server(large.process.pid, ask) < MAX_COST + 3 * BODY


def test_the_api_of_categories_survives_hostile_json() -> None:
    """It answers 413, and grows by no more than the body and the bound."""
    with api(None) as served:
        text = JSON["empty objects"](15 * MIB)

        def ask() -> None:
            answer = served.ask("POST", "/v1/categorize", text)
            assert (answer.status, [*answer.document]) == (413, ["error"])

        assert growth_of_server(served.process.pid, ask) < MAX_COST + 3 * len(text)
