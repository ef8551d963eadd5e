"""An overloaded server refuses at once, answers what it accepted, and recovers."""

import gzip
import json
import re
import resource
import shutil
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from bench import memory
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from tests.serving.wire import INFER, SECONDS, connect, head, write_settings

from tabserve.client.local_server import Server, running

QUEUE = 6
"""Rows in the full queue, and in one batch, of the server `waiting`."""
MIB = 2**20
CONNECTIONS = 3_000
"""Idle connections at a time."""
BURST = 6_000
"""Calls that are sent before the first is answered."""
STORM_ROWS = 100
"""Rows of a large request; the queue of the server `stormed` holds two such requests."""
LOAD, BAD_CHECKSUM = "/v2/repository/models/xgboost-model/load", "model.ubj does not have the checksum"


@pytest.fixture(scope="module")
def loaded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the model folder; tests may change it while it is served, and restore it afterwards."""
    return shutil.copytree(model_folder, tmp_path_factory.mktemp("loaded") / "model")


@pytest.fixture(scope="module")
def stormed(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a short queue that scores row by row, reads gRPC messages singly, and loads models on demand."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server inherits the limit for its many connections
    folder = write_settings(tmp_path_factory.mktemp("stormed"), max_batch_size=1)
    variables = {"MAX_QUEUE_ROWS": str(2 * STORM_ROWS), "MAX_RECEIVING_MESSAGES": "1", "ADMIN": "true"}
    with running(
        folder, {"TABSERVE_MODEL": str(loaded), **{f"TABSERVE_{name}": value for name, value in variables.items()}}
    ) as started:
        yield started


@pytest.fixture(scope="module")
def waiting(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that scores nothing until its queue is full."""
    folder = write_settings(tmp_path_factory.mktemp("waiting"), max_batch_size=QUEUE, max_batch_time=600)
    variables = {"TABSERVE_MAX_QUEUE_ROWS": str(QUEUE), "TABSERVE_MAX_RECEIVING_BYTES": str(MIB)}
    with running(folder, {"TABSERVE_MODEL": str(model_folder), **variables}) as started:
        yield started


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds, or fail at the deadline."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


def body(rows: int, padding: int = 0) -> bytes:
    """A valid request with this many rows of zeros, followed by spaces."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 200], "data": [0] * 200 * rows}
    return json.dumps({"inputs": [tensor]}).encode() + b" " * padding


def post(server: Server, sent: bytes, timeout: float = SECONDS, encoding: str = "identity") -> requests.Response:
    """The response over REST."""
    return requests.post(server.url + INFER, data=sent, headers={"Content-Encoding": encoding}, timeout=timeout)


def message(rows: int) -> dataplane_pb2.ModelInferRequest:
    """A gRPC request with this many rows of zeros."""
    tensor = dataplane_pb2.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[rows, 200])
    return dataplane_pb2.ModelInferRequest(
        model_name="xgboost-model", inputs=[tensor], raw_input_contents=[bytes(800 * rows)]
    )


def start_call(channel: grpc.Channel, sent: dataplane_pb2.ModelInferRequest) -> grpc.Future:
    """Start a call over gRPC."""
    stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
    return stub.ModelInfer.future(sent, timeout=SECONDS)


def is_live(server: Server) -> bool:
    """Whether the server reports over REST that it is live."""
    return requests.get(f"{server.url}/v2/health/live", timeout=SECONDS).status_code == 200


def metric(server: Server, name: str) -> float:
    """The value of a metric of the only model."""
    text = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
    match = re.search(rf"^{name}{{[^}}]*}} (\S+)$", text, re.MULTILINE)
    assert match, f"no metric {name}"
    return float(match[1])


def reset(connection: socket.socket) -> None:
    """Close the connection by a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_full_queue_refuses_at_once_and_answers_accepted_requests(waiting: Server) -> None:
    """A refusal is 503 with Retry-After, or UNAVAILABLE over gRPC; the server stays live."""
    with grpc.insecure_channel(waiting.grpc) as channel, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(post, waiting, body(3)), start_call(channel, message(2))
        until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "all but one of the queue's rows")
        refused = post(waiting, body(2))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json() == {"error": "The server has 5 rows to score, of at most 6; try again in a second."}
        with pytest.raises(grpc.RpcError) as raised:
            start_call(channel, message(2)).result()
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert is_live(waiting)
        assert not any(pending.done() for pending in accepted)
        assert post(waiting, body(1)).status_code == 200  # fills the queue
        assert accepted[0].result(SECONDS).status_code == 200
        assert list(accepted[1].result(SECONDS).outputs[0].shape) == [2, 1]


