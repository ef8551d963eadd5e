"""How scoring grows with the rows of a csv: on one machine, and on Spark with as many local workers as it has cores."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bench.tables import written
from tabserve import option
from tabserve.errors import UsageError

ROOT = Path(__file__).parents[1]

SPARK = ROOT / ".venv-spark" / "bin" / "python"

ENGINES = {
    "one machine": [sys.executable, "scripts/score.py"],
    "Spark, local": [str(SPARK), "scripts/score.py", "--engine", "spark", "--master", f"local[{os.cpu_count()},4]"],
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Its own options."""
    parser.add_argument(
        "--rows",
        type=option.count,
        nargs="+",
        default=[25_000, 100_000, 400_000],
        help="of each table (default: %(default)s)",
    )
    parser.add_argument("--repeats", type=option.count, default=3, help="runs of each (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Score each table by each engine in turn, `--repeats` times, and print the medians.

    Raises:
        UsageError: there is no environment for Spark.
    """
    if not SPARK.exists():
        raise UsageError(f"There is no {SPARK.relative_to(ROOT)}; `make setup-spark` makes it.")
    turns = [(rows, name) for rows in arguments.rows for name in ENGINES for _ in range(arguments.repeats)]
    seconds: dict[tuple[int, str], list[float]] = {turn: [] for turn in turns}
    with tempfile.TemporaryDirectory() as scratch:
        tables = {rows: written(rows, Path(scratch, f"{rows}.csv")) for rows in arguments.rows}
        for rows, name in tqdm(turns, disable=None):
            seconds[rows, name].append(scored(ENGINES[name], tables[rows], Path(scratch, f"scores-{time.time_ns()}")))
    print(table({turn: statistics.median(found) for turn, found in seconds.items()}))


def scored(engine: list[str], csv: Path, out: Path) -> float:
    """Seconds of one run of the command, from its start to its end."""
    begun = time.perf_counter()
    subprocess.run([*engine, "--data", csv, "--out", out], cwd=ROOT, check=True, capture_output=True)  # noqa: S603
    return time.perf_counter() - begun


def table(seconds: dict[tuple[int, str], float]) -> str:
    """The medians, one line for each table and engine, and the straight line through those of each engine."""
    lines = [f"{'rows':>10}  {'':<14}{'seconds':>9}{'rows/s':>10}"]
    lines += [f"{rows:>10,}  {name:<14}{took:>9.1f}{rows / took:>10,.0f}" for (rows, name), took in seconds.items()]
    for engine in dict.fromkeys(name for _, name in seconds):
        sizes, took = zip(*((rows, found) for (rows, name), found in seconds.items() if name == engine), strict=True)
        if len(sizes) > 1:
            slope, start = np.polyfit(sizes, took, 1)
            lines.append(f"{engine}: {start:.1f} s to start and end, then {1 / slope:,.0f} rows/s")
    return "\n".join(lines)
