"""The words of the Makefile: listed, runnable, and honest when something is missing."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ODD

ROOT = Path(__file__).parents[2]
PHONY = re.search(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
WORDS = PHONY[1].split() if PHONY else []
PORTS = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run make as from a fresh shell, even where make and coverage run these tests."""
    ours = ("MAKE", "MFLAGS", "COVERAGE", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A clone's Makefile with a lock that can be installed nowhere, in a folder with an odd name."""
    folder = tmp_path / ODD
    (folder / "requirements").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "requirements/dev.txt").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    return folder


TESTS = """
import subprocess, sys
import pytest

def test_of_a_process():
    subprocess.run([sys.executable, "-c", "import tabserve.errors"], check=True)

@pytest.mark.slow
def test_that_takes_long(): assert False, "it was run"
"""


@pytest.fixture
def tested(fresh: Path) -> Path:
    """That clone with two tests, one of them slow, of one module."""
    (fresh / ".venv").symlink_to(sys.prefix)
    (fresh / "tests").mkdir()
    for part in ("conftest.py", "tests/needs.py", "tests/slow.py", "tests/skipped.py"):
        shutil.copy(ROOT / part, fresh / part)
    (fresh / "tests/test_one.py").write_text(TESTS)
    return fresh


def of(module: str, folder: Path) -> None:
    """Ask for the coverage of this module alone."""
    asked = f'fail_under = 95\ninclude = ["*/tabserve/{module}.py"]'
    settings = (ROOT / "pyproject.toml").read_text().replace("fail_under = 95", asked)
    (folder / "pyproject.toml").write_text(settings)


QUIET = ("-o", ".venv/.ready", "ARGS=-n 1 -p no:schemathesis -p no:hypothesispytest")


@pytest.mark.slow
def test_the_tests_of_a_clone_in_any_folder_are_run_and_slow_ones_named_as_left_out(tested: Path) -> None:
    """Each has a word of its own; without being asked for, no coverage is measured."""
    of("no_such_module", tested)
    ended = make(*QUIET, "test", folder=tested)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed, 1 skipped" in ended.stdout
    assert re.search(r"SKIPPED \[1\] tests/test_one.py:\d+: slow: .*`make test-slow` runs it", ended.stdout)
    slow = make(*QUIET, "test-slow", folder=tested)
    assert slow.returncode != 0
    assert "1 failed in " in slow.stdout
    assert "it was run" in slow.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("module", "enough"), [("errors", True), ("files", False)])
def test_coverage_is_that_of_the_processes_that_tests_start_too(tested: Path, module: str, enough: bool) -> None:
    """Without them no module would reach the limit; one that nobody imports does not."""
    of(module, tested)
    ended = make(*QUIET, "test", "COVERAGE=1", folder=tested)
    assert (ended.returncode == 0, "1 passed" in ended.stdout) == (enough, True), ended.stdout + ended.stderr


@pytest.fixture
def busy_port() -> Iterator[str]:
    """A port on which someone else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def test_help_explains_every_word() -> None:
    """`make help`, and `make` alone, print each word with its meaning."""
    listed = dict(line.split(maxsplit=1) for line in make("help").stdout.splitlines())
    assert sorted(listed) == sorted(WORDS)
    assert make().stdout == make("help").stdout


@pytest.mark.parametrize("word", WORDS)
def test_every_word_can_be_planned(word: str) -> None:
    """`make -n` finds a way to each word."""
    planned = make("-n", "-o", ".venv/.ready", "-o", ".venv-spark/.ready", word)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout


def test_another_python_is_refused_in_one_sentence(fresh: Path) -> None:
    """Without Python 3.11 nothing is installed, and the user reads what to do."""
    refused = make("setup", "PYTHON=/nowhere/python", folder=fresh)
    assert refused.returncode != 0
    assert "Python 3.11 is needed" in refused.stderr
    assert not (fresh / ".venv").exists()


@pytest.mark.slow
def test_a_half_finished_setup_is_not_taken_for_finished(fresh: Path) -> None:
    """A setup whose installation fails starts over at the next word."""
    failed = make("test", "PIP_NO_INDEX=1", folder=fresh)
    assert failed.returncode != 0
    assert "no-such-package" in failed.stderr
    assert not (fresh / ".venv/.ready").exists()
    assert "-m venv --clear .venv" in make("-n", "test", folder=fresh).stdout


@pytest.mark.parametrize("port", PORTS)
def test_a_busy_port_is_said_before_the_training(port: str, busy_port: str, tmp_path: Path) -> None:
    """`make run` names the port and the variable that changes it, and trains nothing in vain."""
    refused = make("-o", ".venv/.ready", "run", f"OUT={tmp_path}/model", f"{port}={busy_port}")
    assert refused.returncode != 0
    assert f"Port {busy_port} is in use" in refused.stderr
    assert port in refused.stderr
    assert list(tmp_path.iterdir()) == []
