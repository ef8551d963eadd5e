"""The columns that a model learns from, and what their cells hold."""

from dataclasses import dataclass
from typing import Literal, get_args

from tabserve.errors import UsageError

Kind = Literal["number", "category", "date", "text"]

Unseen = Literal["missing", "refused"]


@dataclass(frozen=True)
class Column:
    """A column that a model learns from.

    Attributes:
        name: its name in the table, in requests and in the manifest.
        kind: what its cells hold: a `number`, a `category` (one of a few levels), a `date`, or a `text`.
        missing: whether a cell may be empty; an empty cell is refused otherwise.
        unseen: how a category that training did not see is treated: as `missing`, or `refused`.
    """

    name: str
    kind: Kind = "number"
    missing: bool = False
    unseen: Unseen = "missing"

    def __post_init__(self) -> None:
        """Refuse an empty name and unknown values."""
        name: object = self.name
        if not isinstance(name, str) or not name:
            raise UsageError(f"A column needs a name, written as text, not {self.name!r:.60}.")
        for field, values in (("kind", get_args(Kind)), ("missing", (False, True)), ("unseen", get_args(Unseen))):
            value: object = getattr(self, field)
            if not any(value is each or (isinstance(value, str) and value == each) for each in values):
                expected = " or ".join(map(repr, values))
                raise UsageError(f"Column {self.name!r} needs {expected} as its {field}, not {value!r:.60}.")

    @property
    def stands_alone(self) -> bool:
        """Whether a problem with this column can only have columns of the same kind."""
        return self.kind == "text"

    @property
    def dated(self) -> bool:
        """Whether its cells say when something was."""
        return self.kind == "date"

    @property
    def levelled(self) -> bool:
        """Whether its cells are levels, of which there are few."""
        return self.kind == "category"

    @property
    def as_text(self) -> bool:
        """Whether its cells are read from a file as text, not as numbers."""
        return self.kind != "number"


def numbers(*names: str, missing: bool = False) -> tuple[Column, ...]:
    """Columns of numbers with these names."""
    return tuple(Column(name, missing=missing) for name in names)
