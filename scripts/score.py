"""Score a table of any size with a model folder: label and probability of each row, in constant memory."""

from tabserve import command  # first: from here on Ctrl-C ends quietly what takes seconds to import

# isort: split
import argparse
from pathlib import Path

from tabserve import artifact
from tabserve.bulk import score_file

EPILOG = """examples:
  python scripts/score.py --data test.csv --out scores.csv
  python scripts/score.py --model build/model --data rows.parquet --out scores.csv

exit codes: 0 written, 1 not enough memory, 2 wrong option, 3 a row cannot be used or the output cannot be written,
4 bad model folder, 130 Ctrl-C, 143 SIGTERM; the output appears whole or not at all
"""


def main() -> None:
    """Score as the command line asks."""
    arguments = parsed()
    rows = score_file(artifact.load(arguments.model), arguments.data, arguments.out)
    print(f"Scored {rows:,} rows into {arguments.out}.")


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FILE", help="rows as .csv, .csv.gz, Kaggle's .zip or .parquet")
    add("--out", type=Path, required=True, metavar="FILE", help="csv to write; an earlier one is replaced")
    add(
        "--model", type=Path, default=Path("deploy/model"), metavar="FOLDER", help="model folder (default: %(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    command.run(main)
