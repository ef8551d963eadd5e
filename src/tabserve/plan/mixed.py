"""Refuse columns of numbers with a few stray words among them, and columns of dates in two formats."""

from collections.abc import Sequence

from tabserve.errors import DataError
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.forms import BLANKS, DATES, NUMBERS, Form
from tabserve.plan.kinds import FEW, blanks, is_dictionary
from tabserve.wording import shown

FEW_WORDS = 3
"""Different words below which many cells of a column of numbers may still stand for empty cells."""

RARE = 20
"""One in so many cells, at most, is a stray among numbers if there are more different ones."""

FORMATS = (*DATES, Form.FOREIGN_DATE)


def refuse_mixed(columns: Sequence[ColumnProfile]) -> None:
    """Refuse the first column with stray words or dates in two formats; the sentence says how to read all such columns.

    Raises:
        DataError: naming the column, the row and the cell, and the option that decides.
    """
    stray = [(column, cells) for column in columns if (cells := strays(column))]
    if stray:
        column, ((row, cell), *_) = stray[0]
        words = " ".join(dict.fromkeys(shown(word) for _, cells in stray for _, word in cells))
        raise DataError(
            f"Column {column.name!r}, row {row}: expected a number, as in most of its rows, found {shown(cell)}; mend"
            f" it, or say --missing {words} if it stands for an empty cell, or --category {shown(column.name)}."
        )
    for column in columns:
        _refuse_formats(column)


def strays(column: ColumnProfile) -> list[tuple[int, str]]:
    """The first cells that are neither numbers nor blank in a column of numbers, as (row, cell); often none."""
    others = [form for form in column.forms if form not in {*NUMBERS, *BLANKS, Form.FOREIGN_NUMBER}]
    first = sorted(cell for form in others for cell in column.forms[form].first)
    filled = column.present - blanks(column)
    rare = column.count(*others) * RARE <= filled or len(first) < FEW_WORDS
    mostly = column.count(*NUMBERS) * 2 > filled and column.distinct > FEW and not is_dictionary(column)
    return first if rare and mostly else []


def _refuse_formats(column: ColumnProfile) -> None:
    """Refuse a column of which most cells are dates, in two formats or with words among them."""
    dated = column.count(*FORMATS)
    if dated * 2 <= column.present or column.distinct <= FEW or is_dictionary(column):
        return
    first = sorted((*held.first[0], form) for form, held in column.forms.items())
    if len(first) > 1:
        (row, cell, _), (other_row, other, form), *_ = first
        advice = "write all alike" if form in FORMATS else f"mend it, or say --missing {shown(other)}"
        raise DataError(
            f"Column {column.name!r} has dates as in row {row}, {shown(cell)}, and row {other_row}, {shown(other)};"
            f" {advice}, or leave the column out by --drop {shown(column.name)}."
        )
