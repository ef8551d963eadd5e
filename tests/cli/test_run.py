"""Every command ends with an exit code that means something, and a mistake with one sentence instead of a traceback."""

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
    """A command that ends with this error."""

    def command() -> None:
        raise error

    return command


def exit_code(command: Callable[[], None]) -> object:
    """What the shell would see."""
    with pytest.raises(SystemExit) as ended:
        run.run(command)
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
        run.run(raising(ZeroDivisionError()))


def test_every_error_is_in_one_tree() -> None:
    """Catching the root catches all, and the drawing in the module names each."""
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, TabserveError) for error in classes)
    assert errors.__doc__ is not None
    assert all(error.__name__ in errors.__doc__ for error in classes)


def test_memory_that_ends_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """With what to do."""
    assert exit_code(raising(MemoryError())) == 1
    said = "There is not enough memory for this; use fewer rows, or a machine with more memory.\n"
    assert capsys.readouterr() == ("", said)


def test_sigterm_exits_as_shells_expect(capsys: pytest.CaptureFixture[str]) -> None:
    """With 128 + SIGTERM, and what handled it before handles it again."""
    earlier = signal.getsignal(signal.SIGTERM)
    assert exit_code(lambda: signal.raise_signal(signal.SIGTERM)) == 143
    assert capsys.readouterr().err == "Terminated; nothing was left behind.\n"
    assert signal.getsignal(signal.SIGTERM) is earlier


def test_a_signal_is_held_until_the_block_has_ended() -> None:
    """Which sees that it came; the first of several counts, and who handled them handles them again."""
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
def test_a_signal_that_c_hides_ends_the_command_all_the_same(
    number: signal.Signals, code: int, word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python ignores what is raised where a library calls it back, as XGBoost does while it takes the rows in."""
    called_back = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(number))

    def work() -> None:
        called_back()
        time.sleep(60)

    assert exit_code(work) == code
    assert capfd.readouterr().err == f"{word}; nothing was left behind.\n"


def test_an_ignored_ctrl_c_stays_ignored() -> None:
    """As a shell's background job has it."""
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with run.hold_signals() as signals:
            signal.raise_signal(signal.SIGINT)
        assert not signals
    finally:
        signal.signal(signal.SIGINT, earlier)


PRINT = "from tabserve.cli import run; run.run(lambda: print(*range(100_000), sep='\\n'))"


def test_an_output_that_takes_nothing_is_told() -> None:
    """Much or little, as when the disk is full."""
    for script in (PRINT, PRINT.replace("100_000", "1")):
        with Path("/dev/full").open("w") as full:
            ended = subprocess.run(
                [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
            )
        assert (ended.returncode, ended.stderr) == (1, "The system refused: [Errno 28] No space left on device.\n")


def test_a_closed_error_output_changes_no_exit_code() -> None:
    """`2>&-` wants to see no progress and no sentence, and still what became of it."""
    error = "raise DataError('The table is empty.')"
    code = f"from tabserve.cli import run\nfrom tabserve.errors import DataError\ndef main(): {error}\nrun.run(main)"
    closed = ["bash", "-c", '"$@" 2>&-', "bash", sys.executable, "-c", code]
    assert subprocess.run(closed, stdout=subprocess.PIPE, timeout=60, check=False).returncode == DataError.exit_code


def test_letters_that_the_output_does_not_have_are_escaped() -> None:
    """What was done is not undone by saying so."""
    code = "from tabserve.cli import run; run.run(lambda: print('ção'))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert ended.stdout == b"\\xe7\\xe3o\n"


def test_an_argument_that_is_no_text_is_refused_before_any_work() -> None:
    """Some libraries could not open such a path, when all is done."""
    command_line: list[str | bytes] = [sys.executable, "-c", PRINT, b"out\xff.csv"]
    ended = subprocess.run(command_line, capture_output=True, text=True, timeout=60, check=False)
    said = "The argument 'out\\udcff.csv' is not UTF-8; rename the file.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", said)


def test_a_closed_output_is_no_error() -> None:
    """`>&-` wants to see nothing."""
    closed = ["bash", "-c", '"$@" >&-', "bash", sys.executable, "-c", PRINT]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("moment", ["numpy", "scipy", "xgboost.libpath"])
def test_ctrl_c_while_tabserve_imports_is_quiet(moment: str, model_folder: Path) -> None:
    """It imports what takes seconds once the command has begun; Python says which import has just ended."""
    command = [sys.executable, "-X", "importtime", "-m", "tabserve", "check", str(model_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        while moment != (line := child.stderr.readline()).rpartition("|")[2].strip():
            assert line, f"{moment} was not imported"
        child.send_signal(signal.SIGINT)
        printed, complaint = child.communicate(timeout=60)
    said = [line for line in complaint.splitlines() if not line.startswith("import time:")]
    assert (child.returncode, printed, said) == (130, "", ["Interrupted; nothing was left behind."])


@pytest.mark.parametrize(
    ("ending", "code", "word"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_a_signal_in_the_middle_of_scoring_leaves_nothing_behind(
    ending: signal.Signals, code: int, word: str, model_folder: Path, tmp_path: Path
) -> None:
    """An earlier output stays; the rows come from a pipe, so that their end is known not to have come."""
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
        printed, complaint = child.communicate(timeout=60)
    assert (child.returncode, printed, complaint) == (code, "", f"{word}; nothing was left behind.\n")
    assert out.read_text() == "earlier"
    assert {*tmp_path.iterdir()} == {data, out}


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`command | head -1` ends quietly, however much was left to print."""
    child = subprocess.Popen([sys.executable, "-c", PRINT], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        assert child.stdout.readline() == b"0\n"
        child.stdout.close()
        assert child.wait(timeout=60) == 0
        assert child.stderr.read() == b""
