"""Show a plan on a terminal: the target, a row for each column, what is left out; and cautions."""

import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence

from tabserve.plan.kinds import empty_cells
from tabserve.plan.plan import Plan
from tabserve.plan.planned import Caution, PlannedColumn
from tabserve.wording import one_line, shown

NARROWEST, WIDEST = 80, 120
"""Columns of the terminal that are used at least and at most."""

HEADER = ("column", "kind", "distinct", "empty", "example", "why")

MOST = (24, 8, 11, 9, 18)
"""Most characters of the cells of each column but the last, which gets the rest of the line."""

NUMBERS = {2, 3}
"""The columns whose cells stand at the right."""

MOST_SIGNS = 4
"""Characters for each column of the terminal, at most, as combining ones take none."""

MAX_CLASSES = 6
"""Classes whose shares are shown."""


def lines(plan: Plan, width: int | None = None) -> list[str]:
    """The plan as lines of text, without its cautions.

    Args:
        plan: to show.
        width: of the terminal in characters; found out if None, and kept between 80 and 120.
    """
    width = _width_of_lines(width)
    used = [column for column in plan.columns if column.role != "left out"]
    left_out = [column for column in plan.columns if column.role == "left out"]
    return [*_title(plan, width), "", *_table([*used, *left_out], width)]


def caution_lines(cautions: Sequence[Caution], width: int | None = None) -> list[str]:
    """Cautions as lines of text, after an empty one; none if there are no cautions."""
    width, shown_lines = _width_of_lines(width), ["", "Cautions"]
    for caution in cautions:
        about = f"{caution.about}: " if caution.about else ""
        shown_lines += _wrapped(f"  {about}{caution.sentence}", width, "    ")
    return shown_lines if cautions else []


def _width_of_lines(width: int | None) -> int:
    columns = width or shutil.get_terminal_size((WIDEST, 24)).columns
    return min(max(columns, NARROWEST), WIDEST)


def _title(plan: Plan, width: int) -> Iterator[str]:
    """The table, and what is to be learned."""
    target = next(column for column in plan.columns if column.role == "target")
    separated = f", separated by {shown(plan.source.dialect.delimiter)}" if plan.source.dialect else ""
    rows = f"{target.profile.rows:,} rows, {len(plan.columns)} columns{separated}"
    yield from _wrapped(f"{plan.source.name}: {rows}", width)
    yield from _wrapped(f"Target {target.name}: {plan.problem.task.KIND}, {target.why}{_shares(plan, target)}", width)


def _shares(plan: Plan, target: PlannedColumn) -> str:
    """The shares of the most frequent of several classes."""
    if len(plan.problem.labels) < 3:
        return ""
    levels = target.profile.levels[:MAX_CLASSES]
    shares = ", ".join(f"{level} {count / target.profile.present:.1%}" for level, count in levels)
    return f": {shares}" + (", …" if len(target.profile.levels) > MAX_CLASSES else "")


def _table(columns: Sequence[PlannedColumn], width: int) -> list[str]:
    """A line for the header, and one for each column."""
    cells = [HEADER, *(tuple(map(one_line, _cells(column))) for column in columns)]
    widths = [min(most, max(map(_width, column))) for most, column in zip(MOST, zip(*cells, strict=True), strict=False)]
    return [_line(row, [*widths, width - sum(widths) - 2 * len(widths)]) for row in cells]


def _cells(planned: PlannedColumn) -> tuple[str, ...]:
    profile = planned.profile
    return (
        planned.name,
        planned.word,
        f"{profile.distinct:,}" if profile.counted or not profile.repeats else f"~{profile.distinct:,}",
        f"{empty_cells(profile, planned.kind):,}",
        profile.example,
        planned.why,
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The cells at their widths, two spaces between them."""
    padded = []
    for index, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        text = _cut(cell, width)
        space = " " * (width - _width(text))
        padded.append(space + text if index in NUMBERS else text + space)
    return "  ".join(padded).rstrip()


def _cut(text: str, width: int) -> str:
    """The text, cut to a width."""
    return text if _width(text) <= width else f"{_prefix(text, width - 1)}…"


def _prefix(text: str, width: int) -> str:
    """The longest beginning of a text that is no wider."""
    text = text[: MOST_SIGNS * width]
    while _width(text) > width:
        text = text[:-1]
    return text


def _width(text: str) -> int:
    """The columns of a terminal that a text takes: wide characters take two, and combining ones none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """The text in lines of a width, without control characters; the standard library counts wide characters as one."""
    wrapped = [""]
    for word in _words(one_line(text), width - len(indent)):
        if wrapped[-1] and _width(wrapped[-1] + word) > width:
            wrapped.append(indent + word.lstrip(" "))
        else:
            wrapped[-1] += word
    return wrapped


def _words(text: str, width: int) -> Iterator[str]:
    """The words of a text with the spaces before them; longer ones than a line are cut into pieces."""
    for word in re.findall(" *[^ ]+", text):
        rest = word
        while _width(rest) > width:
            piece = _prefix(rest, width)
            yield piece
            rest = rest.removeprefix(piece)
        yield rest
