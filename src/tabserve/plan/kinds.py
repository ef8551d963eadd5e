"""Guess what a column is from what it holds, and say why in words for people."""

import re
from collections.abc import Callable
from typing import NamedTuple, get_args

from tabserve.encoding.categories import MAX_CHARACTERS, MAX_LEVELS
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.forms import BLANKS, DATES, NUMBERS, Form
from tabserve.problem.columns import Kind
from tabserve.wording import listed, shown

KINDS: tuple[Kind, ...] = get_args(Kind)
"""The kinds, which are also the options by which a user names columns."""

FEW = 20
"""Different cells that make a category even of numbers mixed with texts, such as 0, 1, 2 and 3+."""

MOST_LEVELS, MOST_CHARACTERS = 4, 40
"""Levels that are shown, and characters of each."""

WORDS = 3
"""Mean number of words from which on many different texts are free text, not categories."""

ID_NAME = re.compile(r"(?:.*[\W_])?(?i:id|ids|key|uuid|guid|index|idx|row|rownum|nr|no|number)|.*[a-z](?:Id|ID)")
"""Names of columns that name something, such as `customer_id`, `customerID` or `Order No`."""

LIKE_AN_ID = ", like an id (see --id)"
"""What is said of a column that is different in every row."""

REFUSED_IN_NAMES = "[]<"
"""Characters that XGBoost takes in no column's name."""


class Guess(NamedTuple):
    """What a column is.

    Attributes:
        kind: what its cells are; None if the column is left out.
        why: the reason, in words.
        missing: whether a new row may have an empty cell.
        is_text: whether a column that is left out can be learned from as text, if nothing else remains.
    """

    kind: Kind | None
    why: str
    missing: bool = True
    is_text: bool = False

    @property
    def options(self) -> tuple[Kind, ...]:
        """The kinds that are suggested, by which a user may say the same."""
        return (self.kind,) if self.kind else ("text",) if self.is_text else ()


Rule = Callable[[ColumnProfile], Guess | None]


def guess(column: ColumnProfile) -> Guess:
    """What a column is that the user said nothing about; the first rule that applies decides."""
    return next(made for rule in RULES if (made := rule(column)))


def has_id_name(column: ColumnProfile) -> bool:
    """Whether a column is called as if it named something."""
    return bool(ID_NAME.fullmatch(column.name))


def is_dictionary(column: ColumnProfile) -> bool:
    """Whether the table stores the column as a category, as pandas and Arrow can."""
    return column.stored.startswith("dictionary")


def blanks(column: ColumnProfile) -> int:
    """Cells such as ? and NA, which are empty if the rest of the column are numbers."""
    return column.count(*BLANKS)


def empty_cells(column: ColumnProfile, kind: Kind | None) -> int:
    """Cells that are empty in a column of this kind: also those such as ? and NA, where the others are numbers."""
    return column.empty + {"number": blanks(column)}.get(kind or "", 0)


def written(number: float | None) -> str:
    """A number for people."""
    return "none" if number is None else f"{number:.15g}" if number == int(number) else f"{number:.6g}"


def _frequent(column: ColumnProfile) -> str:
    """The most frequent levels."""
    more = ", …" if column.distinct > MOST_LEVELS else ""
    return ", ".join(level[:MOST_CHARACTERS] for level, _ in column.levels[:MOST_LEVELS]) + more


def _unreadable(column: ColumnProfile) -> Guess | None:
    return None if column.readable else Guess(None, f"its cells are of the type {column.stored}")


def _badly_named(column: ColumnProfile) -> Guess | None:
    if not column.name:
        return Guess(None, "has no name")
    if set(REFUSED_IN_NAMES).isdisjoint(column.name):
        return None
    return Guess(None, "XGBoost takes no name with [, ] or <; rename it to use it")


def _empty(column: ColumnProfile) -> Guess | None:
    return None if column.present else Guess(None, "empty throughout")


def _constant(column: ColumnProfile) -> Guess | None:
    is_constant = column.distinct == 1 and not column.empty
    return Guess(None, f"the same in every row: {shown(column.example)}") if is_constant else None


def _copy(column: ColumnProfile) -> Guess | None:
    return Guess(None, f"a copy of column {column.copy_of!r}") if column.copy_of else None


def _dictionary(column: ColumnProfile) -> Guess | None:
    if not is_dictionary(column) or column.distinct > MAX_LEVELS:
        return None
    return Guess("category", f"stored as a category of {column.distinct} levels: {_frequent(column)}")


