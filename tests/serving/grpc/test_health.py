"""The gRPC health service reports at any moment whether the server and its models take requests, also to watchers."""

import json
import queue
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
import requests
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from tests.serving.wire import INFER, SECONDS, connect, head, write_settings

from tabserve.client.local_server import Server, running
from tabserve.serving.grpc.health import MAX_WATCHERS

MODEL, SERVICE = "xgboost-model", "inference.GRPCInferenceService"
NAMES = ("", SERVICE, MODEL)
"""The services that a server with one model has."""

UNKNOWN = "SERVICE_UNKNOWN"

SLOW = """
import asyncio
from functools import partial
from pathlib import Path
from tabserve.serving.mlserver.runtime import FolderModel

class Slow(FolderModel):
    async def load(self):
        while not Path(__file__).with_name("go").exists():
            await asyncio.sleep(0.01)
        return await super().load()
"""
"""A runtime whose model loads once a file `go` exists beside it."""


def check(channel: grpc.Channel, name: str) -> str:
    """The status of a service, or the code that refuses the call."""
    try:
        response = HealthStub(channel).Check(HealthCheckRequest(service=name), timeout=SECONDS)
    except grpc.RpcError as error:
        return str(error.code().name)
    return str(HealthCheckResponse.ServingStatus.Name(response.status))


class Watch:
    """The statuses that a watch of a service receives, followed by the code with which the call ends."""

    def __init__(self, channel: grpc.Channel, name: str) -> None:
        self.call = HealthStub(channel).Watch(HealthCheckRequest(service=name))
        self._statuses = queue.SimpleQueue[str]()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(grpc.RpcError):
            for response in self.call:
                self._statuses.put(HealthCheckResponse.ServingStatus.Name(response.status))
        self._statuses.put(self.call.code().name)

    def next(self) -> str:
        """The next status or code, within the deadline."""
        try:
            return self._statuses.get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError(f"no status was received within {SECONDS} s") from None

    def until(self, status: str) -> list[str]:
        """All statuses up to this one."""
        statuses = [self.next()]
        while statuses[-1] != status:
            statuses.append(self.next())
        return statuses

    def is_quiet(self) -> bool:
        """Whether no further status has been received."""
        return self._statuses.empty()


@pytest.fixture(scope="module")
def channel(edge: Server) -> Iterator[grpc.Channel]:
    """A gRPC channel to the shared server."""
    with grpc.insecure_channel(edge.grpc) as opened:
        yield opened


