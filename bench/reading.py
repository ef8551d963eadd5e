"""Time and peak memory of reading a csv of numbers and categories into encoded arrays, beside pandas."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
from tqdm import tqdm

from bench.process import in_fresh_process, peak
from tabserve.cli import options
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem

NUMBERS = [f"number_{index}" for index in range(15)]

LEVELS = {f"category_{index}": round(5 * 200 ** (index / 14)) for index in range(15)}
"""Number of levels of each category: 5 to 1,000."""

PROBLEM = Problem(
    "reading", (*(Column(name, missing=True) for name in NUMBERS), *(Column(name, "category") for name in LEVELS))
)

PART = 100_000
"""Rows that are drawn and written at a time."""

TABSERVE, PANDAS = "tabserve.read", "pandas, pyarrow engine"

Read = Callable[[Path], object]


class Reading(NamedTuple):
    """Wall-clock seconds of reading alone, and the process's peak memory in MiB: before reading, and in all."""

    seconds: float
    imports: float
    peak: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `reading`."""
    parser.add_argument(
        "--rows", type=options.count, default=1_000_000, help="rows of the table (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=options.count, default=3, help="runs of each (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Read the table in a fresh process by each reader, `--repeats` times in turns, and print the medians."""
    with tempfile.TemporaryDirectory() as scratch:
        csv = write_csv(arguments.rows, Path(scratch, "table.csv"))
        turns = tqdm([*READERS] * arguments.repeats, disable=None)
        runs = [(name, in_fresh_process(measure, name, csv)) for name in turns]
    own = {name: [run for other, run in runs if other == name] for name in READERS}
    medians = {name: Reading(*map(statistics.median, zip(*each, strict=True))) for name, each in own.items()}
    print(table(medians, arguments.rows))


def write_csv(rows: int, csv: Path) -> Path:
    """Write random rows: numbers with four decimals, and levels such as `level 17`; one of each moves the target."""
    rng = np.random.default_rng(0)
    batches = (_draw(rng, min(PART, rows - start)) for start in range(0, rows, PART))
    first = next(batches)
    with pyarrow.csv.CSVWriter(
        csv, first.schema, write_options=pyarrow.csv.WriteOptions(quoting_style="none")
    ) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)
    return csv


def _draw(rng: np.random.Generator, rows: int) -> pa.RecordBatch:
    numbers = {name: rng.normal(size=rows).round(4) for name in NUMBERS}
    codes = {name: rng.integers(0, count, rows) for name, count in LEVELS.items()}
    weight = numbers["number_0"] + codes["category_0"] % 2 + rng.normal(size=rows)
    columns = {PROBLEM.target: pa.array((weight > 1).astype(int))} | {name: pa.array(x) for name, x in numbers.items()}
    for name, count in LEVELS.items():
        columns[name] = pa.array([f"level {level}" for level in range(count)]).take(pa.array(codes[name]))
    return pa.record_batch(columns)


def measure(name: str, csv: Path) -> Reading:
    """Read a csv by the reader of this name."""
    read, imports = READERS[name](), peak()
    start = time.perf_counter()
    table = read(csv)
    seconds = time.perf_counter() - start
    del table
    return Reading(seconds, imports, peak())


def _tabserve() -> Read:
    from tabserve.table.frame_reader import read  # noqa: PLC0415  each reader imports its own libraries alone

    return lambda csv: read(csv, PROBLEM)


def _pandas() -> Read:
    import pandas as pd  # noqa: PLC0415  each reader imports its own libraries alone

    def read(csv: Path) -> object:
        frame = pd.read_csv(csv, engine="pyarrow")
        return frame.astype(dict.fromkeys(LEVELS, "category"))

    return read


READERS: dict[str, Callable[[], Read]] = {TABSERVE: _tabserve, PANDAS: _pandas}


def table(medians: dict[str, Reading], rows: int) -> str:
    """A table of the medians; below it our time against pandas, and our memory against the encoded array."""
    return "\n".join(_lines(medians, rows * len(PROBLEM.features) * 4 / 2**20))


def _lines(medians: dict[str, Reading], array: float) -> Iterator[str]:
    yield f"{'':<24}{'seconds':>9}{'peak MiB':>10}{'imports MiB':>13}"
    for name, run in medians.items():
        yield f"{name:<24}{run.seconds:>9.2f}{run.peak:>10.0f}{run.imports:>13.0f}"
    ours, theirs = medians[TABSERVE], medians[PANDAS]
    yield f"{TABSERVE} takes {ours.seconds / theirs.seconds:.2f} × the time of {PANDAS}"
    yield (
        f"and, beyond its imports, {(ours.peak - ours.imports) / array:.2f} × the memory of the encoded array"
        f" ({array:.0f} MiB); {PANDAS} {(theirs.peak - theirs.imports) / array:.2f} ×"
    )
