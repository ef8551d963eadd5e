"""Decide what is to be learned: one of two classes, one of several, or an amount."""

from collections.abc import Callable
from typing import NamedTuple

from tabserve.errors import DataError, UsageError
from tabserve.plan.classes import check_classes, in_order, pooled_labels, positive_label, refuse_two_spellings
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.forms import NUMBERS, Form
from tabserve.plan.kinds import blanks, written
from tabserve.plan.mixed import strays
from tabserve.plan.options import Options, flag
from tabserve.problem.columns import Kind
from tabserve.problem.metric import Goal, metric_of
from tabserve.problem.task import MAX_LABELS, Binary, Multiclass, Regression, Task
from tabserve.wording import shown

MAX_CLASSES = 10
"""Most different whole numbers that are classes and not amounts."""

ROWS_PER_CLASS = 5
"""Mean rows of a class, at least, if whole numbers are classes."""


class Target(NamedTuple):
    """What is to be learned.

    Attributes:
        task: with its labels.
        kind: what the cells of the target are.
        why: the reason, in words.
        positive: the label of the positive class of two; None for other tasks.
    """

    task: Task
    kind: Kind
    why: str
    positive: str | None = None


Decide = Callable[[ColumnProfile, Options, int], Target]


def decide_target(column: ColumnProfile, options: Options, fewest: int, *, of_texts: bool = False) -> Target:
    """Decide the task.

    Args:
        column: the target.
        options: what the user said.
        fewest: rows that every class needs.
        of_texts: whether it is learned from texts, by models that tell two classes apart as they do several.

    Raises:
        DataError: nothing can be learned from the target as it is.
        UsageError: an option does not fit the target.
    """
    if not column.present:
        raise DataError(f"Column {column.name!r} is empty throughout; name the column to predict by --target.")
    _refuse_empty(column, column.empty, column.first_empty, options)
    if column.distinct == 1:
        raise DataError(
            f"Column {column.name!r} holds {shown(column.example)} in every row; a model needs rows of different"
            " targets."
        )
    return DECIDE[options.task or _task_of(column, of_texts)](column, options, fewest)


def _refuse_empty(column: ColumnProfile, count: int, row: int | None, options: Options) -> None:
    """Refuse rows without a target, unless the user leaves them out."""
    if count and not options.drop_empty_target:
        raise DataError(
            f"Column {column.name!r}, row {row}: expected a target, found an empty cell, as in {count} of"
            f" {column.rows} rows; fill them in, or leave such rows out by --drop-empty-target."
        )


def _task_of(column: ColumnProfile, of_texts: bool) -> str:
    """The kind of task that a target suggests."""
    if column.distinct == 2 and not of_texts:
        return Binary.KIND
    if not column.count(*NUMBERS, Form.FOREIGN_NUMBER) or (_words(column) and not strays(column)):
        return Multiclass.KIND
    few = column.distinct <= MAX_CLASSES and column.distinct * ROWS_PER_CLASS <= column.present
    return Multiclass.KIND if few and not column.count(Form.DECIMAL) else Regression.KIND


def _words(column: ColumnProfile) -> int:
    """Cells that are neither numbers nor blank, nor numbers written with thousands separators."""
    return column.present - column.count(*NUMBERS, Form.FOREIGN_NUMBER) - blanks(column)


def _binary(column: ColumnProfile, options: Options, fewest: int) -> Target:
    _refuse_options(column, "two classes", options, "other_label")
    if column.distinct != 2:
        raise DataError(
            f"Column {column.name!r} has {column.distinct} different values, and two classes need two; leave out"
            " --task binary, or make it yes or no before."
        )
    levels = column.levels
    check_classes(column, levels, fewest)
    positive = positive_label(column, options)
    (negative,) = (level for level, _ in levels if level != positive)
    share = dict(levels)[positive] / column.present
    chosen = "the rarer" if positive == levels[-1][0] else "as --positive says"
    why = f"two values; positive is {shown(positive)}, {chosen}, in {share:.1%} of the rows"
    return Target(Binary((negative, positive), *_goal(options, Binary)), "category", why, positive)


def _multiclass(column: ColumnProfile, options: Options, fewest: int) -> Target:
    _refuse_options(column, "several classes", options, "positive")
    labels, other = [label for label, _ in column.levels], ""
    rare = [level for level in column.levels if level[1] < fewest]
    is_rare = bool(rare) or not column.counted
    if is_rare and options.other_label:
        labels, other = pooled_labels(column, options.other_label, fewest), options.other_label
    elif is_rare and column.distinct > MAX_LABELS:
        raise DataError(
            f"Column {column.name!r} has {column.distinct} different values that are no numbers, and a model tells at"
            f" most {MAX_LABELS} classes apart; name another --target, or pool the values of fewer than {fewest} rows"
            " by --other-label other."
        )
    else:
        check_classes(column, rare, fewest)
    refuse_two_spellings(column, labels)
    if len(labels) > MAX_LABELS:
        raise DataError(
            f"Column {column.name!r} has {len(labels)} values of at least {fewest} rows, and a model tells at most"
            f" {MAX_LABELS} classes apart; group its values, or name another --target."
        )
    task = Multiclass(in_order(labels), *_goal(options, Multiclass), other)
    pooled = f", rare ones pooled as {shown(other)}" if other else ""
    return Target(task, "category", f"{len(labels)} classes{pooled}")


def _regression(column: ColumnProfile, options: Options, _fewest: int) -> Target:
    _refuse_options(column, "an amount", options, "positive", "other_label")
    others = [form for form in column.forms if form not in NUMBERS]
    row, cell = min((column.forms[form].first[0] for form in others), default=(None, ""))
    if _words(column) or column.count(Form.FOREIGN_NUMBER):
        raise DataError(
            f"Column {column.name!r}, row {row}: expected an amount such as {column.example_number}, found"
            f" {shown(cell)}; mend it, or, if it stands for an empty cell, name it by --missing and leave such rows out"
            " by --drop-empty-target."
        )
    _refuse_empty(column, blanks(column), row, options)
    return Target(
        Regression("", *_goal(options, Regression)),
        "number",
        f"an amount from {written(column.low)} to {written(column.high)}",
    )


def _goal(options: Options, task: type[Task]) -> Goal:
    """What is maximised, and what ranks the candidates."""
    return metric_of(options.metric or "", task.KIND, options.costs)


def _refuse_options(column: ColumnProfile, what: str, options: Options, *others: str) -> None:
    """Refuse an option that is for another task."""
    for option in others:
        if getattr(options, option) is not None:
            raise UsageError(f"{flag(option)} does not fit column {column.name!r}, which holds {what}; leave it out.")


DECIDE: dict[str, Decide] = {Binary.KIND: _binary, Multiclass.KIND: _multiclass, Regression.KIND: _regression}
"""What decides a target of each kind of task."""
