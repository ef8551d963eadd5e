"""Programs that tests need: `@pytest.mark.needs("haproxy")` skips a test where one of them does not answer.

A program is asked by running it: one that is there and does not run is missing as well.
`python -m tests.needs` prints the Debian packages of those that are missing.
"""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SECONDS = 30
"""That a program may take to answer."""


class Program(NamedTuple):
    """A command that succeeds where a program can be used, and how to get it: Debian's package, or else a sentence."""

    command: str
    package: str = ""
    advice: str = ""

    @property
    def explanation(self) -> str:
        """Why a test cannot do without, and what to do."""
        return f"`{self.command}` fails, {self.advice or f'Debian has it in the package {self.package}'}"


JAVA = Path(os.environ.get("JAVA_HOME", ""), "bin/java") if os.environ.get("JAVA_HOME") else "java"

KSERVE = Path(__file__).parents[1] / ".venv-kserve" / "bin" / "python"
"""The Python that has KServe's client."""

PROGRAMS: Mapping[str, Program] = {
    "chromium": Program("chromium --version", "chromium"),
    "curl": Program("curl --version", "curl"),
    "docker engine": Program("docker info", advice="Debian has Docker in the package docker.io; start its engine"),
    "docker buildx": Program("docker buildx version", advice="Debian 13 has it in the package docker-buildx"),
    "docker compose": Program("docker compose version", advice="Debian 13 has it in the package docker-compose"),
    "haproxy": Program("haproxy -v", "haproxy"),
    "java": Program(f"{shlex.quote(str(JAVA))} -version", "openjdk-17-jre-headless"),
    "kserve": Program(
        f"{shlex.quote(str(KSERVE))} -c 'import kserve'", advice="`make setup-kserve` gets KServe's client"
    ),
    "kubectl": Program("kubectl version --client", advice="Debian 13 has it in the package kubernetes-client"),
    "nginx": Program("nginx -v", "nginx"),
    "openssl": Program("openssl version", "openssl"),
    "prometheus": Program("prometheus --version", "prometheus"),
    "promtool": Program("promtool --version", "prometheus"),
    # wrk has no option that succeeds without a server to send to; this script ends it before it sends.
    "wrk": Program("sh -c 'echo os.exit\\(0\\) | wrk --script /dev/stdin http://127.0.0.1'", "wrk"),
}


def succeeds(command: Sequence[str]) -> bool:
    """Whether a command succeeds in time; what it started ends with it."""
    silent = subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)
    except OSError:  # it is absent, or made for another machine
        return False
    try:
        return process.wait(SECONDS) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


@cache
def is_available(name: str) -> bool:
    """Whether a program of the table answers; it is asked once."""
    return succeeds(shlex.split(PROGRAMS[name].command))


def missing(names: Iterable[str]) -> list[str]:
    """Those that do not answer."""
    return [name for name in names if not is_available(name)]


def reason(names: Sequence[str], advice: str = "") -> str:
    """Why a test is skipped that needs these programs; `tests.skipped` reads their names in it."""
    return f"needs {', '.join(names)}: {advice or '; '.join(PROGRAMS[name].excuse for name in names)}"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "needs(*programs): skipped where one of these does not answer (tests/needs.py)")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test before its fixtures are made."""
    if without := missing(name for mark in item.iter_markers("needs") for name in mark.args):
        pytest.skip(reason(without))


if __name__ == "__main__":
    print(*sorted({PROGRAMS[name].package for name in missing(PROGRAMS)} - {""}))  # noqa: T201  what is asked for
