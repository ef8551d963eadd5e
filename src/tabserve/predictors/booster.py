"""A model file's bytes in, a booster out; what would crash XGBoost, and the process with it, is refused before.

XGBoost follows a model's node numbers and offsets unchecked, some as soon as it loads them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from tabserve.errors import ArtifactError
from tabserve.predictors import ubjson

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


def read(path: Path, model: bytes, features: Sequence[str]) -> xgb.Booster:
    """The booster that a model file holds.

    Args:
        path: what a refusal calls the file.
        model: its bytes, UBJSON as XGBoost writes it.
        features: the names it must know its features by, in this order.

    Raises:
        ArtifactError: it is no such file, its objective is another than `OBJECTIVE`, it is made of something else than
            trees (`KIND`), its features are others, or XGBoost could not use it without crashing.
    """
    try:
        learner = ubjson.loads(model)["learner"]
        _check_kind(path, learner)
        _check_features(path, learner, features)
        if fault := _fault(learner, len(features)):
            raise ArtifactError(f"{path} holds a model that XGBoost cannot use, as {fault}; train the model again.")
        booster = xgb.Booster(model_file=bytearray(model))
        booster.save_config()  # a parameter is read at its first use; let that be here
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError, xgb.core.XGBoostError) as error:
        raise ArtifactError(f"{path} is not a model that XGBoost {xgb.__version__} can read.") from error
    return booster


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
