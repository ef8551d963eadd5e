"""Programs that tests need: `@pytest.mark.needs("haproxy")` skips a test if the program is missing.

A program is missing if the command that tries it fails, even if the program is installed.
`python -m tests.needs` prints the Debian packages of those that are missing.
"""

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SECONDS = 30
"""Deadline of a command that tries a program."""


class Program(NamedTuple):
    """A command that succeeds if a program can be used, and how to get the program: Debian's package, or a sentence."""

    command: str
    package: str = ""
    advice: str = ""

    @property
    def explanation(self) -> str:
        """What fails, and how to get the program."""
        return f"`{self.command}` fails, {self.advice or f'Debian has it in the package {self.package}'}"


JAVA = Path(os.environ.get("JAVA_HOME", ""), "bin/java") if os.environ.get("JAVA_HOME") else "java"

KSERVE = Path(__file__).parents[1] / ".venv-kserve" / "bin" / "python"
"""The Python that has KServe's client."""

PEERS = KSERVE.parents[2] / ".venv-peers" / "bin" / "python"
"""The Python that has the libraries of `bench peers`."""

INITDB = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default="initdb")
"""PostgreSQL's command that makes a cluster; Debian keeps it off the PATH, with the server beside it."""

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
    "peers": Program(
        f"{shlex.quote(str(PEERS))} -c 'import lightgbm'",
        advice="`make setup-peers` gets AutoGluon, FLAML, LightGBM and CatBoost",
    ),
    "postgresql": Program(f"{shlex.quote(INITDB)} --version", "postgresql"),
    "prometheus": Program("prometheus --version", "prometheus"),
    "promtool": Program("promtool --version", "prometheus"),
    # No option of wrk succeeds without a server; this script ends wrk before it sends a request.
    "wrk": Program("sh -c 'echo os.exit\\(0\\) | wrk --script /dev/stdin http://127.0.0.1'", "wrk"),
}


def succeeds(command: Sequence[str]) -> bool:
    """Whether a command succeeds in time; a command that hangs is killed with all its processes."""
    silent = subprocess.DEVNULL
    try:
        process = subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)
    except OSError:  # not installed, or built for another machine
        return False
    try:
        return process.wait(SECONDS) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


@cache
def is_available(name: str) -> bool:
    """Whether a program of the table can be used; tried once."""
    return succeeds(shlex.split(PROGRAMS[name].command))


def missing(names: Iterable[str]) -> list[str]:
    """The programs of these names that cannot be used."""
    return [name for name in names if not is_available(name)]


def reason(names: Sequence[str], advice: str = "") -> str:
    """The reason for skipping a test that needs these programs; `tests.skipped` parses their names from it."""
    return f"needs {', '.join(names)}: {advice or '; '.join(PROGRAMS[name].explanation for name in names)}"


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "needs(*programs): skipped if one of these is missing (tests/needs.py)")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test before its fixtures are set up."""
    if names := missing(name for mark in item.iter_markers("needs") for name in mark.args):
        pytest.skip(reason(names))


if __name__ == "__main__":
    print(*sorted({PROGRAMS[name].package for name in missing(PROGRAMS)} - {""}))  # noqa: T201  the output of the command
