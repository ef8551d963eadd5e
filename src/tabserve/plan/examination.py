"""What makes figures lie and only the rows tell: columns that give the target away, copies of rows, random splits."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tabserve.errors import DataError
from tabserve.plan.plan import Plan
from tabserve.plan.planned import Caution
from tabserve.problem.metric import plain, plain_name
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training.flattery import Flattery, Quick, flattery
from tabserve.training.lone_columns import explained_shares
from tabserve.training.split import count_copies
from tabserve.wording import shown

GIVEN_AWAY = 0.9
"""The share of the target's variance from which on a column that explains it alone seems to give it away."""

HARDLY = 0.02
"""The share of a figure up to which a difference from it is hardly one."""

MANY_COPIES = 0.01
"""The share of rows from which on copies of others are no chance."""


def examine(plan: Plan, development: Frame, quick: Quick) -> tuple[Caution, ...]:
    """All cautions about a table: those of its plan, with figures where splits are concerned, and those of its rows.

    Args:
        plan: of the table.
        development: its development rows.
        quick: makes the candidate that is measured by random folds and by those that the plan's cautions advise.
    """
    first = {caution.split: caution for caution in reversed(plan.cautions) if caution.split}.values()
    planned = (
        _with_figures(caution, plan, development, quick) if caution in first else caution for caution in plan.cautions
    )
    return (*planned, *_given_away(development), *_copied(development))


def _with_figures(caution: Caution, plan: Plan, development: Frame, quick: Quick) -> Caution:
    """A caution that advises another split, with what a candidate reaches by random folds and by those advised."""
    advised = _split_by(plan.problem, caution)
    if not advised:
        return caution
    try:
        frame = read(plan.source, advised, drop_empty_target=plan.options.drop_empty_target)
    except DataError:  # an empty cell, which a group or a time may not have
        return caution
    rows = frame.take(np.flatnonzero(np.isin(frame.ids, development.ids)))
    if not (compared := flattery(development, rows, quick)):
        return caution
    return replace(caution, sentence=f"{caution.sentence} {_in_words(compared)}.")


def _in_words(compared: Flattery) -> str:
    """Both figures, with the sign that people know."""
    small = abs(compared.random - compared.honest) <= HARDLY * abs(compared.random)
    return (
        f"A first {compared.candidate} reaches {plain_name(compared.measure)}"
        f" {plain(compared.measure, compared.random):.4g} by random folds,"
        f" {plain(compared.measure, compared.honest):.4g} by such folds"
        + (": hardly a difference here" if small else "")
    )


def _split_by(problem: Problem, caution: Caution) -> Problem | None:
    """The problem, split as the caution advises; a column of groups is no feature. None if no feature is left then."""
    others = tuple(column for column in problem.columns if column.name != caution.about or column.dated)
    if not others:
        return None
    ignored = tuple(name for name in problem.ignored if name != caution.about)
    split: dict[str, Any] = {caution.split: caution.about}
    return replace(problem, columns=others, ignored=ignored, **split)


def _given_away(development: Frame) -> Iterator[Caution]:
    target = shown(development.problem.target)
    for name, share in explained_shares(development).items():
        if share >= GIVEN_AWAY:
            yield Caution(
                name,
                f"explains {share:.1%} of the variance of {target} alone; say --drop {shown(name)} if it is known only"
                " after the target is.",
            )


def _copied(development: Frame) -> Iterator[Caution]:
    if (number := count_copies(development)) >= MANY_COPIES * len(development) > 0:
        yield Caution(
            "",
            f"{number:,} of {len(development):,} development rows are copies of others; splits keep copies on one side,"
            " but a table should hold each row once: remove them if they are no rows of their own.",
        )
