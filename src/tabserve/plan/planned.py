"""What becomes of a column, and what a user should know of it."""

from dataclasses import dataclass
from typing import Literal

from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.kinds import empty_cells
from tabserve.problem.columns import Column, Kind

Role = Literal["feature", "target", "id", "group", "time", "left out"]


@dataclass(frozen=True)
class Caution:
    """What may make figures lie, or surprise.

    Attributes:
        about: the column, or the empty text if it is about the whole table.
        sentence: what was seen, and what to do.
        split: `group` or `time` if it advises to split by the column; empty otherwise.
    """

    about: str
    sentence: str
    split: str = ""


@dataclass(frozen=True)
class PlannedColumn:
    """What becomes of a column.

    Attributes:
        name: its name.
        role: what it is for.
        kind: what its cells are; None if the column is not read, or names rows or groups.
        missing: whether a new row may have an empty cell there.
        why: the reason for role and kind, in words.
        profile: what it holds.
        is_feature: whether the model sees it; the time of a table may be seen as well.
    """

    name: str
    role: Role
    kind: Kind | None
    missing: bool
    why: str
    profile: ColumnProfile
    is_feature: bool = False

    @property
    def column(self) -> Column | None:
        """The column to learn from; None if it has no kind."""
        return Column(self.name, self.kind, self.missing) if self.kind else None

    def in_words(self) -> dict[str, str]:
        """What a report shows of it."""
        profile = self.profile
        return {
            "name": self.name,
            "role": self.role,
            "kind": self.kind or "",
            "why": self.why,
            "distinct": f"{profile.distinct:,}",
            "missing": f"{empty_cells(profile, self.kind):,}",
            "example": profile.example,
        }

    @property
    def word(self) -> str:
        """The kind of a feature, and the role of any other column."""
        return self.kind if self.role == "feature" and self.kind else self.role
