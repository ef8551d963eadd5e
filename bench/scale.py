"""Time and memory of scoring and training by the rows of a csv: on one machine, and on Spark with local workers."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from bench import memory
from bench.tables import write_csv
from tabserve.cli import options
from tabserve.errors import UsageError

ROOT = Path(__file__).parents[1]

SPARK = ROOT / ".venv-spark" / "bin" / "python"

WORK = {
    "scoring": ["scripts/score.py"],
    "training": ["scripts/train.py", "--candidates", "xgboost-averaged-stumps"],  # the winner of the comparison
}

ENGINES = {
    "one machine": (sys.executable, []),
    "Spark, local": (str(SPARK), ["--engine", "spark", "--master", f"local[{os.cpu_count()},4]"]),
}

LOOK_SECONDS = 1.0
"""Between two readings of a command's memory; more often would slow it down."""


class Run(NamedTuple):
    """Time and memory of one run of a command.

    Attributes:
        seconds: from its start to its end.
        peaks: peak memory of its processes in bytes, added up by program.
    """

    seconds: float
    peaks: Counter[str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `scale`."""
    parser.add_argument("--work", choices=WORK, default="scoring", help="command to run (default: %(default)s)")
    parser.add_argument(
        "--rows",
        type=options.count,
        nargs="+",
        default=[25_000, 100_000, 400_000],
        help="rows of each table (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=options.count, default=3, help="runs of each (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Run the command on each table by each engine, `--repeats` times, and print the median runs.

    Raises:
        UsageError: there is no environment for Spark.
    """
    if not SPARK.exists():
        raise UsageError(f"There is no {SPARK.relative_to(ROOT)}; `make setup-spark` makes it.")
    turns = [(rows, name) for rows in arguments.rows for name in ENGINES for _ in range(arguments.repeats)]
    runs: dict[tuple[int, str], list[Run]] = {turn: [] for turn in turns}
    with tempfile.TemporaryDirectory() as scratch:
        tables = {rows: write_csv(rows, Path(scratch, f"{rows}.csv")) for rows in arguments.rows}
        for rows, name in tqdm(turns, disable=None):
            python, options = ENGINES[name]
            out = Path(scratch, f"out-{time.time_ns()}" + ("" if "spark" in options else ".csv"))
            files = ["--data", str(tables[rows]), "--out", str(out)]
            runs[rows, name].append(run_command([python, *WORK[arguments.work], *options, *files]))
    print(table({turn: sorted(results)[len(results) // 2] for turn, results in runs.items()}))


def run_command(command: list[str]) -> Run:
    """Run a command and watch its memory."""
    start, peaks = time.perf_counter(), Counter[str]()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:  # noqa: S603
        while process.poll() is None:
            peaks |= memory.by_program(process.pid)
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_SECONDS)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed; its reason stands above.")
    return Run(time.perf_counter() - start, peaks)


def table(runs: dict[tuple[int, str], Run]) -> str:
    """One line for each table and engine, and the straight line through the runs of each engine."""
    lines = [f"{'rows':>10}  {'':<14}{'seconds':>9}{'rows/s':>10}  peak, MiB"]
    for (rows, name), (seconds, peaks) in runs.items():
        programs = ", ".join(f"{program} {held / 2**20:,.0f}" for program, held in sorted(peaks.items()))
        lines.append(f"{rows:>10,}  {name:<14}{seconds:>9.1f}{rows / seconds:>10,.0f}  {programs}")
    for engine in dict.fromkeys(name for _, name in runs):
        sizes, results = zip(*((rows, result) for (rows, name), result in runs.items() if name == engine), strict=True)
        if len(sizes) > 1:
            slope, start = np.polyfit(sizes, [result.seconds for result in results], 1)
            growth, _ = np.polyfit(sizes, [result.peaks["python"] for result in results], 1)
            lines.append(
                f"{engine}: {start:.1f} s to start and end, then {1 / slope:,.0f} rows/s; {growth:,.0f} bytes of Python"
                " for each further row"
            )
    return "\n".join(lines)
