"""deploy/compose.yaml in containers: the proxy finds replicas by name, and no request is lost as they come and go.

The proxy and Prometheus are Debian's, so that no registry is needed; their configuration is the project's own.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest
import requests
from tests.container.engine import MARKS, docker
from tests.monitoring.programs import wait_until

from tabserve.client.client import Client, wait
from tabserve.client.grpc import GrpcClient
from tabserve.client.rest import RestClient

pytestmark = [*MARKS, pytest.mark.needs("docker compose")]

PROJECT, SERVER, PROGRAMS = "tabserve-replicas-test", "tabserve-replicas-test-server", "tabserve-replicas-test-programs"
DOCKERFILE = """
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends haproxy prometheus
"""
OVERRIDE = f"""
services:
  tabserve: {{image: {SERVER}}}
  proxy:
    image: {PROGRAMS}
    entrypoint: [haproxy, -W, -db, -f, /usr/local/etc/haproxy/haproxy.cfg]
    ports: !override ["127.0.0.1::8080", "127.0.0.1::8081", "127.0.0.1::8405"]
  prometheus:
    image: {PROGRAMS}
    entrypoint: [prometheus]
    ports: !override ["127.0.0.1::9090"]
"""
ROW = np.zeros((1, 200), np.float32)


class Stack:
    """The compose file's services without Grafana, on other ports."""

    def __init__(self, override: Path) -> None:
        self._words = ["compose", "--project-name", PROJECT, "--file", "deploy/compose.yaml", "--file", str(override)]

    def compose(self, *words: str) -> str:
        return docker(*self._words, *words)

    def scale(self, replicas: int) -> None:
        """Start or stop replicas until there are this many."""
        services = ("tabserve", "proxy", "prometheus")
        self.compose("up", "--detach", "--no-build", "--scale", f"tabserve={replicas}", *services)

    def address(self, service: str, port: int) -> str:
        return self.compose("port", service, str(port))

    def client(self, protocol: str) -> Client:
        if protocol == "rest":
            return RestClient(f"http://{self.address('proxy', 8080)}", "xgboost-model", timeout=30)
        return GrpcClient(self.address("proxy", 8081), "xgboost-model", timeout=30)

    def value(self, expression: str) -> int:
        """The present value of an expression in Prometheus."""
        url = f"http://{self.address('prometheus', 9090)}/api/v1/query"
        try:
            result = requests.get(url, params={"query": expression}, timeout=10).json()["data"]["result"]
        except requests.ConnectionError:  # it is starting
            return 0
        return int(result[0]["value"][1]) if result else 0

    def wait_until_seen(self, replicas: int) -> None:
        """Wait until Prometheus and the proxy's both protocols see this many replicas."""
        wait_until(lambda: self.value('count(up{job="tabserve"} == 1)') == replicas, f"{replicas} replicas read")
        for proxy in ("rest", "grpc"):
            active = f'haproxy_backend_active_servers{{proxy="{proxy}"}}'
            wait_until(lambda: self.value(active) == replicas, f"{replicas} replicas asked by {proxy}")  # noqa: B023  called at once


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with its images built; taken down at the end."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "override.yaml").write_text(OVERRIDE)
    options = os.environ.get("DOCKER_BUILD_OPTIONS", "").split()
    docker("build", *options, "--tag", SERVER, "--file", "deploy/Dockerfile", ".")
    docker("build", *options, "--tag", PROGRAMS, str(folder))
    started = Stack(folder / "override.yaml")
    yield started
    started.compose("down", "--volumes", "--timeout", "40")


def test_replicas_come_and_go_and_no_request_is_lost(stack: Stack) -> None:
    """Clients of both protocols get every answer while there are two, then three, then one replica."""
    stack.scale(2)
    for protocol in ("rest", "grpc"):
        wait(stack.client(protocol).ready, "The model", 60)
    over = Event()

    def load(protocol: str) -> int:
        caller, count = stack.client(protocol), 0
        while not over.wait(0.01):
            caller.ask(ROW, ["predict"])  # raises if an answer is missing
            count += 1
        return count

    with ThreadPoolExecutor() as pool:
        loads = [pool.submit(load, protocol) for protocol in ("rest", "grpc", "rest", "grpc")]
        try:
            for replicas in (2, 3, 1):
                stack.scale(replicas)
                stack.wait_until_seen(replicas)
        finally:
            over.set()
        assert all(running.result(60) > 10 for running in loads)
