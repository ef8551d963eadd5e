"""More work than a server takes is refused at once, what it accepted is answered, and afterwards it is as before."""

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
"""Rows that one server lets wait, and scores together."""
MIB = 2**20
CONNECTIONS = 3_000
"""That stay idle at a time."""
BURST = 6_000
"""Calls that are begun before the first is answered."""
STORM_ROWS = 100
"""Of one request; a server that scores row by row takes two of them at a time."""
LOAD, OLD = "/v2/repository/models/xgboost-model/load", "model.ubj does not have the checksum"


@pytest.fixture(scope="module")
def loaded(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that may be changed while it is served, if it is mended afterwards."""
    return shutil.copytree(model_folder, tmp_path_factory.mktemp("loaded") / "model")


@pytest.fixture(scope="module")
def stormed(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose queue fills soon, that reads one message at a time, and loads its model when told to."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for its many connections, which it inherits
    folder = write_settings(tmp_path_factory.mktemp("stormed"), max_batch_size=1)
    variables = {"MAX_QUEUE_ROWS": str(2 * STORM_ROWS), "MAX_RECEIVING_MESSAGES": "1", "ADMIN": "true"}
    with running(
        folder, {"TABSERVE_MODEL": str(loaded), **{f"TABSERVE_{name}": value for name, value in variables.items()}}
    ) as started:
        yield started


@pytest.fixture(scope="module")
def waiting(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that scores nothing before its queue is full."""
    folder = write_settings(tmp_path_factory.mktemp("waiting"), max_batch_size=QUEUE, max_batch_time=600)
    variables = {"TABSERVE_MAX_QUEUE_ROWS": str(QUEUE), "TABSERVE_MAX_RECEIVING_BYTES": str(MIB)}
    with running(folder, {"TABSERVE_MODEL": str(model_folder), **variables}) as started:
        yield started


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it, within the deadline."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.02)


def body(rows: int, padding: int = 0) -> bytes:
    """A valid request for as many rows of zeros."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [rows, 200], "data": [0] * 200 * rows}
    return json.dumps({"inputs": [tensor]}).encode() + b" " * padding


def asked(server: Server, sent: bytes, timeout: float = SECONDS, encoding: str = "identity") -> requests.Response:
    """The answer over REST."""
    return requests.post(server.url + INFER, data=sent, headers={"Content-Encoding": encoding}, timeout=timeout)


def message(rows: int) -> dataplane_pb2.ModelInferRequest:
    """The same for gRPC."""
    tensor = dataplane_pb2.ModelInferRequest.InferInputTensor(name="x", datatype="FP32", shape=[rows, 200])
    return dataplane_pb2.ModelInferRequest(
        model_name="xgboost-model", inputs=[tensor], raw_input_contents=[bytes(800 * rows)]
    )


def called(channel: grpc.Channel, sent: dataplane_pb2.ModelInferRequest) -> grpc.Future:
    """The call over gRPC, under way."""
    stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
    return stub.ModelInfer.future(sent, timeout=SECONDS)


def is_alive(server: Server) -> bool:
    """Whether it says so."""
    return requests.get(f"{server.url}/v2/health/live", timeout=SECONDS).status_code == 200


def metric(server: Server, name: str) -> float:
    """A metric of the one model."""
    found = re.search(
        rf"^{name}{{[^}}]*}} (\S+)$", requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text, re.MULTILINE
    )
    assert found, f"no metric {name}"
    return float(found[1])


def reset(connection: socket.socket) -> None:
    """End it at once."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_full_queue_refuses_at_once_and_answers_what_it_accepted(waiting: Server) -> None:
    """503 with Retry-After, UNAVAILABLE over gRPC; the server stays alive."""
    with grpc.insecure_channel(waiting.grpc) as channel, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(asked, waiting, body(3)), called(channel, message(2))
        until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "all but one of the queue's rows")
        refused = asked(waiting, body(2))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert refused.json() == {"error": "The server has 5 rows to score, of at most 6; try again in a second."}
        with pytest.raises(grpc.RpcError) as raised:
            called(channel, message(2)).result()
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert is_alive(waiting)
        assert not any(each.done() for each in accepted)
        assert asked(waiting, body(1)).status_code == 200  # the last that there is room for
        assert accepted[0].result(SECONDS).status_code == 200
        assert list(accepted[1].result(SECONDS).outputs[0].shape) == [2, 1]


