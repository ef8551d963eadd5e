"""What a request takes in memory to read is bounded before it is read, whatever its shape and its transport."""

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


def many(item: bytes, head: bytes = b'{"inputs":[', tail: bytes = b"]}") -> Callable[[int], bytes]:
    """Makes JSON of so many bytes, nearly all of them this item again and again."""

    def made(size: int) -> bytes:
        return head + b",".join([item] * (size // (len(item) + 1))) + tail

    return made


def keys(size: int) -> bytes:
    """One object of nothing but members, each of a name of its own."""
    return b"{" + b",".join(b'"%x":0' % number for number in range(size // 10)) + b"}"


ONE_ROW = b'{"inputs":[{"name":"x","datatype":"FP32","shape":[1,%d],"data":[['
JSON: dict[str, Callable[[int], bytes]] = {
    "empty objects": many(b"{}"),
    "empty lists": many(b"[]"),
    "lists in lists": many(b"[[]]"),
    "nested deeply": many(b"[" * 500 + b"]" * 500),
    "objects nested deeply": many(b'{"":' * 500 + b"0" + b"}" * 500),
    "objects of one member": many(b'{"":0}'),
    "objects of a text": many('{"a":"é"}'.encode()),
    "members": keys,
    "texts": many('"é"'.encode()),
    "texts of one character": many(b'"a"'),
    "numbers": many(b"0", b"[", b"]"),
    "negative numbers": many(b"-1.5", b"[", b"]"),
    "outputs": many(b'{"name":"x"}', b'{"inputs":[],"outputs":['),
    "parameters": many(b'"a":{}', b'{"inputs":[],"parameters":{', b"}}"),
    "a row of objects": lambda size: many(b"{}", ONE_ROW % (size // 3) + b"1,", b"]]}]}")(size),
    "a row of numbers": lambda size: many(b"1", ONE_ROW.replace(b"[1,", b"[1,1,") % (size // 2), b"]]}]}")(size),
    "behind numbers": many(b"{}", ONE_ROW % 1 + b'1]]}],"outputs":['),
    "products": many(b'{"title":"a"}', b'{"products":['),
}
"""Shapes of JSON of which each byte takes much."""

HALF = '{"y":"😀","x":"\\ud800'.encode()
"""The beginning of JSON that orjson cannot read, as it ends in half of a surrogate pair, and of wide texts."""


@pytest.mark.parametrize("shape", JSON)
def test_hostile_json_is_refused_before_it_is_read(shape: str) -> None:
    """By the V2 protocol and by the API of categories, in a sentence that says what came and what is expected."""
    text = JSON[shape](BODY)
    expected = (
        r"The JSON has \d+ brackets of lists and objects, and \d+ commas, which may take \d+ MiB or more to read;"
    )
    expected += rf" expected at most {MAX_COST // MIB} MiB: send less at a time\."
    with pytest.raises(TooLarge, match=expected):
        list(json_numbers.parse(text)["inputs"][0]["data"].cells())  # the numbers of a lone matrix are read later
    with pytest.raises(TooLarge, match=expected):
        document.parse(text, "products")


def field(number: int, value: bytes) -> bytes:
    """A field of a message that has its length before it."""
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
"""Shapes of messages of which each byte takes much."""


@pytest.mark.parametrize("shape", MESSAGES)
def test_hostile_messages_are_refused_before_they_are_read(shape: str) -> None:
    """Such as a million tensors of two bytes."""
    sent = MESSAGES[shape](BODY)
    with pytest.raises(TooLarge, match=rf"The message has too many .* expected at most {MAX_COST // MIB} MiB: send"):
        message_cost.check(sent)


READ = """
import os, pathlib, sys
from {module} import {name}

def grown(path):
    text, status = pathlib.Path(path).read_bytes(), pathlib.Path("/proc/self/status")
    own = lambda name: int(status.read_text().split(name)[1].split()[0]) * 1024
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = own("VmRSS:")
    found = {name}.{read}(text)
    return own("VmHWM:") - before

for line in sys.stdin:
    if not os.fork():
        print(grown(line.rstrip()), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""
SMALL = MAX_COST // 16
"""A bound in the place of the real one, to be reached in little time."""


Taken = Callable[[bytes], int]
"""Bytes by which a process grows at most while it reads these."""


@contextmanager
def reading(folder: Path, module: str, name: str, read: str) -> Iterator[Taken]:
    """A process that has imported what reads, and that forks for each reading."""
    command = [sys.executable, "-c", READ.format(module=module, name=name, read=read)]
    path = folder / "sent"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def taken(text: bytes) -> int:
            path.write_bytes(text)
            stdin.write(f"{path}\n")
            stdin.flush()
            return int(stdout.readline())

        yield taken


@pytest.fixture(scope="module")
def of_json(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    """What it takes to read JSON."""
    with reading(tmp_path_factory.mktemp("json"), "tabserve.serving.protocol", "json_numbers", "parse") as taken:
        yield taken


@pytest.fixture(scope="module")
def of_messages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    """What it takes to read messages."""
    kind = ("mlserver.grpc.dataplane_pb2", "ModelInferRequest", "FromString")
    with reading(tmp_path_factory.mktemp("messages"), *kind) as taken:
        yield taken


def largest(made: Callable[[int], bytes], is_taken: Callable[[bytes], bool], most: int) -> bytes:
    """The largest of a shape that is taken, to within a twentieth."""
    low, high = 0, most
    while high - low > most // 100 + 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_taken(made(middle)) else (low, middle)
    return made(low)


@pytest.mark.parametrize("shape", JSON)
def test_what_is_read_of_json_takes_no_more_than_is_said(shape: str, of_json: Taken) -> None:
    """The process grows by less than the bound and the bytes of the text, twice, as it is cut."""
    text = largest(JSON[shape], lambda text: cost.of(text) <= SMALL, SMALL // 2)
    assert of_json(text) < SMALL + 2 * len(text) + MIB


def test_what_orjson_cannot_read_takes_no_more_than_is_said(tmp_path: Path) -> None:
    """It is read a second time, and what went wrong the first time does not keep it in memory."""
    text = HALF + b"a" * (SMALL // 2) + b'\\ud83d\\ude00","inputs":[]}'
    with reading(tmp_path, "tabserve.serving.protocol", "document", 'parse(text, "") and len') as taken:
        assert taken(text) < 12 * len(text)


@pytest.mark.parametrize("shape", MESSAGES)
def test_what_is_read_of_a_message_takes_no_more_than_is_said(
    shape: str, of_messages: Taken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process grows by less than the bound and the bytes of the message."""
    for module in (cost, message_cost):
        monkeypatch.setattr(module, "MAX_COST", SMALL)

    def is_taken(sent: bytes) -> bool:
        try:
            message_cost.check(sent)
        except TooLarge:
            return False
        return True

    sent = largest(MESSAGES[shape], is_taken, SMALL // 2)
    assert of_messages(sent) < SMALL + len(sent) + MIB


def table(rows: int, columns: int) -> Any:  # noqa: ANN401  an array
    """Numbers with as many digits as are usual."""
    return np.random.default_rng(0).normal(10, 5, (rows, columns)).astype(np.float32).round(4)


def plain(document: object) -> bytes:
    """As JSON."""
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


TABLE = table(10_000, 200)
TEXTS = ['Brinco "Flor", [novo], par: azul, verde, à mão ' * 20] * 10_000


def v2(**members: object) -> dict[str, Any]:
    """A tensor of the table, or of other data."""
    return {"name": "x", "datatype": "FP32", "shape": TABLE.shape, "data": TABLE, **members}


LEGITIMATE = {
    "a matrix, nested": lambda: plain({"inputs": [v2()]}),
    "a matrix, flat": lambda: plain({"inputs": [v2(data=TABLE.ravel())]}),
    "a matrix with a null": lambda: plain({"inputs": [v2()]}).replace(b"[[", b"[[null,", 1).replace(b"null,", b"", 1),
    "a matrix, spaced": lambda: json.dumps({"inputs": [v2(data=TABLE.astype(float).tolist())]}, indent=1).encode(),
    "columns": lambda: plain(
        {"inputs": [v2(name=f"var_{n}", shape=[10_000], data=np.ascontiguousarray(TABLE[:, n])) for n in range(200)]}
    ),
    "texts": lambda: plain({"inputs": [v2(datatype="BYTES", shape=[10_000], data=TEXTS)]}),
    "as many tensors as may be": lambda: plain({"inputs": [v2(shape=[1], data=[1])] * MAX_TENSORS}),
}


@pytest.mark.parametrize("kind", LEGITIMATE)
def test_large_requests_are_read(kind: str) -> None:
    """The most rows that may be, of 200 columns, or of texts; and as many tensors."""
    assert json_numbers.parse(LEGITIMATE[kind]())["inputs"]


def test_many_products_are_read() -> None:
    """As many as the API of categories takes, each with a long title."""
    body = plain({"products": [{"title": text} for text in TEXTS]})
    found = document.parse(body, "products")["products"]
    assert records.features(found, "products", Encoder.learn(PROBLEM, {}), 10_000).rows == 10_000


@pytest.mark.parametrize("name", ["fp32_contents", "fp64_contents", "int64_contents"])
def test_large_messages_are_taken(name: str) -> None:
    """A tensor for each of 200 columns, with its values as numbers."""
    request = ModelInferRequest(model_name="x")
    for number in range(200):
        tensor = request.inputs.add(name=f"var_{number}", datatype="FP32", shape=[10_000])
        getattr(tensor.contents, name).extend(TABLE[:, number].astype(int).tolist())
    message_cost.check(request.SerializeToString())


def test_messages_of_many_tensors_are_taken() -> None:
    """As many as a request may have, each with all that a tensor needs."""
    tensor = Tensor(name="var_0", datatype="FP32", shape=[1], contents=InferTensorContents(fp32_contents=[1]))
    message_cost.check(ModelInferRequest(model_name="x", inputs=[tensor] * MAX_TENSORS).SerializeToString())


@given(st.binary(max_size=200), st.integers(400, 10_000))
def test_whatever_bytes_come_are_taken_or_refused(sent: bytes, most: int) -> None:
    """They are no error, even if they are no message."""
    with patch.object(cost, "MAX_COST", most), patch.object(message_cost, "MAX_COST", most), suppress(TooLarge):
        message_cost.check(sent)


@pytest.fixture(scope="module")
def large(model_folder: Path) -> Iterator[Server]:
    """A server of these tests' own, as they make its process larger."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}) as started:
        yield started


def grown(process: int, ask: Callable[[], object]) -> int:
    """Bytes by which a server's process grows at most meanwhile."""
    memory.forget_peak(process)
    before = memory.resident(process)
    ask()
    return memory.peak(process) - before


@pytest.mark.parametrize("shape", ["empty objects", "nested deeply"])
def test_a_server_survives_hostile_json(large: Server, shape: str) -> None:
    """It refuses, with 413, and has taken no more than the body itself and what the bound allows."""
    text = JSON[shape](BODY)

    def ask() -> None:
        answer = requests.post(large.url + INFER, data=text, timeout=SECONDS)
        assert answer.status_code == 413
        assert "MiB or more to read; expected at most" in answer.json()["error"]

    assert grown(large.process.pid, ask) < MAX_COST + 3 * BODY


def test_a_server_survives_hostile_messages(large: Server) -> None:
    """It refuses a million tensors before they are made."""
    with grpc.insecure_channel(large.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")

        def ask() -> None:
            with pytest.raises(grpc.RpcError) as raised:
                infer(MESSAGES["tensors with a parameter"](BODY), timeout=SECONDS)
            assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "The message has too many fields" in raised.value.details()

        assert grown(large.process.pid, ask) < MAX_COST + 3 * BODY


def test_the_api_of_categories_survives_hostile_json() -> None:
    """As the V2 protocol does."""
    with api(None) as served:
        text = JSON["empty objects"](15 * MIB)

        def ask() -> None:
            answer = served.ask("POST", "/v1/categorize", text)
            assert (answer.status, [*answer.document]) == (413, ["error"])

        assert grown(served.process.pid, ask) < MAX_COST + 3 * len(text)
