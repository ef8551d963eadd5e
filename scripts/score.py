"""Score a table of any size with a model folder: what the model answers to each row, in constant memory.

On this machine a file becomes a file; on Spark a file, a folder of files or a table becomes a folder of files.
"""

import argparse
from pathlib import Path

from tabserve import destination
from tabserve.cli import options, run, score

EPILOG = """examples:
  python scripts/score.py --data test.csv --out scores.csv
  python scripts/score.py --model build/model --data rows.parquet --out scores.csv
  .venv-spark/bin/python scripts/score.py --engine spark --data rows/ --out scores/ --rejects rejects/
  .venv-spark/bin/python scripts/score.py --engine spark --table sales.customers --out s3a://bucket/scores --master yarn

exit codes: 0 written, 1 not enough memory, 2 wrong option, or no Spark or Java, 3 a row cannot be used or the output
cannot be written, 4 bad model folder, 7 Spark failed, 130 Ctrl-C, 143 SIGTERM; the output appears whole or not at all
"""

SPARK_ONLY = ("table", "rejects", "overwrite", "master")
"""Options that only Spark has."""


def main() -> None:
    """Score the table, and print how many rows it had."""
    arguments = parse_arguments()
    destination.check_apart([arguments.out, arguments.rejects], [arguments.data, arguments.model])
    print(ENGINES[arguments.engine](arguments))


def score_locally(arguments: argparse.Namespace) -> str:
    """Score a file; returns a sentence about its rows."""
    return score.score(arguments.model, Path(arguments.data), Path(arguments.out))


def score_on_spark(arguments: argparse.Namespace) -> str:
    """Score files or a table; returns a sentence about their rows."""
    from tabserve.spark import score as spark  # noqa: PLC0415  needs PySpark
    from tabserve.spark import source  # noqa: PLC0415

    read = source.table(arguments.table) if arguments.table else source.files(arguments.data)
    rows, rejected = spark.score_table(
        arguments.model,
        read,
        arguments.out,
        arguments.rejects,
        overwrite=arguments.overwrite,
        master=arguments.master,
    )
    bad = f" {rejected:,} bad rows are listed in {arguments.rejects}." if arguments.rejects else ""
    return f"Scored {rows:,} rows into {arguments.out}.{bad}"


ENGINES = {"local": score_locally, "spark": score_on_spark}


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_rows(parser)
    _add_outputs(parser)
    parser.add_argument("--engine", choices=ENGINES, default="local", help="what does the work (default: %(default)s)")
    options.add_master(parser)
    arguments = parser.parse_args()
    options.check_engine(parser, arguments, SPARK_ONLY)
    return arguments


def _add_rows(parser: argparse.ArgumentParser) -> None:
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument(
        "--data",
        type=options.path,
        metavar="FILE",
        help="rows as .csv, .csv.gz, Kaggle's .zip or .parquet; on Spark also a folder or an address, and no .zip",
    )
    rows.add_argument(
        "--table", type=options.printable, metavar="NAME", help="rows of a table that Spark knows by this name"
    )
    parser.add_argument(
        "--model",
        type=options.folder,
        default=Path("deploy/model"),
        metavar="FOLDER",
        help="model folder (default: %(default)s)",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--out",
        type=options.path,
        required=True,
        metavar="FILE",
        help=".csv, .csv.gz or .parquet to write, an earlier one is replaced; on Spark a folder (parquet)",
    )
    add(
        "--rejects",
        type=options.path,
        metavar="FOLDER",
        help="Spark: folder to list bad rows in (csv, or as its ending says); without it the first one ends the job",
    )
    add("--overwrite", action="store_true", help="Spark: replace earlier outputs")


if __name__ == "__main__":
    run.run(main)
