"""`.ci/run`: first on the machine as it is, then what was skipped there; what it calls only notes how it is called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTE = '#!/bin/sh\necho "${0##*/} $*" >> "$LOG"\n'
PYTHON = """case "$*" in
  *"-m tests.needs") echo haproxy wrk ;;
  *"-m tests.skipped "*) exit "$LATE" ;;
  *missing*) case "$ANSWERING" in *"$3"*) ;; *) exit 1 ;; esac ;;
esac
"""
INSTALLING = ("apt-get", "docker-engine")


class Machine:
    """A clone, and beside it the tool that starts Docker."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self.clone = folder, folder / "log", folder / "a clone"
        shutil.copytree(ROOT / ".ci", self.clone / ".ci")
        for name in ("make", "git", ".venv/bin/pip"):
            self.program(name)
        self.program("id", 'echo "$USER_ID"')
        self.program("apt-get", 'exit "$APT"')
        self.program("../shared/tools/docker-engine", 'exit "$ENGINE"')
        self.program(".venv/bin/python", PYTHON)

    def program(self, name: str, does: str = "") -> None:
        """Write one that notes how it was run: on the PATH, or below the clone."""
        path = self.clone / name if "/" in name else self.folder / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NOTE + does)
        path.chmod(0o755)

    def run(self, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run it as root, where everything can be installed and answers."""
        usual = {"LOG": str(self.log), "USER_ID": "0", "APT": "0", "ENGINE": "0", "LATE": "0"}
        environment = {
            **usual,
            "ANSWERING": "docker engine, java",
            "PATH": f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}",
            **variables,
        }
        words = ["bash", ".ci/run"]
        return subprocess.run(
            words, cwd=self.clone, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def noted(self) -> list[str]:
        """What was run, but for questions."""
        return [line for line in self.log.read_text().splitlines() if not line.startswith(("id", "git", "python -c"))]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One that has nothing yet."""
    return Machine(tmp_path)


def test_everything_is_tested_before_anything_is_installed(machine: Machine) -> None:
    """Then all that was skipped is caught up on, each in its own way, and what is left is reported."""
    ended = machine.run()
    assert ended.returncode == 0, ended.stderr
    noted = machine.noted()
    first = min(number for number, line in enumerate(noted) if line.startswith(INSTALLING))
    catch_up = "--skipped build/skipped.json"
    assert [line for line in noted[:first] if line.startswith("make")] == [
        "make setup",
        "make lint",
        f"make test COVERAGE=1 ARGS={catch_up}",
    ]
    assert noted[-4:] == [
        f"python -m pytest -n 2 --dist loadfile -m not container {catch_up}",
        f"make test-container ARGS={catch_up}",
        f"make test-spark ARGS={catch_up}",
        "python -m tests.skipped build/skipped.json",
    ]
    assert {line.split()[-1] for line in noted if line.startswith("apt-get install")} == {"haproxy", "wrk"}


@pytest.mark.parametrize(
    "variables", [{"USER_ID": "1000", "ENGINE": "1"}, {"APT": "100", "ENGINE": "1"}], ids=["not root", "no network"]
)
def test_where_nothing_can_be_installed_the_rest_passes(machine: Machine, variables: dict[str, str]) -> None:
    """What was skipped is reported all the same, and only root installs."""
    ended = machine.run(**variables, ANSWERING="")
    assert ended.returncode == 0, ended.stderr
    assert machine.noted()[-1] == "python -m tests.skipped build/skipped.json"
    assert not [line for line in machine.noted() if line.startswith(("make test-container", "make test-spark"))]
    assert any(line.startswith("apt-get") for line in machine.noted()) == ("APT" in variables)


def test_a_test_that_could_have_been_run_is_a_failure(machine: Machine) -> None:
    """As the report says."""
    assert machine.run(LATE="1").returncode == 1
