"""What a user should know of a planned column before training, each with what to do."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator

from tabserve.encoding.categories import MAX_LEVELS
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.forms import BLANKS, NUMBERS, PATTERNS, ZONE, Form
from tabserve.plan.kinds import FEW, REFUSED_IN_NAMES, WORDS, has_id_name, is_dictionary
from tabserve.plan.options import Options
from tabserve.plan.planned import Caution, PlannedColumn
from tabserve.wording import listed, shown

FEW_ROWS = 30
"""Rows of a class below which figures for it are uncertain."""

ROWS_PER_LEVEL = 10
"""Mean rows of a level below which a category is nearly an id."""

Rule = Callable[[PlannedColumn, Options], str | None]


def cautions_of(column: PlannedColumn, options: Options) -> Iterator[Caution]:
    """What a user should know of a column; nothing of one that the user leaves out."""
    if column.name in options.drop:
        return
    for rule in RULES[column.role]:
        if sentence := rule(column, options):
            yield Caution(column.name, sentence, SPLITS.get(rule, ""))


def _repeated_id(planned: PlannedColumn, options: Options) -> str | None:
    """Rows of one value of an id that repeats belong together."""
    column = planned.profile
    if options.group or options.time or not column.repeats or column.distinct <= FEW or not has_id_name(column):
        return None
    return (
        f"named like an id, and one value stands in several rows ({column.distinct} values in {column.present} rows);"
        f" say --group {shown(column.name)} if rows of one value belong together, so that no split parts them, or"
        f" --drop {shown(column.name)}."
    )


def _groups_of_one(planned: PlannedColumn, _options: Options) -> str | None:
    if planned.profile.repeats:
        return None
    return "a value of its own in every row, so that rows are split as they would be without groups; leave out --group."


def _unmarked_id(planned: PlannedColumn, _options: Options) -> str | None:
    """A whole number that differs in every row of a larger table may name the rows."""
    column = planned.profile
    whole = column.count(Form.WHOLE) == column.rows
    if not whole or column.repeats or column.rows <= FEW * FEW:
        return None
    return (
        "a different whole number in every row; say --id or --drop if it names the rows, as nothing can be learned from"
        " a name."
    )


def _mixed_by_random_splits(planned: PlannedColumn, options: Options) -> str | None:
    if options.time or options.group or planned.column is None or not planned.column.dated:
        return None
    return (
        "random splits mix earlier and later rows, and figures then flatter a model that is to answer later ones; say"
        f" --time {shown(planned.name)} to hold out the latest rows."
    )


def _nearly_an_id(planned: PlannedColumn, options: Options) -> str | None:
    column = planned.profile
    if not _is_category(planned) or column.distinct <= FEW or column.distinct * ROWS_PER_LEVEL <= column.present:
        return None
    if _repeated_id(planned, options):  # which says more
        return None
    return (
        f"{column.distinct} levels in {column.present} rows, so that most are too rare to learn from; say --drop"
        f" {shown(column.name)} if it names things, or group its values."
    )


def _blank_levels(planned: PlannedColumn, _options: Options) -> str | None:
    """Words such as NA are levels in some tables, and empty cells in others."""
    column = planned.profile
    cells = [cell for form in BLANKS if form in column.forms for _, cell in column.forms[form].first]
    if not cells or not _is_category(planned):
        return None
    return (
        f"{listed(cells)} is read as a value of its own, in {column.count(*BLANKS)} rows; say --missing"
        f" {' '.join(map(shown, cells))} if it stands for an empty cell."
    )


def _mixed_types(planned: PlannedColumn, _options: Options) -> str | None:
    column = planned.profile
    others = [form for form in column.forms if form not in {*NUMBERS, *BLANKS}]
    if not column.count(*NUMBERS) or not others or is_dictionary(column) or column.count(Form.FOREIGN_NUMBER):
        return None
    words = ", and ".join(f"{form.value} in {_first_rows(column, form)}" for form in column.forms)
    return f"cells of several kinds in one column: {words}; make them alike, or separate them."


def _first_rows(column: ColumnProfile, form: Form) -> str:
    """The first rows of a form, with their cells."""
    return ", ".join(f"row {row} ({shown(cell)})" for row, cell in column.forms[form].first)


def _foreign_numbers(planned: PlannedColumn, _options: Options) -> str | None:
    held = planned.profile.forms.get(Form.FOREIGN_NUMBER)
    if not held:
        return None
    row, cell = held.first[0]
    return (
        f"row {row} holds {shown(cell)}, a number with separators or signs that is not read as one; write it as"
        f" {planned.profile.example_number} to use it."
    )


def _foreign_dates(planned: PlannedColumn, _options: Options) -> str | None:
    held = planned.profile.forms.get(Form.FOREIGN_DATE)
    if not held:
        return None
    row, cell = held.first[0]
    without = ", in one time zone and without naming it" if re.fullmatch(PATTERNS[Form.MOMENT] + ZONE, cell) else ""
    return f"row {row} holds {shown(cell)}; write dates as 2020-12-31, or 2020-12-31 08:30{without}, to use them."


def _spelled_alike(planned: PlannedColumn, _options: Options) -> str | None:
    """Levels that differ only in case or spaces are often the same."""
    if not _is_category(planned):
        return None
    spellings = defaultdict(list)
    for level, _ in planned.profile.levels:
        spellings["".join(level.split()).casefold()].append(level)
    alike = next((levels for levels in spellings.values() if len(levels) > 1), None)
    if not alike:
        return None
    return f"{listed(alike)} differ only in case or spaces, and count as different; spell them in one way."


def _unused_text(planned: PlannedColumn, _options: Options) -> str | None:
    column = planned.profile
    if not column.count(Form.TEXT) or (column.words < WORDS and column.distinct <= MAX_LEVELS):
        return None
    what = "free text" if column.words >= WORDS else "too many levels for a category"
    return (
        f"{what}, of which a model beside other columns learns nothing; say --text {shown(column.name)} for a model of"
        " texts alone, or put what matters into columns of its own."
    )


def _bad_name(planned: PlannedColumn, _options: Options) -> str | None:
    if planned.name and set(REFUSED_IN_NAMES).isdisjoint(planned.name):
        return None
    return "a column cannot have this name; rename it to learn from it."


def _small_classes(planned: PlannedColumn, _options: Options) -> str | None:
    column = planned.profile
    few = [(label, count) for label, count in column.levels if count < FEW_ROWS]
    if not _is_category(planned) or not few:
        return None
    label, count = few[-1]
    return (
        f"{shown(label)} stands in {count} rows only, so that figures of this class are uncertain; use more rows, or"
        " pool rare classes of several by --other-label other."
    )


def _is_category(planned: PlannedColumn) -> bool:
    return planned.column is not None and planned.column.levelled


RULES: dict[str, tuple[Rule, ...]] = {
    "feature": (
        _repeated_id,
        _unmarked_id,
        _mixed_by_random_splits,
        _nearly_an_id,
        _blank_levels,
        _mixed_types,
        _foreign_numbers,
        _foreign_dates,
        _spelled_alike,
    ),
    "left out": (
        _bad_name,
        _repeated_id,
        _mixed_types,
        _foreign_numbers,
        _foreign_dates,
        _unused_text,
    ),
    "target": (_small_classes, _blank_levels, _spelled_alike),
    "id": (),
    "group": (_groups_of_one,),
    "time": (),
}
"""What is looked for, by the role of the column."""

SPLITS: dict[Rule, str] = {_repeated_id: "group", _mixed_by_random_splits: "time"}
"""The split that a rule advises."""
