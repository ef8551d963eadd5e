"""Take a column as the user says, or refuse it by the first row that shows that it is something else."""

from collections.abc import Callable

from tabserve.encoding.categories import MAX_CHARACTERS, MAX_LEVELS
from tabserve.errors import DataError
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.forms import BLANKS, NUMBERS, Form
from tabserve.plan.kinds import MISSING, Guess
from tabserve.problem.columns import Kind
from tabserve.wording import shown


def state(column: ColumnProfile, kind: Kind) -> Guess:
    """What a column is that the user named by the option of this kind.

    Raises:
        DataError: its cells are not of this kind; the message names the first row that shows it.
    """
    if not column.present:
        raise DataError(f"Column {column.name!r} is empty throughout; leave it out.")
    CHECKS[kind](column)
    return Guess(kind, f"as --{kind} says", MISSING[kind](column))


def _refuse(column: ColumnProfile, allowed: tuple[Form, ...], expected: str, advice: str) -> None:
    """Refuse a column with a cell of another form."""
    bad = min((held.first[0] for form, held in column.forms.items() if form not in allowed), default=None)
    if bad:
        row, cell = bad
        raise DataError(f"Column {column.name!r}, row {row}: expected {expected}, found {shown(cell)}; {advice}.")


def _check_number(column: ColumnProfile) -> None:
    advice = f"write it as {column.example_number}, or name it by --missing if it stands for an empty cell"
    _refuse(column, (*NUMBERS, *BLANKS), "a number", advice)


def _check_date(column: ColumnProfile) -> None:
    form = Form.MOMENT if column.count(Form.MOMENT) > column.count(Form.DATE) else Form.DATE
    expected = "a date such as 2020-12-31" + (" 08:30" if form is Form.MOMENT else "")
    advice = "write all cells alike, or name it by --missing if it stands for an empty cell"
    if not column.count(form):
        advice = "no cell of the column is such a date; write dates in this way and without a time zone"
    _refuse(column, (form,), expected, advice)


def _check_category(column: ColumnProfile) -> None:
    if column.distinct > MAX_LEVELS or column.longest > MAX_CHARACTERS:
        raise DataError(
            f"Column {column.name!r} has {column.distinct} different texts of up to {column.longest} characters; a"
            f" category has at most {MAX_LEVELS} of {MAX_CHARACTERS}; group its values, or leave it out by --drop."
        )


def _check_text(_column: ColumnProfile) -> None:
    """Every cell is a text."""


CHECKS: dict[Kind, Callable[[ColumnProfile], None]] = {
    "number": _check_number,
    "category": _check_category,
    "date": _check_date,
    "text": _check_text,
}
"""What refuses a column that the user says is of a kind, by kind."""
