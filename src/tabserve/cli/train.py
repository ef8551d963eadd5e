"""`tabserve train`: look at a table, say what it holds, train, and save the model folder."""

import argparse
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabserve.cli import options
from tabserve.destination import check_apart
from tabserve.errors import UsageError
from tabserve.wording import listed

if TYPE_CHECKING:
    from tabserve.plan.plan import Plan
    from tabserve.table.source import Source

EXAMPLES = """examples:
  tabserve train churn.csv --target churned
  tabserve train churn.csv --target churned --look --plan churn.toml
  tabserve train churn.toml
  tabserve train hotels.csv --target price --time night --drop url photo --metric mae --minutes 10

exit codes: 0 saved, 1 not enough memory, 2 wrong option, 3 the table cannot be used, or --strict and a caution,
4 the folder cannot be written, 130 Ctrl-C, 143 SIGTERM
"""

LISTS = {
    "number": ("NAMES", "columns of numbers"),
    "category": ("NAMES", "columns of categories"),
    "date": ("NAMES", "columns of ISO 8601 dates"),
    "text": ("NAMES", "columns of text, which then are the only features"),
    "drop": ("NAMES", "columns to leave out"),
    "missing": ("SPELLINGS", "an empty cell, such as ? or -999"),
}
"""The options that take several values, separated by spaces or commas."""

