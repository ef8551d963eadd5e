"""Levels of a column that training did not see, counted in new rows."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tabserve.wording import one_line, shown

MOST = 1_000
"""Most levels whose rows are counted one by one; a column of ids has no end of them."""

NAMED = 5
"""Most levels that a sentence names."""


class NewLevels(NamedTuple):
    """Levels that training did not see.

    Attributes:
        rows: number of rows with any of them.
        counts: number of rows with each, of the first `MOST` levels.
    """

    rows: int = 0
    counts: Mapping[str, int] = MappingProxyType({})

    def plus(self, levels: Mapping[str, int]) -> "NewLevels":
        """With the levels of further rows."""
        room = MOST - len(self.counts)
        fresh = [level for level in levels if level not in self.counts][:room]
        counts = {level: self.counts.get(level, 0) + levels.get(level, 0) for level in (*self.counts, *fresh)}
        return NewLevels(self.rows + sum(levels.values()), counts)

    def __str__(self) -> str:
        """The most frequent levels with their rows, and how many others there are."""
        ranked = sorted(self.counts, key=lambda level: (-self.counts[level], level))
        named = [f"{one_line(shown(level))} ({self.counts[level]:,} rows)" for level in ranked[:NAMED]]
        others = self.rows - sum(self.counts[level] for level in ranked[:NAMED])
        more = [f"others ({others:,} rows)"] if others else []
        return ", ".join([*named, *more])


NO_LEVELS = NewLevels()
