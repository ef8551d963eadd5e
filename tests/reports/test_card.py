"""The model card depends on the model alone: synthetic origin first, its purpose, and every measure."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.model.decision import MostProbable, threshold_of
from tabserve.model.model import CARD, Model, load
from tabserve.problem.columns import numbers
from tabserve.problem.criterion import Costs
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.reports import card, tables
from tabserve.reports.tables import TITLES
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.training import bootstrap
from tabserve.training.candidate import Candidate
from tabserve.training.task_training import training_of


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    """The shared model; its data is synthetic."""
    return load(model_folder)


def test_the_card_in_a_folder_is_rendered_from_its_model(model: Model, model_folder: Path) -> None:
    """So that anyone can render it again from the folder."""
    assert card.render(model) == (model_folder / CARD).read_text()


def test_the_first_lines_state_synthetic_origin(model: Model) -> None:
    """Before any measure; a card of a real table does not state it."""
    assert "synthetic" in "".join(card.render(model).splitlines()[:3])
    real = card.render(replace(model, data={**model.data, "synthetic": False, "source": "train.csv"}))
    assert "synthetic" not in real
    assert "train.csv" in real


def test_the_card_has_every_measure_with_its_interval(model: Model) -> None:
    """The values are those of the manifest."""
    text = card.render(model)
    for name, measure in model.metrics["holdout"].items():
        row = f"| {TITLES[name]} | {measure['value']:.4f} | {measure['low']:.4f} to {measure['high']:.4f} |"
        assert row in text


def test_the_card_has_every_candidate_with_its_deviation_and_trees(model: Model) -> None:
    """The best comes first; the card states the gap between the best and the served candidate."""
    stumps = {name: {"mean": 0.25, "sd": 0.01} for name in model.metrics["folds"]["stumps"]}
    forest = {name: {"mean": 0.5, "sd": 0.02} for name in stumps}
    metrics = {
        **model.metrics,
        "folds": {"stumps": stumps, "forest": forest},
        "trees": {"stumps": [10, 12], "forest": []},
        "best": "forest",
        "winner": "stumps",
    }
    text = card.render(replace(model, metrics=metrics))
    rows = [line for line in text.splitlines() if line.startswith(("| `forest`", "| `stumps`"))]
    assert [row.split(" | ")[-1] for row in rows] == ["– |", "11 |"]
    assert "0.5000 ± 0.0200" in rows[0]
    assert "Between them: 0.2500 in F1" in text
    alone = card.render(replace(model, metrics=metrics | {"best": "stumps"}))
    assert "Best of all, and saved here: `stumps`." in alone
    assert "Between them" not in alone
    bars = [line.split() for line in text.splitlines() if "█" in line]
    assert [(name, len(bar), value) for name, bar, value in bars] == [
        ("forest", 40, "0.5000"),
        ("stumps", 20, "0.2500"),
    ]


def test_the_card_says_what_the_model_is_and_is_not_for(model: Model) -> None:
    """It also has the threshold, the split, the model, the checksum and the versions."""
    text = card.render(model)
    for heading in ("What it is for", "What it must not be used for", "Figures on the hold-out", "The threshold"):
        assert f"\n## {heading}\n" in text
    assert f"**{threshold_of(model.decision):.4f}**" in text
    assert "20% held out and opened once, 2 folds on the" in text
    fewer = card.render(replace(model, metrics={**model.metrics, "fold_rows": [1_200, 2_200]}))
    assert "15% held out and opened once, 2 folds (of 35% to 65% each, as groups are whole) on" in fewer
    assert f"{int(model.predictor.facts['trees']):,} trees" in text
    assert model.data["sha256"] in text
    assert all(f"{name} {number}" in text for name, number in model.versions.items())


def test_costs_are_shown_without_a_sign(model: Model) -> None:
    """In the bars, in the tables and beside the threshold, though the manifest holds minus them."""
    cheap = {"minus_cost": {"mean": -0.5, "sd": 0.1}}
    costly = {"minus_cost": {"mean": -1.0, "sd": 0.1}}
    metrics = {
        **model.metrics,
        "folds": {"stumps": cheap, "dummy": costly},
        "trees": {"stumps": [3], "dummy": []},
        "holdout": {"minus_cost": {"value": -0.5, "low": -0.6, "high": -0.4}},
        "baselines": {"prior": {"minus_cost": -1.0}},
        "best": "stumps",
    }
    problem = replace(model.problem, task=Binary(criterion=Costs(1, 10)))
    text = card.render(replace(model, problem=problem, metrics=metrics))
    bars = [line.split() for line in text.splitlines() if "█" in line]
    assert [(name, len(bar), value) for name, bar, value in bars] == [
        ("stumps", 20, "0.5000"),
        ("dummy", 40, "1.0000"),
    ]
    assert "| cost per row | 0.5000 | 0.4000 to 0.6000 | 1.0000 |" in text
    assert "| `dummy` | 1.0000 ± 0.1000 |" in text
    assert "the least cost per row on the out-of-fold" in text


def train_and_render(
    task: Task, target: NDArray[Any], candidates: Sequence[Candidate], time: str | None = None
) -> tuple[Model, str]:
    """Train a model for a task, split by this time if there is one, and render its card."""
    problem = Problem("drawn", numbers("x", "y"), task=task, folds=2, time=time)
    features = np.random.default_rng(0).normal(size=(len(target), 2)).astype(np.float32)
    features[:, 0] += target
    ids = np.arange(len(target)).astype(np.str_).astype(np.object_)
    moment = np.datetime64("2020-01-01") + np.arange(len(target)) if time else None
    frame = Frame(ids, features, target, problem, Encoder.learn(problem, {}), moment=moment)
    baselines = [Candidate(*baseline) for baseline in training_of(problem).baselines().items()]
    data = TrainingData.of(frame, "drawn", synthetic=True)
    selection = data.select([*candidates, *baselines])
    model = data.evaluate(selection, selection.refit())
    assert tables.columns_table(frame).shape[0] == len(problem.columns)
    return model, card.render(model)


@pytest.mark.usefixtures("few_resamples")
def test_a_card_of_several_classes_has_their_counts_and_the_temperature() -> None:
    """It mentions neither a threshold nor positives."""
    target = np.arange(120, dtype=np.int8) % 3
    candidates = [Candidate("boosted", xgb.XGBClassifier(n_estimators=5, n_jobs=1))]
    model, text = train_and_render(Multiclass(("a", "b", "c")), target, candidates)
    assert model.data["labels"] == {"a": 40, "b": 40, "c": 40}
    assert "120 rows, 40 of `a`, 40 of `b`, 40 of `c`, 2 features (`x`, `y`);" in text
    assert "XGBoost `multi:softprob`, 5 trees" in text
    assert isinstance(model.decision, MostProbable)
    assert f"**{model.decision.temperature:.4f}**" in text
    assert "saved here: `boosted`." in text
    assert " Trees are those that are served." in text
    assert "Baselines, which know the target and no column: `prior`." in text
    assert "| measure | value | 95 % bootstrap interval | `prior` |" in text
    assert f"| {model.metrics['baselines']['prior']['log_loss']:.4f} |" in text
    assert [*model.metrics["classes"]] == ["a", "b", "c"]
    for label, measures in model.metrics["classes"].items():
        precision = measures["precision"]
        assert f"| `{label}` | {precision['value']:.4f} ({precision['low']:.4f} to " in text
    assert "threshold" not in text
    assert "positive" not in text


@pytest.mark.usefixtures("few_resamples")
def test_a_card_of_a_regression_has_the_range_and_the_coverage() -> None:
    """Coverage overall and in the dearest tenth."""
    target = np.random.default_rng(1).uniform(1, 9, 200)
    model, text = train_and_render(
        Regression("USD"), target, [Candidate("boosted", xgb.XGBRegressor(n_estimators=9, n_jobs=1))]
    )
    assert model.data["amounts"] == {"mean": target.mean(), "low": target.min(), "high": target.max()}
    assert f"amounts from {target.min():.6g} to {target.max():.6g}, {target.mean():.6g} on average (in USD)" in text
    for name in ("coverage", "coverage_dearest_tenth"):
        assert f"{model.metrics['holdout'][name]['value']:.1%} (" in text
    assert "Baselines, which know the target and no column: `mean`, `median`." in text
    assert "| measure | value | 95 % bootstrap interval | `mean` | `median` |" in text
    for measures in model.metrics["baselines"].values():
        assert f" {measures['rmse']:.4f} |" in text
        assert {"coverage", "coverage_dearest_tenth"} <= measures.keys()
    assert "classes" not in model.metrics
    assert "There it holds" in text
    assert "threshold" not in text
    assert "positive" not in text


@pytest.mark.usefixtures("few_resamples")
def test_a_card_of_a_split_by_time_has_the_periods() -> None:
    """Those of the manifest; and it says that the interval's coverage was measured on later rows."""
    target = np.random.default_rng(1).uniform(1, 9, 200)
    candidates = [Candidate("boosted", xgb.XGBRegressor(n_estimators=9, n_jobs=1))]
    model, text = train_and_render(Regression("USD"), target, candidates, time="at")
    periods = {"development": ["2020-01-01", "2020-06-08"], "holdout": ["2020-06-09", "2020-07-18"]}
    assert model.data["periods"] == periods
    assert model.metrics["fold_rows"] == [40] * 4
    assert "- Split: by the time `at`; the latest 20%, 2020-06-09 to 2020-07-18, held out and opened once" in text
    assert "2 folds forward in time, from 2020-01-01 to 2020-06-08, on the" in text
    assert "On the hold-out, which is later than all of them, it holds" in text
    assert "stratified" not in text


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few bootstrap samples, which is fast."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
