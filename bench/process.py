"""Time and peak memory of one piece of work in a process of its own."""

import multiprocessing
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.work import WORK

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

SPAWN = multiprocessing.get_context("spawn")


class Measurement(NamedTuple):
    """Wall-clock seconds of the work alone, and the process's peak memory in MiB, imports included."""

    seconds: float
    peak: float


def measure(name: str, rows: int, csv: Path) -> Measurement:
    """Measure one piece of work in a fresh process."""
    results: SimpleQueue[Measurement] = SPAWN.SimpleQueue()
    process = SPAWN.Process(target=_work, args=(name, rows, csv, results))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name} failed; its reason stands above.")
    return results.get()


def _work(name: str, rows: int, csv: Path, results: "SimpleQueue[Measurement]") -> None:
    start = time.perf_counter()
    WORK[name](rows, csv)
    seconds = time.perf_counter() - start
    results.put(Measurement(seconds, _peak()))


def _peak() -> float:
    """Peak memory of this process in MiB; getrusage would include the parent's from before the start."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
