"""While a model is being loaded, every route about it answers so; during a reload the old model answers."""

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
"""A runtime beside its settings that loads its model once the file `gate` exists."""

LOADING = "Model 'xgboost-model' is being loaded; try again in a second."
MODEL, VERSION = "/v2/models/xgboost-model", "/v2/models/xgboost-model/versions/v0.1.0"
ROW = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 200], "data": [0] * 200}]})
ROUTES = {
    ("POST" if suffix in {"/infer", "/generate"} else "GET", base + suffix)
    for base in (MODEL, VERSION)
    for suffix in ("", "/config", "/stats", "/docs", "/docs/dataplane.json", "/infer", "/generate")
}
READY = {f"{MODEL}/ready", f"{VERSION}/ready"}
NOT_READY = {"name": "xgboost-model", "ready": False}
INDEX = "/v2/repository/index"
METHODS = ("ModelMetadata", "ModelConfig", "ModelStatistics", "ModelInfer")
NAMED = b"\n\x0dxgboost-model"
"""A message with the model's name, which is the first field of the request of each of METHODS."""


class Slow(NamedTuple):
    """A server whose model loads once the file `gate` exists."""

    server: Server
    gate: Path

    def rest(self, method: str, path: str) -> requests.Response:
        """The response of a route."""
        return requests.request(method, self.server.url + path, data=ROW if method == "POST" else None, timeout=SECONDS)

    def state(self) -> Any:  # noqa: ANN401  any JSON
        """The state of the only model in the repository's index."""
        (model,) = requests.post(self.server.url + INDEX, json={}, timeout=SECONDS).json()
        return model["state"]

    def call(self, channel: grpc.Channel, method: str) -> tuple[grpc.StatusCode, str | bytes]:
        """The code of a gRPC call, and its message or, if it is refused, its sentence."""
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
        gate.touch()  # a server ends only after it has loaded its models


def until_ready(slow: Slow) -> None:
    """Create the file, and wait until the model is loaded."""
    slow.gate.touch()
    deadline = time.monotonic() + SECONDS
    while slow.rest("GET", f"{MODEL}/ready").status_code != 200:
        assert time.monotonic() < deadline, f"the model was not loaded within {SECONDS} s"


def test_every_rest_route_reports_a_model_that_is_being_loaded(slow: Slow) -> None:
    """The status is 503 with Retry-After; routes of readiness have the same status and report `ready` as false."""
    expected: dict[str, object] = {path: {"error": LOADING} for _, path in ROUTES}
    expected |= {**dict.fromkeys(READY, NOT_READY), "/v2/health/ready": {"live": True, "ready": False}}
    for method, path in [*ROUTES, *(("GET", path) for path in (*READY, "/v2/health/ready"))]:
        answer = slow.rest(method, path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1"), path
        assert answer.json() == expected[path]
    assert slow.rest("GET", "/v2/health/live").json() == {"live": True}
    assert slow.state() == "LOADING"
    until_ready(slow)
    assert slow.state() == "READY"


def test_every_grpc_method_reports_a_model_that_is_being_loaded(slow: Slow) -> None:
    """Methods are refused with UNAVAILABLE; ModelReady answers that it is not ready."""
    with grpc.insecure_channel(slow.server.grpc) as channel:
        for method in METHODS:
            assert slow.call(channel, method) == (grpc.StatusCode.UNAVAILABLE, LOADING), method
        assert slow.call(channel, "ModelReady") == (grpc.StatusCode.OK, b"")  # its only field is false
        until_ready(slow)
        assert slow.call(channel, "ModelReady") == (grpc.StatusCode.OK, b"\x08\x01")


@contextmanager
def requests_without_pause(slow: Slow) -> Iterator[list[tuple[str, object, object]]]:
    """Call all routes and methods repeatedly; list each with its status and, if it is an error, its content."""
    answers: list[tuple[str, object, object]] = []
    stop = Event()

    def rest() -> None:
        while not stop.is_set():
            for method, path in [*ROUTES, *(("GET", path) for path in READY), ("POST", INDEX)]:
                answer = slow.rest(method, path)
                answers.append((path, answer.status_code, "" if answer.ok else answer.json()))

    def rpc() -> None:
        with grpc.insecure_channel(slow.server.grpc) as channel:
            while not stop.is_set():
                for method in (*METHODS, "ModelReady"):
                    code, content = slow.call(channel, method)
                    answers.append((method, code, content if isinstance(content, str) else ""))

    threads = [Thread(target=rest), Thread(target=rest), Thread(target=rpc)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS)


def test_every_request_during_a_start_and_three_reloads_is_answered(slow: Slow) -> None:
    """The answer is the model's or, during the start, that it is being loaded; never an internal error."""
    invalid = "The request has no inputs; expected one tensor, or one for each feature."
    expected: dict[object, list[object]] = {
        503: [{"error": LOADING}, NOT_READY],
        200: [""],
        grpc.StatusCode.UNAVAILABLE: [LOADING],
        grpc.StatusCode.INVALID_ARGUMENT: [invalid],
        grpc.StatusCode.OK: [""],
    }
    with requests_without_pause(slow) as answers:
        until_ready(slow)
        ready = len(answers)
        for count in range(1, 4):
            os.kill(slow.server.process.pid, signal.SIGHUP)
            deadline = time.monotonic() + SECONDS
            least = len(answers) + 100
            while slow.server.log.read_text().count("was reloaded") < count or len(answers) < least:
                assert time.monotonic() < deadline, f"no reload and 100 answers within {SECONDS} s"
                time.sleep(0.01)
    assert not [answer for answer in answers if answer[2] not in expected.get(answer[1], [])]
    after = {status for _, status, _ in answers[ready + 50 :]}
    assert after == {200, grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}


def test_a_server_that_gets_sigterm_while_it_loads_ends_cleanly(slow: Slow) -> None:
    """It ends with exit code 0, once its model is loaded."""
    slow.server.process.send_signal(signal.SIGTERM)
    slow.gate.touch()
    assert slow.server.process.wait(SECONDS) == 0
