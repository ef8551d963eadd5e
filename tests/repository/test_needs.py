"""A test that needs a program is skipped if the program does not run, and the reason says what to do."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests import needs

ROOT = Path(__file__).parents[2]
SUCCEEDS = "#!/bin/sh\n"
FAILS = "#!/bin/sh\necho haproxy version 2.6\nexit 1\n"
HANGS = "#!/bin/sh\nexec 3>pipe; echo begun >&3; sleep 1000\n"
FOREIGN = "\x7fELF of another machine"

Write = Callable[[str], Path]


@pytest.fixture
def haproxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A function that writes a `haproxy` that precedes the machine's own."""

    def write(text: str) -> Path:
        (tmp_path / "haproxy").write_text(text)
        (tmp_path / "haproxy").chmod(0o755)
        return tmp_path

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return write


@pytest.mark.parametrize(("text", "expected"), [(SUCCEEDS, True), (FAILS, False), (FOREIGN, False)])
def test_a_program_answers_if_it_succeeds(haproxy: Write, text: str, expected: bool) -> None:
    """The exit code decides; a program that fails or is built for another machine does not answer."""
    assert needs.succeeds([str(haproxy(text) / "haproxy"), "-v"]) == expected


def test_a_program_that_is_absent_does_not_answer() -> None:
    """A program or folder that does not exist does not answer."""
    assert not needs.succeeds(["no-such-program"])
    assert not needs.succeeds(["/no/such/folder/program"])


def test_a_program_that_hangs_does_not_answer_and_is_ended(haproxy: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program and its children are killed."""
    monkeypatch.setattr(needs, "SECONDS", 2)
    monkeypatch.chdir(haproxy(HANGS))
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert not needs.succeeds(["haproxy", "-v"])
        os.set_blocking(reader, True)
        assert os.read(reader, 100) == b"begun\n"
        assert os.read(reader, 100) == b"", "no writer is left"
    finally:
        os.close(reader)


MARKED = """
import pytest

@pytest.fixture
def expensive():
    raise AssertionError("made for a test that cannot run")

@pytest.mark.needs("haproxy")
def test_of_haproxy(expensive): ...

@pytest.mark.skipif(True, reason="nobody asked")
@pytest.mark.needs("haproxy")
def test_not_asked_for(expensive): ...
"""


def test_a_marked_test_is_skipped_before_its_fixtures_run(haproxy: Write) -> None:
    """The reason names the program and its package, unless another reason comes first."""
    folder = haproxy(FAILS)
    (folder / "conftest.py").write_text('pytest_plugins = ["tests.needs"]\n')
    (folder / "test_marked.py").write_text(MARKED)
    command = [sys.executable, "-m", "pytest", "-rs", "--strict-markers", "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    output = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    ).stdout
    assert "2 skipped" in output
    assert "needs haproxy: `haproxy -v` fails, Debian has it in the package haproxy" in output
    assert "nobody asked" in output


def test_the_packages_of_missing_programs_are_printed(haproxy: Write) -> None:
    """`python -m tests.needs` prints the packages to install."""
    haproxy(FAILS)
    command = [sys.executable, "-m", "tests.needs"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=300).stdout
    assert "haproxy" in printed.split()
    assert "openssl" not in printed.split() or not needs.is_available("openssl")


@pytest.mark.parametrize("name", needs.PROGRAMS)
def test_every_program_has_a_package_or_advice(name: str) -> None:
    """The reason of a skipped test shows the package or the advice."""
    program = needs.PROGRAMS[name]
    assert bool(program.package) != bool(program.advice)
    assert (program.package or program.advice) in needs.reason([name])


def test_every_file_that_runs_a_program_is_marked() -> None:
    """Without the mark, a test would fail on a machine without the program."""
    commands = {name.split()[0] for name in needs.PROGRAMS}
    files = [*ROOT.glob("tests/**/test_*.py"), *ROOT.glob("cases/*/tests/test_*.py")]
    for file in files:
        text = file.read_text()
        run = {name for name in commands if re.search(rf'\[\s*"{name}"|^{name} ', text, re.MULTILINE)}
        marked = set(re.findall(r'"(\w+)', " ".join(re.findall(r"mark\.needs\((.*?)\)", text))))
        assert run <= marked | ({"docker"} if "MARKS" in text else set()), file
