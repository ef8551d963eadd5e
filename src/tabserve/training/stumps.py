"""Fold many boosted stumps into one shallow tree per feature: the same function, several times faster to serve.

A stump looks at one feature, so a sum of stumps is a sum of step functions, one per feature. Each step function is one
balanced tree, however many stumps it came from: a row costs features × log2(steps) comparisons. Averaging over seeds
therefore costs nothing when serving.
"""

import json
import os
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.parallel import Parallel, delayed

from tabserve.predictors.tree_checks import LEAF, ROOT_PARENT

NO_COVER = 1e-9
"""The cover of a value that no training row reaches, so that means over such values, and SHAP values, exist."""


class Steps(NamedTuple):
    """A step function of one feature: `values[i]` if `i` cuts are at or below the feature's value.

    Attributes:
        feature: position of the feature.
        cuts: increasing, float32, shape (steps,).
        values: log odds, float64, shape (steps + 1,).
        gain: total gain of the stumps that it sums up, per booster.
        missing_first: whether a missing feature gets the first of the values, else the last.
    """

    feature: int
    cuts: NDArray[np.float32]
    values: NDArray[np.float64]
    gain: float
    missing_first: bool = False

    def with_missing(self, value: float) -> "Steps":
        """The same function with a value for a missing feature, added as a first step below all numbers."""
        cuts, values = np.insert(self.cuts, 0, -np.inf), np.insert(self.values, 0, value)
        return self._replace(cuts=cuts, values=values, missing_first=True)

    def cover(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """The number of rows with each value, shape (steps + 1,), given the feature of every row, shape (rows,)."""
        index = np.searchsorted(self.cuts, rows, side="right")  # NaN sorts after every cut
        if self.missing_first:
            index[np.isnan(rows)] = 0
        return np.bincount(index, minlength=len(self.values))


class AveragedStumps(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """XGBoost without interactions: boosted stumps, averaged over seeds, folded into one tree per feature."""

    def __init__(
        self,
        *,
        seeds: int = 1,
        n_estimators: int = 3000,
        learning_rate: float = 0.1,
        colsample_bytree: float = 0.05,
        subsample: float = 0.3,
        max_bin: int = 256,
        random_state: int = 0,
        n_jobs: int | None = None,
        device: str = "cpu",
    ) -> None:
        """Average over `seeds` boosters; all other parameters are XGBoost's own."""
        self.seeds = seeds
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.colsample_bytree = colsample_bytree
        self.subsample = subsample
        self.max_bin = max_bin
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def fit(self, X: NDArray[np.float32], y: NDArray[np.int8]) -> Self:  # noqa: N803 (scikit-learn's name)
        """Fit one booster per seed and keep their folded mean; X has shape (rows, features), y holds 0 and 1."""
        self.classes_ = np.array([0, 1])
        parallel, fit = Parallel(min(self._jobs, self.seeds), prefer="threads"), delayed(xgb.XGBClassifier.fit)
        fitted = parallel(fit(member, X, y) for member in self.members())
        self.booster_ = fold([member.get_booster() for member in fitted], X)
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: N803 (scikit-learn's name)
        """Probabilities of the negative and the positive class, float32 of shape (rows, 2)."""
        positive = self.booster_.inplace_predict(X)
        return np.column_stack([1 - positive, positive])

    def get_booster(self) -> xgb.Booster:
        """The folded booster; the method has the name that XGBClassifier gives it."""
        return self.booster_

    def members(self) -> list[xgb.XGBClassifier]:
        """One unfitted classifier per seed, whose boosters are folded."""
        parameters = {name: value for name, value in self.get_params().items() if name != "seeds"}
        parameters |= {"max_depth": 1, "n_jobs": max(1, self._jobs // self.seeds)}
        return [
            xgb.XGBClassifier(**parameters | {"random_state": self.random_state + seed}) for seed in range(self.seeds)
        ]

    @property
    def _jobs(self) -> int:
        return self.n_jobs or os.cpu_count() or 1


def fold(boosters: Sequence[xgb.Booster], features: NDArray[np.float32]) -> xgb.Booster:
    """Fold boosters of stumps into one booster whose log odds are the mean of theirs.

    Args:
        boosters: trained on the same target, so that they have the same base score.
        features: the rows they were trained on, for the cover that SHAP values need; shape (rows, features).
    """
    functions = step_functions(boosters)
    return to_booster(boosters[0], functions, covers(functions, features))


def step_functions(boosters: Sequence[xgb.Booster]) -> list[Steps]:
    """The step function of every feature that stumps split on, and a last one without steps for single leaves."""
    trees = [tree for booster in boosters for tree in _trees(booster)]
    stumps = [tree for tree in trees if len(tree["left_children"]) == 3]
    rows = [[t["split_indices"][0], *t["split_conditions"], t["loss_changes"][0], t["default_left"][0]] for t in stumps]
    table = np.array(rows).reshape(-1, 6)
    features = np.unique(table[:, 0]).astype(int).tolist()
    functions = [_step_function(feature, table[table[:, 0] == feature, 1:], len(boosters)) for feature in features]
    leaves = sum(tree["split_conditions"][0] for tree in trees if len(tree["left_children"]) == 1)
    return [*functions, Steps(0, np.empty(0, np.float32), np.array([leaves / len(boosters)]), 0.0)]


def covers(functions: Sequence[Steps], features: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """The number of rows with each value of each function; counts of parts of a table can be added."""
    return [steps.cover(features[:, steps.feature]) for steps in functions]


def to_booster(booster: xgb.Booster, functions: Sequence[Steps], cover: Sequence[NDArray[np.int64]]) -> xgb.Booster:
    """A booster of one tree per function, with the base score of `booster`."""
    document, width = json.loads(booster.save_raw("json")), booster.num_features()
    trees = [_tree(number, *pair, width) for number, pair in enumerate(zip(functions, cover, strict=True))]
    document["learner"]["gradient_booster"]["model"] |= {
        "trees": trees,
        "tree_info": [0] * len(trees),
        "iteration_indptr": list(range(len(trees) + 1)),
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
    }
    return xgb.Booster(model_file=bytearray(json.dumps(document).encode()))


def _step_function(feature: int, stumps: NDArray[np.float64], boosters: int) -> Steps:
    """The mean over boosters of one feature's stumps: rows of cut, left and right leaf, gain, and default direction."""
    cut, left, right, gain, missing_left = stumps.T
    cuts, position = np.unique(cut.astype(np.float32), return_inverse=True)
    before = np.bincount(position, left)[::-1].cumsum()[::-1]
    after = np.bincount(position, right).cumsum()
    total = (np.append(before, 0) + np.insert(after, 0, 0)) / boosters
    steps = Steps(feature, cuts, total, float(gain.sum()) / boosters)
    if not missing_left.any():  # XGBoost goes right by default if it saw no missing value
        return steps
    return steps.with_missing(float(np.where(missing_left, left, right).sum()) / boosters)


def _trees(booster: xgb.Booster) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    if any(len(tree["left_children"]) not in (1, 3) for tree in trees):
        raise ValueError("only stumps can be folded; train with max_depth=1")
    return trees


def _tree(number: int, steps: Steps, cover: NDArray[np.int64], features: int) -> dict[str, Any]:
    """One balanced tree in XGBoost's JSON model format (its `model.schema`), the gain at its root."""
    nodes = _nodes(steps, cover)
    left, right, parent, condition, mean, hessian = (list(column) for column in zip(*nodes, strict=True))
    return {
        "id": number,
        "left_children": left,
        "right_children": right,
        "parents": parent,
        "split_conditions": condition,
        "split_indices": [steps.feature if child >= 0 else 0 for child in left],
        "base_weights": mean,
        "sum_hessian": hessian,
        "loss_changes": [steps.gain] + [0.0] * (len(nodes) - 1),
        "default_left": [int(steps.missing_first)] * len(nodes),
        "split_type": [0] * len(nodes),
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(features),
            "num_nodes": str(len(nodes)),
            "size_leaf_vector": "1",
        },
    }


def _nodes(steps: Steps, cover: NDArray[np.int64]) -> list[tuple[int, int, int, float, float, float]]:
    """Left child, right child, parent, cut or leaf value, mean value and cover of each node, breadth first.

    XGBoost expects the right child directly after the left one.
    """
    nodes: list[tuple[int, int, int, float, float, float]] = []
    waiting = deque([(0, len(steps.cuts), ROOT_PARENT)])
    while waiting:
        low, high, parent = waiting.popleft()
        span, child = slice(low, high + 1), len(nodes) + len(waiting) + 1
        rows = cover[span] + NO_COVER
        mean = float(np.average(steps.values[span], weights=rows))
        if low == high:
            nodes.append((LEAF, LEAF, parent, float(steps.values[low]), mean, float(rows.sum())))
            continue
        middle = (low + high) // 2
        waiting += [(low, middle, len(nodes)), (middle + 1, high, len(nodes))]
        nodes.append((child, child + 1, parent, float(steps.cuts[middle]), mean, float(rows.sum())))
    return nodes
