"""Time and peak memory of one piece of work in a process of its own."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

P = ParamSpec("P")
Result = TypeVar("Result")

SPAWN = multiprocessing.get_context("spawn")


class Measurement(NamedTuple):
    """Wall-clock seconds of the work alone, and the process's peak memory in MiB, imports included."""

    seconds: float
    peak: float


def measure(name: str, rows: int, csv: Path) -> Measurement:
    """Measure one piece of work in a fresh process."""
    return in_fresh_process(_work, name, rows, csv)


def in_fresh_process(function: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """The result of a function of a module, called in a process that has imported nothing else."""
    results: SimpleQueue[Result] = SPAWN.SimpleQueue()
    process = SPAWN.Process(target=_put, args=(results, function, args, kwargs))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{args[0]} failed; its reason stands above.")
    return results.get()


def _put(results: "SimpleQueue[Any]", function: Callable[..., Any], args: Any, kwargs: Any) -> None:  # noqa: ANN401
    results.put(function(*args, **kwargs))


def _work(name: str, rows: int, csv: Path) -> Measurement:
    from bench.work import WORK  # noqa: PLC0415  other work need not import its libraries

    start = time.perf_counter()
    WORK[name](rows, csv)
    seconds = time.perf_counter() - start
    return Measurement(seconds, peak())


def peak() -> float:
    """Peak memory of this process in MiB; getrusage would include the parent's from before the start."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
