"""Every command ends with a defined exit code, and a user's mistake is one sentence instead of a traceback."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tabserve import errors
from tabserve.cli import run
from tabserve.errors import (
    ArtifactError,
    DataError,
    InvalidRequest,
    ServerError,
    TabserveError,
    UsageError,
)

SCRIPTS = Path(__file__).parents[2] / "scripts"


def raising(error: BaseException) -> Callable[[], None]:
    """A command that raises this error."""

    def command() -> None:
        raise error

    return command


def exit_code(command: Callable[[], None]) -> object:
    """Run a command in this process; returns its exit code."""
    with pytest.raises(SystemExit) as exiting:
        run.run(command)
    return exiting.value.code


def test_a_successful_command_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """Its output is not changed."""
    assert exit_code(lambda: print("done")) == 0  # noqa: T201  a command prints
    assert capsys.readouterr() == ("done\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(TabserveError, 1), (UsageError, 2), (DataError, 3), (InvalidRequest, 3), (ArtifactError, 4), (ServerError, 5)],
)
def test_each_error_is_one_line_and_its_own_exit_code(
    error: type[TabserveError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line is on standard error; nothing is on standard output."""
    assert exit_code(raising(error("The table is empty."))) == code
    assert capsys.readouterr() == ("", "The table is empty.\n")


def test_ctrl_c_exits_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 128 + SIGINT."""
    assert exit_code(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "Interrupted; nothing was left behind.\n"


def test_an_unexpected_error_keeps_its_traceback() -> None:
    """Only errors of the project's tree are printed as a sentence."""
    with pytest.raises(ZeroDivisionError):
        run.run(raising(ZeroDivisionError()))


def test_every_error_is_in_one_tree() -> None:
    """Every error is a TabserveError, and the module's docstring names it."""
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, TabserveError) for error in classes)
    assert errors.__doc__ is not None
    assert all(error.__name__ in errors.__doc__ for error in classes)


def test_a_memory_error_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence has advice."""
    assert exit_code(raising(MemoryError())) == 1
    sentence = "There is not enough memory for this; use fewer rows, or a machine with more memory.\n"
    assert capsys.readouterr() == ("", sentence)


def test_sigterm_exits_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 128 + SIGTERM, and the earlier handler is restored."""
    earlier = signal.getsignal(signal.SIGTERM)
    assert exit_code(lambda: signal.raise_signal(signal.SIGTERM)) == 143
    assert capsys.readouterr().err == "Terminated; nothing was left behind.\n"
    assert signal.getsignal(signal.SIGTERM) is earlier


def test_signals_are_held_until_the_block_has_ended() -> None:
    """The block sees them, the first one is raised after it, and the earlier handlers are restored."""
    earlier = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def hold() -> None:
        with run.hold_signals() as signals:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert [*signals] == [signal.SIGTERM, signal.SIGINT]

    assert exit_code(hold) == 143
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == earlier


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_a_signal_during_a_callback_from_c_ends_the_command(
    number: signal.Signals, code: int, word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python ignores exceptions in a C library's callbacks, such as XGBoost's while it loads rows."""
    callback = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(number))

    def work() -> None:
        callback()
        time.sleep(60)

    assert exit_code(work) == code
    assert capfd.readouterr().err == f"{word}; nothing was left behind.\n"


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """A shell starts background jobs with SIGINT ignored."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with run.hold_signals() as signals:
            signal.raise_signal(signal.SIGINT)
        assert not signals
    finally:
        signal.signal(signal.SIGINT, earlier)


PRINT = "from tabserve.cli import run; run.run(lambda: print(*range(100_000), sep='\\n'))"


def test_an_output_that_cannot_be_written_is_one_sentence() -> None:
    """On a full disk, this holds for much and for little output."""
    for script in (PRINT, PRINT.replace("100_000", "1")):
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run(
                [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
            )
        assert (ended.returncode, ended.stderr) == (1, "The system refused: [Errno 28] No space left on device.\n")


def test_a_closed_error_output_changes_no_exit_code() -> None:
    """After `2>&-`, an error still sets its exit code."""
    error = "raise DataError('The table is empty.')"
    code = f"from tabserve.cli import run\nfrom tabserve.errors import DataError\ndef main(): {error}\nrun.run(main)"
    closed = ["bash", "-c", '"$@" 2>&-', "bash", sys.executable, "-c", code]
    assert subprocess.run(closed, stdout=subprocess.PIPE, timeout=60, check=False).returncode == DataError.exit_code


def test_characters_that_the_output_cannot_encode_are_escaped() -> None:
    """Printing a result does not make a successful command fail."""
    code = "from tabserve.cli import run; run.run(lambda: print('ção'))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert ended.stdout == b"\\xe7\\xe3o\n"


def test_an_argument_that_is_not_utf_8_is_refused_before_any_work() -> None:
    """Some libraries could not write to such a path after all the work."""
    command_line: list[str | bytes] = [sys.executable, "-c", PRINT, b"out\xff.csv"]
    ended = subprocess.run(command_line, capture_output=True, text=True, timeout=60, check=False)
    sentence = "The argument 'out\\udcff.csv' is not UTF-8; rename the file.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", sentence)


def test_a_closed_output_is_no_error() -> None:
    """After `>&-`, a successful command still exits with 0."""
    closed = ["bash", "-c", '"$@" >&-', "bash", sys.executable, "-c", PRINT]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("moment", ["numpy", "scipy", "xgboost.libpath"])
def test_ctrl_c_while_tabserve_imports_is_quiet(moment: str, model_folder: Path) -> None:
    """Slow imports run inside the command; the test sends the signal when Python reports the end of an import."""
    command = [sys.executable, "-X", "importtime", "-m", "tabserve", "check", str(model_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        while moment != (line := child.stderr.readline()).rpartition("|")[2].strip():
            assert line, f"{moment} was not imported"
        child.send_signal(signal.SIGINT)
        stdout, stderr = child.communicate(timeout=60)
    lines = [line for line in stderr.splitlines() if not line.startswith("import time:")]
    assert (child.returncode, stdout, lines) == (130, "", ["Interrupted; nothing was left behind."])


@pytest.mark.parametrize(
    ("ending", "code", "word"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_a_signal_in_the_middle_of_scoring_leaves_nothing_behind(
    ending: signal.Signals, code: int, word: str, model_folder: Path, tmp_path: Path
) -> None:
    """An earlier output is kept; the rows come from a pipe, so the script is still reading when the signal comes."""
    data, out = tmp_path / "rows.csv", tmp_path / "scores.csv"
    out.write_text("earlier")
    os.mkfifo(data)
    command = [sys.executable, str(SCRIPTS / "score.py"), "--model", str(model_folder)]
    command += ["--data", str(data), "--out", str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        with data.open("w") as rows:
            rows.write((SCRIPTS / "rows.csv").read_text())
            rows.flush()
            assert any(path.name.startswith(".scores.csv-") for path in tmp_path.iterdir())
            child.send_signal(ending)
        stdout, stderr = child.communicate(timeout=60)
    assert (child.returncode, stdout, stderr) == (code, "", f"{word}; nothing was left behind.\n")
    assert out.read_text() == "earlier"
    assert {*tmp_path.iterdir()} == {data, out}


def test_a_pipe_closed_by_its_reader_is_no_error() -> None:
    """`command | head -1` ends quietly, however much output is left."""
    child = subprocess.Popen([sys.executable, "-c", PRINT], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        assert child.stdout.readline() == b"0\n"
        child.stdout.close()
        assert child.wait(timeout=60) == 0
        assert child.stderr.read() == b""
