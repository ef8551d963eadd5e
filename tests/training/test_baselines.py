"""The hold-out is measured for baselines too, and for each class."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.model.decision import COVERAGE, Scores
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table.frame import Frame
from tabserve.training import bootstrap, multiclass
from tabserve.training.baselines import baselines
from tabserve.training.split import Split, hold_out
from tabserve.training.task_training import training_of

RNG = np.random.default_rng(0)


def split_rows(task: Task, target: NDArray[Any]) -> Split:
    """Split rows whose only column is always 0."""
    problem, rows = Problem("drawn", numbers("x"), task=task), len(target)
    ids = np.arange(rows).astype(np.str_).astype(np.object_)
    return hold_out(Frame(ids, np.zeros((rows, 1), np.float32), target, problem, Encoder.learn(problem, {})))


def test_amounts_are_compared_with_the_mean_and_the_median_of_the_development_rows() -> None:
    """The intervals of the baselines cover the hold-out as often as promised."""
    split = split_rows(Regression(), RNG.lognormal(3, 1, 2_000))
    measures, (development, holdout) = baselines(*split), split
    assert [*measures] == ["mean", "median"]
    for name, constant in (("mean", development.target.mean()), ("median", np.median(development.target))):
        missed = holdout.target - constant
        assert measures[name]["rmse"] == pytest.approx(np.sqrt((missed**2).mean()), rel=1e-5)
        assert measures[name]["mae"] == pytest.approx(np.abs(missed).mean(), rel=1e-5)
        assert measures[name]["coverage"] == pytest.approx(COVERAGE, abs=0.05)
    assert measures["median"]["mae"] < measures["mean"]["mae"]


@pytest.mark.parametrize("task", [Binary(), Multiclass(("a", "b", "c"))], ids=lambda task: task.KIND)
def test_classes_are_compared_with_their_shares(task: Task) -> None:
    """The log loss is that of equal shares, and no row is ranked before another."""
    split = split_rows(task, (np.arange(900) % len(task.labels)).astype(np.int8))
    (prior,) = baselines(*split).values()
    assert prior["log_loss"] == pytest.approx(np.log(len(task.labels)), abs=1e-3)
    if "roc_auc" in prior:
        assert prior["roc_auc"] == 0.5


def test_each_class_has_measures_with_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    """They equal the table by class, and come with the number of rows."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 30)
    split = split_rows(Multiclass(("a", "b", "c")), (np.arange(600) % 3).astype(np.int8))
    target, labels = split.holdout.target, split.holdout.problem.labels
    probability = RNG.dirichlet(np.ones(3), len(target)) + np.eye(3)[target]
    probability /= probability.sum(axis=1, keepdims=True)
    answers = Scores(probability.astype(np.float32), probability.argmax(axis=1))
    classes = training_of(split.holdout.problem).details(target, answers)["classes"]
    expected = multiclass.by_class(target, probability, labels)
    for label in labels:
        for name in ("precision", "recall", "f1"):
            figure = classes[label][name]
            assert figure["value"] == pytest.approx(expected.loc[label].to_dict()[name])
            assert figure["low"] <= figure["value"] <= figure["high"]
        assert classes[label]["rows"] == expected.loc[label, "rows"]


def test_a_draw_needs_only_the_classes_that_occur() -> None:
    """A class without rows is not needed."""
    usable = bootstrap.every_class(np.array([0, 2, 2]))
    assert usable(np.array([0, 1, 2]))
    assert not usable(np.array([1, 2, 1]))
