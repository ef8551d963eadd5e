"""The targets of the Makefile: listed, runnable, and clear about what is missing."""

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
    """Run make as from a fresh shell, even if make and coverage run these tests."""
    removed = ("MAKE", "MFLAGS", "COVERAGE", "PYTEST_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
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
def fresh_clone(tmp_path: Path) -> Path:
    """A Makefile in a folder with an odd name, with a lock that cannot be installed."""
    folder = tmp_path / ODD
    (folder / "requirements").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "requirements/dev.txt").write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    return folder


TESTS = """
import os, subprocess, sys
import pytest

def test_of_a_process():
    own = {**os.environ, "PYTHONPATH": "src"}
    subprocess.run([sys.executable, "-c", "import tabserve.errors"], env=own, check=True)

@pytest.mark.slow
def test_that_takes_long(): assert False, "it was run"
"""


@pytest.fixture
def clone_with_tests(fresh_clone: Path) -> Path:
    """A clone with two modules and two tests, one of them slow."""
    (fresh_clone / ".venv").symlink_to(sys.prefix)
    (fresh_clone / "src/tabserve").mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "files.py"):
        shutil.copy(ROOT / "src/tabserve" / name, fresh_clone / "src/tabserve")
    (fresh_clone / "tests").mkdir()
    for part in ("conftest.py", "tests/needs.py", "tests/slow.py", "tests/skipped.py"):
        shutil.copy(ROOT / part, fresh_clone / part)
    (fresh_clone / "tests/test_one.py").write_text(TESTS)
    return fresh_clone


def limit_coverage_to(module: str, folder: Path) -> None:
    """Require coverage of this module alone."""
    limit = f'fail_under = 95\ninclude = ["*/tabserve/{module}.py"]'
    settings = (ROOT / "pyproject.toml").read_text().replace("fail_under = 95", limit)
    (folder / "pyproject.toml").write_text(settings)


QUIET = ("-o", ".venv/.ready", "ARGS=-n 1 -p no:schemathesis -p no:hypothesispytest")


@pytest.mark.slow
def test_make_test_leaves_out_slow_tests_and_make_test_slow_runs_them(clone_with_tests: Path) -> None:
    """This works in a folder with an odd name, and coverage is not measured unless requested."""
    limit_coverage_to("no_such_module", clone_with_tests)
    finished = make(*QUIET, "test", folder=clone_with_tests)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "1 passed, 1 skipped" in finished.stdout
    assert re.search(r"SKIPPED \[1\] tests/test_one.py:\d+: slow: .*`make test-slow` runs it", finished.stdout)
    slow = make(*QUIET, "test-slow", folder=clone_with_tests)
    assert slow.returncode != 0
    assert "1 failed in " in slow.stdout
    assert "it was run" in slow.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("module", "enough"), [("errors", True), ("files", False)])
def test_coverage_includes_processes_that_tests_start(clone_with_tests: Path, module: str, enough: bool) -> None:
    """The module that only a child process imports reaches the limit; a module that is not imported does not."""
    limit_coverage_to(module, clone_with_tests)
    finished = make(*QUIET, "test", "COVERAGE=1", folder=clone_with_tests)
    assert (finished.returncode == 0, "1 passed" in finished.stdout) == (enough, True), (
        finished.stdout + finished.stderr
    )


@pytest.fixture
def busy_port() -> Iterator[str]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def test_help_explains_every_target() -> None:
    """`make help` and `make` alone print each target with its meaning."""
    listed = dict(line.split(maxsplit=1) for line in make("help").stdout.splitlines())
    assert sorted(listed) == sorted(WORDS)
    assert make().stdout == make("help").stdout


@pytest.mark.parametrize("word", WORDS)
def test_every_target_can_be_planned(word: str) -> None:
    """`make -n` succeeds for each target."""
    planned = make("-n", "-o", ".venv/.ready", "-o", ".venv-spark/.ready", word)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout


def test_another_python_is_refused_in_one_sentence(fresh_clone: Path) -> None:
    """Without a supported Python nothing is installed, and the message says what to do."""
    refused = make("setup", "PYTHON=/nowhere/python", folder=fresh_clone)
    assert refused.returncode != 0
    assert "Python 3.11 or 3.12 is needed" in refused.stderr
    assert not (fresh_clone / ".venv").exists()


@pytest.mark.slow
def test_a_failed_setup_starts_over(fresh_clone: Path) -> None:
    """After a failed installation the next target sets up again."""
    failed = make("test", "PIP_NO_INDEX=1", folder=fresh_clone)
    assert failed.returncode != 0
    assert "no-such-package" in failed.stderr
    assert not (fresh_clone / ".venv/.ready").exists()
    assert "-m venv --clear .venv" in make("-n", "test", folder=fresh_clone).stdout


@pytest.mark.parametrize("port", PORTS)
def test_a_busy_port_is_refused_before_the_training(port: str, busy_port: str, tmp_path: Path) -> None:
    """`make run` names the port and the variable that changes it, and does not train."""
    refused = make("-o", ".venv/.ready", "run", f"OUT={tmp_path}/model", f"{port}={busy_port}")
    assert refused.returncode != 0
    assert f"Port {busy_port} is in use" in refused.stderr
    assert port in refused.stderr
    assert list(tmp_path.iterdir()) == []
