"""Programs that are told to end while they still start."""

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SECONDS = 30
"""That a program may take to begin its imports, and to end."""


def ended_at_start(
    words: Sequence[str], environment: Mapping[str, str], number: signal.Signals
) -> "subprocess.CompletedProcess[str]":
    """What becomes of a program that gets a signal while it imports what it serves by."""
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        deadline = time.monotonic() + SECONDS
        while "numpy" not in Path(f"/proc/{process.pid}/maps").read_text():
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline, f"no import of numpy within {SECONDS} s"
            time.sleep(0.005)
        process.send_signal(number)
        told = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(words, process.returncode, *told)
