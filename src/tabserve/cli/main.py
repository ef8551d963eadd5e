"""The `tabserve` command: it parses the command line and calls the operation."""

import argparse
from importlib.metadata import version
from pathlib import Path

from tabserve.cli import ask, pack, rollout, run, score, serve, train
from tabserve.errors import UsageError

WORDS = (train, serve, ask, score, pack)
"""The modules of a command each, in the order of the help."""

EPILOG = """examples:
  tabserve train churn.csv --target churned
  tabserve serve build/churn
  tabserve ask --data new.csv
  tabserve score build/churn --data new.csv --out scores.csv
  tabserve check build/churn

exit codes: 0 done, 1 not enough memory, 2 wrong usage, 3 a table cannot be used or a file cannot be written, 4 bad
model folder, 5 the server cannot start or does not answer, 6 drift was found, 130 Ctrl-C, 143 SIGTERM (serve: 0, from
its start on)
"""


def main() -> None:
    """Run the command that the command line names."""
    run.run(_main)


def _main() -> None:
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"This needs {error.name}, which is not installed; tabserve's extra `serve` brings what `serve` needs, and"
            " `train` what the other commands need."
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tabserve",
        description=(
            "Train a model on any table, serve it over the V2 inference protocol (REST and gRPC), ask it, update it."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="version", version=f"tabserve {version('tabserve')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for word in WORDS:
        word.add(commands)
    _add_check(commands)
    rollout.add(commands)
    return parser


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="verify a model folder",
        description=(
            "Verify a model folder as the server does at its start: format version, checksums, objective, feature"
            " order, threshold, and the probabilities of its golden rows; of a model over texts its weights, and those"
            " of its golden texts."
        ),
        epilog="example: tabserve check deploy/model",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the model folder")
    parser.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> None:
    from tabserve.operations import check  # noqa: PLC0415  XGBoost takes seconds to import

    print(*check.lines(arguments.folder), sep="\n")
