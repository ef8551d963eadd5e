"""Find what in the trees of a model file would crash XGBoost or make it answer wrong.

XGBoost follows a model's node numbers and offsets unchecked, some of them while it loads the file.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT_PARENT = 2**31 - 1
"""The parent of a root in XGBoost's model format."""

MAX_DEPTH = 1000
"""Most splits above a leaf; XGBoost recurses down a tree."""

MAX_MARGIN = 1e37
"""Largest sum of leaves: below float32's largest number, with room for the base score."""

ROUNDING = 1e-3
"""Most by which a node may have more weight than its parent, as a share."""

LEAF = -1
"""The child number of a leaf."""

FLAGS = ("split_type", "default_left")

NODES = ("left_children", "right_children", "parents", "split_indices", *FLAGS, "split_conditions")

STATISTICS = ("base_weights", "loss_changes", "sum_hessian")

CATEGORIES = ("categories", "categories_nodes", "categories_segments", "categories_sizes")

TYPES = {
    **dict.fromkeys((*NODES, *CATEGORIES), ">i4"),
    **dict.fromkeys(("split_conditions", *STATISTICS), ">f4"),
    **dict.fromkeys(FLAGS, "|u1"),
    **dict.fromkeys(("categories_segments", "categories_sizes"), ">i8"),
}
"""The type of each of a tree's arrays."""


