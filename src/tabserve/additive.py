"""Many boosted stumps folded into one shallow tree per feature: the same function, several times faster to serve.

A stump looks at one feature, so a sum of stumps is a sum of step functions, one per feature. Each step function is one
balanced tree, however many stumps it came from: a row costs features × log2(steps) comparisons. Averaging over seeds
therefore costs nothing when serving.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.parallel import Parallel, delayed

from tabserve.booster import LEAF, ROOT_PARENT

NO_COVER = 1e-9
"""Weight of a value that no training row reaches, so that a mean over such values exists."""


class Steps(NamedTuple):
    """A step function of one feature: `values[i]` where `i` cuts are at or below the feature's value.

    Attributes:
        feature: position of the feature.
        cuts: increasing, float32, shape (steps,).
        values: log odds, float64, shape (steps + 1,).
        cover: training rows behind each value, shape (steps + 1,).
        gain: total gain of the stumps it came from, per booster.
        missing_first: whether a missing value has the first of the values, else the last.
    """

    feature: int
    cuts: NDArray[np.float32]
    values: NDArray[np.float64]
    cover: NDArray[np.int64]
    gain: float
    missing_first: bool = False

    def with_missing(self, value: float, cover: int) -> "Steps":
        """The same function, with a value of its own for a missing value: a first step that no number is below."""
        return self._replace(
            cuts=np.insert(self.cuts, 0, -np.inf),
            values=np.insert(self.values, 0, value),
            cover=np.concatenate([[cover], self.cover[:-1], [self.cover[-1] - cover]]),
            missing_first=True,
        )


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
        """Take the number of seeds to average over; the rest are XGBoost's own parameters of each booster."""
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
        jobs = self.n_jobs or os.cpu_count() or 1
        side_by_side = Parallel(min(jobs, self.seeds), prefer="threads")
        each = delayed(self._boosted)
        self.booster_ = fold(
            side_by_side(each(seed, max(1, jobs // self.seeds), X, y) for seed in range(self.seeds)), X
        )
        return self

    def predict_proba(self, X: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: N803 (scikit-learn's name)
        """Probabilities of the negative and the positive class, float32 of shape (rows, 2)."""
        positive = self.booster_.inplace_predict(X)
        return np.column_stack([1 - positive, positive])

    def get_booster(self) -> xgb.Booster:
        """The folded booster, under the name that XGBoost's own classifier uses."""
        return self.booster_

    def _boosted(self, seed: int, threads: int, features: NDArray[np.float32], target: NDArray[np.int8]) -> xgb.Booster:
        own = {name: value for name, value in self.get_params().items() if name != "seeds"}
        own |= {"max_depth": 1, "random_state": self.random_state + seed, "n_jobs": threads}
        return xgb.XGBClassifier(**own).fit(features, target).get_booster()


def fold(boosters: Sequence[xgb.Booster], features: NDArray[np.float32]) -> xgb.Booster:
    """One booster whose log odds are the mean of those of boosters made of stumps.

    Args:
        boosters: trained on the same target, so that they share one base score.
        features: the rows they were trained on, for the cover that SHAP values need; shape (rows, features).
    """
    document = json.loads(boosters[0].save_raw("json"))
    trees = [_tree(number, steps, features.shape[1]) for number, steps in enumerate(_steps(boosters, features))]
    document["learner"]["gradient_booster"]["model"] |= {
        "trees": trees,
        "tree_info": [0] * len(trees),
        "iteration_indptr": list(range(len(trees) + 1)),
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
    }
    return xgb.Booster(model_file=bytearray(json.dumps(document).encode()))


def _steps(boosters: Sequence[xgb.Booster], features: NDArray[np.float32]) -> Iterator[Steps]:
    """The step function of every feature that a stump looks at, and a last one without steps for leaves alone."""
    trees = [tree for booster in boosters for tree in _trees(booster)]
    stumps = [tree for tree in trees if len(tree["left_children"]) == 3]
    rows = [[t["split_indices"][0], *t["split_conditions"], t["loss_changes"][0], t["default_left"][0]] for t in stumps]
    table = np.array(rows).reshape(-1, 6)
    for feature in np.unique(table[:, 0]).astype(int).tolist():
        yield _step_function(feature, table[table[:, 0] == feature, 1:], features[:, feature], len(boosters))
    leaves = sum(tree["split_conditions"][0] for tree in trees if len(tree["left_children"]) == 1)
    yield Steps(0, np.empty(0, np.float32), np.array([leaves / len(boosters)]), np.array([len(features)]), 0.0)


def _step_function(feature: int, stumps: NDArray[np.float64], values: NDArray[np.float32], boosters: int) -> Steps:
    """The mean over boosters of the stumps of one feature: cut, left and right leaf, gain, side of a missing value."""
    cut, left, right, gain, missing_left = stumps.T
    cuts, position = np.unique(cut.astype(np.float32), return_inverse=True)
    before = np.bincount(position, left)[::-1].cumsum()[::-1]
    after = np.bincount(position, right).cumsum()
    total = (np.append(before, 0) + np.insert(after, 0, 0)) / boosters
    cover = np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(total))  # NaN is behind every cut
    steps = Steps(feature, cuts, total, cover, float(gain.sum()) / boosters)
    if not missing_left.any():  # a missing value goes where the largest go: XGBoost's choice when it met none
        return steps
    return steps.with_missing(float(np.where(missing_left, left, right).sum()) / boosters, int(np.isnan(values).sum()))


def _trees(booster: xgb.Booster) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    if any(len(tree["left_children"]) not in (1, 3) for tree in trees):
        raise ValueError("only stumps can be folded; train with max_depth=1")
    return trees


def _tree(number: int, steps: Steps, features: int) -> dict[str, Any]:
    """One balanced tree in XGBoost's JSON model format (its `model.schema`), the gain at its root."""
    nodes = _nodes(steps)
    left, right, parent, condition, mean, cover = (list(column) for column in zip(*nodes, strict=True))
    return {
        "id": number,
        "left_children": left,
        "right_children": right,
        "parents": parent,
        "split_conditions": condition,
        "split_indices": [steps.feature if child >= 0 else 0 for child in left],
        "base_weights": mean,
        "sum_hessian": cover,
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


def _nodes(steps: Steps) -> list[tuple[int, int, int, float, float, float]]:
    """Left child, right child, parent, cut or leaf value, mean value and cover of each node, breadth first.

    XGBoost finds a right child beside its left one, so siblings must be neighbours.
    """
    nodes: list[tuple[int, int, int, float, float, float]] = []
    waiting = deque([(0, len(steps.cuts), ROOT_PARENT)])
    while waiting:
        low, high, parent = waiting.popleft()
        span, child = slice(low, high + 1), len(nodes) + len(waiting) + 1
        cover = float(steps.cover[span].sum())
        mean = float(np.average(steps.values[span], weights=steps.cover[span] + NO_COVER))
        if low == high:
            nodes.append((LEAF, LEAF, parent, float(steps.values[low]), mean, cover))
            continue
        middle = (low + high) // 2
        waiting += [(low, middle, len(nodes)), (middle + 1, high, len(nodes))]
        nodes.append((child, child + 1, parent, float(steps.cuts[middle]), mean, cover))
    return nodes
