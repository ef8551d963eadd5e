"""A user names the measure that ranks; one place turns the name into the fields of a task, or refuses it."""

from dataclasses import replace
from typing import Any

import pytest

from tabserve.errors import UsageError
from tabserve.problem.criterion import MAE, Accuracy, BalancedAccuracy, Costs, f1, rmse
from tabserve.problem.metric import (
    distinct,
    first,
    goodness,
    is_less_better,
    metric_names,
    metric_of,
    plain,
    plain_name,
)
from tabserve.problem.task import TASKS, Binary, Multiclass, Regression, Task
from tabserve.training.bootstrap import Interval

EXAMPLES: dict[str, Task] = {"binary": Binary(), "multiclass": Multiclass(("a", "b", "c")), "regression": Regression()}


@pytest.mark.parametrize("kind", TASKS)
def test_every_metric_of_a_task_makes_a_task_that_ranks_by_it(kind: str) -> None:
    """Each name that is offered is accepted, by the task as well."""
    assert metric_names(kind)
    for name in TASKS[kind].METRICS:
        goal = metric_of(name, kind)
        assert replace(EXAMPLES[kind], criterion=goal.criterion, metric=goal.metric).ranked_by == name


@pytest.mark.parametrize("kind", TASKS)
def test_without_a_name_the_task_keeps_its_default(kind: str) -> None:
    """No metric and no costs change nothing."""
    goal = metric_of("", kind)
    assert replace(EXAMPLES[kind], criterion=goal.criterion, metric=goal.metric) == EXAMPLES[kind]


@pytest.mark.parametrize(
    ("name", "kind", "costs", "expected"),
    [
        ("f1", "binary", None, (f1, "f1")),
        ("accuracy", "binary", None, (Accuracy(), "accuracy")),
        ("balanced_accuracy", "binary", None, (BalancedAccuracy(), "balanced_accuracy")),
        ("roc_auc", "binary", None, (f1, "roc_auc")),
        ("", "binary", (1, 10), (Costs(1, 10), "")),
        ("costs", "binary", (1, 10), (Costs(1, 10), "")),
        ("log_loss", "binary", (1, 10), (Costs(1, 10), "log_loss")),
        ("costs", "multiclass", (1, 10), (Costs(1, 10), "")),
        ("accuracy", "multiclass", None, (f1, "accuracy")),
        ("mae", "regression", None, (MAE(), "mae")),
        ("r2", "regression", None, (rmse, "r2")),
    ],
)
def test_a_name_gives_what_is_maximised_and_what_ranks(
    name: str, kind: str, costs: tuple[float, float] | None, expected: tuple[Any, str]
) -> None:
    """The threshold maximises the measure if that needs one, else the task's default or the costs."""
    assert metric_of(name, kind, costs) == expected


@pytest.mark.parametrize(
    ("name", "kind", "costs", "message"),
    [
        ("rmse", "binary", None, "'rmse' does not fit a binary task; choose one of f1, accuracy,"),
        ("f1", "multiclass", None, "choose one of macro_f1, accuracy, balanced_accuracy, log_loss, costs."),
        ("costs", "regression", (1, 2), "choose one of rmse, mae, median_absolute_error, r2."),
        ("best", "binary", None, "'best' does not fit"),
        ("costs", "binary", None, "needs two costs, such as 1,10"),
        ("", "regression", (1, 2), "leave the costs out"),
        ("f1", "binary", (1, 2), "not the least cost; leave one out"),
        ("", "binary", (0, 2), "Both costs must be numbers above 0"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, kind: str, costs: tuple[float, float] | None, message: str) -> None:
    """The message lists the metrics that fit, or says what to leave out."""
    with pytest.raises(UsageError) as refused:
        metric_of(name, kind, costs)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Binary(metric="rmse"), "needs one of f1, accuracy"),
        (lambda: Binary(metric=None), "needs one of f1, accuracy"),  # type: ignore[arg-type]
        (lambda: Binary(metric=["f1"]), "needs one of f1, accuracy"),  # type: ignore[arg-type]
        (lambda: Binary(criterion=Costs(1, 2), metric="f1"), "with the metric f1 needs the criterion F1()"),
        (lambda: Multiclass(("a", "b"), metric="roc_auc"), "needs one of macro_f1, accuracy"),
        (lambda: Regression(metric="accuracy"), "needs one of rmse, mae"),
        (lambda: Regression(metric="mae"), "needs the criterion MAE()"),
    ],
)
def test_a_task_refuses_a_metric_that_it_cannot_rank_by(make: Any, message: str) -> None:  # noqa: ANN401
    """Of another task, of another type, or without its criterion."""
    with pytest.raises(UsageError) as refused:
        make()
    assert message in str(refused.value)


def test_people_see_costs_and_errors_without_a_sign() -> None:
    """Each once, and less of them is better."""
    assert plain_name("macro_minus_cost") == "macro_cost"
    assert (plain("minus_cost", -0.5), plain("f1", 0.5)) == (0.5, 0.5)
    assert plain("minus_rmse", Interval(-2, -3, -1)) == Interval(2, 1, 3)
    assert distinct(["minus_rmse", "rmse", "mae", "minus_cost"]) == ["rmse", "mae", "minus_cost"]
    assert [is_less_better(name) for name in ("macro_minus_cost", "rmse", "f1")] == [True, True, False]


def test_the_best_value_of_a_measure_is_the_largest_goodness() -> None:
    """Errors and losses are negated."""
    assert goodness("log_loss", 0.1) > goodness("log_loss", 0.2)
    assert goodness("roc_auc", 0.2) > goodness("roc_auc", 0.1)
    assert [*first("b", {"a": 1, "b": 2})] == ["b", "a"]