def fault(model: Mapping[str, Any], levels: Sequence[int], outputs: int) -> str | None:
    """What is wrong with a forest, or None.

    Args:
        model: the part of a model file that holds the trees.
        levels: number of categories of each feature; 0 for a quantity.
        outputs: number of outputs that the trees are summed to.
    """
    trees, rounds = model["trees"], model["iteration_indptr"]
    sizes = np.diff(rounds)
    if rounds[0] != 0 or rounds[-1] != len(trees) or (sizes <= 0).any():
        return "its boosting rounds do not divide its trees"
    if model["tree_info"] != [output for size in sizes for output in np.repeat(range(outputs), size // outputs)]:
        return "its trees are not divided among its outputs"
    if [tree["id"] for tree in trees] != list(range(len(trees))):
        return "its trees are not numbered in their order"
    if any(tree["tree_param"]["size_leaf_vector"] != "1" for tree in trees):
        return "a leaf holds other than one value"
    if any(tree[name].dtype.str != kind for tree in trees for name, kind in TYPES.items()):
        return "an array of a tree is of another type"
    return _fault_of_trees(trees, np.array(levels, np.int64))


class _Nodes(NamedTuple):
    """The nodes of all trees, one after another; a node's number counts from its own tree's root."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    parent: NDArray[np.int64]
    feature: NDArray[np.int64]
    categorical: NDArray[np.int64]
    root: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, trees: Sequence[Mapping[str, Any]]) -> "_Nodes":
        """Concatenate the trees' arrays; `root` is the index of a node's root, `size` its tree's number of nodes."""
        sizes = [len(tree[NODES[0]]) for tree in trees]
        values = (np.concatenate([tree[name] for tree in trees]).astype(np.int64) for name in NODES[:5])
        return cls._make([*values, np.repeat(np.cumsum(sizes) - sizes, sizes), np.repeat(sizes, sizes)])


def _fault_of_trees(trees: Sequence[Mapping[str, Any]], levels: NDArray[np.int64]) -> str | None:
    if any({len(tree[name]) for name in (*NODES, *STATISTICS)} != {_node_count(tree)} for tree in trees):
        return "the arrays of a tree differ in length"
    if any((tree[name] > 1).any() for tree in trees for name in FLAGS):
        return "a flag of a node is neither 0 nor 1"
    if not _sum_bound(trees) < MAX_MARGIN:
        return "its leaves are not finite, or sum up to more than a number holds"
    nodes = _Nodes.of(trees)
    return (
        _fault_of_nodes(nodes, len(levels))
        or _fault_of_weights(trees, nodes)
        or _fault_of_categories(trees, nodes, levels)
    )


def _fault_of_nodes(nodes: _Nodes, features: int) -> str | None:
    if ((nodes.feature < 0) | (nodes.feature >= features))[nodes.left != LEAF].any():
        return "it splits by a feature that it does not have"
    if not _are_trees(nodes):
        return "its nodes do not form trees"
    return f"a tree is deeper than {MAX_DEPTH} splits" if _are_deep(nodes) else None


def _fault_of_weights(trees: Sequence[Mapping[str, Any]], nodes: _Nodes) -> str | None:
    """Find nodes whose rows were not weighed; XGBoost divides by these weights for SHAP values."""
    weight = np.concatenate([tree["sum_hessian"] for tree in trees]).astype(np.float64)
    inner = np.flatnonzero(nodes.left != LEAF)
    left = nodes.root[inner] + nodes.left[inner]
    whole, parts = weight[inner], weight[[left, left + 1]]
    known = (whole > 0) & (whole < np.inf) & (parts >= 0) & (parts <= whole * (1 + ROUNDING))
    return None if known.all() else "its nodes do not weigh the rows that they divide"


def _node_count(tree: Mapping[str, Any]) -> int:
    """The number of nodes as XGBoost parses it: a text of digits alone."""
    text = tree["tree_param"]["num_nodes"]
    return max(1, int(text)) if text == str(int(text)) else -1


def _are_trees(nodes: _Nodes) -> bool:
    """Whether each node's children are neighbours in its tree and have it as their parent, so that no path is a circle.

    XGBoost takes the node after the left child for the right one. It keeps pruned nodes, which are no node's child.
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


def _sum_bound(trees: Sequence[Mapping[str, Any]]) -> float:
    """An upper bound of the absolute sum of leaves."""
    leaves = (tree["split_conditions"][tree["left_children"] == LEAF] for tree in trees)
    return sum(float(np.abs(values).max(initial=0)) for values in leaves)


def _fault_of_categories(trees: Sequence[Mapping[str, Any]], nodes: _Nodes, levels: NDArray[np.int64]) -> str | None:
    """What is wrong with the splits by category; XGBoost lists them, and the segment of categories of each."""
    inner, splits = np.flatnonzero(nodes.left != LEAF), np.flatnonzero(nodes.categorical)
    if ((levels[nodes.feature[inner]] > 0) != nodes.categorical[inner]).any():
        return "it splits a quantity by categories, or a category as a quantity"
    if any({len(tree[name]) for name in CATEGORIES[1:]} != {tree["split_type"].sum(dtype=int)} for tree in trees):
        return "its splits by categories are not all listed"
    if not _are_segments(trees, nodes, splits):
        return "its categories do not belong to its splits"
    # a pruned node keeps its categories and forgets its feature
    limits = np.where(nodes.left[splits] == LEAF, levels.max(), levels[nodes.feature[splits] % len(levels)])
    return None if _are_sets(trees, limits) else "it splits by categories that its features do not have"


def _are_segments(trees: Sequence[Mapping[str, Any]], nodes: _Nodes, splits: NDArray[np.int64]) -> bool:
    """Whether each split has categories, and the segments follow each other in every tree."""
    numbers, segments, sizes = (np.concatenate([tree[name] for tree in trees]) for name in CATEGORIES[1:])
    counts = [len(tree["categories"]) for tree in trees]
    owner = np.repeat(np.arange(len(trees)), [len(tree["categories_nodes"]) for tree in trees])
    if ((sizes < 1) | (sizes > sum(counts))).any() or (numbers != splits - nodes.root[splits]).any():
        return False
    starts = np.cumsum(sizes) - sizes - (np.cumsum(counts) - counts)[owner]
    return bool((segments == starts).all() and (np.bincount(owner, sizes, len(trees)) == counts).all())


def _are_sets(trees: Sequence[Mapping[str, Any]], limits: NDArray[np.int64]) -> bool:
    """Whether the categories of each split ascend, from 0 or more, and stay below its limit."""
    sizes = np.concatenate([tree["categories_sizes"] for tree in trees]).astype(np.int64)
    split = np.repeat(np.arange(len(sizes)), sizes)
    categories = np.concatenate([tree["categories"] for tree in trees]).astype(np.int64)
    rising = (np.diff(categories) > 0) | (np.diff(split) > 0)
    return bool(rising.all() and ((categories >= 0) & (categories < limits[split])).all())
