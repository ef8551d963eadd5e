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
    ours = ("MAKE", "MFLAGS", "COVERAGE_", "PYTEST_")
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


TEST = """
import subprocess, sys

def test_of_a_process():
    subprocess.run([sys.executable, "-c", "import tabserve.errors"], check=True)
"""


def test_the_tests_of_a_clone_in_any_folder_are_run_and_their_coverage_is_counted(fresh: Path) -> None:
    """That of the processes that they start too: without, it would not reach the limit."""
    (fresh / ".venv").symlink_to(sys.prefix)
    (fresh / "tests").mkdir()
    (fresh / "tests/test_one.py").write_text(TEST)
    settings = fresh / "pyproject.toml"
    one_module = 'fail_under = 95\ninclude = ["*/tabserve/errors.py"]'
    settings.write_text(settings.read_text().replace("fail_under = 95", one_module))
    tested = make("-o", ".venv/.ready", "test", "ARGS=-n 1 -p no:schemathesis -p no:hypothesispytest", folder=fresh)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "1 passed" in tested.stdout


@pytest.mark.parametrize(
    "chosen", ["-k name", "-m slow", "tests/test_one.py", "tests/test_one.py::test_of_a_process", "--lf"]
)
def test_chosen_tests_are_asked_for_no_coverage(chosen: str) -> None:
    """A few of them cover less than all must; how all are run changes nothing."""
    without = "coverage report --fail-under=0"
    assert without in make("-n", "-o", ".venv/.ready", "test", f"ARGS={chosen}").stdout
    for all_of_them in ("", "--skipped build/skipped.json", "-n 1 -p no:randomly", "-v"):
        assert without not in make("-n", "-o", ".venv/.ready", "test", f"ARGS={all_of_them}").stdout


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
