"""Trees of XGBoost, whose file is checked before it is loaded: what would crash XGBoost, and the process, is refused.

XGBoost follows a model's node numbers and offsets unchecked, some as soon as it loads them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.errors import ArtifactError
from tabserve.predictors import ubjson
from tabserve.predictors.xgboost_call import predict
from tabserve.problem.problem import Problem

OBJECTIVE = "binary:logistic"

KIND = "gbtree"

ROOT_PARENT = 2**31 - 1
"""What XGBoost's model format writes as the parent of a root."""

MAX_DEPTH = 1000
"""Splits above a leaf; XGBoost walks down a tree on the stack."""

LEAF = -1
"""What stands in place of a leaf's children."""

NODES = ("left_children", "right_children", "parents", "split_indices", "split_type")

CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")


@dataclass(frozen=True, eq=False)
class Booster:
    """Boosted trees, which know the features by name; see `Predictor`.

    Attributes:
        trees: give the probability of the positive class; objective `binary:logistic`.
    """

    FILE: ClassVar[str] = "model.ubj"
    BATCH_ROWS: ClassVar[int] = 256
    PARALLEL: ClassVar[bool] = True

    trees: xgb.Booster

    @classmethod
    def read(cls, path: Path, file: bytes, problem: Problem) -> Self:
        """The booster that a file holds.

        Args:
            path: what a refusal calls the file.
            file: its bytes, UBJSON as XGBoost writes it.
            problem: whose features it must know by name, in this order.

        Raises:
            ArtifactError: it is no such file, its objective is another than `OBJECTIVE`, it is made of something else
                than trees (`KIND`), its features are others, or XGBoost could not use it without crashing.
        """
        features = problem.features
        try:
            learner = ubjson.loads(file)["learner"]
            _check_kind(path, learner)
            _check_features(path, learner, features)
            if fault := _fault(learner, len(features)):
                raise ArtifactError(f"{path} holds a model that XGBoost cannot use, as {fault}; train the model again.")
            booster = xgb.Booster(model_file=bytearray(file))
            booster.save_config()  # a parameter is read at its first use; let that be here
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError, xgb.core.XGBoostError) as error:
            raise ArtifactError(f"{path} is not a model that XGBoost {xgb.__version__} can read.") from error
        return cls(booster)

    @property
    def outputs(self) -> int:
        """The probability of the positive class alone."""
        return 1

    @property
    def facts(self) -> dict[str, str]:
        """How many trees there are."""
        return {"trees": str(self.trees.num_boosted_rounds())}

    def raw(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of the positive class, shape (rows, 1), for float32 features of shape (rows, features)."""
        return predict(self.trees, features)[:, np.newaxis]

    def from_json(self, rows: list[Any]) -> NDArray[np.float32]:
        """Features from lists of numbers, one for each row; None where one is missing.

        Raises:
            ValueError: they are none of this model.
        """
        with np.errstate(over="ignore"):
            features = np.array(rows, dtype=np.float32)
        if features.ndim != 2 or features.shape[1] != self.trees.num_features() or np.isinf(features).any():
            raise ValueError(f"rows of {self.trees.num_features()} numbers are expected")
        return features

    def examples(self, features: NDArray[np.float32], rows: int = 8, seed: int = 0) -> NDArray[np.float32]:
        """Rows of which each cell is drawn on its own, so that no row of the table leaves it."""
        index = np.random.default_rng(seed).integers(len(features), size=(rows, features.shape[1]))
        return np.take_along_axis(features, index, axis=0)

    def save(self, path: Path) -> None:
        """Write the file, which scikit-learn's wrapper of XGBoost reads as well.

        Raises:
            OSError: it cannot be written.
        """
        classifier = xgb.XGBClassifier()
        classifier.load_model(self.trees.save_raw("ubj"))
        try:
            classifier.save_model(path)
        except xgb.core.XGBoostError as error:
            raise OSError(None, f"XGBoost could not write {path.name}, as on a full disk") from error

    def on_one_thread(self) -> None:
        """Use one thread in each call, and set that up: the first call takes longer."""
        self.trees.set_param({"nthread": 1})
        self.raw(np.zeros((1, self.trees.num_features()), np.float32))


def _check_kind(path: Path, learner: Mapping[str, Any]) -> None:
    objective, kind = learner["objective"]["name"], learner["gradient_booster"]["name"]
    if objective != OBJECTIVE:
        raise ArtifactError(f"{path} holds a model of objective {objective!r:.60}, expected {OBJECTIVE!r}.")
    if kind != KIND:
        raise ArtifactError(f"{path} holds a booster of kind {kind!r:.60}, expected {KIND!r}.")


def _check_features(path: Path, learner: Mapping[str, Any], features: Sequence[str]) -> None:
    found = int(learner["learner_model_param"]["num_feature"])
    if found != len(features):
        raise ArtifactError(f"{path} holds a model of {found} features, the manifest names {len(features)}.")
    if learner["feature_names"] != list(features):
        raise ArtifactError(f"{path} and its manifest name different features, or the same in another order.")


def _fault(learner: Mapping[str, Any], features: int) -> str | None:
    """What is wrong with a model of trees, if anything is."""
    parameters, model = learner["learner_model_param"], learner["gradient_booster"]["model"]
    trees, rounds = model["trees"], model["iteration_indptr"]
    if (parameters["num_class"], parameters["num_target"]) != ("0", "1") or any(model["tree_info"]):
        return "it answers more than one question"
    if rounds[0] != 0 or rounds[-1] != len(trees) or (np.diff(rounds) <= 0).any():
        return "its boosting rounds do not divide its trees"
    if [tree["id"] for tree in trees] != list(range(len(trees))):
        return "its trees are not numbered in their order"
    if any(tree["tree_param"]["size_leaf_vector"] != "1" for tree in trees):
        return "a leaf holds other than one value"
    categories = [*model.get("cats", {}).values(), *(tree[name] for tree in trees for name in CATEGORIES)]
    return "it has categories" if any(map(len, categories)) else _fault_of_trees(trees, features)


class _Nodes(NamedTuple):
    """The nodes of all trees, one after another; a node's number counts from its own tree's root."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    parent: NDArray[np.int64]
    feature: NDArray[np.int64]
    split_type: NDArray[np.int64]
    root: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, trees: Sequence[Mapping[str, Any]]) -> "_Nodes":
        """Put the trees' arrays together; `root` says where a node's tree starts, `size` how many nodes it has."""
        sizes = [len(tree[NODES[0]]) for tree in trees]
        values = (np.concatenate([tree[name] for tree in trees]).astype(np.int64) for name in NODES)
        return cls._make([*values, np.repeat(np.cumsum(sizes) - sizes, sizes), np.repeat(sizes, sizes)])


