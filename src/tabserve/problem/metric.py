"""The measures that a user can name to rank candidates, and which way round each measure is better."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from tabserve.errors import UsageError
from tabserve.problem.criterion import Costs
from tabserve.problem.task import TASKS

COSTS = "costs"
"""The user's name for the mean cost per row, which the criterion `Costs` measures."""

MINUS = "minus_"
"""A part of the name of a measure that is negated, so that the larger is the better."""

LESS_IS_BETTER = frozenset({"log_loss", "brier", "rmse", "mae", "median_absolute_error"})
"""The measures of which less is better; of every other measure that ranks, more is."""


class Negatable(Protocol):
    """A number, an array of them, or an interval."""

    def __neg__(self) -> Any:  # noqa: ANN401  of the same type
        """Minus it."""


Figure = TypeVar("Figure")
Value = TypeVar("Value", bound=Negatable)


class Goal(NamedTuple):
    """The last two fields of a task: `Binary(labels, *goal)`.

    Attributes:
        criterion: what the decision maximises.
        metric: the measure that ranks candidates; the criterion itself if empty.
    """

    criterion: Any
    metric: str


def metric_of(name: str, kind: str, costs: tuple[float, float] | None = None) -> Goal:
    """The goal of a task that a user names.

    Args:
        name: one of `metric_names`; the task's default if empty.
        kind: of the task, a key of `TASKS`.
        costs: of calling a negative row positive, and of missing a positive row. The decision then has the least cost,
            and ranks the candidates unless another measure is named.

    Raises:
        UsageError: the metric is of another task; or the costs are missing, do not fit the metric or the task, or are
            no numbers above 0.
    """
    task, fitting = TASKS[kind], metric_names(kind)
    if name and name not in fitting:
        raise UsageError(f"The metric {name!r:.60} does not fit a {kind} task; choose one of {', '.join(fitting)}.")
    criterion = task.METRICS.get(name)
    if costs is None:
        if name == COSTS:
            raise UsageError("The metric 'costs' needs two costs, such as 1,10: of a false alarm and of a miss.")
        return Goal(criterion or task.criterion, name)
    if COSTS not in fitting:
        raise UsageError(f"A {kind} task has no false alarms and misses to cost anything; leave the costs out.")
    if criterion:
        raise UsageError(f"The metric {name!r} needs a decision that maximises it, not the least cost; leave one out.")
    return Goal(Costs(*costs), "" if name == COSTS else name)


def metric_names(kind: str) -> tuple[str, ...]:
    """The metrics that a user can name for a kind of task, a key of `TASKS`."""
    task = TASKS[kind]
    return (*task.METRICS, *(() if task.AMOUNT else (COSTS,)))


def first(measure: str, figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """The figures by the name of their measure, with this measure first."""
    return {measure: figures[measure], **figures}


def goodness(measure: str, value: float) -> float:
    """The value of a measure, negated if less of it is better, so that the best is the largest."""
    return -value if measure in LESS_IS_BETTER else value


def plain_name(measure: str) -> str:
    """The name without the sign: `cost` for `minus_cost`."""
    return measure.replace(MINUS, "")


def plain(measure: str, value: Value) -> Value:
    """A value of a measure with the sign that people know: a cost or an error, not minus it."""
    return -value if MINUS in measure else value


def is_less_better(measure: str) -> bool:
    """Whether less is better of what people know."""
    return MINUS in measure or measure in LESS_IS_BETTER


def distinct(measures: Iterable[str]) -> list[str]:
    """The names of measures without those that are minus another one; a negated measure alone stays."""
    names = [*measures]
    return [name for name in names if plain_name(name) == name or plain_name(name) not in names]
