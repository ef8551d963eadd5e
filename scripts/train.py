"""Select a model honestly and save it as one verified folder.

read → hold out → select → refit → choose the threshold → evaluate → save
"""

import argparse
import os
from pathlib import Path

from santander.candidates import candidates, chosen
from santander.dataset import dataset
from santander.problem import PROBLEM
from tabserve import artifact, card, command, report
from tabserve.evaluation import bootstrap
from tabserve.scoring import probabilities
from tabserve.selection import select
from tabserve.split import hold_out

KNOWN = [*candidates(PROBLEM.seed, 1)]

EPILOG = """examples:
  python scripts/train.py                              the synthetic sample, all candidates, build/model
  python scripts/train.py --data train.csv             Kaggle's table
  python scripts/train.py --rows 20000 --candidates xgboost-stumps,logistic-regression,dummy

exit codes: 0 saved, 2 wrong option, 3 the table cannot be used, 4 the folder cannot be written, 130 Ctrl-C
"""


def main() -> None:
    """Train as the command line asks."""
    arguments = parsed()
    competing = chosen(candidates(arguments.seed, arguments.jobs, arguments.device), arguments.candidates)
    artifact.check_place(arguments.out)
    frame, source, synthetic = dataset(arguments.data, arguments.rows, arguments.seed)

    development, holdout = hold_out(frame)
    selection = select(development, competing)
    print(report.selection_table(selection).to_string(), "\n")

    booster, threshold = selection.refit(), selection.threshold
    probability = probabilities(booster, holdout.features)
    evaluation = bootstrap(holdout.target, probability, threshold, frame.problem.criterion, frame.problem.seed)
    print(report.evaluation_table(evaluation).to_string(), "\n")

    model = artifact.Model(
        booster,
        frame.problem,
        threshold,
        metrics=report.metrics(selection, evaluation),
        data=report.provenance(frame, source, synthetic=synthetic),
        versions=artifact.versions(),
    )
    artifact.save(arguments.out, model, artifact.golden_rows(development.features), card.written(model))
    winner = selection.winner.candidate.name
    print(f"Saved {winner}, the best that can be served, at threshold {threshold:.4f} in {arguments.out}.")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option(
        "--data", type=Path, metavar="FILE", help="labelled .csv, .csv.gz, Kaggle's .zip or .parquet (default: sample)"
    )
    option("--rows", type=positive, metavar="N", help="rows to use, drawn stratified by target (default: all)")
    option(
        "--out", type=Path, default=Path("build/model"), metavar="FOLDER", help="model folder (default: %(default)s)"
    )
    option("--seed", type=seed, default=PROBLEM.seed, help="of sample, splits and models (default: %(default)s)")
    option(
        "--candidates",
        type=names,
        default=[*KNOWN],
        metavar="NAMES",
        help=f"which, of {', '.join(KNOWN)} (default: all)",
    )
    option(
        "--jobs", type=positive, default=os.cpu_count(), metavar="N", help="threads (default: one a core, %(default)s)"
    )
    option("--device", choices=("cpu", "cuda"), default="cpu", help="XGBoost's device (default: %(default)s)")
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Names between commas, for argparse."""
    return [name.strip() for name in text.split(",") if name.strip()]


def seed(text: str) -> int:
    """A whole number that every library takes as seed, for argparse."""
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {2**32 - 1}, not {text}")
    return number


def positive(text: str) -> int:
    """A whole number above zero, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, not {text}")
    return number


if __name__ == "__main__":
    command.run(main)
