"""Run a server process during a `with` block, for notebooks, tests and benchmarks."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from tabserve.errors import ServerError

SERVE = (sys.executable, "-m", "tabserve", "serve")

PORTS = range(10_000, 32_768)
"""Ports below those of outgoing connections on Linux (ip_local_port_range of ip(7))."""

DIRECT = build_opener(ProxyHandler({}))
"""Opens URLs without a proxy."""

READY_SECONDS, STOP_SECONDS = 60.0, 20.0


class Server(NamedTuple):
    """A running server: its process, its addresses, and the file of its log."""

    process: subprocess.Popen[bytes]
    url: str
    grpc: str
    metrics: str
    log: Path


@contextmanager
def running(
    folder: Path | None,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = SERVE,
    ready: str = "/v2/models/xgboost-model/ready",
) -> Iterator[Server]:
    """Start a server on free ports of the loopback address, wait until it is ready, and stop it at the end.

    Args:
        folder: of `settings.json` and `model-settings.json`; None for the model that comes with tabserve.
        environment: variables in addition to this process's own, such as TABSERVE_MODEL.
        command: starts the server; the folder's path is appended if there is one.
        ready: the route that answers 200 once the model is loaded.

    Raises:
        ServerError: the server ended, or was not ready in time; the message holds the end of its log.
    """
    http, grpc, metrics = free_ports(3)
    ports = {"MLSERVER_HTTP_PORT": http, "MLSERVER_GRPC_PORT": grpc, "MLSERVER_METRICS_PORT": metrics}
    variables = {**os.environ, "MLSERVER_HOST": "127.0.0.1", **{name: str(port) for name, port in ports.items()}}
    words = [*command, *([str(folder)] if folder else [])]
    url = f"http://127.0.0.1:{http}"
    with running_process(words, {**variables, **(environment or {})}, f"{url}{ready}") as (process, log):
        yield Server(process, url, f"127.0.0.1:{grpc}", f"http://127.0.0.1:{metrics}", log)


@contextmanager
def running_process(
    command: Sequence[str], environment: Mapping[str, str], ready: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start any server, wait until it is ready, and stop it at the end.

    Args:
        command: starts the server.
        environment: all variables of its process.
        ready: the URL that answers 200 once the server is ready.

    Yields:
        Its process, and the file of its log.

    Raises:
        ServerError: the server ended, or was not ready in time; the message holds the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="tabserve-") as scratch:
        log = Path(scratch, "log")
        with log.open("wb") as output:
            process = subprocess.Popen([*command], env=environment, stdout=output, stderr=output)  # noqa: S603 (our own words)
        try:
            _wait_until_ready(process, log, ready)
            yield process, log
        finally:
            _stop(process)


def free_ports(count: int) -> list[int]:
    """Free ports of the loopback address.

    Neither an outgoing connection nor another call, in any process, is likely to take the same port soon.
    """
    return [*islice(filter(_is_free, _ports()), count)]


@cache
def _ports() -> Iterator[int]:
    """All ports in a cycle; the golden ratio makes processes with near ids start far from each other."""
    start = int(os.getpid() * 0.618034 % 1 * len(PORTS))
    return cycle([*PORTS[start:], *PORTS[:start]])


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path, ready: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerError(f"The server ended with exit code {process.returncode}: {_tail(log)}")
        try:
            with DIRECT.open(ready, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    raise ServerError(f"The server was not ready within {READY_SECONDS:.0f} s: {_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])
