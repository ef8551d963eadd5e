"""One piece of work in a process of its own: how long it took, and how large the process grew."""

import multiprocessing
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.work import WORK

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

SPAWN = multiprocessing.get_context("spawn")


class Measured(NamedTuple):
    """One run: wall-clock seconds of the work alone, and the process's peak memory in MiB, imports included."""

    seconds: float
    peak: float


def measured(name: str, rows: int, csv: Path) -> Measured:
    """Run one piece of work in a fresh process."""
    answers: SimpleQueue[Measured] = SPAWN.SimpleQueue()
    process = SPAWN.Process(target=_measure, args=(name, rows, csv, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name} failed; its reason stands above.")
    return answers.get()


def _measure(name: str, rows: int, csv: Path, answers: "SimpleQueue[Measured]") -> None:
    start = time.perf_counter()
    WORK[name](rows, csv)
    seconds = time.perf_counter() - start
    answers.put(Measured(seconds, _peak()))


def _peak() -> float:
    """The process's own high-water mark in MiB; getrusage would count the parent's from before it started."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
