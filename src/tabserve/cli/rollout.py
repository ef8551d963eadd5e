"""The commands for rolling out a model and for monitoring it: `compare`, `drift` and `threshold`."""

import argparse
from pathlib import Path

from tabserve import files
from tabserve.cli import options
from tabserve.destination import check_apart, ending
from tabserve.errors import Drifted

COMPARE = (
    "Score the same rows by two model folders and say how many labels agree, which rows change theirs, and how"
    " far the probabilities are apart; of amounts, how many leave the old interval, and how far they are apart."
    " The models may have different columns and be of different kinds; target and id must be the same."
    " Where the rows have the target's column, also how much better or worse NEW is by its own criterion and"
    " every other measure of its task, with 95 % intervals of a paired bootstrap: let these be rows that"
    " neither model learned from. Without the column, a file may have any size."
)

DRIFT = (
    "Compare each column of new rows, and the model's scores for them, with the hold-out that the model folder"
    " keeps the quantiles of, and the shares of levels; values that repeat often are counted by themselves. A"
    " shift matters if its population stability index or its Kolmogorov-Smirnov statistic is above 0.1, and"
    " chance alone does not make it so. Levels that training did not see are named with their rows. The exit"
    " code is 6 if a shift matters."
)

THRESHOLD = (
    "Move the threshold of a model folder, from which on a row is called positive, and say what that does to"
    " precision, recall and flagged share. The model, its probabilities and its golden rows stay as they are;"
    " manifest and card say that the threshold was moved. Moving it back gives the same folder again, byte for"
    " byte."
)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `compare`, `drift` and `threshold` to the commands of `tabserve`."""
    _add_compare(commands)
    _add_drift(commands)
    _add_threshold(commands)


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "compare",
        help="compare two models on the same rows",
        description=COMPARE,
        epilog="example: tabserve compare deploy/model build/model --data labelled.csv --out changed.csv",
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="the model folder that is served")
    parser.add_argument("new", type=Path, metavar="NEW", help="the model folder that may take its place")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FILE",
        help="rows as .csv, .csv.gz, .parquet, or .zip with a train.csv",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="csv, csv.gz or parquet to write: each row whose label changes, or whose amount leaves the old interval",
    )
    parser.set_defaults(run=_compare)


def _add_drift(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "drift",
        help="compare new rows with those that a model was measured on",
        description=DRIFT,
        epilog="example: tabserve drift deploy/model --data new.csv --out drift.svg",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the model folder")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="FILE",
        help="rows as .csv, .csv.gz, .parquet, or .zip with a test.csv; of any size, labels are not looked at",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="svg to write: the largest shifts, drawn")
    parser.set_defaults(run=_drift)


def _add_threshold(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "threshold",
        help="move a model's threshold without training it again",
        description=THRESHOLD,
        epilog="example: tabserve threshold build/model 0.3 --data labelled.csv",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the model folder; it is replaced whole, or not")
    parser.add_argument("value", type=options.threshold, metavar="VALUE", help="the new threshold, from 0 to 1")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FILE",
        help=(
            "labelled rows that the model did not learn from, to measure on, with 95 %% bootstrap intervals (without"
            " them: the hold-out's figures in the folder, at the nearest hundredth)"
        ),
    )
    parser.set_defaults(run=_threshold)


def _compare(arguments: argparse.Namespace) -> None:
    check_apart([arguments.out], [arguments.data, arguments.old, arguments.new])
    if arguments.out:
        ending(arguments.out)
    from tabserve.model.model import load  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.operations import compare  # noqa: PLC0415  slow, or of the extra `train`

    old, new = load(arguments.old), load(arguments.new)
    comparison = compare.compare(old, new, arguments.data, arguments.out)
    print(f"{arguments.new} (new) against {arguments.old} (old), on {arguments.data}:")
    print(*compare.lines(comparison), sep="\n")
    if note := compare.column_note(old.problem, new.problem):
        print(note)
    if arguments.out:
        print(f"The rows that change are in {arguments.out}.")


def _drift(arguments: argparse.Namespace) -> None:
    check_apart([arguments.out], [arguments.data, arguments.folder])
    if arguments.out:
        ending(arguments.out, [".svg"])
    from tabserve.model.model import load  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.operations import drift  # noqa: PLC0415  slow, or of the extra `train`

    report = drift.drift(load(arguments.folder), arguments.data)
    print(f"{report.rows:,} rows of {arguments.data} against the reference of {arguments.folder}:")
    print(*drift.lines(report), sep="\n")
    if arguments.out:
        from tabserve.operations import drift_figure  # noqa: PLC0415  takes seconds to import

        with files.whole(arguments.out) as temporary:
            drift_figure.draw(report).savefig(temporary, format="svg")
    if drifted := report.drifted:
        raise Drifted(f"{len(drifted)} of {len(report.shifts)} distributions drifted: {drift.names(drifted)}.")
    print("No distribution drifted.")


def _threshold(arguments: argparse.Namespace) -> None:
    from tabserve.model.decision import threshold_of  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.model.model import check_place, load_binary  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.operations import move_threshold  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.table.frame_reader import read_to_measure  # noqa: PLC0415  slow, or of the extra `train`

    folder, value = arguments.folder, arguments.value
    check_apart([folder], [arguments.data])
    model = load_binary(folder)
    if arguments.data:
        check_place(folder)
        labelled = read_to_measure(arguments.data, model.problem, model.encoder)
        lines = [f"On {len(labelled):,} rows of {arguments.data}, with 95 % bootstrap intervals:"]
        lines += move_threshold.compare_on_rows(model, value, labelled)
    else:
        lines = [
            "On the hold-out, by the figures that the folder keeps:",
            *move_threshold.compare_on_holdout(model, value),
        ]
        lines.append("Intervals, and figures of other rows, need labelled ones: --data FILE.")
    old_value = threshold_of(model.decision)
    move_threshold.move(folder, value)
    print(f"The threshold of {folder} is {value} now; it was {old_value}.")
    print(*lines, sep="\n")