def test_the_total_size_of_arriving_bodies_is_limited(waiting: Server) -> None:
    """Beyond it a large body gets 503 with Retry-After, until there is room again; small bodies are still answered."""
    padded = body(QUEUE, padding=MIB // 2)
    assert post(waiting, padded).status_code == 200
    with connect(waiting.url) as arriving:
        arriving.sendall(head(2 * MIB) + b" " * (MIB - 1_000))
        assert all(post(waiting, body(QUEUE)).status_code == 200 for _ in range(20))  # gives the server time to read it
        until(lambda: post(waiting, padded).status_code == 503, "a refusal")
        assert post(waiting, padded).headers["Retry-After"] == "1"
        assert is_live(waiting)
        assert post(waiting, body(QUEUE)).status_code == 200
    until(lambda: post(waiting, padded).status_code == 200, "room for another body")


def test_the_rest_of_a_refused_body_is_not_read_as_a_request(waiting: Server) -> None:
    """A body refused before its end gets one answer, and the next request on the connection gets its own."""
    request = body(QUEUE)
    with connect(waiting.url) as connection:
        connection.sendall(head(2 * MIB) + b" " * (2 * MIB) + head(len(request)) + request)
        answers = b""
        while b"predict_proba" not in answers:
            piece = connection.recv(65_536)
            assert piece, answers
            answers += piece
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"503", b"200"]


def test_refused_bodies_are_not_kept_in_memory(waiting: Server) -> None:
    """The part of a body that has arrived is freed at the refusal, also if the connection stays open."""
    refused, sent, before = 300, 200 * 1024, memory.resident(waiting.process.pid)
    with connect(waiting.url) as arriving, ExitStack() as opened:
        arriving.sendall(head(2 * MIB) + b" " * (MIB - 1_000))
        assert all(post(waiting, body(QUEUE)).status_code == 200 for _ in range(20))  # gives the server time to read it
        for _ in range(refused):
            connection = opened.enter_context(connect(waiting.url))
            connection.sendall(head(2 * MIB) + b" " * sent)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 503 ")
        assert memory.resident(waiting.process.pid) - before < refused * sent / 4


def test_rows_of_disconnected_clients_are_not_scored(waiting: Server) -> None:
    """The rows leave the queue if a REST client resets its connection, or a gRPC client cancels its call."""
    before, sent = metric(waiting, "tabserve_batch_rows_sum"), body(QUEUE - 1)
    with connect(waiting.url) as connection:
        connection.sendall(head(len(sent)) + sent)
        until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "waiting rows")
        reset(connection)
        until(lambda: metric(waiting, "tabserve_queue_rows") == 0, "an empty queue")
    assert post(waiting, body(QUEUE)).status_code == 200
    with grpc.insecure_channel(waiting.grpc) as channel:
        call = start_call(channel, message(QUEUE - 1))
        until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "waiting rows")
        call.cancel()
        until(lambda: metric(waiting, "tabserve_queue_rows") == 0, "an empty queue")
        until(lambda: '"status":"CANCELLED","id":""' in waiting.log.read_text(), "a log line about the call")
    assert post(waiting, body(QUEUE)).status_code == 200
    assert metric(waiting, "tabserve_batch_rows_sum") == before + 2 * QUEUE


@contextmanager
def under_load(load: Callable[[], object], clients: int = 4) -> Iterator[list[Any]]:
    """Call `load` repeatedly in several threads; the list of results is complete at the end."""
    stop, results = threading.Event(), list[Any]()

    def client() -> None:
        while not stop.is_set():
            results.append(load())

    with ThreadPoolExecutor(clients) as pool:
        running_ = [pool.submit(client) for _ in range(clients)]
        try:
            yield results
        finally:
            stop.set()
        for thread in running_:
            thread.result(SECONDS)


def code(call: grpc.Future) -> grpc.StatusCode:
    """The status with which a call ends."""
    error = call.exception(SECONDS)
    return grpc.StatusCode.OK if error is None else error.code()


