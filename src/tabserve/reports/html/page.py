"""The page: sections of panels and tables, rendered by a template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import ClassVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

NUMBERS = re.compile(r"(?:[-−–+±0-9.,%()e\s]|to)*")
"""A cell that holds numbers, and is set flush right."""

NARROW = 66
"""Most characters of a table that has room beside a figure."""

LONG = 40
"""Most rows of a table that is shown whole."""

WORDS = 3
"""Most columns of a table of words that always fits."""

PRINTED = 11
"""Most columns of a table whose words have room on paper."""


@dataclass(frozen=True)
class Panel:
    """A figure with its title and one sentence that says what it shows."""

    narrow: ClassVar[bool] = True

    title: str
    sentence: str
    figure: Markup


@dataclass(frozen=True)
class Table:
    """A table of texts; the first cell of a row names it.

    Attributes:
        caption: what the table shows.
        head: the title of each column.
        rows: the cells.
        marked: the names of the rows, and the titles of the columns, to mark.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[str] = frozenset()

    @property
    def narrow(self) -> bool:
        """Whether the table has room beside another block."""
        widths = [max(map(len, cells)) for cells in zip(self.head, *self.rows, strict=True)]
        return any(self.numeric) and sum(widths) + 3 * len(widths) <= NARROW

    @property
    def words(self) -> bool:
        """Whether the cells are words that wrap, in columns so few that the table is never scrolled sideways."""
        return len(self.head) <= WORDS and not any(self.numeric)

    @property
    def long(self) -> bool:
        """Whether the table is scrolled down, and not shown whole."""
        return len(self.rows) > LONG

    @property
    def broad(self) -> bool:
        """Whether the table is printed in small letters, and words are broken anywhere."""
        return len(self.head) > PRINTED

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [
            place > 0 and all(map(NUMBERS.fullmatch, cells)) for place, cells in enumerate(zip(*self.rows, strict=True))
        ]

    @property
    def classes(self) -> list[str]:
        """The classes of the cells of each column, for the style."""
        return [
            " ".join(["number"] * numeric + ["marked"] * (title in self.marked))
            for title, numeric in zip(self.head, self.numeric, strict=True)
        ]


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        name: its anchor.
        title: its heading.
        lead: sentences below the heading.
        blocks: its figures and tables, in this order.
    """

    name: str
    title: str
    lead: str = ""
    blocks: Sequence[Panel | Table] = ()

    @property
    def placed(self) -> list[tuple[Panel | Table, bool]]:
        """The blocks in this order, two narrow ones beside each other, and whether each has the whole width."""
        placed, left = [], True
        for block, after in zip_longest(self.blocks, self.blocks[1:]):
            alone = left and (after is None or not after.narrow)
            wide = alone or not block.narrow
            placed.append((block, wide))
            left = wide or not left
        return placed


@dataclass(frozen=True)
class Page:
    """All that the template shows.

    Attributes:
        title: of the page.
        lead: sentences below it.
        facts: short figures at the top: a name, a value, and a remark on it.
        sections: in the order of the table of contents.
        warning: a sentence above all else, or empty.
    """

    title: str
    lead: str
    facts: Sequence[tuple[str, str, str]]
    sections: Sequence[Section] = field(default_factory=tuple)
    warning: str = ""


def render(page: Page) -> str:
    """The page as HTML; texts are escaped."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Markup(Path(__file__).with_name("style.css").read_text(encoding="utf-8"))  # noqa: S704  our own file
    return environment.get_template("page.html").render(page=page, style=style)
