"""A Docker engine, the documented docker commands, and containers of the image."""

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
ENABLED = os.environ.get("TABSERVE_TEST_CONTAINER")
BUILD_OPTIONS = os.environ.get("DOCKER_BUILD_OPTIONS", "").split()
PORTS = ("8080", "8081")
READY = "/v2/models/xgboost-model/ready"
SECONDS = 60
"""Deadline of every wait."""

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


NEEDED = ("docker engine", "docker buildx")

MARKS = [
    pytest.mark.container,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not ENABLED, reason=needs.reason(NEEDED, "run `make test-container`")),
    pytest.mark.needs(*NEEDED),
]
"""Marks of every test that needs the engine."""


def docker(*words: str, check: bool = True) -> str:
    """Run one docker command and return its output."""
    command = ["docker", *words]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert not check or finished.returncode == 0, f"{shlex.join(command)} failed: {finished.stderr}{finished.stdout}"
    return finished.stdout.strip()


def build(*words: str) -> str:
    """Build an image and return its id, as another build may move the tag."""
    return docker("build", "--quiet", *BUILD_OPTIONS, *words)


def documented_arguments(command: str, page: str = "README.md") -> list[str]:
    """The arguments of every `docker {command}` in a document."""
    text = (ROOT / page).read_text().replace("\\\n", "")
    return [rest.split("`")[0].split("\n")[0] for rest in text.split(f"docker {command} ")[1:]]


class Container:
    """A container in the background, with ports published on the loopback address."""

    def __init__(self, *words: str) -> None:
        """Start a container with the arguments of `docker run`."""
        self.name = docker("run", "--detach", *words)

    def address(self, port: str) -> str:
        """Host and port at which a port of the container is published."""
        return docker("port", self.name, port).splitlines()[0]

    def inspect(self, template: str) -> str:
        """`docker inspect` with a template."""
        return docker("inspect", "--format", template, self.name)

    def python(self, script: str) -> str:
        """Run a Python script inside the container and return its output."""
        return docker("exec", self.name, "python", "-c", script)

    def wait(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until a condition holds, while the container runs."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert self.inspect("{{.State.Running}}") == "true", f"ended before {what}: {self.log()}"
            assert time.monotonic() < deadline, f"not {what} within {SECONDS} s: {self.log()}"
            time.sleep(0.1)

    def ready(self) -> bool:
        """Whether the model is ready, asked at the published port."""
        try:
            return requests.get(f"http://{self.address('8080')}{READY}", timeout=5).ok
        except requests.ConnectionError:
            return False

    def ready_inside(self) -> bool:
        """Whether the model is ready, asked inside the container."""
        opener = "import urllib.request as u; u.build_opener(u.ProxyHandler({}))"
        request = f"{opener}.open('http://127.0.0.1:8080{READY}', timeout=5)"
        return docker("exec", self.name, "python", "-c", f"{request}; print('ready')", check=False) == "ready"

    def log(self) -> str:
        """The container's whole output."""
        command = ["docker", "logs", self.name]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout


@contextmanager
def removing(*containers: Container) -> Iterator[None]:
    """Remove the containers at the end."""
    try:
        yield
    finally:
        docker("rm", "--force", "--volumes", *(container.name for container in containers))


@contextmanager
def running(image: str, *options: str) -> Iterator[Container]:
    """Run a container with its ports published, once the model is ready."""
    container = Container(*(word for port in PORTS for word in ("--publish", f"127.0.0.1::{port}")), *options, image)
    with removing(container):
        container.wait("ready", container.ready)
        yield container


@contextmanager
def alone(image: str, *options: str) -> Iterator[Container]:
    """Run a container without a network, once the model is ready."""
    container = Container("--network", "none", *options, image)
    with removing(container):
        container.wait("ready", container.ready_inside)
        yield container


class Load:
    """`load.py` in a container that shares another one's network and loopback address."""

    def __init__(self, image: str, beside: Container, **options: int) -> None:
        """Start it with the options of `load.py`."""
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

    def wait_until_begun(self) -> None:
        """Wait for the first answer."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "begun\n", self.process.communicate(timeout=SECONDS)[1]

    def counts(self) -> dict[str, int]:
        """Wait for the end; the number of requests by how they ended."""
        printed, failed = self.process.communicate(timeout=2 * SECONDS)
        assert self.process.returncode == 0, failed
        counts: dict[str, int] = json.loads(printed.splitlines()[-1])
        return counts
