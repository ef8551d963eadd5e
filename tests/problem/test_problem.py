"""A problem is one frozen value, and one that contradicts itself cannot be made."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabserve.errors import UsageError
from tabserve.problem.columns import numbers
from tabserve.problem.criterion import F1, Costs
from tabserve.problem.problem import Problem
from tabserve.table import frame as frames
from tabserve.table import texts
from tabserve.training.measures import by_class, by_threshold
from tabserve.training.split import fold_numbers, hold_out

PROBLEM = Problem("loans", numbers("income", "age"), target="default", id="customer")


def test_a_problem_cannot_be_changed() -> None:
    """No station can bend the problem for those after it."""
    with pytest.raises(FrozenInstanceError):
        PROBLEM.seed = 1  # type: ignore[misc]


def test_two_equal_problems_are_the_same() -> None:
    """A problem is a value: comparable and hashable."""
    assert {PROBLEM, replace(PROBLEM)} == {PROBLEM}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"features": ()}, "at least one feature", id="no-features"),
        pytest.param({"features": ("age", "age")}, "named twice", id="repeated-feature"),
        pytest.param({"features": ("age", "default")}, "named twice", id="target-among-features"),
        pytest.param({"features": ("age", "customer")}, "named twice", id="id-among-features"),
        pytest.param({"id": "default"}, "named twice", id="target-as-id"),
        pytest.param(
            {"labels": ("no", "no")}, "two different labels, and at most 127, not ('no', 'no')", id="equal-labels"
        ),
        pytest.param({"labels": (0, 1)}, "each written as text", id="labels-that-are-numbers"),
        pytest.param({"holdout": 0.0}, "not 0.0 and 5", id="no-holdout"),
        pytest.param({"holdout": 1.0}, "not 1.0 and 5", id="all-held-out"),
        pytest.param({"folds": 1}, "not 0.2 and 1", id="one-fold"),
        pytest.param({"id": ""}, "text or None as its id, not ''", id="empty-id"),
        pytest.param({"group": ""}, "text or None as its group, not ''", id="empty-group"),
        *[
            pytest.param(
                {"criterion": value}, "needs f1 or Costs(...) of tabserve.problem.criterion as its criterion", id=name
            )
            for name, value in {"text": "f1", "None": None, "kind": F1, "function": len}.items()
        ],
        pytest.param({"folds": 10**400}, "not 0.2 and 1", id="too-many-folds"),
        pytest.param({"seed": -1}, "a seed from 0 to 4294967295, not -1", id="negative-seed"),
        pytest.param({"seed": 2**32}, "a seed from 0 to 4294967295, not 4294967296", id="too-large-seed"),
        pytest.param({"labels": ("a",)}, "two different labels", id="one-label"),
        pytest.param({"labels": tuple(map(str, range(128)))}, "at most 127", id="128-labels"),
        pytest.param({"name": "two\nlines"}, "a name of one line, not 'two\\nlines'", id="name-of-two-lines"),
        *[
            pytest.param({field: value}, "that UTF-8 can write, not '\\ud800'", id=f"half-a-letter-in-{field}")
            for field, value in [
                ("name", "\ud800"),
                ("features", ("x\ud800",)),
                ("labels", ("a", "x\ud800")),
                ("target", "\ud800"),
                ("id", "\ud800"),
                ("group", "\ud800"),
            ]
        ],
        *[
            pytest.param({"features": ("age", name)}, f"cannot be named {name!r}; XGBoost takes no name", id=name)
            for name in ("price [EUR]", "a<b", "]")
        ],
        *[
            pytest.param({field: value}, f"as its {field}, not {value!r}", id=f"{field}-{value!r}")
            for field, value in [
                ("name", 3),
                ("name", None),
                ("features", ["age"]),
                ("features", "age"),
                ("features", (1, 2)),
                ("features", (["age"],)),
                ("target", 3),
                ("id", ["customer"]),
                ("labels", "01"),
                ("labels", (["a"], "b")),
                ("allow_missing", "no"),
                ("allow_missing", 1),
                ("holdout", "0.2"),
                ("holdout", True),
                ("folds", 2.5),
                ("folds", True),
                ("seed", "x"),
                ("seed", False),
            ]
        ],
    ],
)
def test_a_problem_that_contradicts_itself_is_refused(changed: dict[str, Any], said: str) -> None:
    """The error says what was expected."""
    with pytest.raises(UsageError) as refused:
        replace(PROBLEM, **changed)
    assert said in str(refused.value)


CHANGED: dict[str, Any] = {
    "name": "mine",
    "features": ("b", "a"),
    "target": "t",
    "id": "key",
    "group": "g",
    "labels": ("x", "y"),
    "allow_missing": True,
    "criterion": Costs(1, 2),
    "holdout": 0.5,
    "folds": 2,
    "seed": 7,
}
"""Each field of a problem, otherwise than usual."""

UNKNOWN = {"numbers": {"group"}, "texts": {"allow_missing"}}
"""What a table of each kind has no place for; every other field changes what is read, split or measured."""


def observed(kind: str, problem: Problem, folder: Path) -> object:
    """All that a problem's fields can change of a table that has every column: what is read, split, and measured."""
    rows, rng = 240, np.random.default_rng(1)
    table = pd.DataFrame({name: rng.normal(size=rows) for name in ("a", "b")})
    if problem.allow_missing:
        table.loc[0, "a"] = np.nan
    if kind == "texts":
        table = table.map("word {:.3f}".format)
    table[problem.target] = np.where(rng.random(rows) < 0.4, *problem.labels)
    for column in filter(None, (problem.id, problem.group)):
        table[column] = [f"{column} {row // (1 if column == problem.id else 4)}" for row in range(rows)]
    table.to_csv(folder / "t.csv", index=False)
    frame = (frames if kind == "numbers" else texts).read(folder / "t.csv", problem)
    development, holdout = hold_out(frame)
    folds, probability = fold_numbers(development), rng.random((len(development), 2))
    judge, answers = (by_threshold, probability[:, 1]) if kind == "numbers" else (by_class, probability)
    parts = (frame.ids, frame.features, frame.group, holdout.ids, folds)
    return [str(np.asarray(part).tolist()) for part in parts], judge.measures(development, answers, folds).to_csv()


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("field", [field.name for field in fields(Problem)])
def test_a_field_is_honoured_or_refused(field: str, kind: str, tmp_path: Path) -> None:
    """By a table of numbers as by one of texts; none is taken and then forgotten."""
    usual = Problem("usual", ("a", "b"))
    problem = replace(usual, **{field: CHANGED[field]})
    if field in UNKNOWN[kind]:
        with pytest.raises(UsageError, match=rf"A table of {kind} is learned without .*{field}"):
            observed(kind, problem, tmp_path)
    elif field in {"name", "target", "labels"}:  # which name what is there, and change no number
        assert observed(kind, problem, tmp_path) == observed(kind, usual, tmp_path)
    else:
        assert observed(kind, problem, tmp_path) != observed(kind, usual, tmp_path)


def test_rows_to_score_are_refused_where_the_problem_is(tmp_path: Path) -> None:
    """Before the file is looked at."""
    with pytest.raises(UsageError, match="this problem has the group 'g'; leave the group out of the problem"):
        next(frames.stream(tmp_path / "none.csv", replace(PROBLEM, group="g")))
