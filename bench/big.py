"""Time and peak memory of looking at a big table, of reading it, and of the whole default training."""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.process import in_fresh_process, peak
from bench.reading import PROBLEM, write_csv
from tabserve.cli import options


class Step(NamedTuple):
    """Wall-clock seconds of a step alone, the process's peak memory in MiB, before it and in all, and what came out."""

    seconds: float
    imports: float
    peak: float
    outcome: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `big`."""
    parser.add_argument(
        "--rows", type=options.count, default=1_000_000, help="rows of the table (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Take each step in a fresh process, and print a line as soon as it has ended; training shows its progress."""
    array = arguments.rows * len(PROBLEM.features) * 4 / 2**20
    print(
        f"{arguments.rows:,} rows × {len(PROBLEM.features)} columns, half of them categories: {array:.0f} MiB encoded\n"
    )
    print(f"{'':<10}{'seconds':>9}{'peak MiB':>10}{'imports MiB':>13}{'beyond them':>13}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        csv = write_csv(arguments.rows, Path(scratch, "big.csv"))
        for name in STEPS:
            step = in_fresh_process(measure, name, csv)
            beyond = f"{(step.peak - step.imports) / array:.2f} ×"
            figures = f"{step.seconds:>9.2f}{step.peak:>10.0f}{step.imports:>13.0f}{beyond:>13}"
            print(f"{name:<10}{figures}  {step.outcome}", flush=True)


def measure(name: str, csv: Path) -> Step:
    """Take the step of this name."""
    work = STEPS[name](csv)
    imports, start = peak(), time.perf_counter()
    outcome = work()
    return Step(time.perf_counter() - start, imports, peak(), outcome)


def _look(csv: Path) -> Callable[[], str]:
    from tabserve.plan.look import lines  # noqa: PLC0415  each step imports its own libraries alone
    from tabserve.plan.options import Options  # noqa: PLC0415
    from tabserve.plan.plan import make_plan  # noqa: PLC0415
    from tabserve.table.source import as_source  # noqa: PLC0415

    def look() -> str:
        plan = make_plan(as_source(csv), Options(PROBLEM.target))
        return f"{len(lines(plan))} lines, {len(plan.problem.columns)} columns to learn from"

    return look


def _read(csv: Path) -> Callable[[], str]:
    from tabserve.table.frame_reader import read  # noqa: PLC0415  each step imports its own libraries alone

    return lambda: f"{read(csv, PROBLEM).features.nbytes / 2**20:.0f} MiB"


def _train(csv: Path) -> Callable[[], str]:
    from tabserve.trained import train  # noqa: PLC0415  each step imports its own libraries alone

    def work() -> str:
        model = train(csv, PROBLEM.target).save(csv.with_name("model"))
        measure, interval = next(iter(model.metrics["holdout"].items()))
        return f"{model.metrics['winner']}, {measure} {interval['value']:.4f} on the hold-out"

    return work


STEPS: dict[str, Callable[[Path], Callable[[], str]]] = {"looking": _look, "reading": _read, "training": _train}
"""What prepares each step; whatever this imports belongs to no step."""
