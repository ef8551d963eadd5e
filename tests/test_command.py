"""Every command ends with an exit code that means something, and a mistake with one sentence instead of a traceback."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tabserve import command, errors
from tabserve.errors import (
    ArtifactError,
    DataError,
    InvalidRequest,
    ServerError,
    TabserveError,
    UsageError,
)


def raising(error: BaseException) -> Callable[[], None]:
    """A command that ends with this error."""

    def run() -> None:
        raise error

    return run


def exit_code(run: Callable[[], None]) -> object:
    """What the shell would see."""
    with pytest.raises(SystemExit) as ended:
        command.run(run)
    return ended.value.code


def test_a_command_that_ends_well_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """And prints what it prints."""
    assert exit_code(lambda: print("done")) == 0  # noqa: T201  a command prints
    assert capsys.readouterr() == ("done\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(TabserveError, 1), (UsageError, 2), (DataError, 3), (InvalidRequest, 3), (ArtifactError, 4), (ServerError, 5)],
)
def test_each_error_is_one_line_and_its_own_exit_code(
    error: type[TabserveError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, so that answers stay clean."""
    assert exit_code(raising(error("The table is empty."))) == code
    assert capsys.readouterr() == ("", "The table is empty.\n")


def test_ctrl_c_exits_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    """With 128 + SIGINT."""
    assert exit_code(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "Interrupted; nothing was left behind.\n"


def test_an_error_of_ours_keeps_its_traceback() -> None:
    """Only the user's own mistakes are cut to a sentence."""
    with pytest.raises(ZeroDivisionError):
        command.run(raising(ZeroDivisionError()))


def test_every_error_is_in_one_tree() -> None:
    """Catching the root catches all, and the drawing in the module names each."""
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, TabserveError) for error in classes)
    assert errors.__doc__ is not None
    assert all(error.__name__ in errors.__doc__ for error in classes)


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`command | head -1` ends quietly, however much was left to print."""
    script = "from tabserve import command; command.run(lambda: print(*range(100_000), sep='\\n'))"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        assert child.stdout.readline() == b"0\n"
        child.stdout.close()
        assert child.wait(timeout=60) == 0
        assert child.stderr.read() == b""
