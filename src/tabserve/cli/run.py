"""How every command ends: an error is one sentence on stderr and an exit code, never a traceback."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import NoReturn

from tabserve.errors import TabserveError, UsageError

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and SIGTERM: 128 + the signal's number, as shells expect."""

LEFT = "{}; nothing was left behind."

AGAIN_SECONDS = 0.1
"""After which a signal that Python has ignored is sent again."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came; whoever cleans up after Ctrl-C does so after this as well."""


def run(command: Callable[[], None]) -> NoReturn:
    """Run a command and leave the process with 0, the error's own exit code, or 130 or 143 after Ctrl-C or SIGTERM."""
    _prepare_output()
    hook, handler = sys.unraisablehook, signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _repeated
    try:
        code = _exit_code(command)
    finally:
        sys.unraisablehook = hook
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, handler)
    sys.exit(code)


@contextmanager
def until_told() -> Iterator[None]:
    """Let Ctrl-C or SIGTERM end the block as if it were done, also where either comes again while Python ends."""
    with suppress(KeyboardInterrupt):
        yield
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held() -> Iterator[Sequence[int]]:
    """Let Ctrl-C and SIGTERM wait until the block has ended; meanwhile they are told by what it is given.

    An error raised while a process is being started would lose that process, and Python notices a signal that comes
    just before it waits for something only once it has waited: who must end either looks here.
    """
    came: list[int] = []
    numbers = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not signal.SIG_IGN]
    earlier = {each: signal.signal(each, lambda number, _frame: came.append(number)) for each in numbers}
    try:
        yield came
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _exit_code(command: Callable[[], None]) -> int:
    """What the shell is to see, after the sentence that the user is to see."""
    try:
        _refuse_undecodable(sys.argv[1:])
        command()
        sys.stdout.flush()
    except TabserveError as error:
        sentence, code = str(error), error.exit_code
    except MemoryError:
        sentence, code = "There is not enough memory for this; use fewer rows, or a machine with more memory.", 1
    except Terminated:
        sentence, code = LEFT.format("Terminated"), TERMINATED
    except KeyboardInterrupt:
        sentence, code = LEFT.format("Interrupted"), INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        _forget_output()
        return 0
    except OSError as error:  # such as a full disk behind `>`
        _forget_output()
        sentence, code = f"The system refused: {error}.", 1
    else:
        return 0
    print(sentence, file=sys.stderr)
    return code


def _prepare_output() -> None:
    """Write to nowhere what was closed by `>&-`, and escape what the terminal has no letters for."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or Path(os.devnull).open("w")  # noqa: SIM115  until the process ends
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)


def _refuse_undecodable(words: Sequence[str]) -> None:
    """Many libraries cannot open such a path, some of them only when all the work is done."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"The argument {word!r} is not UTF-8; rename the file.") from error


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _forget_output() -> None:
    """Keep Python from writing at its end what could not be written now."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _repeated(report: "sys.UnraisableHookArgs") -> None:
    """Send a signal again that Python has ignored, as it does where a library in C calls Python."""
    if issubclass(report.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if issubclass(report.exc_type, Terminated) else signal.SIGINT
        again = Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number))
        again.daemon = True  # no use once the command has ended
        again.start()
    else:
        sys.__unraisablehook__(report)
