"""A measure by the name and the sign that people know: a cost or an error, not minus it."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tabserve.problem.metric import LESS_IS_BETTER, MINUS
from tabserve.reports.tables import TITLES
from tabserve.training.bootstrap import Interval

Value = TypeVar("Value", float, NDArray[np.float64])


class Measure:
    """A measure as the manifest names it.

    Attributes:
        title: for people.
        sign: what a value of the manifest is multiplied by for people, 1 or -1.
        less: whether less of the value for people is better.
    """

    def __init__(self, name: str) -> None:
        negated = name.startswith(MINUS)
        self.title = TITLES[name].removeprefix("minus ") if negated else TITLES[name]
        self.sign = -1 if negated else 1
        self.less = negated or name in LESS_IS_BETTER

    def plain(self, value: Value) -> Value:
        """A value, or an array of values, for people."""
        return self.sign * value

    def interval(self, measured: Mapping[str, Any]) -> Interval:
        """A value with its interval for people."""
        low, high = sorted((self.plain(measured["low"]), self.plain(measured["high"])))
        return Interval(self.plain(measured["value"]), low, high)


def ranking_measure(metrics: Mapping[str, Any]) -> str:
    """The name of the measure that ranked the candidates."""
    return str(next(iter(metrics["folds"][metrics["winner"]])))


def distinct(names: Mapping[str, Any]) -> dict[str, Measure]:
    """The measures of these names, by name, each only once if people would see it twice."""
    by_title = {(measure := Measure(name)).title: (name, measure) for name in reversed([*names])}
    return dict(reversed(by_title.values()))