def test_bodies_that_are_arriving_are_bounded_together(waiting: Server) -> None:
    """Beyond, 503 with Retry-After; what comes in one part is answered, and all is once there is room again."""
    padded = body(QUEUE, padding=MIB // 2)
    assert asked(waiting, padded).status_code == 200
    with connect(waiting.url) as arriving:
        arriving.sendall(head(2 * MIB) + b" " * (MIB - 1_000))
        assert all(asked(waiting, body(QUEUE)).status_code == 200 for _ in range(20))  # while the server reads it
        until(lambda: asked(waiting, padded).status_code == 503, "a refusal")
        assert asked(waiting, padded).headers["Retry-After"] == "1"
        assert is_alive(waiting)
        assert asked(waiting, body(QUEUE)).status_code == 200
    until(lambda: asked(waiting, padded).status_code == 200, "room for another body")


def test_what_follows_a_refused_body_is_no_head(waiting: Server) -> None:
    """A refusal that comes before the body's end is the only answer to it, and the next request gets its own."""
    asking = body(QUEUE)
    with connect(waiting.url) as connection:
        connection.sendall(head(2 * MIB) + b" " * (2 * MIB) + head(len(asking)) + asking)
        found = b""
        while b"predict_proba" not in found:
            more = connection.recv(65_536)
            assert more, found
            found += more
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"503", b"200"]


def test_of_refused_bodies_nothing_is_kept(waiting: Server) -> None:
    """However many connections stay open after a refusal, what came on each is gone with it."""
    refused, sent, before = 300, 200 * 1024, memory.resident(waiting.process.pid)
    with connect(waiting.url) as arriving, ExitStack() as opened:
        arriving.sendall(head(2 * MIB) + b" " * (MIB - 1_000))
        assert all(asked(waiting, body(QUEUE)).status_code == 200 for _ in range(20))  # while the server reads it
        for _ in range(refused):
            connection = opened.enter_context(connect(waiting.url))
            connection.sendall(head(2 * MIB) + b" " * sent)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 503 ")
        assert memory.resident(waiting.process.pid) - before < refused * sent / 4


def test_rows_of_who_has_left_are_not_scored(waiting: Server) -> None:
    """Over both transports."""
    before, sent = metric(waiting, "tabserve_batch_rows_sum"), body(QUEUE - 1)
    with connect(waiting.url) as connection:
        connection.sendall(head(len(sent)) + sent)
        until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "rows that wait")
        reset(connection)
        until(lambda: metric(waiting, "tabserve_queue_rows") == 0, "an empty queue")
    assert asked(waiting, body(QUEUE)).status_code == 200
    with grpc.insecure_channel(waiting.grpc) as channel:
        call = called(channel, message(QUEUE - 1))
        until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "rows that wait")
        call.cancel()
        until(lambda: metric(waiting, "tabserve_queue_rows") == 0, "an empty queue")
        until(lambda: '"status":"CANCELLED","id":""' in waiting.log.read_text(), "a line about the call")
    assert asked(waiting, body(QUEUE)).status_code == 200
    assert metric(waiting, "tabserve_batch_rows_sum") == before + 2 * QUEUE


@contextmanager
def under(load: Callable[[], object], clients: int = 4) -> Iterator[list[Any]]:
    """While this is done again and again, by several clients; their results, complete at the end."""
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
        for each in running_:
            each.result(SECONDS)


def code(call: grpc.Future) -> grpc.StatusCode:
    """How a call ends."""
    error = call.exception(SECONDS)
    return grpc.StatusCode.OK if error is None else error.code()


