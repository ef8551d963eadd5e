"""A problem is one frozen value, and one that contradicts itself cannot be made."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from tabserve.errors import UsageError
from tabserve.problem.problem import Problem

PROBLEM = Problem("loans", ("income", "age"), target="default", id="customer")


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
