"""What a user says of a table: the target, and whatever is not to be found out from the file."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from tabserve.errors import UsageError
from tabserve.problem.criterion import Costs
from tabserve.problem.problem import LIMIT
from tabserve.problem.task import TASKS

ROLES = ("target", "id", "group", "time")
"""The options that name one column, which is then no feature."""

LISTS = ("number", "category", "date", "text", "drop")
"""The options that name any number of columns."""

TOGETHER = {("date", "time")}
"""The options that may name the same column: the time is a feature as well if it is named as a date."""

TYPES: dict[str, type] = {"drop_empty_target": bool, "seed": int, "target": str}
"""The types of the fields that are neither lists of texts, nor a text or None."""


@dataclass(frozen=True)
class Options:
    """What a user says of a table; all else is found out.

    Attributes:
        target: name of the column to predict.
        number: columns of numbers.
        category: columns of categories.
        date: columns of ISO dates.
        text: columns of text, which are then the only features.
        drop: columns to leave out.
        id: the column that names each row.
        group: the column whose rows of one value stay together in every split.
        time: the column that says when each row was; the latest rows are held out.
        positive: the label that a model of two classes looks for; the rarer one if None.
        task: a kind of task, such as `regression`; found out if None.
        missing: further spellings of an empty cell, in every column.
        other_label: the label under which classes of too few rows are pooled.
        drop_empty_target: whether rows without a target are left out; they are refused otherwise.
        metric: what ranks the candidates; the usual one of the task if None.
        costs: the costs of a false positive and of a false negative, to be minimised.
        seed: of splits and models.
        name: of the problem; made of the file's name if None.
    """

    target: str
    number: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    id: str | None = None
    group: str | None = None
    time: str | None = None
    positive: str | None = None
    task: str | None = None
    missing: tuple[str, ...] = ()
    other_label: str | None = None
    drop_empty_target: bool = False
    metric: str | None = None
    costs: tuple[float, float] | None = None
    seed: int = 42
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse values of other types, and options that contradict each other."""
        self._check_types()
        self._check_missing()
        self._check_columns()
        self._check_task()
        if not 0 <= self.seed < LIMIT:
            raise UsageError(f"The seed must be a whole number from 0 to {LIMIT - 1}, not {self.seed!r:.60}.")
        if self.costs is not None:
            Costs(*self.costs)
        if self.name is not None and ("/" in self.name or self.name in {".", ".."}):
            raise UsageError(f"--name needs a name without a slash, for the folder in build, not {self.name!r:.60}.")

    def named(self) -> Iterator[tuple[str, str]]:
        """Each column that an option names, with the option's name."""
        for option in ROLES:
            if (name := getattr(self, option)) is not None:
                yield name, option
        for option in LISTS:
            for name in getattr(self, option):
                yield name, option

    def _check_types(self) -> None:
        for field in fields(self):
            value, option = getattr(self, field.name), flag(field.name)
            if field.name == "costs":
                if value is not None and (not isinstance(value, tuple) or len(value) != 2):
                    raise UsageError(f"{option} needs two numbers, such as 1,10, not {value!r:.60}.")
            elif field.name in (*LISTS, "missing"):
                if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
                    raise UsageError(f"{option} needs texts, not {value!r:.60}.")
            elif not _fits(value, TYPES.get(field.name)):
                expected = TYPES.get(field.name, str).__name__.replace("str", "a text that is not empty")
                raise UsageError(f"{option} needs {expected}, not {value!r:.60}.")

    def _check_missing(self) -> None:
        for spelling in self.missing:
            if not spelling or spelling != spelling.strip():
                raise UsageError(
                    f"--missing needs spellings without spaces around them, such as ?, not {spelling!r:.60}."
                )

    def _check_columns(self) -> None:
        """Refuse a column that two options name."""
        options: dict[str, str] = {}
        for name, option in self.named():
            first = options.setdefault(name, option)
            if first != option and tuple(sorted((first, option))) not in TOGETHER:
                raise UsageError(
                    f"Column {name!r:.60} is named by both {flag(first)} and {flag(option)}; name it by one of them."
                )
        beside = [name for option in ("number", "category", "date") for name in getattr(self, option)]
        if self.text and beside:
            raise UsageError(
                f"--text makes a model of texts alone, so {beside[0]!r:.60} cannot be one beside them; leave one out."
            )
        if self.time is not None and self.group is not None:
            raise UsageError("Rows are split by --time or by --group, not by both; leave one out.")

    def _check_task(self) -> None:
        """Refuse an unknown task; whether other options fit the task is seen once the target is known."""
        if self.task is not None and self.task not in TASKS:
            raise UsageError(f"--task must be {' or '.join(TASKS)}, not {self.task!r:.60}.")


def flag(option: str) -> str:
    """An option as the command line spells it."""
    return "--" + option.replace("_", "-")


def _fits(value: Any, kind: type | None) -> bool:  # noqa: ANN401  whatever a user gave
    """Whether a value has the type, or is a text that is not empty, or is None where there is no type."""
    if kind is None or kind is str:
        return (value is None and kind is None) or (isinstance(value, str) and value != "")
    return type(value) is kind
