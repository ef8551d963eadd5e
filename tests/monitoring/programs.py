"""Debian's builds of the programs that compose.yaml starts, run with compose's configuration files."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import requests
import yaml

from tabserve.client.local_server import free_ports

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: Mapping[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SECONDS = 30
"""Deadline of every wait."""

Address = tuple[str, str]
"""REST and gRPC address of a replica, each as host:port."""


class Proxy(NamedTuple):
    """Addresses of a running proxy."""

    url: str
    grpc: str
    metrics: str


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; after the deadline fail and name it."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not {what} within {SECONDS} s"
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Whether a GET succeeds."""
    try:
        return requests.get(url, timeout=SECONDS).ok
    except requests.ConnectionError:
        return False


@contextmanager
def process(command: Sequence[str | Path], log: Path, url: str) -> Iterator[None]:
    """Run a program, once it answers at `url`, until the block ends."""
    with log.open("wb") as output:
        running = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_until(lambda: running.poll() is not None or answers(url), f"an answer at {url}")
        assert running.poll() is None, log.read_text()
        yield
    finally:
        running.kill()
        running.wait(SECONDS)


@contextmanager
def running_proxy(replicas: Sequence[Address], folder: Path) -> Iterator[Proxy]:
    """Run a proxy in front of these replicas, which need not run yet."""
    ports = free_ports(3)
    file = folder / "haproxy.cfg"
    file.write_text(proxy_config((DEPLOY / "haproxy.cfg").read_text(), replicas, ports))
    proxy = Proxy(f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[2]}")
    with process(["haproxy", "-f", file], folder / "haproxy.log", f"http://{proxy.metrics}/metrics"):
        yield proxy


def proxy_config(text: str, replicas: Sequence[Address], ports: Sequence[int]) -> str:
    """haproxy.cfg with other ports, and with addresses instead of the name that Docker resolves."""
    for shown, port in zip(("8080", "8081", "8405"), ports, strict=True):
        text, count = re.subn(rf"bind :{shown}\b", f"bind 127.0.0.1:{port}", text)
        assert count == 1

    def servers(line: "re.Match[str]") -> str:
        protocol, options = int(line[1] == "8081"), line[2]
        return "\n".join(
            f"    server replica-{number} {addresses[protocol]}"
            + options.replace("port 8080", f"port {addresses[0].rpartition(':')[2]}")
            for number, addresses in enumerate(replicas)
        )

    template = r"^ *server-template replica- 8 tabserve:(\d+) resolvers docker init-addr none(.*)$"
    text, count = re.subn(template, servers, text, flags=re.MULTILINE)
    assert count == 2
    return text
