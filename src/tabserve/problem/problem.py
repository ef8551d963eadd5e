"""What is to be learned from which columns: one frozen value that every station reads."""

import math
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Any

from tabserve.errors import UsageError
from tabserve.problem.columns import Column
from tabserve.problem.task import Binary, Task

TYPES: dict[str, tuple[type | UnionType, str]] = {
    "name": (str, "text"),
    "columns": (tuple, "a tuple of columns"),
    "target": (str, "text"),
    "task": (Task, "a task, such as Binary()"),
    "id": (str | None, "text or None"),
    "group": (str | None, "text or None"),
    "time": (str | None, "text or None"),
    "holdout": (float, "a number between 0 and 1"),
    "folds": (int, "a whole number"),
    "seed": (int, "a whole number"),
    "ignored": (tuple, "a tuple of texts"),
    "blanks": (tuple, "a tuple of texts"),
}
"""What the fields must be, in Python and in words; True and False are no whole numbers here."""

LIMIT = 2**32
"""What folds and seed lie below: no generator takes a larger seed."""


@dataclass(frozen=True)
class Problem:
    """What is to be learned from a table.

    Attributes:
        name: short name, written into the model folder.
        columns: what the model sees, in this order. Columns of text stand alone: they are joined in this order, and the
            first is never empty.
        target: name of the column that holds what is predicted.
        task: what that is, and what is maximised.
        id: name of the column that names each row, or None when rows are named by their number, from 1.
        group: name of the column whose rows of one value belong together, such as a seller; no split parts them.
        time: name of the column that says when each row was, by which the table is split: the latest rows are held out,
            and folds go forward. It is a feature only if it is among the columns too, as a date.
        holdout: share of the rows kept aside until the very end, in (0, 1).
        folds: number of cross-validation folds.
        seed: the only source of randomness in splits and models.
        ignored: names of other columns that a table may have and that are not read; any further one is refused.
        blanks: further spellings of an empty cell in every column of a file or frame, such as `?` or `-999`; numbers
            are compared by value. A request spells an empty cell as null.
    """

    name: str
    columns: tuple[Column, ...]
    target: str = "target"
    task: Task = Binary()  # noqa: RUF009  frozen
    id: str | None = None
    group: str | None = None
    time: str | None = None
    holdout: float = 0.2
    folds: int = 5
    seed: int = 42
    ignored: tuple[str, ...] = ()
    blanks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a problem that contradicts itself, or whose fields are of other types."""
        self._check_types()
        self._check_columns()
        if not 0 < self.holdout < 1 or not 2 <= self.folds < LIMIT:
            raise UsageError(
                "A problem needs a hold-out share between 0 and 1 and at least 2 folds,"
                f" not {self.holdout} and {self.folds!r:.60}."
            )
        if not 0 <= self.seed < LIMIT:
            raise UsageError(f"A problem needs a seed from 0 to {LIMIT - 1}, not {self.seed!r:.60}.")

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the cells of each column are."""
        return tuple(column.kind for column in self.columns)

    @cached_property
    def missing(self) -> tuple[bool, ...]:
        """Whether each column may have empty cells."""
        return tuple(column.missing for column in self.columns)

    @property
    def criterion(self) -> Any:  # noqa: ANN401  of the kind that the task takes
        """That of the task."""
        return self.task.criterion

    @property
    def labels(self) -> tuple[str, ...]:
        """Those of the task."""
        return self.task.labels

    @property
    def fewest_rows(self) -> int:
        """Rows that every class needs."""
        return fewest_rows(self.folds, self.holdout)

    def _check_types(self) -> None:
        for field, (kind, expected) in TYPES.items():
            value = getattr(self, field)
            fits = isinstance(value, kind) and not isinstance(value, bool)
            if not fits or (value == "" and field in {"id", "group", "time"}):  # which would be as if there were none
                raise UsageError(f"A problem needs {expected} as its {field}, not {value!r:.60}.")
        columns: tuple[object, ...] = self.columns
        if other := [column for column in columns if not isinstance(column, Column)]:
            raise UsageError(f"A problem needs a tuple of columns, such as Column('age'), not {other[0]!r:.60} in it.")
        self._check_blanks()
        roles = [self.target, *filter(None, (self.id, self.group, self.time))]
        try:
            "".join((self.name, *self.features, *self.labels, *roles, *self._check_ignored(), *self.blanks)).encode()
        except UnicodeEncodeError as error:
            raise UsageError(
                f"A problem needs names, labels and blanks that UTF-8 can write, not {error.object[error.start]!r}."
            ) from error
        if not self.name.isprintable():
            raise UsageError(f"A problem needs a name of one line, not {self.name!r:.60}.")

    def _check_ignored(self) -> tuple[str, ...]:
        """The ignored columns, which must be texts that name no column that is read."""
        used = {*self.features, self.target, self.id, self.group, self.time}
        names: tuple[object, ...] = self.ignored
        if bad := [name for name in names if not isinstance(name, str) or name in used]:
            raise UsageError(f"A problem ignores columns that it does not use otherwise, not {bad[0]!r:.60}.")
        return self.ignored

    def _check_blanks(self) -> None:
        blanks: tuple[object, ...] = self.blanks
        if other := [blank for blank in blanks if not isinstance(blank, str) or not blank or blank != blank.strip()]:
            raise UsageError(
                f"A problem needs texts without surrounding spaces as its blanks, such as '?', not {other[0]!r:.60}; an"
                " empty cell is always missing."
            )

    def _check_columns(self) -> None:
        columns = [*self.features, self.target, *filter(None, [self.id, self.group])]
        if not self.features or len(set(columns)) != len(columns):
            raise UsageError("A problem needs at least one column, and no column may be named twice.")
        self._check_time()
        for name in self.features:
            if not set("[]<").isdisjoint(name):
                raise UsageError(f"A column cannot be named {name!r:.60}; XGBoost takes no name with [, ] or <.")
        alone = [column.name for column in self.columns if column.stands_alone]
        if 0 < len(alone) < len(self.columns):
            raise UsageError(
                f"A problem has columns of text alone, or none, and {alone[0]!r} is one of them among"
                f" {len(self.columns)} columns; make it a category, or leave it out."
            )

    def _check_time(self) -> None:
        """Refuse groups beside a time, and a time that is something else as well."""
        if self.time and self.group:
            raise UsageError(
                f"A problem is split by time or by groups, not by both {self.time!r:.60} and {self.group!r:.60}: a"
                " group with rows before and after a moment can stand whole on neither side; leave one out."
            )
        if self.time and self.time in (self.target, self.id):
            raise UsageError(f"A problem needs a column of its own as its time, not {self.time!r:.60} again.")
        for column in self.columns:
            if column.name == self.time and not column.dated:
                raise UsageError(
                    f"Column {column.name!r:.60} says when each row was, so it can be a feature as a date alone, not as"
                    f" a {column.kind}."
                )


def fewest_rows(folds: int, holdout: float) -> int:
    """Rows that a class needs for one in the hold-out and one in each fold of the others."""
    return math.ceil(max(folds / (1 - holdout), 1 / holdout))