TEXTS = {
    "id": ("NAME", "column that names each row"),
    "group": ("NAME", "column whose rows of one value stay together in every split"),
    "time": ("NAME", "column that says when each row was: the latest rows are held out, folds go forward"),
    "positive": ("LABEL", "the label to look for, of two (default: the rarer one)"),
    "task": ("TASK", "binary, multiclass or regression"),
    "other-label": ("LABEL", "pools the labels of too few rows under this one"),
    "metric": ("NAME", "what ranks the candidates, such as roc_auc, macro_f1 or mae"),
    "name": ("NAME", "of the problem, and of the folder in build (default: the file's name)"),
}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `train` to the commands of `tabserve`."""
    parser = commands.add_parser(
        "train",
        help="train a model on any table",
        description=(
            "Look at a table, say what it holds and what makes figures lie, compare candidates honestly, and save the\n"
            "best in a verified folder with its card and report. Every guess can be changed by an option."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "table", type=options.file, metavar="TABLE", help="csv or parquet file, or a plan that --plan wrote"
    )
    _add_table(parser.add_argument_group("what the table holds (a plan says all of it)"))
    _add_run(parser.add_argument_group("the run"))
    parser.set_defaults(run=_train)


def _add_table(group: "argparse._ArgumentGroup") -> None:
    """Add the options whose values a plan holds; each is None unless it is named."""
    group.add_argument("--target", type=options.printable, metavar="NAME", help="the column to predict")
    for name, (metavar, meaning) in LISTS.items():
        group.add_argument(
            f"--{name}", type=options.printable, nargs="+", action="extend", metavar=metavar, help=meaning
        )
    for name, (metavar, meaning) in TEXTS.items():
        group.add_argument(f"--{name}", type=options.printable, metavar=metavar, help=meaning)
    group.add_argument("--delimiter", metavar="SIGN", help="between the cells of a csv (default: found out)")
    group.add_argument(
        "--decimal", choices=(".", ","), metavar="SIGN", help="before decimals in a csv: . or , (default: found out)"
    )
    group.add_argument("--drop-empty-target", action="store_true", default=None, help="leave rows without a target out")
    group.add_argument(
        "--costs", type=options.costs, metavar="FP,FN", help="of a false positive and a false negative, as 1,10"
    )
    group.add_argument("--seed", type=options.seed, metavar="N", help="of splits and models (default: 42)")


def _add_run(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--out", type=options.folder, metavar="FOLDER", help="model folder (default: build/<name>)")
    group.add_argument(
        "--plan", type=options.plan, metavar="FILE", help="toml to write: all of the above, found out or named"
    )
    group.add_argument("--look", action="store_true", help="end after saying what the table holds")
    group.add_argument("--strict", action="store_true", help="end with an error if there is a caution")
    group.add_argument("--show-rows", action="store_true", help="show cells of single rows in the report")
    group.add_argument("--jobs", type=options.threads, metavar="N", help="threads (default: one a core)")
    group.add_argument(
        "--minutes", type=options.minutes, metavar="N", help="end the selection after so many, with the best so far"
    )
    group.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="XGBoost's device (default: %(default)s)"
    )


def _train(arguments: argparse.Namespace) -> None:
    from tabserve.model.model import check_place  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.plan import look, plan_file  # noqa: PLC0415
    from tabserve.trained import check_strict, default_folder  # noqa: PLC0415

    check_apart([arguments.out, arguments.plan], [arguments.table])
    plan = _make_plan(arguments)
    print(*look.lines(plan), sep="\n", flush=True)
    if arguments.plan:
        plan_file.write(plan, arguments.plan)
        print(f"\nThe plan is in {arguments.plan}. Edit it, and train by it: tabserve train {arguments.plan}")
    if arguments.look:
        print(*look.caution_lines(plan.cautions), sep="\n", flush=True)
        if arguments.strict:
            check_strict(plan, plan.cautions)
        return
    out = arguments.out or default_folder(plan)
    check_place(out)
    _fit(arguments, plan, out)


def _fit(arguments: argparse.Namespace, plan: "Plan", out: Path) -> None:
    """Train by a plan, print the results between the steps, and save the model folder."""
    from tabserve import trained  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.model.model import REPORT  # noqa: PLC0415
    from tabserve.plan import look  # noqa: PLC0415
    from tabserve.reports import tables  # noqa: PLC0415
    from tabserve.training import baselines  # noqa: PLC0415

    data = trained.load(plan)
    candidates = trained.defaults(data.development, arguments.jobs, arguments.device)
    cautions = trained.examine(plan, data, arguments.jobs, arguments.device, strict=arguments.strict)
    names = ", ".join(candidate.name for candidate in candidates)
    print(*look.caution_lines(cautions), f"\nCandidates: {names}", "", sep="\n", flush=True)
    selected = data.select(candidates, arguments.minutes)
    rows = f"{len(data.development):,} rows to learn from"
    print(f"Mean ± standard deviation over {data.development.problem.folds} folds of the {rows}:")
    print(f"{tables.selection_table(selected).T.to_string()}\n", flush=True)
    if selected.left_out:
        print(f"The time was over before every fold of {', '.join(selected.left_out)}; give more --minutes.\n")
    winner, best = selected.winner.candidate.name, selected.best.candidate.name
    if best in baselines.names(plan.problem):
        print(f"{winner} is no better over the folds than {best}, which knows no column; do not rely on it.\n")
    result = trained.evaluate(plan, data, cautions, selected)
    print(f"{winner} on the {len(data.holdout):,} rows held out, opened once:")
    print(f"{result.evaluation.to_string()}\n")
    model = result.save(out, show_rows=arguments.show_rows)
    print(f"Saved {model.metrics['winner']} in {out}; {out / REPORT} shows all about it. Serve it, or score a file:")
    print(f"  tabserve serve {out}\n  tabserve score {out} --data new.csv --out scores.csv")


def _make_plan(arguments: argparse.Namespace) -> "Plan":
    """The plan of the table that the command line names, or the plan that was written before."""
    from tabserve.plan import plan_file  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.plan.options import Options, flag  # noqa: PLC0415
    from tabserve.plan.plan import make_plan  # noqa: PLC0415
    from tabserve.table.reader import column_names  # noqa: PLC0415

    values = {field.name: getattr(arguments, field.name) for field in fields(Options)}
    named: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if arguments.table.suffix == ".toml":
        if named or _signs(arguments):
            option = next(iter({**named, **_signs(arguments)}))
            raise UsageError(f"{flag(option)} stands in the plan {arguments.table}; edit it there.")
        return make_plan(*plan_file.read(arguments.table))
    source = _source(arguments)
    columns = column_names(source)
    if arguments.target is None:
        raise UsageError(f"--target NAME is missing; name one of the columns {listed(columns)}.")
    lists = {name: _separate(named[name], columns) for name in LISTS if name in named}
    return make_plan(source, Options(**named | lists))


def _source(arguments: argparse.Namespace) -> "Source":
    """The table, with the signs that the command line names."""
    from tabserve.table.reader import layout  # noqa: PLC0415  slow, or of the extra `train`
    from tabserve.table.source import as_source  # noqa: PLC0415

    source = as_source(arguments.table)
    if not (signs := _signs(arguments)):
        return source
    if not (dialect := layout(source).dialect):
        raise UsageError(f"--{next(iter(signs))} is a sign of csv files, and {source.name} is none; leave it out.")
    return replace(source, dialect=replace(dialect, **signs))


def _signs(arguments: argparse.Namespace) -> dict[str, str]:
    signs = {"delimiter": arguments.delimiter, "decimal": arguments.decimal}
    return {name: sign for name, sign in signs.items() if sign is not None}


def _separate(values: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """Values without the commas between them, but for those in the name of a column."""
    parts = ([value] if value in columns else map(str.strip, value.split(",")) for value in values)
    return tuple(dict.fromkeys(filter(None, chain.from_iterable(parts))))
