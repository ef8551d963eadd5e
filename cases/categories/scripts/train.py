"""Choose a classifier of product titles honestly and save it as one verified folder.

read → hold out sellers → select → refit → choose the temperature → evaluate → save
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd

from categories import card, training
from categories.candidates import candidates
from categories.dataset import dataset
from categories.problem import PROBLEM, TAGS
from tabserve.cli import options, run
from tabserve.destination import check_apart, ending
from tabserve.errors import UsageError
from tabserve.files import whole
from tabserve.model.decision import class_scores
from tabserve.model.model import CARD, Model, check_place, save, versions
from tabserve.reports import tables
from tabserve.training import multiclass
from tabserve.training.selection import Candidate, select, servable
from tabserve.training.split import hold_out

KNOWN = [*candidates(PROBLEM.seed, 1)]

EPILOG = f"""variables: DATASET_PATH, MODEL_PATH and METRICS_PATH say the same as --data, --out and --metrics

candidates: {", ".join(KNOWN)}

exit codes: 0 saved, 2 wrong option, 3 the table cannot be used, 4 the folder cannot be written, 130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Train as the command line asks."""
    arguments = parsed()
    check_apart([arguments.out, arguments.metrics], [arguments.data])
    if arguments.metrics:
        ending(arguments.metrics, [".json", ".txt"])
    competing = chosen(arguments.candidates, arguments.seed, arguments.jobs)
    check_place(arguments.out)
    columns = (*PROBLEM.columns, TAGS) if arguments.tags else PROBLEM.columns
    data = dataset(arguments.data, arguments.rows, replace(PROBLEM, seed=arguments.seed, columns=columns))
    pd.set_option("display.width", 120)

    development, holdout = hold_out(data.products)
    print(f"Training on {len(development):,} products ({data.source}); {len(holdout):,} are held out.\n", flush=True)
    selection = select(development, competing)
    print(tables.selection_table(selection).drop(columns="trees").to_string(), "\n")
    found = training.splits(data, selection)
    print(training.splits_table(found).to_string(), "\n")

    predictor, decision = selection.refit(), selection.decision
    answers = class_scores(decision.scores(predictor.raw(holdout.features)))
    metrics = training.metrics(selection, found, holdout, answers)
    print(multiclass.by_class(holdout.target, answers.probability, holdout.problem.labels).round(4).to_string(), "\n")

    model = Model(holdout.problem, holdout.encoder, predictor, decision, metrics, training.provenance(data), versions())
    save(arguments.out, model, predictor.examples(holdout.features), card.written(model))
    if arguments.metrics:
        with whole(arguments.metrics) as path:
            path.write_text(json.dumps(metrics["classes"], indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"Saved {metrics['winner']} in {arguments.out}; its card is {arguments.out / CARD}.")


def chosen(names: list[str], seed: int, jobs: int) -> list[Candidate]:
    """The candidates of these names.

    Raises:
        UsageError: a name is not known, or none of them can be served.
    """
    known = candidates(seed, jobs)
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"There is no candidate {unknown[0]!r}; choose from {', '.join(known)}.")
    found = [known[name] for name in names]
    servable(found)
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, variable = parser.add_argument, os.environ.get
    place = variable("MODEL_PATH") or "build/categories"
    add("--data", type=Path, metavar="FILE", default=variable("DATASET_PATH"), help="labelled table (default: sample)")
    add("--out", type=Path, default=place, metavar="FOLDER", help="model folder (default: %(default)s)")
    add("--metrics", type=Path, default=variable("METRICS_PATH"), metavar="FILE", help="JSON of figures per category")
    add("--rows", type=options.count, metavar="N", help="rows to use, drawn stratified by category (default: all)")
    add("--tags", action="store_true", help="learn from the tags too, where a product has some")
    add("--candidates", type=options.names, default=KNOWN, metavar="NAMES", help="which (default: all)")
    add("--seed", type=options.seed, default=PROBLEM.seed, help="of sample, splits and models (default: %(default)s)")
    add("--jobs", type=options.threads, default=os.cpu_count(), metavar="N", help="threads (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    run.run(main)
