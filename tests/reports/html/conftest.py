"""Reports of small models, one for each task."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from tests.browser import browser
from tests.reports.html.small_run import Run, amounts, cells, train

from tabserve.problem.task import Binary, Multiclass, Regression
from tabserve.reports.html import contributions, importance
from tabserve.training import bootstrap

__all__ = ["browser"]


@pytest.fixture(autouse=True, scope="session")
def _quick() -> Iterator[None]:
    """Fewer resamples, shuffles and explained rows than a report for people has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 20)
        patch.setattr(importance, "REPEATS", 2)
        patch.setattr(contributions, "MAX_ROWS", 200)
        yield


def two() -> Run:
    """Two classes."""
    table = cells()
    return train(Binary(("no", "yes & <em>")), table, (amounts(table) > 8).astype(np.int8))


def three() -> Run:
    """Three classes, the last of which is rare."""
    table = cells()
    return train(Multiclass(("a", "b", "rare")), table, np.digitize(amounts(table), [5, 17]).astype(np.int8))


def amount() -> Run:
    """An amount."""
    table = cells()
    return train(Regression("USD"), table, amounts(table))


BUILDERS: dict[str, Callable[[], Run]] = {"binary": two, "multiclass": three, "regression": amount}


@pytest.fixture(scope="session", params=BUILDERS)
def run(request: pytest.FixtureRequest) -> Run:
    """A small model of each task."""
    return BUILDERS[request.param]()
