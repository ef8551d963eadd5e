"""The page: sections of panels and tables, rendered by a template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

NUMBERS = re.compile(r"(?:[-−–+±0-9.,%()e\s]|to)*")
"""A cell that holds numbers, and is set flush right."""

NARROW = 66
"""Most characters of a table that has room beside another one."""

LONG = 14
"""Most rows of a table that is shown whole."""


@dataclass(frozen=True)
class Panel:
    """A figure with its title and one sentence that says what it shows."""

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
        marked: the names of the rows to mark.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[str] = frozenset()

    @property
    def narrow(self) -> bool:
        """Whether two such tables have room beside each other."""
        widths = [max(map(len, cells)) for cells in zip(self.head, *self.rows, strict=True)]
        return any(self.numeric) and sum(widths) + 3 * len(widths) <= NARROW

    @property
    def long(self) -> bool:
        """Whether the table is scrolled, and not shown whole."""
        return len(self.rows) > LONG

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [
            place > 0 and all(map(NUMBERS.fullmatch, cells)) for place, cells in enumerate(zip(*self.rows, strict=True))
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
