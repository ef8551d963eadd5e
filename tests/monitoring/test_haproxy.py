"""The proxy: which replicas and routes it serves, and that no request is lost or sent twice as replicas come and go."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import ClassVar

import grpc
import numpy as np
import pytest
import requests
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from prometheus_client.parser import text_string_to_metric_families
from tests.monitoring.programs import COMPOSE, DEPLOY, SECONDS, Address, Proxy, running_proxy, wait_until

from tabserve.client.client import Client, wait
from tabserve.client.grpc import GrpcClient
from tabserve.client.local_server import Server, free_ports, running
from tabserve.client.rest import RestClient

pytestmark = pytest.mark.needs("haproxy")

MODEL = "/v2/models/xgboost-model"
ROW = np.zeros((1, 200), np.float32)
PROTOCOLS = {"rest": RestClient, "grpc": GrpcClient}


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[Server]]:
    """Three servers with compose's settings; a test may stop the last one."""
    environment = COMPOSE["services"]["tabserve"]["environment"]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        started = [*pool.map(stack.enter_context, (running(DEPLOY, environment) for _ in range(3)))]
        yield started
        for server in started:
            server.process.terminate()


@pytest.fixture(scope="module")
def proxy(replicas: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy in front of the replicas, once it has seen that they are ready."""
    addresses = [(replica.url.removeprefix("http://"), replica.grpc) for replica in replicas]
    with running_proxy(addresses, tmp_path_factory.mktemp("proxy")) as started:
        for protocol in PROTOCOLS:
            wait(client(started, protocol).ready, "The model", SECONDS)
        yield started


def client(proxy: Proxy, protocol: str) -> Client:
    """A client of the model through the proxy."""
    address = proxy.url if protocol == "rest" else proxy.grpc
    return PROTOCOLS[protocol](address, "xgboost-model", timeout=SECONDS)


def answer_count(server: Server, protocol: str) -> float:
    """The number of requests that a replica has answered."""
    text = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counts = {
        sample.labels.get("protocol"): sample.value
        for sample in samples
        if sample.name == "tabserve_request_seconds_count"
    }
    return counts[protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_replica_gets_requests(proxy: Proxy, replicas: list[Server], protocol: str) -> None:
    """A client that keeps one connection reaches every replica."""
    before = [answer_count(replica, protocol) for replica in replicas[:2]]
    caller = client(proxy, protocol)
    for _ in range(12):
        caller.ask(ROW, ["predict_proba"])
    assert all(answer_count(replica, protocol) > count for replica, count in zip(replicas[:2], before, strict=True))


@pytest.mark.parametrize(
    "path", ["/v2/repository/index", "/v2/models/stats", "/v2/docs", "/metrics", MODEL + "-2/infer"]
)
def test_only_the_model_is_forwarded(proxy: Proxy, path: str) -> None:
    """All other routes of the servers get 404."""
    assert requests.get(proxy.url + path, timeout=SECONDS).status_code == 404
    assert requests.get(proxy.url + MODEL, timeout=SECONDS).json()["name"] == "xgboost-model"


def test_health_and_reflection_are_forwarded(proxy: Proxy) -> None:
    """Tools such as grpc_health_probe and grpcurl work; Watch, which would not end, does not."""
    question = HealthCheckRequest(service="xgboost-model")
    with grpc.insecure_channel(proxy.grpc) as channel:
        health = HealthStub(channel).Check(question, timeout=SECONDS)
        assert health.status == HealthCheckResponse.SERVING
        assert "inference.GRPCInferenceService" in ProtoReflectionDescriptorDatabase(channel).get_services()
        with pytest.raises(grpc.RpcError) as refused:
            next(HealthStub(channel).Watch(question, timeout=SECONDS))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["model_repository.ModelRepositoryService", "GRPCInferenceService"])
@pytest.mark.parametrize("method", ["RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"])
def test_the_model_repository_is_not_forwarded(proxy: Proxy, service: str, method: str) -> None:
    """Over gRPC its methods are UNIMPLEMENTED in both services that have them."""
    with grpc.insecure_channel(proxy.grpc) as channel:
        call = channel.unary_unary(f"/inference.{service}/{method}")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=SECONDS)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_replica_that_gets_sigterm_loses_no_request(proxy: Proxy, replicas: list[Server]) -> None:
    """Clients of both protocols, each on its own connection, get every answer."""
    ending, over = replicas[2], Event()

    def load(protocol: str) -> int:
        caller, count = client(proxy, protocol), 0
        while not over.is_set():
            caller.ask(ROW, ["predict"])  # raises if an answer is missing
            count += 1
        return count

    with ThreadPoolExecutor() as pool:
        loads = [pool.submit(load, protocol) for protocol in (*PROTOCOLS, *PROTOCOLS)]
        try:
            for protocol in PROTOCOLS:
                wait_until(lambda: answer_count(ending, protocol) > 10, "asked")  # noqa: B023  called at once
            ending.process.terminate()
            assert ending.process.wait(SECONDS) == 0
            time.sleep(0.2)  # the next requests go to the other replicas
        finally:
            over.set()
        assert all(running.result(SECONDS) > 10 for running in loads)


class FakeReplica(BaseHTTPRequestHandler):
    """Says that the model is ready, and closes the connection on a request for a prediction."""

    received: ClassVar = Counter[int]()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.received[self.server.server_port] += 1  # type: ignore[attr-defined]  # an attribute of ThreadingHTTPServer
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def fakes() -> Iterator[list[ThreadingHTTPServer]]:
    """Two fake replicas."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), FakeReplica) for _ in range(2)]
    FakeReplica.received.clear()
    for server in servers:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


def addresses_of(servers: list[ThreadingHTTPServer]) -> list[Address]:
    """The servers' addresses; over gRPC they do not answer."""
    return [(f"127.0.0.1:{server.server_port}", f"127.0.0.1:{server.server_port}") for server in servers]


def ready(proxy: Proxy) -> bool:
    """Whether the proxy forwards requests."""
    return requests.get(f"{proxy.url}{MODEL}/ready", timeout=SECONDS).ok


def test_a_request_that_a_replica_received_is_not_sent_to_another(
    fakes: list[ThreadingHTTPServer], tmp_path: Path
) -> None:
    """Its client gets 502 and a V2 error."""
    with running_proxy(addresses_of(fakes), tmp_path) as proxy:
        wait_until(lambda: ready(proxy), "ready")
        answer = requests.post(f"{proxy.url}{MODEL}/infer", json={}, timeout=SECONDS)
    assert (answer.status_code, FakeReplica.received.total()) == (502, 1)
    assert answer.json() == {"error": "The replica that was asked gave no answer."}


def test_a_request_that_no_replica_received_is_sent_to_another(
    fakes: list[ThreadingHTTPServer], tmp_path: Path
) -> None:
    """If a replica is gone and the proxy has not noticed, the other one gets the request."""
    with running_proxy(addresses_of(fakes), tmp_path) as proxy:
        wait_until(lambda: ready(proxy), "ready")
        fakes[0].shutdown()
        fakes[0].server_close()  # new connections are refused
        for _ in range(4):
            assert requests.post(f"{proxy.url}{MODEL}/infer", json={}, timeout=SECONDS).status_code == 502
    assert FakeReplica.received == {fakes[1].server_port: 4}


def test_without_a_replica_clients_get_503_with_retry_after(tmp_path: Path) -> None:
    """The answer is that of a server with a full queue."""
    (port,) = free_ports(1)
    with running_proxy([(f"127.0.0.1:{port}", f"127.0.0.1:{port}")], tmp_path) as proxy:
        wait_until(lambda: not ready(proxy), "down")
        answer = requests.post(f"{proxy.url}{MODEL}/infer", json={}, timeout=SECONDS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"error": "No replica is ready; try again."}
