"""Programs that are told to end while they still start."""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

SECONDS = 30
"""That a program may take to begin its imports, and to end."""


def ended_at_start(
    words: Sequence[str], environment: Mapping[str, str], number: signal.Signals
) -> "subprocess.CompletedProcess[str]":
    """What becomes of a program that gets a signal, again and again, while it imports what it serves by."""
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        deadline = time.monotonic() + SECONDS
        while "numpy" not in Path(f"/proc/{process.pid}/maps").read_text():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline, f"no import of numpy within {SECONDS} s"
            time.sleep(0.005)
        tell_until_ended(process, number)
        told = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(words, process.returncode, *told)


def tell_until_ended(process: "subprocess.Popen[Any]", *numbers: signal.Signals) -> None:
    """Send a process these signals in turn, again and again, until it has ended."""
    deadline = time.monotonic() + SECONDS
    for number in cycle(numbers):
        process.send_signal(number)  # does nothing once it is known to have ended
        time.sleep(0.02)
        if process.poll() is not None:
            return
        assert time.monotonic() < deadline, f"told to end, it did not within {SECONDS} s"
