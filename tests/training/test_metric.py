"""The metric of a task ranks candidates everywhere: in selections, grids, tables, cards and figures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from sklearn.dummy import DummyClassifier, DummyRegressor

from tabserve.encoding.encoder import Encoder
from tabserve.model.model import load
from tabserve.problem.columns import numbers
from tabserve.problem.metric import goodness, metric_of
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.reports import figures
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.tables import TITLES, metrics, ranking, selection_table
from tabserve.stations import TrainingData, train
from tabserve.table.frame import Frame
from tabserve.training.selection import Candidate, select
from tabserve.training.task_training import training_of

KINDS = ("binary", "multiclass", "regression")
BASES: dict[str, Task] = {"binary": Binary(), "multiclass": Multiclass(("0", "1", "2")), "regression": Regression()}
NAMED = [(kind, name) for kind in KINDS for name in BASES[kind].METRICS]


def table(task: Task, rows: int = 300) -> Frame:
    """Rows whose target depends on the first of two columns."""
    rng = np.random.default_rng(3)
    features = rng.standard_normal((rows, 2)).astype(np.float32)
    amount = features[:, 0] + 0.5 * rng.standard_normal(rows)
    classes = np.searchsorted(np.quantile(amount, np.arange(1, len(task.labels)) / (len(task.labels) or 1)), amount)
    problem = Problem("drawn", numbers("a", "b"), task=task, folds=3)
    target = amount if task.AMOUNT else classes.astype(np.int8)
    ids = np.arange(rows).astype(np.str_).astype(object)
    return Frame(ids, features, target, problem, Encoder.learn(problem, {}))


def with_metric(kind: str, name: str) -> Task:
    """The task, ranked by a measure."""
    goal = metric_of(name, kind)
    return replace(BASES[kind], criterion=goal.criterion, metric=goal.metric)


def candidates(task: Task) -> list[Candidate]:
    """A baseline, and a better and a worse booster."""
    booster: Any = xgb.XGBRegressor if task.AMOUNT else xgb.XGBClassifier
    dummy = DummyRegressor() if task.AMOUNT else DummyClassifier(strategy="prior")
    options = {"max_depth": 2, "n_jobs": 1, "learning_rate": 0.3}
    return [
        Candidate("dummy", dummy),
        Candidate("short", booster(n_estimators=1, **options)),
        Candidate("long", booster(n_estimators=15, **options)),
    ]


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_the_metric_ranks_candidates_the_right_way_round(kind: str, name: str) -> None:
    """The best has the largest or the least mean, comes first in the tables, and the measure is the first column."""
    task = with_metric(kind, name)
    selection = select(table(task), candidates(task))
    means = {each: outcome.measures[name].mean() for each, outcome in selection.outcomes.items()}
    best = max(means, key=lambda each: goodness(name, means[each]))
    assert {outcome.measures.columns[0] for outcome in selection.outcomes.values()} == {name}
    assert selection.best.candidate.name == best
    assert selection.winner.candidate.name != "dummy"
    shown = selection_table(selection)
    assert (shown.index[0], shown.columns[0]) == (best, TITLES[name])
    assert ranking(metrics(selection)["folds"]) == [*shown.index]
    order = [goodness(name, means[each]) for each in shown.index]
    assert order == sorted(order, reverse=True)
    drawn = figures.candidates(metrics(selection), name).axes[0]
    assert drawn.get_yticklabels()[-1].get_text() == best


@pytest.mark.parametrize(("kind", "name"), NAMED)
def test_a_grid_is_ranked_by_the_same_metric(kind: str, name: str) -> None:
    """A prediction that is better by the metric has the larger score."""
    frame = table(with_metric(kind, name))
    training, rng = training_of(frame.problem), np.random.default_rng(1)
    if frame.problem.task.AMOUNT:
        good, bad = (frame.target + noise * rng.standard_normal(len(frame)) for noise in (0.1, 2))
    else:
        sure = np.eye(len(frame.problem.labels))[frame.target] * 0.8 + 0.2 / len(frame.problem.labels)
        good, bad = sure, rng.permutation(sure)
        if len(frame.problem.labels) == 2:
            good, bad = good[:, 1], bad[:, 1]
    assert training.score(frame.target, good) > training.score(frame.target, bad)


@pytest.mark.parametrize("name", ["log_loss", "accuracy"])
@pytest.mark.usefixtures("few_draws")
def test_a_folder_keeps_the_metric_and_its_card_ranks_by_it(name: str, tmp_path: Path) -> None:
    """The card compares the candidates by it, and explains the threshold by the criterion."""
    task = with_metric("binary", name)
    frame = table(task)
    model = train(TrainingData.of(frame, "drawn"), candidates(task), tmp_path / "model")
    assert load(tmp_path / "model").problem.task == task
    report = HoldOut(model, frame)
    assert report.measure.title == TITLES[name]
    lost = report.score(frame.features, frame.target) - report.score(frame.features[::-1], frame.target)
    assert lost < 0 if report.measure.less else lost > 0
    assert next(iter(model.metrics["holdout"])) == next(iter(model.metrics["baselines"]["prior"])) == name
    card = (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert TITLES[name] in card
    assert f"has the best {TITLES[task.criterion.name]} on the out-of-fold" in " ".join(card.split())
    assert '"metric"' in (tmp_path / "model" / "manifest.json").read_text()


@pytest.mark.usefixtures("few_draws")
def test_a_manifest_names_no_metric_where_none_is_set(tmp_path: Path) -> None:
    """So the folders of tasks without one stay the same byte for byte."""
    frame = table(Binary())
    train(TrainingData.of(frame, "drawn"), candidates(Binary()), tmp_path / "model")
    assert '"metric"' not in (tmp_path / "model" / "manifest.json").read_text()
    assert load(tmp_path / "model").problem.task.metric == ""
