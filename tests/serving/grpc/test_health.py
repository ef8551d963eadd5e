"""gRPC's own service of health says at any moment whether requests should come here, and tells whoever watches."""

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
"""What a server with one model knows."""

GONE = "SERVICE_UNKNOWN"

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
"""A runtime whose model loads once a file is there."""


def check(channel: grpc.Channel, name: str) -> str:
    """The status of a service, or what a call that asks for it is refused with."""
    try:
        found = HealthStub(channel).Check(HealthCheckRequest(service=name), timeout=SECONDS)
    except grpc.RpcError as error:
        return str(error.code().name)
    return str(HealthCheckResponse.ServingStatus.Name(found.status))


class Watch:
    """What the server tells of a service, one status after the other, and then how the call ended."""

    def __init__(self, channel: grpc.Channel, name: str) -> None:
        self.call = HealthStub(channel).Watch(HealthCheckRequest(service=name))
        self._told = queue.SimpleQueue[str]()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(grpc.RpcError):
            for each in self.call:
                self._told.put(HealthCheckResponse.ServingStatus.Name(each.status))
        self._told.put(self.call.code().name)

    def next(self) -> str:
        """The next of them, within the deadline."""
        try:
            return self._told.get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError(f"nothing more is told within {SECONDS} s") from None

    def until(self, status: str) -> list[str]:
        """All up to this one."""
        told = [self.next()]
        while told[-1] != status:
            told.append(self.next())
        return told

    def is_quiet(self) -> bool:
        """Whether nothing more has been told by now."""
        return self._told.empty()


@pytest.fixture(scope="module")
def channel(edge: Server) -> Iterator[grpc.Channel]:
    """A connection to the one server."""
    with grpc.insecure_channel(edge.grpc) as opened:
        yield opened


@contextmanager
def serving(folder: Path, model_folder: Path, **variables: object) -> Iterator[tuple[Server, grpc.Channel]]:
    """A server of one's own, once it listens, and a connection to it."""
    environment = {f"TABSERVE_{name}": str(value) for name, value in {"MODEL": model_folder, **variables}.items()}
    with (
        running(folder, environment, ready="/v2/health/live") as server,
        grpc.insecure_channel(server.grpc) as channel,
    ):
        yield server, channel


@pytest.mark.parametrize("name", NAMES)
def test_who_takes_requests_is_serving(channel: grpc.Channel, name: str) -> None:
    """The server as a whole, its service of inference, and the model; told at once to whoever watches."""
    assert check(channel, name) == "SERVING"
    watch = Watch(channel, name)
    assert watch.next() == "SERVING"
    watch.call.cancel()


@pytest.mark.parametrize("name", ["nobody", "xgboost-model ", "日本語", "grpc.health.v1.Healthy"])
def test_of_the_unknown_it_is_said_as_the_protocol_has_it(channel: grpc.Channel, name: str) -> None:
    """Check does not find it; Watch says so and goes on, as it may come yet."""
    assert check(channel, name) == "NOT_FOUND"
    watch = Watch(channel, name)
    assert watch.next() == GONE
    assert check(channel, "") == "SERVING"
    assert watch.call.is_active()
    watch.call.cancel()


def test_while_a_model_loads_neither_it_nor_the_server_is_serving(model_folder: Path, tmp_path: Path) -> None:
    """From the first moment on that it can be asked; both are once the model is loaded."""
    (tmp_path / "slow.py").write_text(SLOW)
    write_settings(tmp_path, implementation="slow.Slow")
    with serving(tmp_path, model_folder) as (_, channel):
        assert [check(channel, name) for name in NAMES] == ["NOT_SERVING"] * 3
        watching = [Watch(channel, name) for name in NAMES]
        assert [each.next() for each in watching] == ["NOT_SERVING"] * 3
        (tmp_path / "go").touch()
        assert [each.next() for each in watching] == ["SERVING"] * 3
        assert [check(channel, name) for name in NAMES] == ["SERVING"] * 3


def test_health_follows_the_models_registry(model_folder: Path, tmp_path: Path) -> None:
    """A model that is unloaded is unknown until it is loaded again; the server as a whole goes on."""
    with serving(write_settings(tmp_path), model_folder, ADMIN="true") as (server, channel):

        def admin(word: str) -> None:
            url = f"{server.url}/v2/repository/models/{MODEL}/{word}"
            requests.post(url, timeout=SECONDS).raise_for_status()

        model, whole = Watch(channel, MODEL), Watch(channel, "")
        model.until("SERVING")
        whole.until("SERVING")
        for _ in range(2):
            admin("unload")
            assert model.until(GONE)[0] in {"NOT_SERVING", GONE}
            assert check(channel, MODEL) == "NOT_FOUND"
            assert check(channel, "") == "SERVING"
            admin("load")
            assert set(model.until("SERVING")) <= {"NOT_SERVING", "SERVING"}
            assert check(channel, MODEL) == "SERVING"
        admin("load")  # anew
        assert check(channel, MODEL) == "SERVING"
        assert model.is_quiet()


def test_a_reload_is_no_interruption(model_folder: Path, tmp_path: Path) -> None:
    """The model before answers until the new one can, so that nothing changes for who watches."""
    with serving(write_settings(tmp_path), model_folder, DRAIN_SECONDS=1) as (server, channel):
        model = Watch(channel, MODEL)
        model.until("SERVING")
        server.process.send_signal(signal.SIGHUP)
        while f"Model {MODEL} was reloaded." not in server.log.read_text():
            assert check(channel, MODEL) == "SERVING"
        assert check(channel, MODEL) == "SERVING"
        assert model.is_quiet()


