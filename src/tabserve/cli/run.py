"""How every command ends: a user's mistake is one sentence on stderr and an exit code, never a traceback."""

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

NOTHING_LEFT = "{}; nothing was left behind."

RESEND_SECONDS = 0.1
"""Seconds after which a signal that Python has ignored is sent again."""


class Terminated(KeyboardInterrupt):
    """Raised on SIGTERM; a KeyboardInterrupt, so that code that cleans up after Ctrl-C does so after SIGTERM too."""


def run(command: Callable[[], None]) -> NoReturn:
    """Run a command and exit with 0, the error's exit code, 130 after Ctrl-C, or 143 after SIGTERM."""
    _prepare_output()
    hook, handler = sys.unraisablehook, signal.signal(signal.SIGTERM, _terminate)
    sys.unraisablehook = _send_again
    try:
        code = _exit_code(command)
    finally:
        sys.unraisablehook = hook
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
            signal.signal(signal.SIGTERM, handler)
    sys.exit(code)


@contextmanager
def until_signal() -> Iterator[None]:
    """End the block normally on Ctrl-C or SIGTERM; later ones, while Python exits, are ignored."""
    with suppress(KeyboardInterrupt):
        yield
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def hold_signals() -> Iterator[Sequence[int]]:
    """Hold Ctrl-C and SIGTERM back until the block has ended; the block sees in the yielded list which have come.

    An exception raised while a process is being started would lose that process; and Python handles a signal that
    comes just before a blocking call only after that call. A block with such calls looks at the list instead.
    """
    received: list[int] = []
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    handlers = {number: signal.signal(number, lambda number, _frame: received.append(number)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _exit_code(command: Callable[[], None]) -> int:
    """Run a command, print the sentence of its error, and return the exit code."""
    try:
        _refuse_undecodable(sys.argv[1:])
        command()
        sys.stdout.flush()
    except TabserveError as error:
        sentence, code = str(error), error.exit_code
    except MemoryError:
        sentence, code = "There is not enough memory for this; use fewer rows, or a machine with more memory.", 1
    except Terminated:
        sentence, code = NOTHING_LEFT.format("Terminated"), TERMINATED
    except KeyboardInterrupt:
        sentence, code = NOTHING_LEFT.format("Interrupted"), INTERRUPTED
    except BrokenPipeError:  # the reader of the output has closed the pipe, as `head` does
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
    """Replace a stream closed by `>&-` with /dev/null, and escape characters that the terminal cannot encode."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or Path(os.devnull).open("w")  # noqa: SIM115  until the process ends
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)


def _refuse_undecodable(words: Sequence[str]) -> None:
    """Refuse arguments that are not UTF-8: many libraries cannot open such a path, some fail only after the work."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"The argument {word!r} is not UTF-8; rename the file.") from error


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _forget_output() -> None:
    """Keep Python from flushing to a broken output again when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _send_again(report: "sys.UnraisableHookArgs") -> None:
    """Send a signal again whose exception Python has ignored, as it does in a callback from a C library."""
    if issubclass(report.exc_type, KeyboardInterrupt):
        number = signal.SIGTERM if issubclass(report.exc_type, Terminated) else signal.SIGINT
        timer = Timer(RESEND_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True  # must not keep a command alive that has ended
        timer.start()
    else:
        sys.__unraisablehook__(report)