def test_who_has_said_all_gets_the_answer_and_nothing_before_it(waiting: Server) -> None:
    """TCP says the same of a client that closed its connection: the rows of both are scored, and nobody is harmed."""
    one, others = body(1), body(QUEUE - 2)
    with connect(waiting.url) as stays:
        stays.sendall(head(len(one)) + one)
        stays.shutdown(socket.SHUT_WR)
        with connect(waiting.url) as leaves:
            leaves.sendall(head(len(others)) + others)
            until(lambda: metric(waiting, "tabserve_queue_rows") == QUEUE - 1, "rows that wait")
        assert asked(waiting, one).status_code == 200
        answer = b"".join(iter(partial(stays.recv, 65_536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"outputs" in answer


def test_after_a_storm_the_server_is_as_before(stormed: Server) -> None:
    """While it refuses, it says that it lives; then its queue is empty, and one row is answered within a second."""
    storm = body(STORM_ROWS)
    with grpc.insecure_channel(stormed.grpc) as channel:

        def sent() -> int:
            call = called(channel, message(STORM_ROWS))
            answer = asked(stormed, storm)
            assert answer.status_code == 200 or answer.headers["Retry-After"] == "1"
            assert code(call) in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
            return answer.status_code

        with under(sent, clients=8) as statuses:
            until(lambda: statuses.count(503) > 20 and statuses.count(200) > 2, "refusals and answers")
            for _ in range(10):
                assert is_alive(stormed)
                assert lives(channel)
    until(lambda: metric(stormed, "tabserve_queue_rows") == 0, "an empty queue")
    assert asked(stormed, body(1), timeout=1).status_code == 200
    with grpc.insecure_channel(stormed.grpc) as channel:
        assert called(channel, message(1)).result(1)


def test_small_requests_find_room_while_large_ones_fill_their_share(stormed: Server) -> None:
    """None is refused, though more rows of large requests come than the queue holds."""
    with (
        grpc.insecure_channel(stormed.grpc) as channel,
        under(lambda: code(called(channel, message(STORM_ROWS))), clients=6) as ends,
    ):
        until(lambda: len({*ends}) == 2, "answers and refusals of large requests")
        small = [asked(stormed, body(1)).status_code for _ in range(200)]
    assert {*ends} == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert {*small} == {200}


def lives(channel: grpc.Channel) -> bool:
    """Whether the server says so over gRPC."""
    stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)  # type: ignore[no-untyped-call]  # generated code
    return bool(stub.ServerLive(dataplane_pb2.ServerLiveRequest(), timeout=SECONDS).live)


def test_idle_connections_cost_descriptors_only_while_they_last(stormed: Server) -> None:
    """Thousands of them keep nobody from an answer."""
    if min(resource.getrlimit(resource.RLIMIT_NOFILE)) < CONNECTIONS + 500:
        pytest.skip(f"fewer than {CONNECTIONS + 500} files may be open here: raise `ulimit -Hn`")
    held = partial(memory.descriptors, stormed.process.pid)
    before = held()
    with ExitStack() as opened:
        for number in range(CONNECTIONS):
            opened.enter_context(connect(stormed.grpc if number % 10 == 0 else stormed.url))
        until(lambda: held() >= before + CONNECTIONS, "all of them taken in")
        assert asked(stormed, body(1)).status_code == 200
        with grpc.insecure_channel(stormed.grpc) as channel:
            assert code(called(channel, message(1))) is grpc.StatusCode.OK
    until(lambda: held() < before + 10, "their descriptors back")


def load_by_rest(server: Server) -> str:
    """What is wrong with the model folder, or nothing."""
    answer = requests.post(server.url + LOAD, timeout=SECONDS)
    return "" if answer.status_code == 200 else str(answer.json()["error"])


def load_by_grpc(server: Server) -> str:
    """The same over gRPC."""
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
def test_a_model_is_loaded_anew_without_a_lost_request(
    stormed: Server, loaded: Path, load: Callable[[Server], str]
) -> None:
    """A bad folder is refused in a sentence, and the model before goes on."""
    with grpc.insecure_channel(stormed.grpc) as channel:

        def sent() -> bool:
            call = called(channel, message(1))
            return asked(stormed, body(1)).status_code == 200 and code(call) is grpc.StatusCode.OK

        with under(sent) as answered:
            for _ in range(3):
                assert not load(stormed)
            model = (loaded / "model.ubj").read_bytes()
            (loaded / "model.ubj").write_bytes(b"broken")
            assert OLD in load(stormed)
            seen = len(answered)
            until(lambda: len(answered) > seen + 20, "answers by the model before")
            (loaded / "model.ubj").write_bytes(model)
            assert not load(stormed)
        assert all(answered)


def test_a_model_that_could_not_be_loaded_is_not_here(stormed: Server, loaded: Path) -> None:
    """No refusal names it among those that are."""
    model = (loaded / "model.ubj").read_bytes()
    requests.post(stormed.url + LOAD.replace("/load", "/unload"), timeout=SECONDS).raise_for_status()
    try:
        (loaded / "model.ubj").write_bytes(b"broken")
        assert OLD in load_by_rest(stormed)
        refused = asked(stormed, body(1))
    finally:
        (loaded / "model.ubj").write_bytes(model)
        assert not load_by_rest(stormed)
    assert refused.status_code == 404
    assert refused.json() == {"error": "Model 'xgboost-model' is not found; this server has none yet."}


def test_packed_bodies_are_unpacked_one_at_a_time(stormed: Server) -> None:
    """So that many small ones together take no more memory than one."""
    size, many = 60 * MIB, 8
    bomb, process = gzip.compress(bytes(size), 1), stormed.process.pid  # refused once it is unpacked
    refused = partial(asked, stormed, bomb, encoding="gzip")
    assert refused().status_code == 400
    memory.forget_peak(process)
    before = memory.resident(process)
    with ThreadPoolExecutor(many) as pool:
        answers = [pool.submit(refused) for _ in range(many)]
        assert all(answer.result(SECONDS).status_code == 400 for answer in answers)
    assert memory.peak(process) - before < 3.5 * size


def test_packed_bodies_of_who_has_left_are_unpacked_one_at_a_time_too(stormed: Server) -> None:
    """As one that is being unpacked cannot be stopped."""
    size, many, process = 60 * MIB, 40, stormed.process.pid
    bomb = gzip.compress(bytes(size), 1)
    asking = head(len(bomb)).replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + bomb
    assert asked(stormed, bomb, encoding="gzip").status_code == 400
    memory.forget_peak(process)
    before = memory.resident(process)
    for _ in range(many):
        with connect(stormed.url) as connection:
            connection.sendall(asking)
            time.sleep(0.02)
            reset(connection)
    assert asked(stormed, bomb, encoding="gzip").status_code == 400
    assert memory.peak(process) - before < 3.5 * size


def test_messages_that_find_no_place_wait_unread(stormed: Server) -> None:
    """They take no memory meanwhile, nor do refused ones later; health is told, and all are answered at the end."""
    size, many, process = 8 * MIB, 16, stormed.process.pid
    junk = dataplane_pb2.ModelInferRequest(model_name="xgboost-model", raw_input_contents=[bytes(size)])
    with grpc.insecure_channel(stormed.grpc) as channel:
        assert code(called(channel, junk)) is grpc.StatusCode.INVALID_ARGUMENT
        memory.forget_peak(process)
        before = memory.resident(process)
        infer = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")
        silent = infer.future(endless(stop := threading.Event()))
        assert lives(channel)  # after the server has seen who takes the one place
        queue = [called(channel, junk) for _ in range(many)]
        assert all(lives(channel) for _ in range(20))
        assert not any(call.done() for call in queue)
        assert memory.peak(process) - before < size
        silent.cancel()
        stop.set()
        assert {code(call) for call in queue} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert memory.peak(process) - before < many / 2 * size


def test_a_burst_of_calls_is_answered_or_refused(stormed: Server) -> None:
    """More than gRPC itself keeps: each call ends, most of them well, and the next one is answered."""
    good = dataplane_pb2.ModelInferRequest(model_name="xgboost-model", raw_input_contents=[bytes(800)])
    good.inputs.add(name="predict", datatype="FP32", shape=[1, 200])
    with grpc.insecure_channel(stormed.grpc) as channel:
        codes = Counter(code(call) for call in [called(channel, good) for _ in range(BURST)])
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, codes
        assert codes[grpc.StatusCode.OK] > BURST / 2
        assert code(called(channel, good)) is grpc.StatusCode.OK


HOSTILE = {
    "ModelInfer": b"\x2a\x00" * 2**18,  # more tensors than a request may have
    "ModelReady": dataplane_pb2.ModelReadyRequest(name="x" * (4 * MIB)).SerializeToString(),
    "RepositoryModelLoad": dataplane_pb2.RepositoryModelLoadRequest(model_name="x" * (4 * MIB)).SerializeToString(),
}


@pytest.mark.parametrize("method", HOSTILE)
def test_hostile_messages_together_take_no_more_than_one(waiting: Server, method: str) -> None:
    """What was read of a refused one is gone before the next is read."""
    process, sent = waiting.process.pid, HOSTILE[method]
    with grpc.insecure_channel(waiting.grpc) as channel:
        ask = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")

        def taken(times: int) -> int:
            memory.forget_peak(process)
            before = memory.resident(process)
            calls = [ask.future(sent, timeout=SECONDS) for _ in range(times)]
            assert {code(call) for call in calls} <= {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED}
            return memory.peak(process) - before

        one = max(taken(1) for _ in range(3))
        assert taken(50) < one + 24 * len(sent)


def endless(stop: threading.Event) -> Iterator[bytes]:
    """A message that does not come."""
    stop.wait(SECONDS)
    yield from ()
