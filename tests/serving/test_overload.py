"""More work than a server takes is refused at once, what it accepted is answered, and afterwards it is as before."""

import json
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import requests
from mlserver.grpc import dataplane_pb2, dataplane_pb2_grpc
from tests.serving.wire import INFER, SECONDS, connected, head, settings_in

from tabserve.process import Server, running

QUEUE = 6
"""Rows that one server lets wait, and scores together."""
MIB = 2**20


@pytest.fixture(scope="module")
def waiting(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that scores nothing before its queue is full."""
    folder = settings_in(tmp_path_factory.mktemp("waiting"), max_batch_size=QUEUE, max_batch_time=600)
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


def asked(server: Server, sent: bytes, timeout: float = SECONDS, **headers: str) -> requests.Response:
    """The answer over REST."""
    return requests.post(server.url + INFER, data=sent, headers=headers, timeout=timeout)


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
    with connected(waiting.url) as arriving:
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
    with connected(waiting.url) as connection:
        connection.sendall(head(2 * MIB) + b" " * (2 * MIB) + head(len(asking)) + asking)
        found = b""
        while b"predict_proba" not in found:
            more = connection.recv(65_536)
            assert more, found
            found += more
    assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"503", b"200"]


def test_rows_of_who_has_left_are_not_scored(waiting: Server) -> None:
    """Over both transports."""
    before, sent = metric(waiting, "tabserve_batch_rows_sum"), body(QUEUE - 1)
    with connected(waiting.url) as connection:
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
    assert asked(waiting, body(QUEUE)).status_code == 200
    assert metric(waiting, "tabserve_batch_rows_sum") == before + 2 * QUEUE
