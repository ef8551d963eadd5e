"""Containers under load: what was accepted is answered, whatever the memory, the end and the replicas."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.container.engine import HARDENED, MARKS, ROOT, Container, Load, alone, build, docker, documented, removed

pytestmark = MARKS

PROBE = """
import urllib.error, urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:8080/v2/models/xgboost-model/ready", timeout=5).status)
except urllib.error.URLError as error:
    print(error)
"""
GRPC = """
import numpy
from tabserve.grpc_client import GrpcClient
rows = numpy.zeros((1, 200), numpy.float32)
print(GrpcClient("127.0.0.1:8081", "xgboost-model", 20).ask(rows, ["predict_proba"]).outputs["predict_proba"].shape)
"""
MANY = 100_000
"""Requests of a connection, which ends earlier."""
BALANCER = ROOT / "deploy/haproxy.cfg"
INSTALLED = """FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends haproxy
CMD ["haproxy", "-f", "/haproxy.cfg"]
"""


def test_a_small_container_bears_many_large_requests(image: str) -> None:
    """400 connections with 1,000 rows each: it refuses what it cannot hold, answers the rest, and is not killed."""
    small = documented("run --memory", "docs/container.md")[0].split(" -p ")[0].split()
    with alone(image, *HARDENED, "--memory-swap", "512m", "--memory", *small) as container:
        found = Load(image, container, connections=400, rows=1_000, requests=2).found()
        assert container.inspect("{{.State.Running}} {{.State.OOMKilled}}") == "true false"
    assert {*found} <= {"right", "refused"}
    assert found["right"] > 1


def test_loses_nothing_when_stopped_under_load(image: str) -> None:
    """`docker stop`: who is connected gets an answer, and the container ends by itself with exit code 0."""
    with alone(image, *HARDENED) as container:
        load = Load(image, container, connections=32, rows=1, requests=MANY)
        load.begun()
        docker("stop", container.name)
        found = load.found()
        assert container.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}") == "0 false"
    assert {*found} == {"right", "not listening"}
    assert found["not listening"] == 32


@pytest.fixture(scope="module")
def balanced(image: str) -> Iterator[tuple[Container, list[Container]]]:
    """Debian's haproxy with the project's configuration, before two replicas, on a network without a way out."""
    if not BALANCER.exists():
        pytest.skip("there is no deploy/haproxy.cfg")
    with ExitStack() as made:
        network = docker("network", "create", "--internal", f"tabserve-test-{os.getpid()}")
        made.callback(docker, "network", "rm", network)
        joined = ("--network", network, *HARDENED)
        drain = ("--env", "TABSERVE_DRAIN_SECONDS=2")
        replicas = [Container(*joined, "--network-alias", "tabserve", *drain, image) for _ in range(2)]
        made.enter_context(removed(*replicas))
        for replica in replicas:
            replica.wait("ready", replica.ready_inside)
        installed = build("--tag", "tabserve-test-haproxy", "-", given=INSTALLED)
        proxy = Container(*joined, "--volume", f"{BALANCER}:/haproxy.cfg:ro", installed)
        made.enter_context(removed(proxy))
        yield proxy, replicas


def answered(replica: Container) -> int:
    """Requests for inference that a replica has answered."""
    asked = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8082/metrics', timeout=5).read().decode())"
    lines = replica.python(asked).splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("model_infer_request_success_total{"))


def test_replicas_behind_the_balancer_share_the_load_and_replace_each_other(
    image: str, balanced: tuple[Container, list[Container]]
) -> None:
    """While one of two is stopped under load, every request is answered."""
    proxy, replicas = balanced
    proxy.wait("balancing", lambda: proxy.python(PROBE) == "200")
    load = Load(image, proxy, connections=16, rows=1, requests=MANY)
    load.begun()
    docker("stop", replicas[0].name)
    shared = answered(replicas[1])
    replicas[1].wait("answering alone", lambda: answered(replicas[1]) > shared + 100)
    load.end()
    found = load.found()
    assert {*found} == {"right"}
    assert 0 < shared < answered(replicas[1]) < found["right"]
    assert replicas[0].inspect("{{.State.ExitCode}}") == "0"


def test_the_balancer_carries_grpc(image: str, balanced: tuple[Container, list[Container]]) -> None:
    """As it does REST, once it has found that the replicas are ready."""
    proxy, _ = balanced
    asking = ["run", "--rm", "--network", f"container:{proxy.name}", image, "python", "-c", GRPC]
    proxy.wait("carrying gRPC", lambda: docker(*asking, check=False) == "(1, 2)")
