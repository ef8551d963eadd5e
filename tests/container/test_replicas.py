"""deploy/compose.yaml in containers: replicas are found by their name, come and go, and no request is lost.

The proxy and Prometheus are Debian's, so that no registry is needed; the files that they read are the project's own.
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
from tests.monitoring.programs import until

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
    """The compose file's services, but Grafana, on ports of their own."""

    def __init__(self, override: Path) -> None:
        self._words = ["compose", "--project-name", PROJECT, "--file", "deploy/compose.yaml", "--file", str(override)]

    def compose(self, *words: str) -> str:
        return docker(*self._words, *words)

    def scale(self, replicas: int) -> None:
        """Start or stop as many as it takes."""
        services = ("tabserve", "proxy", "prometheus")
        self.compose("up", "--detach", "--no-build", "--scale", f"tabserve={replicas}", *services)

    def address(self, service: str, port: int) -> str:
        return self.compose("port", service, str(port))

    def client(self, protocol: str) -> Client:
        if protocol == "rest":
            return RestClient(f"http://{self.address('proxy', 8080)}", "xgboost-model", timeout=30)
        return GrpcClient(self.address("proxy", 8081), "xgboost-model", timeout=30)

    def value(self, expression: str) -> int:
        """What Prometheus says that an expression is now."""
        url = f"http://{self.address('prometheus', 9090)}/api/v1/query"
        try:
            found = requests.get(url, params={"query": expression}, timeout=10).json()["data"]["result"]
        except requests.ConnectionError:  # it starts
            return 0
        return int(found[0]["value"][1]) if found else 0

    def until_seen(self, replicas: int) -> None:
        """Wait until Prometheus reads so many, and the proxy asks so many by either protocol."""
        until(lambda: self.value('count(up{job="tabserve"} == 1)') == replicas, f"{replicas} replicas read")
        for proxy in ("rest", "grpc"):
            active = f'haproxy_backend_active_servers{{proxy="{proxy}"}}'
            until(lambda: self.value(active) == replicas, f"{replicas} replicas asked by {proxy}")  # noqa: B023  called at once


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Its images built, and itself taken down at the end."""
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
    """Two, then three, then one, while both protocols are asked all the time."""
    stack.scale(2)
    for protocol in ("rest", "grpc"):
        wait(stack.client(protocol).ready, "The model", 60)
    over = Event()

    def load(protocol: str) -> int:
        asking, count = stack.client(protocol), 0
        while not over.wait(0.01):
            asking.ask(ROW, ["predict"])  # raises where an answer is missing
            count += 1
        return count

    with ThreadPoolExecutor() as pool:
        loads = [pool.submit(load, protocol) for protocol in ("rest", "grpc", "rest", "grpc")]
        try:
            for replicas in (2, 3, 1):
                stack.scale(replicas)
                stack.until_seen(replicas)
        finally:
            over.set()
        assert all(each.result(60) > 10 for each in loads)
