"""`tabserve score`: score a file of any size with a model folder, without a server."""

import argparse
from pathlib import Path

from tabserve import destination
from tabserve.cli import options

EPILOG = """columns of the output, beside the id (or the number of the row from 1, as `row`):
  two labels      label, probability (of the positive one)
  several labels  label, and probability_LABEL for each
  an amount       prediction, low, high (the interval that holds nine in ten)
labels are texts, spelled as in the training table

examples:
  tabserve score build/model --data new.csv --out scores.csv
  tabserve score build/model --data new.csv --out scores.parquet

exit codes: 0 written, 1 not enough memory, 2 wrong option, 3 a row cannot be used or the output cannot be written,
4 bad model folder, 130 Ctrl-C, 143 SIGTERM; the output appears whole or not at all
"""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `score` to the commands of `tabserve`."""
    parser = commands.add_parser(
        "score",
        help="score a file of any size without a server",
        description="Write what a model folder answers to each row of a file, in constant memory.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("folder", type=options.folder, metavar="FOLDER", help="the model folder")
    add(
        "--data",
        type=options.file,
        required=True,
        metavar="FILE",
        help="rows as .csv, .csv.gz, Kaggle's .zip or .parquet; a target column is ignored",
    )
    add(
        "--out",
        type=options.file,
        required=True,
        metavar="FILE",
        help=".csv, .csv.gz or .parquet to write; an earlier one is replaced",
    )
    parser.set_defaults(run=lambda arguments: print(score(arguments.folder, arguments.data, arguments.out)))


def score(folder: Path, data: Path, out: Path) -> str:
    """Score a file; returns a sentence about its rows.

    Raises:
        DataError: the output is or lies in an input, a row cannot be used, or the output cannot be written.
        UsageError: the output's name has an ending of no table.
        ArtifactError: the model folder is not whole.
    """
    destination.check_apart([out], [data, folder])
    destination.ending(out)
    from tabserve.model.model import load  # noqa: PLC0415  XGBoost takes seconds to import
    from tabserve.score import score_file  # noqa: PLC0415  Arrow is not installed everywhere

    return f"Scored {score_file(load(folder), data, out):,} rows into {out}."
