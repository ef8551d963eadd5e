"""Mutate model files at random, and print what becomes of each: `python -m tests.predictors.mutations SEED FILES`.

A crash or a hang ends this process, so a test starts it as a child.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.predictors.small_boosters import ALL, Trained, table, train
from tests.predictors.test_booster import to_ubjson

from tabserve.errors import ArtifactError
from tabserve.predictors import tree_checks, ubjson
from tabserve.predictors.booster import OBJECTIVES, Booster

ROWS = table(60, seed=7)
ROWS[::9, 1], ROWS[::7, 3], ROWS[::11, 3] = -1, 39, 1e6

LOGARITHM = {"reg:gamma", "reg:tweedie", "count:poisson"}
"""Objectives whose margin is the logarithm of the amount."""

NUMBERS = [-5, -1, 0, 1, 2, 3, 4, 5, 6, 7, 39, 40, 100, 10**6, 2**24, 2**31 - 1, 2**31, 2**32 + 1, 2**62, -(2**63)]

FLOATS = [0.0, -0.0, 1.0, -1.5, 1e-45, 3e38, -3e38, np.inf, -np.inf, np.nan]

TEXTS = ["", "0", "1", "2", "3", "4", "-1", " 3", "3_0", "03", "1e3", "nan", "inf", "[5E-1]", "[1E39]", "[0]", "[]"]
TEXTS += ["[5E-1,5E-1,5E-1]", "[5E-1,5E-1]", "[-1E0]", "[" * 50_000, "[[5E-1]]", "5E-1", "2147483647", "4294967296"]
TEXTS += [
    "9" * 400,
    "gbtree",
    "dart",
    "multi:softmax",
    "c",
    "q",
    *(name for kinds in OBJECTIVES.values() for name in kinds),
]

Member = tuple[Any, Any]
"""A member of an object or a list: its holder, and its name or index there."""


def members(value: Any) -> Iterator[Member]:  # noqa: ANN401
    """Every member of every object and list below a value."""
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield value, name
        yield from members(value[name])


def _mutate_array(value: NDArray[Any], dice: random.Random) -> Any:  # noqa: ANN401
    """The array with entries changed, swapped, cut off or added, or with another type."""
    array, way = value.copy(), dice.randrange(7)
    if way == 0:
        return array[: dice.randrange(len(array) + 1)]
    if way == 1:
        extra = dice.choices(array.tolist() or [0], k=dice.randrange(1, 3))
        return np.append(array, np.array(extra, array.dtype)).astype(array.dtype)
    if way == 2:
        return array.astype(dice.choice(list(ubjson.NUMBERS.values())))
    if way == 3:
        return array.tolist()
    for _ in range(dice.randrange(1, 3) if len(array) else 0):
        at, other = dice.randrange(len(array)), dice.randrange(len(array))
        if way == 4:
            array[at], array[other] = value[other], value[at]
        else:
            near = int(np.nan_to_num(array[at], posinf=9, neginf=9)) + dice.choice([-1, 1])
            extremes = FLOATS if array.dtype.kind == "f" else [near, near, *NUMBERS]
            array[at] = np.array(dice.choice(extremes)).astype(array.dtype)
    return array


def _mutate_value(value: Any, dice: random.Random) -> Any:  # noqa: ANN401
    """Another value in place of this one, mostly of its type."""
    if isinstance(value, np.ndarray) and dice.random() < 0.95:
        return _mutate_array(value, dice)
    if isinstance(value, list) and value and dice.random() < 0.9:
        swapped = dice.sample(value, len(value))
        return dice.choice([value[:-1], value[1:], [*value, value[0]], value[::-1], swapped, []])
    if isinstance(value, str) and dice.random() < 0.95:
        return dice.choice(TEXTS)
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    bytes_ = np.zeros(dice.randrange(3), ">i1")
    return dice.choice([*NUMBERS, None, True, [], {}, "1", 0.5, deep, bytes_, np.arange(3, dtype=">i4")])


def _mutate_members(document: dict[str, Any], dice: random.Random) -> bytes:
    """Change one or two members of a document, mostly those of a tree."""
    for _ in range(dice.choice([1, 1, 1, 2])):
        every = list(members(document))
        arrays = [member for member in every if member[1] in tree_checks.TYPES]
        holder, name = dice.choice(arrays if arrays and dice.random() < 0.8 else every)
        way = dice.random()
        if way < 0.05:
            del holder[name]
        elif way < 0.15:
            other, there = dice.choice(arrays if name in tree_checks.TYPES and arrays else every)
            holder[name] = other[there] if other is not holder and not _is_below(holder, other[there]) else None
        else:
            holder[name] = _mutate_value(holder[name], dice)
    return to_ubjson(document)


def _is_below(value: Any, above: Any) -> bool:  # noqa: ANN401
    return value is above or any(holder is value for holder, _ in members(above))


def _mutate_bytes(file: bytes, dice: random.Random) -> bytes:
    """Change, remove or add a few bytes."""
    changed = bytearray(file)
    for _ in range(dice.randrange(1, 4)):
        at, way = dice.randrange(len(changed)), dice.random()
        if way < 0.8:
            changed[at] = dice.choice([dice.randrange(256), changed[at] ^ 1 << dice.randrange(8)])
        else:
            changed[at : at + dice.randrange(2)] = bytes(dice.randrange(3))
    return bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.02 else changed)


def mutate(file: bytes, dice: random.Random) -> bytes:
    """The model file with something changed."""
    return _mutate_bytes(file, dice) if dice.random() < 0.3 else _mutate_members(ubjson.loads(file), dice)


def _leaf_value(tree: dict[str, Any], row: NDArray[np.float32]) -> float:
    """The value of the leaf that a row reaches, by the plain meaning of the file."""
    sets = {
        int(node): {*tree["categories"][start : start + size].tolist()}
        for node, start, size in zip(
            tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
        )
    }
    node = 0
    while tree["left_children"][node] != tree_checks.LEAF:
        value, side = row[tree["split_indices"][node]], not tree["default_left"][node]
        if tree["split_type"][node] and not np.isnan(value):
            side = int(value) in sets[node]
        elif not np.isnan(value):
            side = not value < tree["split_conditions"][node].astype(np.float32)
        node = int((tree["right_children"] if side else tree["left_children"])[node])
    return float(tree["split_conditions"][node])


def evaluate(file: bytes, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """What a model file answers for rows, computed without XGBoost: margins of several classes, else predictions."""
    learner = ubjson.loads(file)["learner"]
    objective, model = learner["objective"]["name"], learner["gradient_booster"]["model"]
    base = np.array(learner["learner_model_param"]["base_score"].strip("[]").split(","), np.float64)
    links: dict[str, Callable[[Any], Any]] = {"binary:logistic": lambda mean: np.log(mean / (1 - mean))}
    margins = np.zeros((len(rows), max(1, int(learner["learner_model_param"]["num_class"]))))
    margins += links.get(objective, np.log if objective in LOGARITHM else lambda mean: mean)(base)
    for output, tree in zip(model["tree_info"], model["trees"], strict=True):
        margins[:, output] += [_leaf_value(tree, row) for row in rows]
    with np.errstate(over="ignore"):
        if objective == "binary:logistic":
            return np.asarray(1 / (1 + np.exp(-margins)))
        return np.exp(margins) if objective in LOGARITHM else margins


def _use_model(model: Booster) -> None:
    """Answer, explain and write, as is done with a model."""
    alone = np.concatenate([model.raw(row[np.newaxis]) for row in ROWS[:5]])
    assert np.allclose(alone, model.raw(ROWS[:5]), rtol=1e-4, atol=1e-4, equal_nan=True)
    margins = model.trees.inplace_predict(ROWS[1:7:2], predict_type="margin").reshape(3, -1)
    contributions = model.contributions(ROWS[1:7:2]).astype(np.float64)
    assert np.allclose(contributions.sum(axis=2), margins, rtol=1e-3, atol=1e-4 + 1e-6 * np.abs(contributions).max())
    model.to_bytes()


def outcome(model: Trained, file: bytes) -> str:
    """What becomes of a file: refused, or answered as before or as it says; else the reader has a fault."""
    try:
        booster = model.read(file)
    except ArtifactError:
        return "refused"
    _use_model(booster)
    answers = booster.raw(ROWS)
    expected = evaluate(file, ROWS)
    finite = np.abs(expected) < 3e38
    if not np.allclose(answers[finite], expected[finite], rtol=1e-3, atol=1e-4):
        return "WRONG"
    return "same" if np.array_equal(answers, Booster(model.trees).raw(ROWS)) else "changed"


def main() -> None:
    """Mutate files of all kinds, and print the number of files per outcome."""
    seed, count = map(int, sys.argv[1:])
    outcomes: Counter[str] = Counter()
    for number in range(seed * count, (seed + 1) * count):
        objective, way = ALL[number % len(ALL)]
        file = mutate(train(objective, way).file, random.Random(number))
        sys.stdout.write(f"{number} {objective} {way} ")
        sys.stdout.flush()
        result = outcome(train(objective, way), file)
        sys.stdout.write(f"{result}\n")
        outcomes[result] += 1
    sys.stdout.write(f"{dict(sorted(outcomes.items()))}\n")


if __name__ == "__main__":
    main()