def _number(column: ColumnProfile) -> Guess | None:
    numbers = column.count(*NUMBERS)
    if not numbers or numbers + blanks(column) < column.present:
        return None
    if column.count(Form.DECIMAL) or not _is_id_of_rows(column):
        return Guess("number", _describe_numbers(column), MISSING["number"](column))
    return Guess(None, f"a different whole number in every row{LIKE_AN_ID}")


def _is_id_of_rows(column: ColumnProfile) -> bool:
    """Whether a column of whole numbers, different in every row, counts or names the rows."""
    if column.repeats or column.empty or blanks(column) or column.low is None or column.high is None:
        return False
    dense = column.high - column.low < 2 * column.rows
    return column.rising or dense or has_id_name(column)


def _describe_numbers(column: ColumnProfile) -> str:
    what = "numbers" if column.count(Form.DECIMAL) else "whole numbers"
    text = f"{what} from {written(column.low)} to {written(column.high)}"
    if (column.low, column.high, column.distinct) == (0, 1, 2):
        text = "0 or 1"
    if count := blanks(column):
        spellings = [cell for form in BLANKS if form in column.forms for _, cell in column.forms[form].first]
        text += f"; {listed(spellings)} read as empty, in {count} of {column.rows} cells"
    return text


def _date(column: ColumnProfile) -> Guess | None:
    if not any(column.count(form) == column.present for form in DATES):
        return None
    what = "dates with a time" if column.count(Form.MOMENT) else "dates"
    zone = ", in UTC" if "tz=" in column.stored else ""
    return Guess("date", f"{what} such as {column.example}{zone}", MISSING["date"](column))


def _foreign(column: ColumnProfile) -> Guess | None:
    """Dates and numbers that are written in a way that is not read; few different ones are a category."""
    numbers = column.count(Form.FOREIGN_NUMBER)
    if numbers and numbers + column.count(*NUMBERS) + blanks(column) == column.present and column.distinct > FEW:
        return Guess(None, f"{Form.FOREIGN_NUMBER.value}, such as {_first(column, Form.FOREIGN_NUMBER)}")
    if column.count(Form.FOREIGN_DATE) * 2 > column.present and column.distinct > FEW:
        return Guess(None, f"{Form.FOREIGN_DATE.value}, such as {_first(column, Form.FOREIGN_DATE)}")
    return None


def _free_text(column: ColumnProfile) -> Guess | None:
    is_wordy = column.words >= WORDS and column.distinct > max(FEW, column.present / 10)
    if not is_wordy and column.longest <= MAX_CHARACTERS:
        return None
    return Guess(None, f"free text of {column.words:.0f} words on average", is_text=True)


def _unlike_levels(column: ColumnProfile) -> Guess | None:
    """Texts that are different in most rows, or too many to be the levels of a category."""
    if not column.repeats and column.distinct > 1:
        return Guess(None, f"a different text in every row{LIKE_AN_ID}", is_text=column.words > 1)
    if column.distinct * 2 > column.present and column.distinct > FEW:
        return Guess(None, f"{column.distinct} different texts in {column.present} rows, nearly an id")
    if column.distinct > MAX_LEVELS:
        return Guess(None, f"about {column.distinct} different texts; a category has at most {MAX_LEVELS}")
    return None


def _category(column: ColumnProfile) -> Guess:
    """Whatever remains. A new row may lack its cell: it is answered anyway, as an unseen level counts as missing."""
    if column.count(Form.BOOLEAN) == column.present:
        return Guess("category", "true or false")
    return Guess("category", f"{column.distinct} levels: {_frequent(column)}")


RULES: tuple[Rule, ...] = (
    _unreadable,
    _badly_named,
    _empty,
    _constant,
    _copy,
    _dictionary,
    _number,
    _date,
    _foreign,
    _free_text,
    _unlike_levels,
    _category,
)
"""In the order in which they are tried; the last applies to every column."""

MISSING: dict[Kind, Callable[[ColumnProfile], bool]] = {
    "number": lambda column: empty_cells(column, "number") > 0,
    "category": lambda _column: True,
    "date": lambda column: column.empty > 0,
    "text": lambda column: column.empty > 0,
}
"""Whether a new row may have an empty cell, by kind: where the table has one, and always in a category."""


def _first(column: ColumnProfile, form: Form) -> str:
    return shown(column.forms[form].first[0][1])
