"""Give each column its role: what the user says, and otherwise what its cells suggest."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from tabserve.errors import DataError
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.kinds import KINDS, Guess, guess
from tabserve.plan.options import Options
from tabserve.plan.planned import PlannedColumn
from tabserve.plan.stated import state
from tabserve.plan.target import Target
from tabserve.wording import shown

NAMES_OF_ROWS: tuple[Literal["id", "group"], ...] = ("id", "group")
"""The roles of columns whose cells name rows or groups of rows."""

BESIDE_TEXTS = "a model of texts learns from texts alone"
"""Why a column that could be learned from is left out beside texts."""


def plan_columns(columns: Sequence[ColumnProfile], options: Options, target: Target) -> tuple[PlannedColumn, ...]:
    """What becomes of each column.

    Raises:
        DataError: a column does not hold what the user says.
    """
    planned = [_plan_column(column, options, target) for column in columns]
    if options.text:
        return tuple(_left_out_beside_texts(column, options) for column in planned)
    if not any(column.is_feature for column in planned) and (texts := _free_texts(planned, options)):
        return plan_columns(columns, replace(options, text=texts), target)
    return tuple(planned)


def _free_texts(planned: Sequence[PlannedColumn], options: Options) -> tuple[str, ...]:
    """The columns of free text, which are learned from where nothing else remains."""
    left_out = (column for column in planned if column.role == "left out" and column.name not in options.drop)
    return tuple(column.name for column in left_out if guess(column.profile).is_text)


def _plan_column(column: ColumnProfile, options: Options, target: Target) -> PlannedColumn:
    """What becomes of one column, whatever the others are."""
    if column.name == options.target:
        return PlannedColumn(column.name, "target", target.kind, False, target.why, column)
    if column.name == options.time:
        return _time(column, options)
    for role in NAMES_OF_ROWS:
        if column.name == getattr(options, role):
            _check_name_of_rows(column, options)
            return PlannedColumn(column.name, role, None, False, f"as --{role} says", column)
    made = _stated_or_guessed(column, options)
    if not made.kind:
        return PlannedColumn(column.name, "left out", None, True, made.why, column)
    return PlannedColumn(column.name, "feature", made.kind, made.missing, made.why, column, is_feature=True)


def _stated_or_guessed(column: ColumnProfile, options: Options) -> Guess:
    """What a column is; where the user says what its cells suggest, as a plan that is read back does, they say why."""
    guessed = guess(column)
    if column.name in options.drop:
        why = BESIDE_TEXTS if options.text else "as --drop says"
        return guessed._replace(kind=None, why=why) if guessed.kind else guessed
    named = next((option for option in KINDS if column.name in getattr(options, option)), None)
    if named is None:
        return guessed
    stated = state(column, named)
    return stated._replace(why=guessed.why) if named in guessed.options else stated


def _time(column: ColumnProfile, options: Options) -> PlannedColumn:
    """The time, which must be a date in every row; it is a feature as well if the user says so."""
    state(column, "date")
    _check_filled(column, "time")
    seen = column.name in options.date
    why = "as --time says" + (
        ", and a feature, as --date says" if seen else "; to learn from it too, say --date as well"
    )
    return PlannedColumn(column.name, "time", "date", False, why, column, is_feature=seen)


def _check_name_of_rows(column: ColumnProfile, options: Options) -> None:
    """Refuse an empty cell, and an id that two rows have."""
    _check_filled(column, "group" if column.name == options.group else "id")
    if column.name == options.id and column.repeats:
        cell, count = column.levels[0]
        example = f"such as {shown(cell)} in {count} rows, " if count > 1 else ""
        raise DataError(
            f"Column {column.name!r} has the same id in several rows, {example}and an id names one row; say --group if"
            " rows of one value belong together."
        )


def _check_filled(column: ColumnProfile, what: str) -> None:
    if column.empty:
        raise DataError(
            f"Column {column.name!r}, row {column.first_empty}: expected the {what} of the row, found an empty cell;"
            f" fill it in, or leave out --{what}."
        )


def _left_out_beside_texts(planned: PlannedColumn, options: Options) -> PlannedColumn:
    """A column beside those that the user says are texts, which are then the only features."""
    if not planned.is_feature or planned.name in options.text:
        return planned
    return replace(planned, role="left out", kind=None, missing=True, why=BESIDE_TEXTS, is_feature=False)
