"""A measure by the name and the sign that people know: a cost or an error, not minus it."""

from collections.abc import Mapping
from typing import Any

from tabserve.problem import metric
from tabserve.problem.metric import Value
from tabserve.reports.tables import TITLES, plain_interval
from tabserve.training.bootstrap import Interval


class Measure:
    """A measure as the manifest names it.

    Attributes:
        name: as in the manifest.
        title: for people.
        less: whether less of the value for people is better.
    """

    def __init__(self, name: str) -> None:
        self.name, self.title, self.less = name, TITLES[name], metric.is_less_better(name)

    def plain(self, value: Value) -> Value:
        """A value, or an array of values, for people."""
        return metric.plain(self.name, value)

    def interval(self, measured: Mapping[str, Any]) -> Interval:
        """A value with its interval for people."""
        return plain_interval(self.name, measured)


def ranking_measure(metrics: Mapping[str, Any]) -> str:
    """The name of the measure that ranked the candidates."""
    return str(next(iter(metrics["folds"][metrics["winner"]])))


def distinct(names: Mapping[str, Any]) -> dict[str, Measure]:
    """The measures of these names, by name, each only once if people would see it twice."""
    return {name: Measure(name) for name in metric.distinct(names)}
