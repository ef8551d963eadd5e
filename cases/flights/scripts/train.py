"""Learn how late flights arrive, and save verified folders: one asked before departure, one asked after it.

read → hold out the latest days → select → refit → choose the interval → evaluate → save, also as .zip and .pkl
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from flights import dataset, training
from flights.problem import BEFORE, DEPARTED
from flights.table import read_table
from tabserve.cli import options, run
from tabserve.destination import check_apart
from tabserve.files import whole
from tabserve.model import archive
from tabserve.model.model import CARD, check_place
from tabserve.problem.problem import Problem
from tabserve.reports import tables
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.training.candidate import Candidate, choose_candidates
from tabserve.training.device import check_device

PROBLEMS = {"before": (BEFORE, ""), "departed": (DEPARTED, "-departed")}
"""What a folder is asked, and what its name ends in."""

BOOSTED = ["xgboost-depth-2", "xgboost-depth-4", "xgboost-depth-6"]

KNOWN = ["baseline", *BOOSTED, *(f"{name}-from-delay" for name in BOOSTED), "subtraction"]
"""The candidates of tables such as these; the core has others for larger ones."""

ON_SPARK = ["xgboost-depth-4"]
"""The candidates on Spark if the command line names none."""

EPILOG = """examples:
  python cases/flights/scripts/train.py                                the extract, all candidates, both folders
  python cases/flights/scripts/train.py --data data/flights.parquet --candidates xgboost-depth-4,xgboost-depth-6
  python cases/flights/scripts/train.py --engine spark --asked before  one folder, by xgboost.spark

exit codes: 0 saved, 1 not enough memory, 2 wrong option, 3 a table cannot be used, 4 a folder cannot be written,
7 Spark failed, 130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Train the models that are asked for, one after the other."""
    arguments = parse_arguments()
    check_device(arguments.device)
    pd.set_option("display.width", 120)
    folders = {asked: Path(f"{arguments.out}{PROBLEMS[asked][1]}") for asked in arguments.asked}
    for folder in folders.values():
        check_apart([folder], [arguments.data, arguments.weather])
        check_place(folder)
    for asked, folder in folders.items():
        train(replace(PROBLEMS[asked][0], seed=arguments.seed), folder, arguments)


def train(problem: Problem, folder: Path, arguments: argparse.Namespace) -> None:
    """Train a model, save it, and print its measures."""
    with ENGINES[arguments.engine](problem, arguments) as (data, competing, frame):
        rows, names = data.provenance["rows"], ", ".join(candidate.name for candidate in competing)
        print(f"{problem.name}: {rows:,} flights ({data.provenance['source']}); candidates: {names}.\n", flush=True)
        selection = data.select(competing)
        print(tables.selection_table(selection).to_string(), "\n", flush=True)
        predictor = selection.refit()
        further = training.further(data, selection, predictor, frame)
        model = data.save(data.evaluate(selection, predictor, further), folder, training.words(problem))
    print(tables.evaluation_table(model.metrics["holdout"]).to_string(), "\n")
    for ending, pack in {"zip": archive.to_zip, "pkl": archive.to_pickle}.items():
        with whole(folder.with_name(f"{folder.name}.{ending}")) as path:
            path.write_bytes(pack(folder))
    print(f"Saved {model.metrics['winner']} in {folder}, also as .zip and .pkl; its card is {folder / CARD}.\n")


Rows = tuple[TrainingData, Sequence[Candidate], Frame | None]
"""The split rows, the candidates, and all rows where they are in memory."""


@contextmanager
def local_rows(problem: Problem, arguments: argparse.Namespace) -> Iterator[Rows]:
    """The rows in memory."""
    frame, source = dataset.dataset(problem, arguments.data, arguments.weather, arguments.rows)
    data = TrainingData.of(frame, source)
    known = training.candidates(data.development, arguments.jobs, arguments.device)
    yield data, choose_candidates(known, arguments.candidates or [*known]), frame


@contextmanager
def spark_rows(problem: Problem, arguments: argparse.Namespace) -> Iterator[Rows]:
    """The rows on Spark's workers."""
    from tabserve.spark import source as sources  # noqa: PLC0415  needs PySpark
    from tabserve.spark import training_data  # noqa: PLC0415

    derived = read_table(arguments.data, arguments.weather)
    with dataset.derived_file(derived) as path:
        open_source, source = (
            sources.files(str(path)),
            partial(dataset.source, arguments.data, arguments.weather, derived),
        )
        with training_data.training_data(
            open_source, problem, source, rows=arguments.rows, workers=arguments.jobs, master=arguments.master
        ) as data:
            known = training.candidates(data.development, None, arguments.device)
            chosen = choose_candidates(known, arguments.candidates or ON_SPARK)
            yield data, [training.for_spark(candidate) for candidate in chosen], None


ENGINES = {"local": local_rows, "spark": spark_rows}


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, given = parser.add_argument, "FILE"
    add("--data", type=options.file, metavar=given, default=dataset.EXTRACT, help="table of flights (default: extract)")
    add("--weather", type=options.file, metavar=given, default=dataset.HOURLY, help="hourly (default: that of 2013)")
    add("--asked", type=options.names, default=[*PROBLEMS], help="before, departed, or both (default)")
    options.add_training(parser, KNOWN, default_out="build/flights", default_seed=BEFORE.seed)
    add("--engine", choices=ENGINES, default="local", help="what does the work (default: %(default)s)")
    options.add_master(parser)
    add("--device", choices=("cpu", "cuda"), default="cpu", help="XGBoost's device (default: %(default)s)")
    arguments = parser.parse_args()
    options.check_engine(parser, arguments, ["master"])
    if unknown := [*filter(lambda asked: asked not in PROBLEMS, arguments.asked)]:
        parser.error(f"argument --asked: expected {' or '.join(PROBLEMS)}, not {unknown[0]!r}")
    return arguments


if __name__ == "__main__":
    run.run(main)
