"""`.ci/run` with fake programs, which only record their calls."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECORD = '#!/bin/sh\necho "${0##*/} $*" >> "$LOG"\n'
PYTHON = """case "$*" in
  *"-m tests.needs") echo haproxy wrk ;;
  *"-m tests.skipped "*) exit "$LATE" ;;
  *missing*) case "$ANSWERING" in *"$3"*) ;; *) exit 1 ;; esac ;;
esac
"""
INSTALLING = ("apt-get", "docker-engine")


class Machine:
    """A clone with fake programs, and the fake tool that starts Docker beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.clone = folder, folder / "log", folder / "a clone"
        shutil.copytree(ROOT / ".ci", self.clone / ".ci")
        for name in ("git", ".venv/bin/pip"):
            self.program(name)
        self.program("make", 'case "$*" in test-spark*) exit "$SPARK" ;; esac')
        self.program("id", 'echo "$USER_ID"')
        self.program("apt-get", 'exit "$APT"')
        self.program("../shared/tools/docker-engine", 'exit "$ENGINE"')
        self.program(".venv/bin/python", PYTHON)

    def program(self, name: str, script: str = "") -> None:
        """Write a program that records its calls: on the PATH, or below the clone."""
        path = self.clone / name if "/" in name else self.folder / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RECORD + script)
        path.chmod(0o755)

    def run(self, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run `.ci/run`, by default as root on a machine where everything can be installed."""
        defaults = {"LOG": str(self.log), "USER_ID": "0", "APT": "0", "ENGINE": "0", "LATE": "0", "SPARK": "0"}
        environment = {
            **defaults,
            "ANSWERING": "docker engine, java",
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            **variables,
        }
        command = ["bash", ".ci/run"]
        return subprocess.run(
            command, cwd=self.clone, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def calls(self) -> list[str]:
        """The recorded calls, without queries."""
        return [line for line in self.log.read_text().splitlines() if not line.startswith(("id", "git", "python -c"))]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which nothing was run yet."""
    return Machine(tmp_path)


def test_everything_is_tested_before_anything_is_installed(machine: Machine) -> None:
    """Then the skipped tests are run, and those still skipped are reported."""
    finished = machine.run()
    assert finished.returncode == 0, finished.stderr
    calls = machine.calls()
    first = min(number for number, line in enumerate(calls) if line.startswith(INSTALLING))
    catch_up = "--skipped build/skipped.json"
    assert [line for line in calls[:first] if line.startswith("make")] == [
        "make setup",
        "make lint",
        f"make test COVERAGE=1 ARGS={catch_up}",
    ]
    beside = f"make test-spark ARGS={catch_up}"
    assert beside in calls[-4:-1]
    others = f"--ignore tests/spark {catch_up}"
    assert [line for line in calls[-4:] if line != beside] == [
        f"python -m pytest -n 2 --dist loadfile -m not container {others}",
        f"make test-container ARGS={others}",
        "python -m tests.skipped build/skipped.json",
    ]
    assert {line.split()[-1] for line in calls if line.startswith("apt-get install")} == {"haproxy", "wrk"}


@pytest.mark.parametrize(
    "variables", [{"USER_ID": "1000", "ENGINE": "1"}, {"APT": "100", "ENGINE": "1"}], ids=["not root", "no network"]
)
def test_a_machine_that_can_install_nothing_passes(machine: Machine, variables: dict[str, str]) -> None:
    """The skipped tests are reported, and only root installs programs."""
    finished = machine.run(**variables, ANSWERING="")
    assert finished.returncode == 0, finished.stderr
    assert machine.calls()[-1] == "python -m tests.skipped build/skipped.json"
    assert not [line for line in machine.calls() if line.startswith(("make test-container", "make test-spark"))]
    assert any(line.startswith("apt-get") for line in machine.calls()) == ("APT" in variables)


def test_a_skipped_test_that_could_run_fails_the_build(machine: Machine) -> None:
    """The report's exit code is that of `.ci/run`."""
    assert machine.run(LATE="1").returncode == 1


def test_a_failure_on_spark_fails_the_build(machine: Machine) -> None:
    """Although those tests run beside others; their exit code is that of `.ci/run`."""
    assert machine.run(SPARK="2").returncode == 2
