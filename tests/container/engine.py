"""A Docker engine, what the READMEs tell to type for it, and containers of the image on it."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from tests import needs

ROOT = Path(__file__).parents[2]
ASKED = os.environ.get("TABSERVE_TEST_CONTAINER")
BUILD_OPTIONS = os.environ.get("DOCKER_BUILD_OPTIONS", "").split()
PORTS = ("8080", "8081")
READY = "/v2/models/xgboost-model/ready"
SECONDS = 60
"""That anything here is waited for."""

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


NEEDED = ("docker engine", "docker buildx")

MARKS = [
    pytest.mark.container,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not ASKED, reason=needs.reason(NEEDED, "run `make test-container`")),
    pytest.mark.needs(*NEEDED),
]
"""Of every test that needs the engine."""


def docker(*words: str, check: bool = True) -> str:
    """Run one docker command, and return what it printed."""
    command = ["docker", *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert not check or ended.returncode == 0, f"{shlex.join(command)} failed: {ended.stderr}{ended.stdout}"
    return ended.stdout.strip()


def build(*words: str) -> str:
    """The identity of the image that `docker build` makes: a tag may be moved by whoever builds at the same time."""
    return docker("build", "--quiet", *BUILD_OPTIONS, *words)


def documented(command: str, page: str = "README.md") -> list[str]:
    """What follows a command of docker in a page, wherever it stands there."""
    text = (ROOT / page).read_text().replace("\\\n", "")
    return [found.split("`")[0].split("\n")[0] for found in text.split(f"docker {command} ")[1:]]


class Container:
    """A container in the background, whose published ports are those of the loopback address."""

    def __init__(self, *words: str) -> None:
        """Start it by what follows `docker run`."""
        self.name = docker("run", "--detach", *words)

    def address(self, port: str) -> str:
        """Host and port that a port of the container is published at."""
        return docker("port", self.name, port).splitlines()[0]

    def inspect(self, template: str) -> str:
        """What the engine knows of it."""
        return docker("inspect", "--format", template, self.name)

    def python(self, script: str) -> str:
        """What a script prints inside it."""
        return docker("exec", self.name, "python", "-c", script)

    def wait(self, what: str, holds: Callable[[], bool]) -> None:
        """Return once it holds."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert self.inspect("{{.State.Running}}") == "true", f"ended before {what}: {self.log()}"
            assert time.monotonic() < deadline, f"not {what} within {SECONDS} s: {self.log()}"
            time.sleep(0.1)

    def ready(self) -> bool:
        """Whether the model answers at the published port."""
        try:
            return requests.get(f"http://{self.address('8080')}{READY}", timeout=5).ok
        except requests.ConnectionError:
            return False

    def ready_inside(self) -> bool:
        """Whether the model answers where nothing is published."""
        past_proxies = "import urllib.request as u; u.build_opener(u.ProxyHandler({}))"
        asked = f"{past_proxies}.open('http://127.0.0.1:8080{READY}', timeout=5)"
        return docker("exec", self.name, "python", "-c", f"{asked}; print('ready')", check=False) == "ready"

    def log(self) -> str:
        """All that it printed."""
        words = ["docker", "logs", self.name]
        return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout


@contextmanager
def removed(*containers: Container) -> Iterator[None]:
    """Remove them at the end."""
    try:
        yield
    finally:
        docker("rm", "--force", "--volumes", *(container.name for container in containers))


@contextmanager
def running(image: str, *options: str) -> Iterator[Container]:
    """A container of the image with its ports published, once its model is ready."""
    container = Container(*(word for port in PORTS for word in ("--publish", f"127.0.0.1::{port}")), *options, image)
    with removed(container):
        container.wait("ready", container.ready)
        yield container


@contextmanager
def alone(image: str, *options: str) -> Iterator[Container]:
    """A container of the image with a loopback address and no way out, once its model is ready."""
    container = Container("--network", "none", *options, image)
    with removed(container):
        container.wait("ready", container.ready_inside)
        yield container


class Load:
    """`load.py` in a container that shares the network of another, and so its loopback address."""

    def __init__(self, image: str, beside: Container, **options: int) -> None:
        """Start it; its options are those of `load.py`."""
        shared = [
            "--network",
            f"container:{beside.name}",
            "--volume",
            f"{Path(__file__).with_name('load.py')}:/load.py:ro",
        ]
        words = [f"--{name}={value}" for name, value in options.items()]
        self.process = subprocess.Popen(
            ["docker", "run", "--rm", *shared, image, "python", "/load.py", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def begun(self) -> None:
        """Return once an answer has come."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "begun\n", self.process.communicate(timeout=SECONDS)[1]

    def found(self) -> dict[str, int]:
        """How many requests ended in which way, once all have."""
        printed, failed = self.process.communicate(timeout=2 * SECONDS)
        assert self.process.returncode == 0, failed
        counts: dict[str, int] = json.loads(printed.splitlines()[-1])
        return counts
