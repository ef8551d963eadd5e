"""The proxy: whom it asks, what it hands on, and that nothing is lost or asked twice while replicas come and go."""

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
from tests.monitoring.programs import COMPOSE, DEPLOY, SECONDS, Address, Proxy, proxied, until

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
    """Three servers, with compose's own settings; a test may stop the last one."""
    environment = COMPOSE["services"]["tabserve"]["environment"]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        started = [*pool.map(stack.enter_context, (running(DEPLOY, environment) for _ in range(3)))]
        yield started
        for each in started:
            each.process.terminate()


@pytest.fixture(scope="module")
def proxy(replicas: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy in front of them, which knows that they are ready."""
    addresses = [(each.url.removeprefix("http://"), each.grpc) for each in replicas]
    with proxied(addresses, tmp_path_factory.mktemp("proxy")) as started:
        for protocol in PROTOCOLS:
            wait(client(started, protocol).ready, "The model", SECONDS)
        yield started


def client(proxy: Proxy, protocol: str) -> Client:
    """Asks the model through the proxy."""
    address = proxy.url if protocol == "rest" else proxy.grpc
    return PROTOCOLS[protocol](address, "xgboost-model", timeout=SECONDS)


def answered(server: Server, protocol: str) -> float:
    """How many requests a replica has answered."""
    text = requests.get(f"{server.metrics}/metrics", timeout=SECONDS).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    counts = {
        each.labels.get("protocol"): each.value for each in samples if each.name == "tabserve_request_seconds_count"
    }
    return counts[protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_replica_gets_requests(proxy: Proxy, replicas: list[Server], protocol: str) -> None:
    """Also from a client that keeps one connection."""
    before = [answered(each, protocol) for each in replicas[:2]]
    asking = client(proxy, protocol)
    for _ in range(12):
        asking.ask(ROW, ["predict_proba"])
    assert all(answered(each, protocol) > count for each, count in zip(replicas[:2], before, strict=True))


@pytest.mark.parametrize(
    "path", ["/v2/repository/index", "/v2/models/stats", "/v2/docs", "/metrics", MODEL + "-2/infer"]
)
def test_nothing_but_the_model_is_handed_on(proxy: Proxy, path: str) -> None:
    """Whatever else the servers have is not found."""
    assert requests.get(proxy.url + path, timeout=SECONDS).status_code == 404
    assert requests.get(proxy.url + MODEL, timeout=SECONDS).json()["name"] == "xgboost-model"


def test_health_and_reflection_are_handed_on(proxy: Proxy) -> None:
    """For tools such as grpc_health_probe and grpcurl; what would last is not."""
    question = HealthCheckRequest(service="xgboost-model")
    with grpc.insecure_channel(proxy.grpc) as channel:
        found = HealthStub(channel).Check(question, timeout=SECONDS)
        assert found.status == HealthCheckResponse.SERVING
        assert "inference.GRPCInferenceService" in ProtoReflectionDescriptorDatabase(channel).get_services()
        with pytest.raises(grpc.RpcError) as refused:
            next(HealthStub(channel).Watch(question, timeout=SECONDS))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("service", ["model_repository.ModelRepositoryService", "GRPCInferenceService"])
@pytest.mark.parametrize("method", ["RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"])
def test_the_models_repository_is_not_handed_on(proxy: Proxy, service: str, method: str) -> None:
    """Over gRPC it is called UNIMPLEMENTED, in whichever of the two services that have it."""
    with grpc.insecure_channel(proxy.grpc) as channel:
        call = channel.unary_unary(f"/inference.{service}/{method}")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=SECONDS)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_replica_that_is_told_to_end_loses_no_request(proxy: Proxy, replicas: list[Server]) -> None:
    """Under load of both protocols, each client on its own connection."""
    ending, over = replicas[2], Event()

    def load(protocol: str) -> int:
        asking, count = client(proxy, protocol), 0
        while not over.is_set():
            asking.ask(ROW, ["predict"])  # raises where an answer is missing
            count += 1
        return count

    with ThreadPoolExecutor() as pool:
        loads = [pool.submit(load, protocol) for protocol in (*PROTOCOLS, *PROTOCOLS)]
        try:
            for protocol in PROTOCOLS:
                until(lambda: answered(ending, protocol) > 10, "asked")  # noqa: B023  called at once
            ending.process.terminate()
            assert ending.process.wait(SECONDS) == 0
            time.sleep(0.2)  # those who were to be asked next are others
        finally:
            over.set()
        assert all(each.result(SECONDS) > 10 for each in loads)


class Pretender(BaseHTTPRequestHandler):
    """Says that the model is ready, and ends the connection where it is asked for a prediction."""

    asked: ClassVar = Counter[int]()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked[self.server.server_port] += 1  # type: ignore[attr-defined]  # of the class that is used here
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pretenders() -> Iterator[list[ThreadingHTTPServer]]:
    """Two of them."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Pretender) for _ in range(2)]
    Pretender.asked.clear()
    for each in servers:
        Thread(target=each.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield servers
    for each in servers:
        each.shutdown()
        each.server_close()


def places(servers: list[ThreadingHTTPServer]) -> list[Address]:
    """Where they are, which is nowhere over gRPC."""
    return [(f"127.0.0.1:{each.server_port}", f"127.0.0.1:{each.server_port}") for each in servers]


def ready(proxy: Proxy) -> bool:
    """Whether it hands on."""
    return requests.get(f"{proxy.url}{MODEL}/ready", timeout=SECONDS).ok


def test_what_a_replica_has_received_is_not_asked_of_another(
    pretenders: list[ThreadingHTTPServer], tmp_path: Path
) -> None:
    """Its client is told in the protocol's own form that there is no answer."""
    with proxied(places(pretenders), tmp_path) as proxy:
        until(lambda: ready(proxy), "ready")
        answer = requests.post(f"{proxy.url}{MODEL}/infer", json={}, timeout=SECONDS)
    assert (answer.status_code, Pretender.asked.total()) == (502, 1)
    assert answer.json() == {"error": "The replica that was asked gave no answer."}


def test_what_no_replica_has_received_is_asked_of_another(
    pretenders: list[ThreadingHTTPServer], tmp_path: Path
) -> None:
    """Where a replica is gone, and the proxy has not yet seen it, the other is asked."""
    with proxied(places(pretenders), tmp_path) as proxy:
        until(lambda: ready(proxy), "ready")
        pretenders[0].shutdown()
        pretenders[0].server_close()  # whoever connects now is refused
        for _ in range(4):
            assert requests.post(f"{proxy.url}{MODEL}/infer", json={}, timeout=SECONDS).status_code == 502
    assert Pretender.asked == {pretenders[1].server_port: 4}


def test_without_a_replica_a_client_is_told_to_try_again(tmp_path: Path) -> None:
    """As a server with a full queue does it."""
    (port,) = free_ports(1)
    with proxied([(f"127.0.0.1:{port}", f"127.0.0.1:{port}")], tmp_path) as proxy:
        until(lambda: not ready(proxy), "down")
        answer = requests.post(f"{proxy.url}{MODEL}/infer", json={}, timeout=SECONDS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"error": "No replica is ready; try again."}
