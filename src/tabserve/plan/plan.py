"""The plan of a training: what each column is and why, what is to be learned, and what the user should know."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.options import Options
from tabserve.problem.columns import Kind
from tabserve.problem.problem import Problem

Role = Literal["feature", "target", "id", "group", "time", "left out"]


@dataclass(frozen=True)
class Caution:
    """What may make figures lie, or surprise.

    Attributes:
        about: the column, or the empty text if it is about the whole table.
        sentence: what was seen, and what to do.
    """

    about: str
    sentence: str


@dataclass(frozen=True)
class PlannedColumn:
    """What becomes of a column.

    Attributes:
        name: its name.
        role: what it is for. The time of a problem is a feature as well if it is among the problem's columns.
        kind: what its cells are read as; None if the column is not read.
        missing: whether a new row may have an empty cell there.
        why: the reason for role and kind, in words.
        profile: what it holds.
    """

    name: str
    role: Role
    kind: Kind | None
    missing: bool
    why: str
    profile: ColumnProfile


@dataclass(frozen=True)
class Plan:
    """What is to be learned from a table.

    Attributes:
        source: the table.
        options: what the user said.
        problem: what is to be learned.
        columns: all columns, in the order of the table.
        cautions: what the user should know before training.
        rows: rows of the table that have a target.
    """

    source: Path
    options: Options
    problem: Problem
    columns: tuple[PlannedColumn, ...]
    cautions: tuple[Caution, ...]
    rows: int
