"""Select a model honestly and save it as one verified folder.

read → hold out → select → refit → choose the threshold → evaluate → save
"""

from tabserve.cli import run  # first: from here on Ctrl-C ends quietly what takes seconds to import

# isort: split
import argparse
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from santander.candidates import WINNER, candidates, check_device, chosen
from santander.engine import Ground, local, spark
from santander.problem import PROBLEM
from tabserve.cli import options
from tabserve.destination import check_apart
from tabserve.model.decision import class_scores, threshold_of
from tabserve.model.model import CARD, Model, check_place, save
from tabserve.model.reference import Reference
from tabserve.reports import card, tables
from tabserve.training.beside import beside
from tabserve.training.binary import curve
from tabserve.training.selection import Candidate, select
from tabserve.training.task_training import training_of

KNOWN = [*candidates(PROBLEM.seed, 1)]

FITTED = {"local": KNOWN, "spark": [WINNER]}
"""The candidates of each engine when none are named."""

SPARKS = ("table", "master")
"""Options that mean something on Spark alone."""

SHOWN = [tables.TITLES[name] for name in (PROBLEM.criterion.name, "f1_at_half", "average_precision", "roc_auc")]
SHOWN += ["fit s", "trees"]
"""Columns of the table of candidates that fit beside each other on a terminal."""

EPILOG = """examples:
  python scripts/train.py                              the synthetic sample, all candidates, build/model
  python scripts/train.py --data train.csv             Kaggle's table
  python scripts/train.py --rows 20000 --candidates xgboost-stumps,logistic-regression,dummy
  python scripts/train.py --engine spark --data rows.parquet --master spark://host:7077
  python scripts/train.py --engine spark --table sales.customers

exit codes: 0 saved, 1 not enough memory, 2 wrong option, 3 the table cannot be used, 4 the folder cannot be written,
7 Spark failed, 130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Train as the command line asks."""
    arguments = parsed()
    check_apart([arguments.out], [arguments.data])
    known = candidates(arguments.seed, arguments.jobs or os.cpu_count() or 1, arguments.device)
    competing = chosen(known, arguments.candidates or FITTED[arguments.engine])
    check_device(arguments.device)
    check_place(arguments.out)
    with ENGINES[arguments.engine](arguments, competing) as (development, holdout, fitting, cells, data, versions):
        names = ", ".join(candidate.name for candidate in competing)
        print(f"Training on {data['rows']:,} rows ({data['source']}); candidates: {names}.\n", flush=True)
        selection = select(development, fitting)
        print(tables.selection_table(selection)[SHOWN].to_string(), "\n")
        predictor, decision = selection.refit(), selection.decision

    problem, threshold = holdout.problem, threshold_of(decision)
    answers = class_scores(decision.scores(predictor.raw(holdout.features)))
    probability = answers.probability
    evaluation = training_of(problem).evaluate(holdout.target, answers, decision, seed=problem.seed)
    print(tables.evaluation_table(evaluation).to_string(), "\n")

    model = Model(
        problem,
        holdout.encoder,
        predictor,
        decision,
        metrics=tables.metrics(selection, evaluation)
        | curve(holdout.target, probability)
        | beside(development, holdout, answers),
        data={**data, **Reference.of(problem, holdout.encoder, holdout.features, probability).described()},
        versions=versions,
    )
    save(arguments.out, model, predictor.examples(cells), card.written(model))
    winner = selection.winner.candidate.name
    print(f"Every measure of every candidate stands in {arguments.out / CARD}.")
    print(f"Saved {winner}, the best that can be served, at threshold {threshold:.4f} in {arguments.out}.")


def on_this_machine(arguments: argparse.Namespace, competing: Sequence[Candidate]) -> AbstractContextManager[Ground]:
    """The table in memory."""
    path = Path(arguments.data) if arguments.data else None
    return local(path, arguments.rows, arguments.seed, competing)


def on_spark(arguments: argparse.Namespace, competing: Sequence[Candidate]) -> AbstractContextManager[Ground]:
    """The table with Spark's workers."""
    rows = (arguments.data, arguments.rows, arguments.seed)
    return spark(*rows, competing, table=arguments.table, workers=arguments.jobs, master=arguments.master)


ENGINES = {"local": on_this_machine, "spark": on_spark}


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, rows = parser.add_argument, parser.add_mutually_exclusive_group()
    rows.add_argument(
        "--data",
        type=options.place,
        metavar="FILE",
        help="labelled .csv, .csv.gz, Kaggle's .zip or .parquet; on Spark also a folder or an address, and no .zip"
        " (default: sample)",
    )
    rows.add_argument(
        "--table", type=options.word, metavar="NAME", help="Spark: a labelled table that it knows by this name"
    )
    add("--rows", type=options.count, metavar="N", help="rows to use, drawn stratified by target (default: all)")
    add(
        "--out",
        type=options.folder,
        default=Path("build/model"),
        metavar="FOLDER",
        help="model folder (default: %(default)s)",
    )
    add("--seed", type=options.seed, default=PROBLEM.seed, help="of sample, splits and models (default: %(default)s)")
    add(
        "--candidates",
        type=options.names,
        metavar="NAMES",
        help=f"which, of {', '.join(KNOWN)} (default: all; on Spark {WINNER})",
    )
    add(
        "--jobs",
        type=options.threads,
        metavar="N",
        help="threads, or Spark's workers (default: one a core)",
    )
    add("--engine", choices=ENGINES, default="local", help="what does the work (default: %(default)s)")
    options.add_master(parser)
    add("--device", choices=("cpu", "cuda"), default="cpu", help="XGBoost's device (default: %(default)s)")
    arguments = parser.parse_args()
    options.check_engine(parser, arguments, SPARKS)
    return arguments


if __name__ == "__main__":
    run.run(main)
