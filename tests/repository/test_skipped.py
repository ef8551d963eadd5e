"""Skipped tests are listed, run later, and reported if they could have been run."""

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
    """A folder of tests with a list of skipped ones and its own programs on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.list = folder, folder / "build/skipped.json"
        (folder / "conftest.py").write_text('pytest_plugins = ["tests.needs", "tests.slow", "tests.skipped"]\n')
        (folder / "test_some.py").write_text(TESTS)
        self.program("haproxy", 1)

    def program(self, name: str, code: int) -> None:
        """Write a program that ends with this exit code."""
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
        options = ("--rootdir", str(self.folder), str(self.folder / file), "--skipped", str(self.list))
        return self.python("pytest", *options, *words, **environment)

    def skipped(self) -> dict[str, str]:
        """The list of skipped tests with their reasons."""
        reasons: dict[str, str] = json.loads(self.list.read_text())
        return reasons


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with a test of each kind."""
    return Folder(tmp_path)


@pytest.mark.parametrize("workers", [(), ("-p", "xdist.plugin", "-n", "2")], ids=["one process", "two workers"])
def test_each_skipped_test_is_listed_with_its_reason(folder: Folder, workers: tuple[str, ...]) -> None:
    """Tests and whole files are listed, but neither passed tests nor expected failures."""
    (folder.folder / "test_whole.py").write_text(WHOLE)
    finished = folder.test(*workers)
    assert finished.returncode == 0, finished.stdout
    assert folder.skipped() == {
        "test_some.py::test_of_haproxy": MISSING,
        "test_some.py::test_in_summer": "it is not summer",
        "test_whole.py": "needs java: run it elsewhere",
    }


def test_a_later_run_runs_only_the_skipped_tests(folder: Folder) -> None:
    """Tests that ran leave the list; tests outside the run stay on it."""
    (folder.folder / "test_whole.py").write_text(WHOLE)
    folder.test()
    folder.program("haproxy", 0)
    finished = folder.test(file="test_some.py")
    assert "1 passed, 1 skipped, 3 deselected" in finished.stdout
    assert folder.skipped() == {
        "test_some.py::test_in_summer": "it is not summer",
        "test_whole.py": "needs java: run it elsewhere",
    }
    (folder.folder / "test_whole.py").write_text("def test_one(): ...\n\ndef test_two(): ...\n")
    assert "2 passed, 1 skipped" in folder.test().stdout
    assert folder.skipped() == {"test_some.py::test_in_summer": "it is not summer"}


def test_a_skipped_test_that_fails_later_is_a_failure(folder: Folder) -> None:
    """The later run ends with exit code 1."""
    folder.test()
    finished = folder.test(SEASON="winter")
    assert (finished.returncode, "1 failed" in finished.stdout) == (1, True)


def test_an_empty_list_is_no_failure(folder: Folder) -> None:
    """A machine with all programs skips nothing."""
    folder.program("haproxy", 0)
    folder.test(SEASON="summer")
    assert folder.skipped() == {}
    assert folder.test().returncode == 0


def test_the_report_counts_skipped_tests_and_fails_if_one_could_run(folder: Folder) -> None:
    """It fails if the program answers now and the test was not run again."""
    folder.test()
    report = folder.python("tests.skipped", str(folder.list))
    assert report.returncode == 0
    assert report.stdout.splitlines() == ["2 skipped in the end:", "  1 × it is not summer", f"  1 × {MISSING}"]
    folder.program("haproxy", 0)
    report = folder.python("tests.skipped", str(folder.list))
    assert report.returncode == 1
    assert f"test_some.py::test_of_haproxy was skipped, and could have been run: {MISSING}" in report.stdout
    assert "test_in_summer" not in report.stdout


def test_slow_tests_are_skipped_listed_and_run_later(folder: Folder) -> None:
    """A slow test that stays on the list fails the report."""
    assert "1 passed, 3 skipped" in folder.test("--quick").stdout
    assert folder.skipped()["test_some.py::test_that_takes_long"] == slow.REASON
    report = folder.python("tests.skipped", str(folder.list))
    assert (report.returncode, "test_that_takes_long was skipped, and could" in report.stdout) == (1, True)
    assert "1 passed, 2 skipped" in folder.test().stdout
    assert "test_some.py::test_that_takes_long" not in folder.skipped()
    assert folder.python("tests.skipped", str(folder.list)).returncode == 0