def _fault_of_trees(trees: Sequence[Mapping[str, Any]], features: int) -> str | None:
    """What is wrong with the trees themselves, if anything is."""
    if any({len(tree[name]) for name in NODES} != {max(1, int(tree["tree_param"]["num_nodes"]))} for tree in trees):
        return "the arrays of a tree differ in length"
    nodes = _Nodes.of(trees)
    if nodes.split_type.any():
        return "it splits by categories"
    if ((nodes.feature < 0) | (nodes.feature >= features))[nodes.left != LEAF].any():
        return "it splits by a feature that it does not have"
    if not _are_trees(nodes):
        return "its nodes do not form trees"
    return f"a tree is deeper than {MAX_DEPTH} splits" if _are_deep(nodes) else None


def _are_trees(nodes: _Nodes) -> bool:
    """Whether the children of a node are neighbours in its tree and call it their parent, so that no path is a circle.

    XGBoost finds a right child beside its left one. It keeps pruned nodes, which no other node leads to.
    """
    number = np.arange(len(nodes.root)) - nodes.root
    inner = np.flatnonzero(nodes.left != LEAF)
    left = nodes.left[inner]
    if (nodes.right != np.where(nodes.left == LEAF, LEAF, nodes.left + 1)).any():
        return False
    if ((left < 1) | (left + 1 >= nodes.size[inner])).any():
        return False
    child = nodes.root[inner] + left
    known = np.where(number == 0, nodes.parent == ROOT_PARENT, (nodes.parent >= 0) & (nodes.parent < nodes.size))
    return bool(known.all() and (nodes.parent[[child, child + 1]] == number[inner]).all())


def _are_deep(nodes: _Nodes) -> bool:
    level = np.unique(nodes.root)
    for _ in range(MAX_DEPTH + 1):
        level = level[nodes.left[level] != LEAF]
        if not len(level):
            return False
        left = nodes.root[level] + nodes.left[level]
        level = np.concatenate([left, left + 1])
    return True
