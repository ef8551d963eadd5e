"""The programs that compose.yaml starts, as Debian packages them, on the same configuration files."""

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
"""That anything here may take."""

Address = tuple[str, str]
"""Where a replica answers by REST and by gRPC, each as host:port."""


class Proxy(NamedTuple):
    """A running proxy's addresses."""

    url: str
    grpc: str
    metrics: str


def until(holds: Callable[[], object], what: str) -> None:
    """Wait until something holds; whoever waits for it in vain is told what."""
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
def process(words: Sequence[str | Path], log: Path, url: str) -> Iterator[None]:
    """A program that answers at this address, for as long as the block lasts."""
    with log.open("wb") as output:
        running = subprocess.Popen(words, stdout=output, stderr=output)
    try:
        until(lambda: running.poll() is not None or answers(url), f"an answer at {url}")
        assert running.poll() is None, log.read_text()
        yield
    finally:
        running.kill()
        running.wait(SECONDS)


@contextmanager
def proxied(replicas: Sequence[Address], folder: Path) -> Iterator[Proxy]:
    """A proxy in front of these replicas; there may be nobody yet at their addresses."""
    ports = free_ports(3)
    file = folder / "haproxy.cfg"
    file.write_text(configured((DEPLOY / "haproxy.cfg").read_text(), replicas, ports))
    proxy = Proxy(f"http://127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[2]}")
    with process(["haproxy", "-f", file], folder / "haproxy.log", f"http://{proxy.metrics}/metrics"):
        yield proxy


def configured(text: str, replicas: Sequence[Address], ports: Sequence[int]) -> str:
    """The proxy's own file, but for its ports, and with addresses in place of the name that Docker resolves."""
    for shown, port in zip(("8080", "8081", "8405"), ports, strict=True):
        text, found = re.subn(rf"bind :{shown}\b", f"bind 127.0.0.1:{port}", text)
        assert found == 1

    def servers(line: "re.Match[str]") -> str:
        place, options = int(line[1] == "8081"), line[2]
        return "\n".join(
            f"    server replica-{number} {addresses[place]}"
            + options.replace("port 8080", f"port {addresses[0].rpartition(':')[2]}")
            for number, addresses in enumerate(replicas)
        )

    template = r"^ *server-template replica- 8 tabserve:(\d+) resolvers docker init-addr none(.*)$"
    text, found = re.subn(template, servers, text, flags=re.MULTILINE)
    assert found == 2
    return text
