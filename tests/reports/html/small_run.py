"""Small tables, and models trained on them by the real stations, for reports."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
import xgboost as xgb

from tabserve.encoding.encoder import Encoder
from tabserve.model.model import Model
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Task
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.training import bootstrap
from tabserve.training.candidate import Candidate
from tabserve.training.selection import Selection
from tabserve.training.task_training import training_of

ROWS = 400


class Run(NamedTuple):
    """What a report is made of."""

    data: TrainingData
    selected: Selection
    model: Model


def cells(rows: int = ROWS, seed: int = 0) -> dict[str, list[Any]]:
    """Columns of every kind, of which `size` and `city` decide most of `amounts`."""
    rng = np.random.default_rng(seed)
    return {
        "size": [None if draw > 1.5 else draw for draw in rng.normal(size=rows).round(3).tolist()],
        "noise": rng.normal(size=rows).round(3).tolist(),
        "city": [["Rio", "São Paulo", "東京 & <b>", "", "Ouro Preto $x$"][draw] for draw in rng.integers(5, size=rows)],
        "when": [
            f"2024-{1 + draw % 12:02}-{1 + draw % 28:02} {draw % 24:02}:30" for draw in rng.integers(999, size=rows)
        ],
    }


KINDS: Mapping[str, Any] = {"size": "number", "noise": "number", "city": "category", "when": "date"}


def amounts(table: Mapping[str, Sequence[Any]], seed: int = 1) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """An amount that depends on `size` and `city`."""
    size = np.array([0.0 if cell is None else float(cell) for cell in table["size"]])
    city = np.array([len(cell) for cell in table["city"]])
    return np.asarray(10 * size + city + np.random.default_rng(seed).normal(size=len(size)))


def train(
    task: Task,
    table: Mapping[str, Sequence[Any]],
    target: Any,  # noqa: ANN401  any array
    kinds: Mapping[str, Any] = KINDS,
    name: str = "small & <i>odd</i>",
    **options: Any,  # noqa: ANN401  XGBoost's own
) -> Run:
    """Train a baseline and a booster of a few trees on the table."""
    columns = tuple(Column(each, kinds[each], missing=True) for each in table)
    problem = Problem(name, columns, "target <script>alert(1)</script>", task, folds=2)
    encoder = Encoder.learn(problem, table)
    features = encoder.encode([[*table[each]] for each in table]).features
    ids = np.arange(len(features)).astype(np.str_).astype(np.object_)
    data = TrainingData.of(Frame(ids, features, target, problem, encoder), "a small <u>table</u>")
    booster = xgb.XGBRegressor if task.AMOUNT else xgb.XGBClassifier
    settings = {"n_estimators": 20, "max_depth": 3, "n_jobs": 1, "random_state": 0, **options}
    boosted = booster(enable_categorical=True, feature_types=[*encoder.types], **settings)
    baselines = [Candidate(each, estimator) for each, estimator in training_of(problem).baselines().items()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 20)
        selected = data.select([*baselines, Candidate("boosted", boosted)])
        return Run(data, selected, data.evaluate(selected, selected.refit()))
