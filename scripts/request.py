"""Ask a served model about ten synthetic rows, or the rows of a table; `tabserve ask` with rows to begin with."""

import argparse
from pathlib import Path

from tabserve.cli import ask, run

EPILOG = """examples:
  python scripts/request.py
  python scripts/request.py --data test.csv --rows 1000 --json
  python scripts/request.py --protocol grpc --outputs predict_proba

"""


def main() -> None:
    """Ask the server about the rows, and print its answers."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG + ask.EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ask.add_options(parser, Path(__file__).with_name("rows.csv"))
    ask.ask(parser.parse_args())


if __name__ == "__main__":
    run.run(main)