@contextmanager
def own_server(folder: Path, model_folder: Path, **variables: object) -> Iterator[tuple[Server, grpc.Channel]]:
    """A server of its own, given once it is live, and a gRPC channel to it."""
    environment = {f"TABSERVE_{name}": str(value) for name, value in {"MODEL": model_folder, **variables}.items()}
    with (
        running(folder, environment, ready="/v2/health/live") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        yield server, channel


@pytest.mark.parametrize("name", NAMES)
def test_a_ready_server_is_serving(channel: grpc.Channel, name: str) -> None:
    """Check and Watch report SERVING for the server, the inference service and the model."""
    assert check(channel, name) == "SERVING"
    watch = Watch(channel, name)
    assert watch.next() == "SERVING"
    watch.call.cancel()


@pytest.mark.parametrize("name", ["nobody", "xgboost-model ", "日本語", "grpc.health.v1.Healthy"])
def test_an_unknown_service_is_not_found_by_check_and_unknown_to_watch(channel: grpc.Channel, name: str) -> None:
    """The watch goes on, as the service may be added later; the gRPC health protocol demands this."""
    assert check(channel, name) == "NOT_FOUND"
    watch = Watch(channel, name)
    assert watch.next() == UNKNOWN
    assert check(channel, "") == "SERVING"
    assert watch.call.is_active()
    watch.call.cancel()


def test_while_a_model_loads_neither_it_nor_the_server_is_serving(model_folder: Path, tmp_path: Path) -> None:
    """Both are NOT_SERVING as soon as the server listens, and SERVING once the model is loaded."""
    (tmp_path / "slow.py").write_text(SLOW)
    write_settings(tmp_path, implementation="slow.Slow")
    with own_server(tmp_path, model_folder) as (_, channel):
        assert [check(channel, name) for name in NAMES] == ["NOT_SERVING"] * 3
        watching = [Watch(channel, name) for name in NAMES]
        assert [watch.next() for watch in watching] == ["NOT_SERVING"] * 3
        (tmp_path / "go").touch()
        assert [watch.next() for watch in watching] == ["SERVING"] * 3
        assert [check(channel, name) for name in NAMES] == ["SERVING"] * 3


def test_health_follows_loading_and_unloading_of_a_model(model_folder: Path, tmp_path: Path) -> None:
    """An unloaded model is unknown until it is loaded again; the server as a whole stays SERVING."""
    with own_server(write_settings(tmp_path), model_folder, ADMIN="true") as (server, channel):

        def admin(action: str) -> None:
            url = f"{server.url}/v2/repository/models/{MODEL}/{action}"
            requests.post(url, timeout=SECONDS).raise_for_status()

        model, whole = Watch(channel, MODEL), Watch(channel, "")
        model.until("SERVING")
        whole.until("SERVING")
        for _ in range(2):
            admin("unload")
            assert model.until(UNKNOWN)[0] in {"NOT_SERVING", UNKNOWN}
            assert check(channel, MODEL) == "NOT_FOUND"
            assert check(channel, "") == "SERVING"
            admin("load")
            assert set(model.until("SERVING")) <= {"NOT_SERVING", "SERVING"}
            assert check(channel, MODEL) == "SERVING"
        admin("load")  # a reload
        assert check(channel, MODEL) == "SERVING"
        assert model.is_quiet()


def test_a_model_stays_serving_during_a_reload(model_folder: Path, tmp_path: Path) -> None:
    """The old model answers until the new one is loaded, so watchers receive no change."""
    with own_server(write_settings(tmp_path), model_folder, DRAIN_SECONDS=1) as (server, channel):
        model = Watch(channel, MODEL)
        model.until("SERVING")
        server.process.send_signal(signal.SIGHUP)
        while f"Model {MODEL} was reloaded." not in server.log.read_text():
            assert check(channel, MODEL) == "SERVING"
        assert check(channel, MODEL) == "SERVING"
        assert model.is_quiet()


def test_a_draining_server_is_not_serving_and_ends_its_watches(model_folder: Path, tmp_path: Path) -> None:
    """Watch, Check and REST report it; then the watches end with UNAVAILABLE, and the server with exit code 0."""
    with own_server(write_settings(tmp_path), model_folder, DRAIN_SECONDS=2) as (server, channel):
        watching = {name: Watch(channel, name) for name in (*NAMES, "nobody")}
        for name in NAMES:
            watching[name].until("SERVING")
        assert watching["nobody"].next() == UNKNOWN
        server.process.terminate()
        assert [watching[name].next() for name in NAMES] == ["NOT_SERVING"] * 3
        assert [check(channel, name) for name in (*NAMES, "nobody")] == [*["NOT_SERVING"] * 3, "NOT_FOUND"]
        expected: dict[str, dict[str, object]] = {
            "/v2/health/ready": {"live": True},
            f"/v2/models/{MODEL}/ready": {"name": MODEL},
        }
        for path, members in expected.items():
            answer = requests.get(server.url + path, timeout=SECONDS)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert answer.json() == {**members, "ready": False}
        assert [watch.next() for watch in watching.values()] == ["UNAVAILABLE"] * 4
        assert {watch.call.details() for watch in watching.values()} == {"The server is about to end; watch another."}
        assert server.process.wait(SECONDS) == 0
        assert "Traceback" not in server.log.read_text()


def test_health_is_answered_while_the_queue_is_full(model_folder: Path, tmp_path: Path) -> None:
    """The server stays SERVING, though it refuses further inference requests."""
    folder = write_settings(tmp_path, max_batch_size=8, max_batch_time=600)
    with own_server(folder, model_folder, MAX_QUEUE_ROWS=2) as (server, channel), ExitStack() as held:
        Watch(channel, MODEL).until("SERVING")
        tensor = {"name": "x", "datatype": "FP32", "shape": [2, 200], "data": [0] * 400}
        body = json.dumps({"inputs": [tensor]}).encode()
        connection = held.enter_context(connect(server.url))
        connection.sendall(head(len(body)) + body)
        metrics = partial(requests.get, f"{server.metrics}/metrics", timeout=SECONDS)
        until(lambda: f'tabserve_queue_rows{{model="{MODEL}"}} 2.0' in metrics().text, "a full queue")
        assert requests.post(server.url + INFER, data=body, timeout=SECONDS).status_code == 503
        assert [check(channel, name) for name in NAMES] == ["SERVING"] * 3
        assert Watch(channel, "").next() == "SERVING"


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds, or fail at the deadline."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """An HTTP/2 frame (https://www.rfc-editor.org/rfc/rfc9113#section-4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def mute_watch() -> bytes:
    """The bytes of a Watch call whose flow-control window is 0, so that the server cannot send to it."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "x",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    headers = b"".join(b"\0%c%b%c%b" % (len(n), n.encode(), len(v), v.encode()) for n, v in fields.items())
    window = struct.pack(">HI", 4, 0)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(
        (frame(4, 0, 0, window), frame(4, 1, 0, b""), frame(1, 4, 1, headers), frame(0, 1, 1, bytes(5)))
    )


def test_a_watcher_that_does_not_read_delays_no_other(model_folder: Path, tmp_path: Path) -> None:
    """Another watcher receives the draining status, and the server ends with exit code 0."""
    with own_server(write_settings(tmp_path), model_folder, DRAIN_SECONDS=1) as (server, channel):
        other = Watch(channel, "")
        other.until("SERVING")
        with connect(server.grpc) as connection:
            connection.sendall(mute_watch())
            received = b""
            while b"application/grpc" not in received:  # the response headers: the first status then waits to be sent
                received += connection.recv(4096)
            server.process.terminate()
            assert [other.next(), other.next()] == ["NOT_SERVING", "UNAVAILABLE"]
            assert server.process.wait(SECONDS) == 0


def test_the_number_of_watchers_is_limited(model_folder: Path, tmp_path: Path) -> None:
    """A watcher beyond the limit is refused, Check is still answered, and a cancelled watch makes room."""
    with own_server(write_settings(tmp_path), model_folder) as (_, channel):
        watching = [HealthStub(channel).Watch(HealthCheckRequest(service=MODEL)) for _ in range(MAX_WATCHERS)]
        for watch in watching:
            next(watch)
        beyond = Watch(channel, MODEL)
        assert beyond.next() == "UNAVAILABLE"
        assert beyond.call.details() == f"The server has {MAX_WATCHERS} watchers of its health; ask by Check, or later."
        assert check(channel, MODEL) == "SERVING"
        for watch in watching[:9]:
            watch.cancel()
        until(lambda: Watch(channel, MODEL).next() == "SERVING", "room for one more")


class Case(NamedTuple):
    """A wrong message to a method, and its refusal."""

    method: str
    message: bytes
    code: StatusCode
    sentence: str


LONG = HealthCheckRequest(service="x" * 5000).SerializeToString()
BAD = [
    Case("Check", b"\xff\xff", StatusCode.INVALID_ARGUMENT, "The message is not one that Check takes."),
    Case("Watch", b"\xff\xff", StatusCode.INVALID_ARGUMENT, "The message is not one that Watch takes."),
    Case("Watch", LONG, StatusCode.RESOURCE_EXHAUSTED, "The message has 5003 bytes; Watch takes at most 4096."),
]


@pytest.mark.parametrize("case", BAD, ids=["Check, garbage", "Watch, garbage", "Watch, long"])
def test_a_message_that_is_invalid_or_too_long_is_refused(edge: Server, channel: grpc.Channel, case: Case) -> None:
    """The refusal is a sentence, and the log has no traceback."""
    before = edge.log.stat().st_size
    with pytest.raises(grpc.RpcError) as raised:
        list(channel.unary_stream(f"/grpc.health.v1.Health/{case.method}")(case.message, timeout=SECONDS))
    assert (raised.value.code(), raised.value.details()) == (case.code, case.sentence)
    assert check(channel, "") == "SERVING"
    assert b"Traceback" not in edge.log.read_bytes()[before:]
