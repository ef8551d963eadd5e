"""Train small boosters of every task and every way to split."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.encoding.categories import Categories
from tabserve.encoding.encoder import Encoder
from tabserve.encoding.numbers import Numbers
from tabserve.predictors.booster import OBJECTIVES, Booster
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task

LEVELS = (0, 5, 0, 40)
"""Number of levels of each feature."""

NAMES = ("age", "shop", "size", "city")

TASKS: dict[str, Task] = {
    task.KIND: task for task in (Binary(), Multiclass(labels=("low", "middle", "high")), Regression())
}

WAYS: dict[str, dict[str, Any]] = {
    "numbers": {},
    "one category": {"max_cat_to_onehot": 100},
    "sets of categories": {"max_cat_to_onehot": 1},
    "forests": {"max_cat_to_onehot": 6, "num_parallel_tree": 2, "subsample": 0.7},
    "approx": {"max_cat_to_onehot": 1, "tree_method": "approx", "gamma": 0.5},
}
"""Options that make XGBoost split in each way; by categories in all but the first."""


def encoder(levels: Sequence[int], names: Sequence[str] = NAMES) -> Encoder:
    """An encoder whose features have these names and numbers of levels, 0 for a quantity."""
    columns = tuple(Column(name, "category" if count else "number") for name, count in zip(names, levels, strict=True))
    encodings = (Categories(tuple(map(str, range(count)))) if count else Numbers() for count in levels)
    return Encoder(columns, tuple(encodings))


def table(rows: int = 300, seed: int = 0) -> NDArray[np.float32]:
    """Rows of quantities and codes, some of them missing."""
    rng = np.random.default_rng(seed)
    columns = [rng.integers(count, size=rows) if count else rng.standard_normal(rows) for count in LEVELS]
    cells = np.stack(columns, axis=1).astype(np.float32)
    cells[rng.random(cells.shape) < 0.1] = np.nan
    return cells


def targets(task: Task, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Targets that depend on all four features."""
    age, shop, size, city = np.nan_to_num(rows.astype(np.float64), nan=1.0).T
    amount = np.abs(age + (shop % 2) * size + np.isin(city % 7, (1, 2, 4)) * 2)
    noise = np.random.default_rng(1).random(len(rows))
    if task.AMOUNT:
        return np.asarray(np.floor(3 * amount + noise) + 1)
    return np.asarray(np.digitize(amount + noise, np.quantile(amount + noise, [0.4, 0.7])[: len(task.labels) - 1]))


@dataclass(frozen=True)
class Trained:
    """A trained booster, with its problem and levels."""

    trees: xgb.Booster
    problem: Problem
    levels: tuple[int, ...]

    @property
    def file(self) -> bytes:
        """The bytes that `Booster.to_bytes` gives."""
        return bytes(self.trees.save_raw("ubj"))

    def read(self, file: bytes) -> Booster:
        """Read a booster from a file, which may differ from the own one."""
        return Booster.read(Path("model.ubj"), file, self.problem, encoder(self.levels))


@cache
def train(objective: str, way: str = "numbers", rounds: int = 3) -> Trained:
    """A booster of an objective; its features are codes where the way splits by categories."""
    kind = next(kind for kind, objectives in OBJECTIVES.items() if objective in objectives)
    task, rows = TASKS[kind], table()
    levels = (0,) * len(LEVELS) if way == "numbers" else LEVELS
    options = {"objective": objective, "max_depth": 3, "nthread": 1, "seed": 0, **WAYS[way]}
    if len(task.labels) > 2:
        options["num_class"] = len(task.labels)
    data = xgb.DMatrix(
        rows,
        targets(task, rows),
        feature_names=list(NAMES),
        feature_types=["c" if count else "q" for count in levels],
        enable_categorical=True,
    )
    problem = Problem("small", tuple(map(Column, NAMES)), task=task)
    return Trained(xgb.train(options, data, rounds), problem, levels)


ALL = [
    *((objective, "numbers") for objectives in OBJECTIVES.values() for objective in objectives),
    *((next(iter(objectives)), way) for objectives in OBJECTIVES.values() for way in WAYS if way != "numbers"),
    ("reg:absoluteerror", "sets of categories"),
]
"""Every objective on numbers, every way for one objective of each task, and an objective that replaces leaves."""
