"""Draw README's picture from the committed model folder: every candidate's F1 over the folds."""

import argparse
from pathlib import Path

import matplotlib as mpl

from tabserve.cli import run
from tabserve.destination import check_apart, ending
from tabserve.files import whole
from tabserve.model.model import load_binary
from tabserve.reports import figures


def main() -> None:
    """Draw the picture; the same model gives the same file, byte for byte."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="exit codes: 0 drawn, 2 wrong option, 3 not written, 4 bad model folder"
    )
    parser.add_argument(
        "--model", type=Path, default=Path("deploy/model"), metavar="FOLDER", help="model folder (default: %(default)s)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("docs/candidates.svg"),
        metavar="FILE",
        help="svg to write (default: %(default)s)",
    )
    arguments = parser.parse_args()
    check_apart([arguments.out], [arguments.model])
    ending(arguments.out, [".svg"])
    mpl.rcParams["svg.hashsalt"] = "tabserve"
    model = load_binary(arguments.model)
    figure = figures.candidates(model.metrics, model.problem.task.ranked_by)
    with whole(arguments.out) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None}, facecolor="white")


if __name__ == "__main__":
    run.run(main)