def test_a_server_that_drains_says_so_and_ends_though_it_is_watched(model_folder: Path, tmp_path: Path) -> None:
    """All who watch hear it, whatever they watch, and who asks over REST; then their calls end, and the server too."""
    with serving(write_settings(tmp_path), model_folder, DRAIN_SECONDS=2) as (server, channel):
        watching = {name: Watch(channel, name) for name in (*NAMES, "nobody")}
        for name in NAMES:
            watching[name].until("SERVING")
        assert watching["nobody"].next() == GONE
        server.process.terminate()
        assert [watching[name].next() for name in NAMES] == ["NOT_SERVING"] * 3
        assert [check(channel, name) for name in (*NAMES, "nobody")] == [*["NOT_SERVING"] * 3, "NOT_FOUND"]
        told: dict[str, dict[str, object]] = {
            "/v2/health/ready": {"live": True},
            f"/v2/models/{MODEL}/ready": {"name": MODEL},
        }
        for path, who in told.items():
            answer = requests.get(server.url + path, timeout=SECONDS)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert answer.json() == {**who, "ready": False}
        assert [each.next() for each in watching.values()] == ["UNAVAILABLE"] * 4
        assert {each.call.details() for each in watching.values()} == {"The server is about to end; watch another."}
        assert server.process.wait(SECONDS) == 0
        assert "Traceback" not in server.log.read_text()


def test_health_is_told_while_the_queue_is_full(model_folder: Path, tmp_path: Path) -> None:
    """And no more requests are taken."""
    folder = write_settings(tmp_path, max_batch_size=8, max_batch_time=600)
    with serving(folder, model_folder, MAX_QUEUE_ROWS=2) as (server, channel), ExitStack() as held:
        Watch(channel, MODEL).until("SERVING")
        tensor = {"name": "x", "datatype": "FP32", "shape": [2, 200], "data": [0] * 400}
        body = json.dumps({"inputs": [tensor]}).encode()
        connection = held.enter_context(connect(server.url))
        connection.sendall(head(len(body)) + body)
        waiting = partial(requests.get, f"{server.metrics}/metrics", timeout=SECONDS)
        until(lambda: f'tabserve_queue_rows{{model="{MODEL}"}} 2.0' in waiting().text, "a full queue")
        assert requests.post(server.url + INFER, data=body, timeout=SECONDS).status_code == 503
        assert [check(channel, name) for name in NAMES] == ["SERVING"] * 3
        assert Watch(channel, "").next() == "SERVING"


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it, within the deadline."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2 (https://www.rfc-editor.org/rfc/rfc9113#section-4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def mute_watch() -> bytes:
    """A call that watches the server, and lets nothing be sent to it: its window has no room."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "x",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    named = b"".join(b"\0%c%b%c%b" % (len(n), n.encode(), len(v), v.encode()) for n, v in fields.items())
    window = struct.pack(">HI", 4, 0)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"".join(
        (frame(4, 0, 0, window), frame(4, 1, 0, b""), frame(1, 4, 1, named), frame(0, 1, 1, bytes(5)))
    )


def test_who_watches_and_does_not_read_holds_up_nobody(model_folder: Path, tmp_path: Path) -> None:
    """Others who watch the same hear of the end at once, and the server ends cleanly."""
    with serving(write_settings(tmp_path), model_folder, DRAIN_SECONDS=1) as (server, channel):
        other = Watch(channel, "")
        other.until("SERVING")
        with connect(server.grpc) as connection:
            connection.sendall(mute_watch())
            heads = b""
            while b"application/grpc" not in heads:  # then its call has begun, and its first status waits
                heads += connection.recv(4096)
            server.process.terminate()
            assert [other.next(), other.next()] == ["NOT_SERVING", "UNAVAILABLE"]
            assert server.process.wait(SECONDS) == 0


def test_so_many_watch_and_no_more(model_folder: Path, tmp_path: Path) -> None:
    """The next is refused and asks by Check; who leaves makes room."""
    with serving(write_settings(tmp_path), model_folder) as (_, channel):
        watching = [HealthStub(channel).Watch(HealthCheckRequest(service=MODEL)) for _ in range(MAX_WATCHERS)]
        for each in watching:
            next(each)
        beyond = Watch(channel, MODEL)
        assert beyond.next() == "UNAVAILABLE"
        assert beyond.call.details() == f"The server has {MAX_WATCHERS} watchers of its health; ask by Check, or later."
        assert check(channel, MODEL) == "SERVING"
        for each in watching[:9]:
            each.cancel()
        until(lambda: Watch(channel, MODEL).next() == "SERVING", "room for one more")


class Case(NamedTuple):
    """A wrong message, and its refusal."""

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
def test_what_is_no_question_is_refused(edge: Server, channel: grpc.Channel, case: Case) -> None:
    """In a sentence, and the log stays clean."""
    before = edge.log.stat().st_size
    with pytest.raises(grpc.RpcError) as raised:
        list(channel.unary_stream(f"/grpc.health.v1.Health/{case.method}")(case.message, timeout=SECONDS))
    assert (raised.value.code(), raised.value.details()) == (case.code, case.sentence)
    assert check(channel, "") == "SERVING"
    assert b"Traceback" not in edge.log.read_bytes()[before:]
