"""The plan of a training: what each column is and why, what is to be learned, and what the user should know."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tabserve.encoding.categories import Categories
from tabserve.errors import DataError, TabserveError, UsageError
from tabserve.plan.cautions import cautions_of
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.kinds import KINDS, empty_cells
from tabserve.plan.mixed import refuse_mixed
from tabserve.plan.options import Options, flag
from tabserve.plan.planned import Caution, PlannedColumn
from tabserve.plan.profile import TableProfile, profile
from tabserve.plan.roles import plan_columns
from tabserve.plan.target import Target, decide_target
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem, fewest_rows
from tabserve.problem.task import Task
from tabserve.table.columns import nearest_name
from tabserve.table.source import Source
from tabserve.wording import listed

__all__ = ["Caution", "Plan", "PlannedColumn", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What is to be learned from a table.

    Attributes:
        source: the table, with the signs that were found out.
        options: what the user said.
        problem: what is to be learned.
        columns: all columns, in the order of the table.
        cautions: what the user should know before training.
        rows: rows of the table that have a target.
        settled: the options that say all that was found out; a plan of them has the same problem.
    """

    source: Source
    options: Options
    problem: Problem
    columns: tuple[PlannedColumn, ...]
    cautions: tuple[Caution, ...]
    rows: int
    settled: Options


def make_plan(source: Source, options: Options) -> Plan:
    """Look at a whole table, and plan what to learn from it.

    Raises:
        DataError: the table cannot be learned from as it is; the message says what to do.
        UsageError: the options do not fit the table.
    """
    table = profile(source, options)
    try:
        return _plan(source, options, table)
    except TabserveError as error:
        raise type(error)(f"{source.name}: {error}") from error


def _plan(source: Source, options: Options, table: TableProfile) -> Plan:
    if table.rows == 1:
        raise DataError("The table has one row; rows of different targets are needed to learn from.")
    profiles = {column.name: column for column in table.columns}
    _check_named(options, [*profiles])
    _check_readable(options, profiles)
    refuse_mixed([column for name, column in profiles.items() if name not in dict(options.named())])
    target, columns = _decide(profiles[options.target], table.columns, options)
    features = _features(columns)
    _check_features(features, columns)
    _check_levels(columns)
    left_out = [column.name for column in columns if column.role == "left out"]
    problem = _problem(source, options, target.task, features, left_out)
    return Plan(
        replace(source, dialect=table.dialect),
        options,
        problem,
        columns,
        tuple(caution for column in columns for caution in cautions_of(column, options)),
        table.rows - empty_cells(profiles[options.target], target.kind),
        _settled(options, problem, target, columns),
    )


def _decide(
    target: ColumnProfile, table: Sequence[ColumnProfile], options: Options
) -> tuple[Target, tuple[PlannedColumn, ...]]:
    """What is to be learned, and what becomes of each column; the task is decided anew if only texts are learned from.

    The columns do not depend on the task, apart from that of the target.
    """
    fewest = fewest_rows(Problem.folds, Problem.holdout)
    decided = decide_target(target, options, fewest)
    columns = plan_columns(table, options, decided)
    if any(column.stands_alone for column in _features(columns)):
        decided = decide_target(target, options, fewest, of_texts=True)
        columns = plan_columns(table, options, decided)
    return decided, columns


def _features(columns: Sequence[PlannedColumn]) -> list[Column]:
    return [column for planned in columns if planned.is_feature and (column := planned.column)]


def _settled(options: Options, problem: Problem, target: Target, columns: Sequence[PlannedColumn]) -> Options:
    """The options with every guess as if the user had said it."""
    named: dict[str, tuple[str, ...]] = dict.fromkeys((*KINDS, "drop"), ())
    for feature in problem.columns:
        named[feature.kind] += (feature.name,)
    named["drop"] = tuple(column.name for column in columns if column.role == "left out")
    settled = replace(options, task=problem.task.KIND, positive=target.positive, name=problem.name)
    return replace(settled, **named)  # type: ignore[arg-type]  # they name lists alone


def _check_named(options: Options, names: Sequence[str]) -> None:
    """Refuse an option that names a column that the table lacks."""
    for name, option in options.named():
        if name not in names:
            near = nearest_name(name, names)
            hint = f"did you mean {near!r}?" if near else f"it has {listed(names)}."
            raise UsageError(f"{flag(option)} names {name!r:.60}, which is no column of the table; {hint}")


def _check_readable(options: Options, profiles: Mapping[str, ColumnProfile]) -> None:
    """Refuse an option that uses a column of a type that is not read, such as a list."""
    for name, option in options.named():
        if option != "drop" and not profiles[name].readable:
            raise DataError(
                f"{flag(option)} names column {name!r}, whose cells are of the type {profiles[name].stored}; store them"
                " as numbers, texts, booleans or dates, or leave the column out."
            )


def _check_features(features: Sequence[Column], columns: Sequence[PlannedColumn]) -> None:
    """Refuse a table of which every column is left out."""
    if not features:
        reasons = "; ".join(f"{column.name!r}: {column.why}" for column in columns if column.role == "left out")
        raise DataError(
            f"No column is left to learn from ({reasons or 'the table has none but those named'}); name one by"
            " --number, --category, --date or --text."
        )


def _check_levels(columns: Sequence[PlannedColumn]) -> None:
    """Refuse levels that the encoder would refuse, such as one in two spellings."""
    for planned in columns:
        if planned.is_feature and (column := planned.column) and column.levelled:
            Categories.learn(column, [level for level, _ in planned.profile.levels])


def _problem(
    source: Source, options: Options, task: Task, features: Sequence[Column], left_out: Sequence[str]
) -> Problem:
    ordered = sorted(
        features, key=lambda column: column.stands_alone and column.missing
    )  # the first text is never empty
    return Problem(
        options.name or fit_name(source),
        tuple(ordered),
        options.target,
        task,
        options.id,
        options.group,
        options.time,
        seed=options.seed,
        ignored=tuple(left_out),
        blanks=options.missing,
    )


def fit_name(source: Source) -> str:
    """A problem's name that fits a path, made of the name of the table's file."""
    stem = source.path.name.split(".")[0] if source.path else ""
    return re.sub("[^A-Za-z0-9_-]+", "-", stem).strip("-_") or "model"