def test_a_half_closed_connection_gets_its_answer_and_nothing_before_it(waiting: Server) -> None:
    """TCP shows a closed connection alike, so that rows of a client that closed its connection are scored too."""
    one, others = body(1), body(QUEUE - 2)
    with connect(waiting.url) as stays:
        stays.sendall(head(len(one)) + one)
        stays.shutdown(socket.SHUT_WR)
        with connect(waiting.url) as leaves:
            leaves.sendall(head(len(others)) + others)
            until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "waiting rows")
        assert post(waiting, one).status_code == 200
        answer = b"".join(iter(partial(stays.recv, 65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"outputs" in answer


def test_a_server_recovers_from_a_storm_of_requests(stormed: Server) -> None:
    """It reports live while it refuses; afterwards its queue is empty, and it answers one row within a second."""
    storm = body(STORM_ROWS)
    with grpc.insecure_channel(stormed.grpc) as channel:

        def sent() -> int:
            call = start_call(channel, message(STORM_ROWS))
            answer = post(stormed, storm)
            assert answer.status_code == 200 or answer.headers["Retry-After"] == "1"
            assert code(call) in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
            return answer.status_code

        with under_load(sent, clients=8) as statuses:
            until(lambda: statuses.count(503) > 20 and statuses.count(200) > 2, "refusals and answers")
            for _ in range(10):
                assert is_live(stormed)
                assert is_live_by_grpc(channel)
    until(lambda: metric(stormed, "tabserve_queue_rows") == 0, "an empty queue")
    assert post(stormed, body(1), timeout=1).status_code == 200
    with grpc.insecure_channel(stormed.grpc) as channel:
        assert start_call(channel, message(1)).result(1)


def test_small_requests_are_accepted_while_large_ones_fill_their_share(stormed: Server) -> None:
    """No small request is refused, while some large ones are."""
    with (
        grpc.insecure_channel(stormed.grpc) as channel,
        under_load(lambda: code(start_call(channel, message(STORM_ROWS))), clients=6) as ends,
    ):
        until(lambda: len({*ends}) == 2, "answers and refusals of large requests")
        small = [post(stormed, body(1)).status_code for _ in range(200)]
    assert {*ends} == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert {*small} == {200}


def is_live_by_grpc(channel: grpc.Channel) -> bool:
    """Whether the server reports over gRPC that it is live."""
    stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
    return bool(stub.ServerLive(dataplane_pb2.ServerLiveRequest(), timeout=SECONDS).live)


def test_idle_connections_hold_descriptors_only_while_open(stormed: Server) -> None:
    """Requests are answered beside thousands of idle connections."""
    if min(resource.getrlimit(resource.RLIMIT_NOFILE)) < CONNECTIONS + 500:
        pytest.skip(f"fewer than {CONNECTIONS + 500} files may be open here: raise `ulimit -Hn`")
    held = partial(memory.descriptors, stormed.process.pid)
    before = held()
    with ExitStack() as opened:
        for number in range(CONNECTIONS):
            opened.enter_context(connect(stormed.grpc if number % 10 == 0 else stormed.url))
        until(lambda: held() >= before + CONNECTIONS, "all connections accepted")
        assert post(stormed, body(1)).status_code == 200
        with grpc.insecure_channel(stormed.grpc) as channel:
            assert code(start_call(channel, message(1))) is grpc.StatusCode.OK
    until(lambda: held() < before + 10, "their descriptors released")


def load_by_rest(server: Server) -> str:
    """Load the model over REST; return the error, or an empty text."""
    answer = requests.post(server.url + LOAD, timeout=SECONDS)
    return "" if answer.status_code == 200 else str(answer.json()["error"])


def load_by_grpc(server: Server) -> str:
    """Load the model over gRPC; return the error, or an empty text."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
        try:
            stub.RepositoryModelLoad(
                dataplane_pb2.RepositoryModelLoadRequest(model_name="xgboost-model"), timeout=SECONDS
            )
        except grpc.RpcError as error:
            return str(error.details())
    return ""


@pytest.mark.parametrize("load", [load_by_rest, load_by_grpc])
def test_a_reload_loses_no_request(stormed: Server, loaded: Path, load: Callable[[Server], str]) -> None:
    """A damaged folder is refused in a sentence, and the old model keeps answering."""
    with grpc.insecure_channel(stormed.grpc) as channel:

        def sent() -> bool:
            call = start_call(channel, message(1))
            return post(stormed, body(1)).status_code == 200 and code(call) is grpc.StatusCode.OK

        with under_load(sent) as answered:
            for _ in range(3):
                assert not load(stormed)
            model = (loaded / "model.ubj").read_bytes()
            (loaded / "model.ubj").write_bytes(b"broken")
            assert BAD_CHECKSUM in load(stormed)
            count = len(answered)
            until(lambda: len(answered) > count + 20, "answers by the old model")
            (loaded / "model.ubj").write_bytes(model)
            assert not load(stormed)
        assert all(answered)


def test_a_model_that_failed_to_load_is_not_listed(stormed: Server, loaded: Path) -> None:
    """The 404 for an unknown model does not name it as one that the server has."""
    model = (loaded / "model.ubj").read_bytes()
    requests.post(stormed.url + LOAD.replace("/load", "/unload"), timeout=SECONDS).raise_for_status()
    try:
        (loaded / "model.ubj").write_bytes(b"broken")
        assert BAD_CHECKSUM in load_by_rest(stormed)
        refused = post(stormed, body(1))
    finally:
        (loaded / "model.ubj").write_bytes(model)
        assert not load_by_rest(stormed)
    assert refused.status_code == 404
    assert refused.json() == {"error": "Model 'xgboost-model' is not found; this server has none yet."}


def test_compressed_bodies_are_decompressed_one_at_a_time(stormed: Server) -> None:
    """Many gzip bombs at once take no more memory than one."""
    size, many = 60 * MIB, 8
    bomb, process = gzip.compress(bytes(size), 1), stormed.process.pid  # refused after its decompression
    refused = partial(post, stormed, bomb, encoding="gzip")
    assert refused().status_code == 400
    memory.forget_peak(process)
    before = memory.resident(process)
    with ThreadPoolExecutor(many) as pool:
        answers = [pool.submit(refused) for _ in range(many)]
        assert all(answer.result(SECONDS).status_code == 400 for answer in answers)
    assert memory.peak(process) - before < 3.5 * size


def test_compressed_bodies_of_disconnected_clients_are_decompressed_one_at_a_time(stormed: Server) -> None:
    """A decompression that has begun cannot be stopped when its client disconnects."""
    size, many, process = 60 * MIB, 40, stormed.process.pid
    bomb = gzip.compress(bytes(size), 1)
    request = head(len(bomb)).replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + bomb
    assert post(stormed, bomb, encoding="gzip").status_code == 400
    memory.forget_peak(process)
    before = memory.resident(process)
    for _ in range(many):
        with connect(stormed.url) as connection:
            connection.sendall(request)
            time.sleep(0.02)
            reset(connection)
    assert post(stormed, bomb, encoding="gzip").status_code == 400
    assert memory.peak(process) - before < 3.5 * size


def test_messages_beyond_the_limit_wait_unread(stormed: Server) -> None:
    """They take no memory while they wait or once refused; health is still answered, and in the end each of them."""
    size, many, process = 8 * MIB, 16, stormed.process.pid
    junk = dataplane_pb2.ModelInferRequest(model_name="xgboost-model", raw_input_contents=[bytes(size)])
    with grpc.insecure_channel(stormed.grpc) as channel:
        assert code(start_call(channel, junk)) is grpc.StatusCode.INVALID_ARGUMENT
        memory.forget_peak(process)
        before = memory.resident(process)
        infer = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        silent = infer.future(endless(stop := threading.Event()))
        assert is_live_by_grpc(channel)  # after the server has given `silent` the only slot
        queue = [start_call(channel, junk) for _ in range(many)]
        assert all(is_live_by_grpc(channel) for _ in range(20))
        assert not any(call.done() for call in queue)
        assert memory.peak(process) - before < size
        silent.cancel()
        stop.set()
        assert {code(call) for call in queue} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert memory.peak(process) - before < many / 2 * size


def test_a_burst_of_calls_is_answered_or_refused(stormed: Server) -> None:
    """More calls than gRPC queues itself: each one ends, most of them OK, and the next one is answered."""
    good = dataplane_pb2.ModelInferRequest(model_name="xgboost-model", raw_input_contents=[bytes(800)])
    good.inputs.add(name="predict", datatype="FP32", shape=[1, 200])
    with grpc.insecure_channel(stormed.grpc) as channel:
        codes = Counter(code(call) for call in [start_call(channel, good) for _ in range(BURST)])
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, codes
        assert codes[grpc.StatusCode.OK] > BURST / 2
        assert code(start_call(channel, good)) is grpc.StatusCode.OK


HOSTILE = {
    "ModelInfer": b"\x2a\x00" * 2**18,  # more tensors than a request may have
    "ModelReady": dataplane_pb2.ModelReadyRequest(name="x" * (4 * MIB)).SerializeToString(),
    "RepositoryModelLoad": dataplane_pb2.RepositoryModelLoadRequest(model_name="x" * (4 * MIB)).SerializeToString(),
}


@pytest.mark.parametrize("method", HOSTILE)
def test_many_hostile_messages_take_no_more_memory_than_one(waiting: Server, method: str) -> None:
    """The bytes of a refused message are freed before the next message is read."""
    process, sent = waiting.process.pid, HOSTILE[method]
    with grpc.insecure_channel(waiting.grpc) as channel:
        ask = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")

        def memory_taken(times: int) -> int:
            memory.forget_peak(process)
            before = memory.resident(process)
            calls = [ask.future(sent, timeout=SECONDS) for _ in range(times)]
            assert {code(call) for call in calls} <= {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED}
            return memory.peak(process) - before

        one = max(memory_taken(1) for _ in range(3))
        assert memory_taken(50) < one + 24 * len(sent)


def endless(stop: threading.Event) -> Iterator[bytes]:
    """A stream that sends no message until `stop` is set."""
    stop.wait(SECONDS)
    yield from ()
