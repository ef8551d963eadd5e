"""Choose a classifier of product titles honestly and save it as one verified folder.

read → hold out sellers → select → refit → choose the temperature → evaluate → save
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd

from categories import training
from categories.candidates import candidates
from categories.dataset import dataset
from categories.problem import PROBLEM, TAGS
from tabserve.cli import options, run
from tabserve.destination import check_apart, ending
from tabserve.files import whole
from tabserve.model.model import CARD, check_place
from tabserve.reports import tables
from tabserve.stations import TrainingData
from tabserve.training.candidate import choose_candidates

KNOWN = [*candidates(PROBLEM.seed, 1)]

EPILOG = """variables: DATASET_PATH, MODEL_PATH and METRICS_PATH are the defaults of --data, --out and --metrics

exit codes: 0 saved, 2 wrong option, 3 the table cannot be used, 4 the folder cannot be written, 130 Ctrl-C, 143 SIGTERM
"""


def main() -> None:
    """Train a model as the command line asks."""
    arguments = parse_arguments()
    check_apart([arguments.out, arguments.metrics], [arguments.data])
    if arguments.metrics:
        ending(arguments.metrics, [".json", ".txt"])
    known = candidates(arguments.seed, arguments.jobs or os.cpu_count() or 1)
    competing = choose_candidates(known, arguments.candidates or KNOWN)
    check_place(arguments.out)
    columns = (*PROBLEM.columns, TAGS) if arguments.tags else PROBLEM.columns
    rows = dataset(arguments.data, arguments.rows, replace(PROBLEM, seed=arguments.seed, columns=columns))
    pd.set_option("display.width", 120)

    data = TrainingData.of(rows.products, rows.source, synthetic=rows.synthetic)
    development, held_out = len(data.development), len(data.holdout)
    print(f"Training on {development:,} products ({rows.source}); {held_out:,} are held out.\n", flush=True)
    selection = data.select(competing)
    print(tables.selection_table(selection).drop(columns="trees").to_string(), "\n")
    splits = training.splits(rows, selection)
    print(tables.statistics_table(splits).to_string(), "\n")
    model = data.evaluate(selection, selection.refit(), {"splits": splits})
    data.save(model, arguments.out, training.WORDS)
    classes = model.metrics["classes"]
    print(pd.DataFrame.from_dict(classes, orient="index").round(4).to_string(), "\n")
    if arguments.metrics:
        with whole(arguments.metrics) as path:
            path.write_text(json.dumps(classes, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"Saved {model.metrics['winner']} in {arguments.out}; its card is {arguments.out / CARD}.")


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, variable = parser.add_argument, os.environ.get
    add("--data", type=Path, metavar="FILE", default=variable("DATASET_PATH"), help="labelled table (default: sample)")
    folder = variable("MODEL_PATH") or "build/categories"
    options.add_training(parser, KNOWN, default_out=folder, default_seed=PROBLEM.seed)
    add("--metrics", type=Path, default=variable("METRICS_PATH"), metavar="FILE", help="JSON of figures per category")
    add("--tags", action="store_true", help="learn from the tags too, where a product has some")
    return parser.parse_args()


if __name__ == "__main__":
    run.run(main)
