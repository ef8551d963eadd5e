"""Time and peak memory of reading tables and scoring files, and time to score rows."""

import argparse
import statistics
import tempfile
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from bench import rows
from bench.process import Measurement, measure
from bench.work import RATIOS, WORK
from santander.sample import sample
from tabserve.cli import options


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `tables`."""
    parser.add_argument("--rows", type=options.count, default=200_000, help="rows of the table (default: %(default)s)")
    parser.add_argument("--repeats", type=options.count, default=3, help="runs of each (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Measure each piece of work `--repeats` times in turns, and print the medians."""
    with tempfile.TemporaryDirectory() as scratch:
        csv = write_csv(arguments.rows, Path(scratch, "train.csv"))
        turns = tqdm(list(WORK) * arguments.repeats, disable=None)
        runs = [(name, measure(name, arguments.rows, csv)) for name in turns]
    medians = {name: [run for other, run in runs if other == name] for name in WORK}
    print(table({name: Measurement(*map(statistics.median, zip(*own, strict=True))) for name, own in medians.items()}))
    print("", rows.table(), sep="\n")


def write_csv(rows: int, csv: Path) -> Path:
    """Write the synthetic sample as a csv in Kaggle's format."""
    frame = sample(rows, 0)
    features = pd.DataFrame(frame.features, columns=list(frame.problem.features))
    features.insert(0, "target", frame.target)
    features.insert(0, "ID_code", frame.ids)
    features.to_csv(csv, index=False, float_format="%.4f")
    return csv


def table(medians: dict[str, Measurement]) -> str:
    """A table of the medians, and the ratios of speed below it."""
    lines = [f"{'':<28}{'seconds':>9}{'peak MiB':>10}"]
    lines += [f"{name:<28}{run.seconds:>9.2f}{run.peak:>10.0f}" for name, run in medians.items()]
    lines += [
        f"{ours} : {medians[theirs].seconds / medians[ours].seconds:.2f} × {theirs}" for ours, theirs in RATIOS.items()
    ]
    return "\n".join(lines)
