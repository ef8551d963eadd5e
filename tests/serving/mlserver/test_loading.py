"""While a model is being loaded, every route about it says so; a reload is not noticed by anybody."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any, NamedTuple

import grpc
import pytest
import requests
from tests.serving.wire import SECONDS, write_settings

from tabserve.client.local_server import Server, running

SLOW = """
import asyncio
from pathlib import Path

from tabserve.serving.mlserver.runtime import FolderModel


class SlowModel(FolderModel):
    async def load(self):
        while not Path({gate!r}).exists():
            await asyncio.sleep(0.01)
        return await super().load()
"""
"""A runtime beside its settings that loads its model once a file is there."""

LOADING = "Model 'xgboost-model' is being loaded; try again in a second."
MODEL, VERSION = "/v2/models/xgboost-model", "/v2/models/xgboost-model/versions/v0.1.0"
ROW = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]})
ROUTES = {
    ("POST" if word in {"/infer", "/generate"} else "GET", base + word)
    for base in (MODEL, VERSION)
    for word in ("", "/config", "/stats", "/docs", "/docs/dataplane.json", "/infer", "/generate")
}
READY = {f"{MODEL}/ready", f"{VERSION}/ready"}
NOT_READY = {"name": "xgboost-model", "ready": False}
INDEX = "/v2/repository/index"
METHODS = ("ModelMetadata", "ModelConfig", "ModelStatistics", "ModelInfer")
NAMED = b"\n\x0dxgboost-model"
"""A message whose first member is the model's name, as it is of each of these methods."""


class Slow(NamedTuple):
    """A server whose model is loaded once its gate is open."""

    server: Server
    gate: Path

    def rest(self, method: str, path: str) -> requests.Response:
        """What a route answers."""
        return requests.request(method, self.server.url + path, data=ROW if method == "POST" else None, timeout=SECONDS)

    def state(self) -> Any:  # noqa: ANN401  any JSON
        """What the repository tells of its one model."""
        (model,) = requests.post(self.server.url + INDEX, json={}, timeout=SECONDS).json()
        return model["state"]

    def call(self, channel: grpc.Channel, method: str) -> tuple[grpc.StatusCode, str | bytes]:
        """What a method of gRPC answers: its code, and the message or the sentence."""
        try:
            answer = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(NAMED, timeout=SECONDS)
        except grpc.RpcError as error:
            return error.code(), error.details()
        return grpc.StatusCode.OK, answer


@pytest.fixture
def slow(model_folder: Path, tmp_path: Path) -> Iterator[Slow]:
    """A server whose model is not loaded yet."""
    gate = tmp_path / "gate"
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / "slow.py").write_text(SLOW.format(gate=str(gate)))
    write_settings(folder, implementation="slow.SlowModel")
    variables = {"TABSERVE_MODEL": str(model_folder), "TABSERVE_ADMIN": "true"}
    with running(folder, variables, ready="/v2/health/live") as server:
        yield Slow(server, gate)
        gate.touch()  # a server that is loading ends once it has loaded


def until_ready(slow: Slow) -> None:
    """Open the gate, and wait until the model is loaded."""
    slow.gate.touch()
    deadline = time.monotonic() + SECONDS
    while slow.rest("GET", f"{MODEL}/ready").status_code != 200:
        assert time.monotonic() < deadline, f"the model was not loaded within {SECONDS} s"


def test_every_route_about_a_model_says_that_it_is_being_loaded(slow: Slow) -> None:
    """503 with Retry-After over REST; what asks whether it is ready gets its answer, with the same status."""
    told: dict[str, object] = {path: {"error": LOADING} for _, path in ROUTES}
    told |= {**dict.fromkeys(READY, NOT_READY), "/v2/health/ready": {"live": True, "ready": False}}
    for method, path in [*ROUTES, *(("GET", path) for path in (*READY, "/v2/health/ready"))]:
        answer = slow.rest(method, path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), path
        assert answer.json() == told[path]
    assert slow.rest("GET", "/v2/health/live").json() == {"live": True}
    assert slow.state() == "LOADING"
    until_ready(slow)
    assert slow.state() == "READY"


def test_every_method_about_a_model_says_that_it_is_being_loaded(slow: Slow) -> None:
    """UNAVAILABLE over gRPC; what asks whether it is ready gets its answer."""
    with grpc.insecure_channel(slow.server.grpc) as channel:
        for method in METHODS:
            assert slow.call(channel, method) == (grpc.StatusCode.UNAVAILABLE, LOADING), method
        assert slow.call(channel, "ModelReady") == (grpc.StatusCode.OK, b"")  # its one member is false
        until_ready(slow)
        assert slow.call(channel, "ModelReady") == (grpc.StatusCode.OK, b"\x08\x01")


@contextmanager
def asked_without_pause(slow: Slow) -> Iterator[list[tuple[str, object, object]]]:
    """What every route and method answers meanwhile: which, its status, and its content where that is an error."""
    found: list[tuple[str, object, object]] = []
    stop = Event()

    def rest() -> None:
        while not stop.is_set():
            for method, path in [*ROUTES, *(("GET", path) for path in READY), ("POST", INDEX)]:
                answer = slow.rest(method, path)
                found.append((path, answer.status_code, "" if answer.ok else answer.json()))

    def rpc() -> None:
        with grpc.insecure_channel(slow.server.grpc) as channel:
            while not stop.is_set():
                for method in (*METHODS, "ModelReady"):
                    code, content = slow.call(channel, method)
                    found.append((method, code, content if isinstance(content, str) else ""))

    threads = [Thread(target=rest), Thread(target=rest), Thread(target=rpc)]
    for each in threads:
        each.start()
    try:
        yield found
    finally:
        stop.set()
        for each in threads:
            each.join(SECONDS)


def test_whatever_is_asked_through_a_start_and_three_reloads_is_answered(slow: Slow) -> None:
    """By the model, or by the sentence that it is being loaded; never by an internal error."""
    invalid = "The request has no inputs; expected one tensor, or one for each feature."
    told: dict[object, list[object]] = {
        503: [{"error": LOADING}, NOT_READY],
        200: [""],
        grpc.StatusCode.UNAVAILABLE: [LOADING],
        grpc.StatusCode.INVALID_ARGUMENT: [invalid],
        grpc.StatusCode.OK: [""],
    }
    with asked_without_pause(slow) as found:
        until_ready(slow)
        begun = len(found)
        for count in range(1, 4):
            os.kill(slow.server.process.pid, signal.SIGHUP)
            deadline = time.monotonic() + SECONDS
            asked = len(found) + 100
            while slow.server.log.read_text().count("was reloaded") < count or len(found) < asked:
                assert time.monotonic() < deadline, f"not reloaded, and asked 100 times, within {SECONDS} s"
                time.sleep(0.01)
    assert not [(path, status, said) for path, status, said in found if said not in told.get(status, [])]
    after = {status for _, status, _ in found[begun + 50 :]}
    assert after == {200, grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}


def test_a_server_that_is_told_to_end_while_it_loads_ends_as_always(slow: Slow) -> None:
    """With exit code 0, once its model is loaded."""
    slow.server.process.send_signal(signal.SIGTERM)
    slow.gate.touch()
    assert slow.server.process.wait(SECONDS) == 0
