"""Select a model honestly and save it as one verified folder.

read → hold out → select → refit → choose the threshold → evaluate → save
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from santander.candidates import WINNER, candidates
from santander.dataset import dataset, sample_file, source
from santander.problem import PROBLEM
from tabserve.cli import options, run
from tabserve.destination import check_apart
from tabserve.model.decision import threshold_of
from tabserve.model.model import CARD, check_place
from tabserve.reports import tables
from tabserve.stations import TrainingData
from tabserve.training.candidate import Candidate, choose_candidates
from tabserve.training.device import check_device

KNOWN = [*candidates(PROBLEM.seed, 1)]

DEFAULT_CANDIDATES = {"local": KNOWN, "spark": [WINNER]}
"""The candidates of each engine if the command line names none."""

SPARK_ONLY = ("table", "master")
"""Options that only Spark has."""

SHOWN_COLUMNS = [tables.TITLES[name] for name in (PROBLEM.criterion.name, "f1_at_half", "average_precision", "roc_auc")]
SHOWN_COLUMNS += ["fit s", "trees"]
"""Columns of the table of candidates; more would not fit on a terminal."""

EPILOG = f"""on Spark --jobs are workers, and the candidate is {WINNER} unless others are named

examples:
  python scripts/train.py                              the synthetic sample, all candidates, build/model
  python scripts/train.py --data train.csv             Kaggle's table
  python scripts/train.py --rows 20000 --candidates xgboost-stumps,logistic-regression,dummy
  python scripts/train.py --engine spark --data rows.parquet --master spark://host:7077
  python scripts/train.py --engine spark --table sales.customers

exit codes: 0 saved, 1 not enough memory, 2 wrong option, 3 the table cannot be used, 4 the folder cannot be written,
7 Spark failed, 130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Train a model and save it, and print the measures."""
    arguments = parse_arguments()
    check_apart([arguments.out], [arguments.data])
    known = candidates(arguments.seed, arguments.jobs or os.cpu_count() or 1, arguments.device)
    competing = choose_candidates(known, arguments.candidates or DEFAULT_CANDIDATES[arguments.engine])
    check_device(arguments.device)
    check_place(arguments.out)
    with ENGINES[arguments.engine](arguments, competing) as data:
        names, provenance = ", ".join(candidate.name for candidate in competing), data.provenance
        print(f"Training on {provenance['rows']:,} rows ({provenance['source']}); candidates: {names}.\n", flush=True)
        selection = data.select(competing)
        print(tables.selection_table(selection)[SHOWN_COLUMNS].to_string(), "\n")
        model = data.save(data.evaluate(selection, selection.refit()), arguments.out)
    print(tables.evaluation_table(model.metrics["holdout"]).to_string(), "\n")
    print(f"Every measure of every candidate stands in {arguments.out / CARD}.")
    winner = f"{model.metrics['winner']}, the best that can be served,"
    print(f"Saved {winner} at threshold {threshold_of(model.decision):.4f} in {arguments.out}.")


@contextmanager
def local_data(arguments: argparse.Namespace, _competing: Sequence[Candidate]) -> Iterator[TrainingData]:
    """The training data in memory."""
    path = Path(arguments.data) if arguments.data else None
    frame, origin, synthetic = dataset(path, arguments.rows, arguments.seed)
    yield TrainingData.of(frame, origin, synthetic=synthetic)


@contextmanager
def spark_data(arguments: argparse.Namespace, competing: Sequence[Candidate]) -> Iterator[TrainingData]:
    """The training data on Spark's workers."""
    from tabserve.spark import estimator, training_data  # noqa: PLC0415  needs PySpark
    from tabserve.spark import source as sources  # noqa: PLC0415

    problem, named = replace(PROBLEM, seed=arguments.seed), arguments.table or arguments.data
    estimator.check(competing, problem)
    with ExitStack() as stack:
        name = named or stack.enter_context(sample_file(arguments.rows, arguments.seed))
        yield stack.enter_context(
            training_data.training_data(
                sources.table(name) if arguments.table else sources.files(name),
                problem,
                partial(source, named),
                synthetic=named is None,
                rows=arguments.rows,
                workers=arguments.jobs,
                master=arguments.master,
            )
        )


ENGINES = {"local": local_data, "spark": spark_data}


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, rows = parser.add_argument, parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--data",
        type=options.path,
        metavar="FILE",
        help="labelled .csv, .csv.gz, Kaggle's .zip or .parquet; on Spark also a folder or an address, and no .zip"
        " (default: sample)",
    )
    rows.add_argument(
        "--table", type=options.printable, metavar="NAME", help="Spark: a labelled table that it knows by this name"
    )
    options.add_training(parser, KNOWN, default_out="build/model", default_seed=PROBLEM.seed)
    add("--engine", choices=ENGINES, default="local", help="what does the work (default: %(default)s)")
    options.add_master(parser)
    add("--device", choices=("cpu", "cuda"), default="cpu", help="XGBoost's device (default: %(default)s)")
    arguments = parser.parse_args()
    options.check_engine(parser, arguments, SPARK_ONLY)
    return arguments


if __name__ == "__main__":
    run.run(main)
