"""Tests that were skipped are listed, caught up on, and reported where they could have been run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests import slow

ROOT = Path(__file__).parents[2]
TESTS = """
import os
import pytest

def test_passes(): ...

@pytest.mark.needs("haproxy")
def test_of_haproxy(): ...

@pytest.mark.skipif("SEASON" not in os.environ, reason="it is not summer")
def test_in_summer(): assert os.environ["SEASON"] == "summer"

@pytest.mark.slow
def test_that_takes_long(): ...

@pytest.mark.xfail
def test_that_is_known_to_fail(): assert False
"""
WHOLE = 'import pytest\n\npytest.skip("needs java: run it elsewhere", allow_module_level=True)\n'
MISSING = "needs haproxy: `haproxy -v` fails, Debian has it in the package haproxy"


class Folder:
    """A folder of tests, the list of its skipped ones, and a PATH with programs of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.list = folder, folder / "build/skipped.json"
        (folder / "conftest.py").write_text('pytest_plugins = ["tests.needs", "tests.slow", "tests.skipped"]\n')
        (folder / "test_some.py").write_text(TESTS)
        self.program("haproxy", 1)

    def program(self, name: str, code: int) -> None:
        """Let a program end with this exit code."""
        (self.folder / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (self.folder / name).chmod(0o755)

    def python(self, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = f"{self.folder}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env={**os.environ, "PATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def test(self, *words: str, file: str = ".", **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the tests, or those of one file."""
        place = ("--rootdir", str(self.folder), str(self.folder / file), "--skipped", str(self.list))
        return self.python("pytest", *place, *words, **environment)

    def left(self) -> dict[str, str]:
        """The list."""
        found: dict[str, str] = json.loads(self.list.read_text())
        return found


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """One of each kind."""
    return Folder(tmp_path)


@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n", "2")], ids=["one process", "two workers"])
def test_each_skipped_test_is_listed_with_its_reason(folder: Folder, workers: tuple[str, ...]) -> None:
    """Tests and whole files; neither those that passed nor those that are known to fail."""
    (folder.folder / "test_whole.py").write_text(WHOLE)
    ended = folder.test(*workers)
    assert ended.returncode == 0, ended.stdout
    assert folder.left() == {
        "test_some.py::test_of_haproxy": MISSING,
        "test_some.py::test_in_summer": "it is not summer",
        "test_whole.py": "needs java: run it elsewhere",
    }


def test_a_later_run_catches_up_on_what_was_skipped_and_nothing_else(folder: Folder) -> None:
    """What it could run is off the list; what it was not shown stays on it."""
    (folder.folder / "test_whole.py").write_text(WHOLE)
    folder.test()
    folder.program("haproxy", 0)
    ended = folder.test(file="test_some.py")
    assert "1 passed, 1 skipped, 3 deselected" in ended.stdout
    assert folder.left() == {
        "test_some.py::test_in_summer": "it is not summer",
        "test_whole.py": "needs java: run it elsewhere",
    }
    (folder.folder / "test_whole.py").write_text("def test_one(): ...\n\ndef test_two(): ...\n")
    assert "2 passed, 1 skipped" in folder.test().stdout
    assert folder.left() == {"test_some.py::test_in_summer": "it is not summer"}


def test_a_failure_while_catching_up_is_a_failure(folder: Folder) -> None:
    """Of a test that could not be run before."""
    folder.test()
    ended = folder.test(SEASON="winter")
    assert (ended.returncode, "1 failed" in ended.stdout) == (1, True)


def test_nothing_left_to_run_is_no_failure(folder: Folder) -> None:
    """As on a machine that has everything."""
    folder.program("haproxy", 0)
    folder.test(SEASON="summer")
    assert folder.left() == {}
    assert folder.test().returncode == 0


def test_the_report_counts_what_is_left_and_fails_where_it_could_have_been_run(folder: Folder) -> None:
    """That is, where the program answers by now, and nobody ran the test again."""
    folder.test()
    report = folder.python("tests.skipped", str(folder.list))
    assert report.returncode == 0
    assert report.stdout.splitlines() == ["2 skipped in the end:", "  1 × it is not summer", f"  1 × {MISSING}"]
    folder.program("haproxy", 0)
    report = folder.python("tests.skipped", str(folder.list))
    assert report.returncode == 1
    assert f"test_some.py::test_of_haproxy was skipped, and could have been run: {MISSING}" in report.stdout
    assert "test_in_summer" not in report.stdout


def test_slow_tests_are_left_out_listed_and_caught_up_on(folder: Folder) -> None:
    """One that stays on the list could have been run."""
    assert "1 passed, 3 skipped" in folder.test("--quick").stdout
    assert folder.left()["test_some.py::test_that_takes_long"] == slow.REASON
    report = folder.python("tests.skipped", str(folder.list))
    assert (report.returncode, "test_that_takes_long was skipped, and could" in report.stdout) == (1, True)
    assert "1 passed, 2 skipped" in folder.test().stdout
    assert "test_some.py::test_that_takes_long" not in folder.left()
    assert folder.python("tests.skipped", str(folder.list)).returncode == 0
