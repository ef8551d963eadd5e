"""Splits by categories are read if they are consistent, and refused before XGBoost sees them otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from tests.predictors.small_boosters import LEVELS, NAMES, encoder, table, targets, train
from tests.predictors.test_booster import to_ubjson

from tabserve.errors import ArtifactError
from tabserve.predictors import ubjson
from tabserve.predictors.booster import Booster

MODEL = train("binary:logistic", "sets of categories")
PATH = Path("model.ubj")

Tree = dict[str, Any]


def first_tree(trees: list[Tree]) -> Tree:
    """The first tree with at least two splits by categories."""
    return next(tree for tree in trees if len(tree["categories_nodes"]) > 1)


def refusal(change: Callable[[list[Tree]], object], levels: tuple[int, ...] = LEVELS) -> str:
    """The message that refuses the model after a change of its trees."""
    document = ubjson.loads(MODEL.file)
    trees = document["learner"]["gradient_booster"]["model"]["trees"]
    for tree in trees:
        tree |= {name: array.copy() for name, array in tree.items() if isinstance(array, np.ndarray)}
    change(trees)
    with pytest.raises(ArtifactError) as error:
        Booster.read(PATH, to_ubjson(document), MODEL.problem, encoder(levels))
    return str(error.value)


def set_entry(name: str, index: int, value: int) -> Callable[[list[Tree]], object]:
    """Set one entry of an array."""
    return lambda trees: first_tree(trees)[name].__setitem__(index, value)


def shorten(name: str) -> Callable[[list[Tree]], object]:
    """Remove the last entry of an array."""
    return lambda trees: first_tree(trees).update({name: first_tree(trees)[name][:-1]})


def lengthen(name: str) -> Callable[[list[Tree]], object]:
    """Add an entry to an array."""
    return lambda trees: first_tree(trees).update(
        {name: np.append(first_tree(trees)[name], [99]).astype(first_tree(trees)[name].dtype)}
    )


def reverse(*names: str) -> Callable[[list[Tree]], object]:
    """Reverse arrays."""
    return lambda trees: first_tree(trees).update({name: first_tree(trees)[name][::-1].copy() for name in names})


def move_split(trees: list[Tree]) -> None:
    """List a split of a tree in the tree before it, which has no node of that number."""
    before, after = trees[0], trees[1]
    node = after["categories_nodes"][:1] + len(before["parents"])
    for name, added in {
        "categories_nodes": node,
        "categories_sizes": after["categories_sizes"][:1],
        "categories_segments": np.array([len(before["categories"])], ">i8"),
        "categories": after["categories"][: int(after["categories_sizes"][0])],
    }.items():
        before[name] = np.append(before[name], added).astype(before[name].dtype)
        after[name] = after[name][len(added) :]
    after["categories_segments"] = (after["categories_segments"] - len(before["categories"])).astype(">i8")


LISTED = "its splits by categories are not all listed"
BELONG = "its categories do not belong to its splits"
HAVE = "it splits by categories that its features do not have"
OTHER = "it splits a quantity by categories, or a category as a quantity"

FAULTS: dict[str, tuple[Callable[[list[Tree]], object], str]] = {
    **{
        f"{name} cut": (shorten(name), LISTED)
        for name in ("categories_nodes", "categories_segments", "categories_sizes")
    },
    **{
        f"{name} longer": (lengthen(name), LISTED)
        for name in ("categories_nodes", "categories_segments", "categories_sizes")
    },
    "listed in another tree": (move_split, LISTED),
    "categories cut": (shorten("categories"), BELONG),
    "categories longer": (lengthen("categories"), BELONG),
    "nodes in another order": (reverse("categories_nodes"), BELONG),
    "splits in another order": (reverse("categories_nodes", "categories_segments", "categories_sizes"), BELONG),
    "node negative": (set_entry("categories_nodes", 0, -1), BELONG),
    "node of a leaf": (set_entry("categories_nodes", 0, 14), BELONG),
    "segment beyond the categories": (set_entry("categories_segments", 0, 2**40), BELONG),
    "segment negative": (set_entry("categories_segments", 0, -1), BELONG),
    "segment of two splits": (set_entry("categories_segments", 1, 0), BELONG),
    "size beyond the categories": (set_entry("categories_sizes", 0, 2**62), BELONG),
    "size 0": (set_entry("categories_sizes", 0, 0), BELONG),
    "size negative": (set_entry("categories_sizes", 0, -1), BELONG),
    "category negative": (set_entry("categories", 0, -1), HAVE),
    "category beyond every level": (set_entry("categories", 0, 2**31 - 1), HAVE),
    "category twice": (lambda trees: set_entry("categories", 1, int(first_tree(trees)["categories"][0]))(trees), HAVE),
    "quantity split by categories": (set_entry("split_indices", 0, 0), OTHER),
    "category split as a quantity": (set_entry("split_type", 0, 0), OTHER),
    "split of a third type": (set_entry("split_type", 0, 2), "a flag of a node is neither 0 nor 1"),
    "categories as a list": (
        lambda trees: first_tree(trees).update(categories=first_tree(trees)["categories"].tolist()),
        "is not a model that XGBoost",
    ),
    "categories of another type": (
        lambda trees: first_tree(trees).update(categories=first_tree(trees)["categories"].astype(">i8")),
        "an array of a tree is of another type",
    ),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_inconsistent_splits_by_categories_are_refused(change: Callable[[list[Tree]], object], message: str) -> None:
    """XGBoost would read beyond its arrays, or give wrong answers."""
    assert message in refusal(change)


def test_a_category_must_be_a_level_of_its_own_feature() -> None:
    """Not only of another feature."""
    most = dict.fromkeys(range(4), 0)
    for tree in ubjson.loads(MODEL.file)["learner"]["gradient_booster"]["model"]["trees"]:
        features = np.repeat(tree["split_indices"][tree["categories_nodes"]], tree["categories_sizes"])
        for feature, category in zip(features.tolist(), tree["categories"].tolist(), strict=True):
            most[feature] = max(most[feature], category)
    assert 0 < most[1] < most[3]
    exact = (0, most[1] + 1, 0, most[3] + 1)
    Booster.read(PATH, MODEL.file, MODEL.problem, encoder(exact))
    for levels in ((0, most[1], 0, most[3] + 1), (0, most[1] + 1, 0, most[3])):
        assert HAVE in refusal(lambda _: None, levels)


@pytest.mark.parametrize("levels", [(0, 0, 0, 0), (0, 5, 0, 0), (3, 5, 0, 40)])
def test_a_file_and_its_manifest_must_agree_on_which_features_are_categories(levels: tuple[int, ...]) -> None:
    """By the feature types in the file."""
    assert "model.ubj takes other features for categories than its manifest." in refusal(lambda _: None, levels)


def test_categories_need_types_in_the_file() -> None:
    """A file without feature types has quantities only."""
    document = ubjson.loads(MODEL.file)
    document["learner"]["feature_types"] = []
    with pytest.raises(ArtifactError, match="other features for categories"):
        MODEL.read(to_ubjson(document))


@pytest.mark.parametrize("names", [tuple("abcd"), NAMES[::-1]])
def test_features_may_have_other_names_than_the_columns(names: tuple[str, ...]) -> None:
    """The encoder names them."""
    trees = MODEL.trees.copy()
    trees.feature_names = list(names)
    file = bytes(trees.save_raw("ubj"))
    assert Booster.read(PATH, file, MODEL.problem, encoder(LEVELS, names)).raw(table(5)).shape == (5, 1)
    with pytest.raises(ArtifactError, match="name different features"):
        Booster.read(PATH, file, MODEL.problem, encoder(LEVELS))


@pytest.mark.parametrize("levels", [["north", "south", "west"], [10, 20, 30]], ids=["texts", "numbers"])
def test_trees_of_a_frame_with_categories_are_refused(levels: list[Any]) -> None:
    """XGBoost would number the categories again."""
    rows = table()
    frame = pd.DataFrame(rows, columns=list(NAMES))
    frame["shop"] = pd.Categorical([levels[int(code) % 3] for code in np.nan_to_num(rows[:, 1])])
    data = xgb.DMatrix(frame, targets(MODEL.problem.task, rows), enable_categorical=True)
    file = bytes(xgb.train({"objective": "binary:logistic"}, data, 2).save_raw("ubj"))
    with pytest.raises(ArtifactError) as error:
        Booster.read(PATH, file, MODEL.problem, encoder((0, 3, 0, 0)))
    assert str(error.value) == (
        "model.ubj was trained from a frame whose categories it would number anew; train it from a matrix of codes."
    )


def test_categories_of_a_frame_are_refused_whatever_they_are() -> None:
    """Even of a type that XGBoost does not know."""
    document = ubjson.loads(MODEL.file)
    document["learner"]["gradient_booster"]["model"]["cats"]["enc"] = [{"type": 7}]
    with pytest.raises(ArtifactError, match="train it from a matrix of codes"):
        MODEL.read(to_ubjson(document))


@pytest.mark.parametrize("pruned", ["hist", "approx"])
def test_pruned_splits_by_categories_are_read(pruned: str) -> None:
    """XGBoost keeps the categories of nodes that it has turned into leaves or cut off."""
    rows, noise = table(), np.random.default_rng(3).integers(0, 2, 300)
    types = ["c" if count else "q" for count in LEVELS]
    data = xgb.DMatrix(rows, noise, feature_names=list(NAMES), feature_types=types, enable_categorical=True)
    options = {"objective": "binary:logistic", "max_depth": 5, "max_cat_to_onehot": 1, "tree_method": pruned}
    grown = xgb.train(options, data, 4)
    update = {**options, "tree_method": None, "process_type": "update", "updater": "prune", "gamma": 4, "verbosity": 0}
    trees = xgb.train(update, data, 4, xgb_model=grown)
    file = bytes(trees.save_raw("ubj"))
    kept = ubjson.loads(file)["learner"]["gradient_booster"]["model"]["trees"]
    assert any((tree["split_type"][tree["left_children"] == -1] == 1).any() for tree in kept)
    answers = MODEL.read(file).raw(rows)[:, 0]
    assert answers.tobytes() == trees.inplace_predict(rows).tobytes()


def test_an_unknown_code_is_not_answered_as_a_missing_one() -> None:
    """XGBoost sends it left, and a missing value where it learned to; so an encoder must make it missing."""
    rng = np.random.default_rng(0)
    rows = np.stack([rng.standard_normal(2000), rng.integers(0, 6, 2000)], axis=1).astype(np.float32)
    target = np.isin(rows[:, 1], (0, 2, 4)).astype(int)
    rows[(rng.random(2000) < 0.3) & (target == 1), 1] = np.nan
    data = xgb.DMatrix(rows, target, feature_types=["q", "c"], enable_categorical=True)
    trees = Booster(xgb.train({"objective": "binary:logistic", "max_depth": 3, "max_cat_to_onehot": 99}, data, 3))
    codes = np.array([[0, np.nan], [0, -1], [0, 6], [0, 1e6]], np.float32)
    missing, *unknown = trees.raw(codes)[:, 0].tolist()
    assert len(set(unknown)) == 1
    assert abs(missing - unknown[0]) > 0.1
