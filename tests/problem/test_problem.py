"""A problem is an immutable value, and an invalid one is refused."""

import re
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tabserve.errors import UsageError
from tabserve.problem.columns import Column, numbers
from tabserve.problem.criterion import F1, MAE, RMSE, Accuracy, BalancedAccuracy, Costs, f1, rmse
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table.frame_reader import read
from tabserve.training.split import fold_numbers, hold_out
from tabserve.training.task_training import training_of

PROBLEM = Problem("loans", numbers("income", "age"), target="default", id="customer")


def test_a_problem_cannot_be_changed() -> None:
    """Later steps of training see the same problem."""
    with pytest.raises(FrozenInstanceError):
        PROBLEM.seed = 1  # type: ignore[misc]


def test_problems_are_compared_and_hashed_by_value() -> None:
    """A copy is the same member of a set."""
    assert {PROBLEM, replace(PROBLEM)} == {PROBLEM}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"columns": ()}, "at least one column", id="no-columns"),
        pytest.param({"columns": numbers("age", "age")}, "named twice", id="repeated-column"),
        pytest.param({"columns": numbers("age", "default")}, "named twice", id="target-among-columns"),
        pytest.param({"columns": numbers("age", "customer")}, "named twice", id="id-among-columns"),
        pytest.param({"id": "default"}, "named twice", id="target-as-id"),
        pytest.param(
            {"columns": (Column("age"), Column("note", "text"))}, "'note' is one of them among 2", id="text-and-number"
        ),
        pytest.param({"holdout": 0.0}, "not 0.0 and 5", id="no-holdout"),
        pytest.param({"holdout": 1.0}, "not 1.0 and 5", id="all-held-out"),
        pytest.param({"folds": 1}, "not 0.2 and 1", id="one-fold"),
        pytest.param({"id": ""}, "text or None as its id, not ''", id="empty-id"),
        pytest.param({"group": ""}, "text or None as its group, not ''", id="empty-group"),
        pytest.param({"time": ""}, "text or None as its time, not ''", id="empty-time"),
        pytest.param({"time": "at", "group": "seller"}, "by time or by groups, not by both", id="time-and-group"),
        pytest.param({"time": "default"}, "a column of its own as its time, not 'default' again", id="target-as-time"),
        pytest.param({"time": "customer"}, "a column of its own as its time, not 'customer' again", id="id-as-time"),
        pytest.param({"time": "age"}, "can be a feature as a date alone, not as a number", id="number-as-time"),
        pytest.param({"folds": 10**400}, "not 0.2 and 1", id="too-many-folds"),
        pytest.param({"seed": -1}, "a seed from 0 to 4294967295, not -1", id="negative-seed"),
        pytest.param({"seed": 2**32}, "a seed from 0 to 4294967295, not 4294967296", id="too-large-seed"),
        pytest.param({"name": "two\nlines"}, "a name of one line, not 'two\\nlines'", id="name-of-two-lines"),
        *[
            pytest.param({field: value}, "that UTF-8 can write, not '\\ud800'", id=f"half-a-letter-in-{field}")
            for field, value in [
                ("name", "\ud800"),
                ("columns", numbers("x\ud800")),
                ("task", Binary(("a", "x\ud800"))),
                ("target", "\ud800"),
                ("id", "\ud800"),
                ("group", "\ud800"),
                ("time", "\ud800"),
            ]
        ],
        *[
            pytest.param({"columns": numbers("age", name)}, f"cannot be named {name!r}; XGBoost takes no name", id=name)
            for name in ("price [EUR]", "a<b", "]")
        ],
        *[
            pytest.param({field: value}, f"as its {field}, not {value!r}", id=f"{field}-{value!r}")
            for field, value in [
                ("name", 3),
                ("name", None),
                ("columns", ["age"]),
                ("columns", "age"),
                ("task", "binary"),
                ("task", Binary),
                ("task", None),
                ("group", ["age"]),
                ("time", 3),
                ("target", 3),
                ("id", ["customer"]),
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
def test_an_invalid_problem_is_refused(changed: dict[str, Any], message: str) -> None:
    """The message says what was expected."""
    with pytest.raises(UsageError) as refused:
        replace(PROBLEM, **changed)
    assert message in str(refused.value)


@pytest.mark.parametrize("columns", [("age",), (1, 2), (["age"],), (Column, Column)], ids=str)
def test_columns_of_another_type_are_refused(columns: tuple[Any, ...]) -> None:
    """A column's name is not enough."""
    with pytest.raises(UsageError, match=r"needs a tuple of columns, such as Column\('age'\), not .* in it"):
        replace(PROBLEM, columns=columns)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("name", value) for value in (3, None, "", ["age"])],
        *[("kind", value) for value in ("numbers", "", 1, None, ["number"])],
        *[("missing", value) for value in ("no", 1, 0, None)],
        *[("unseen", value) for value in ("dropped", True, None)],
    ],
)
def test_an_invalid_column_is_refused(field: str, value: Any) -> None:  # noqa: ANN401
    """The message says what was expected, and what was passed."""
    with pytest.raises(UsageError, match=rf"needs .*not {re.escape(repr(value))}\.$"):
        replace(Column("age"), **{field: value})


LABELS: list[Any] = ["01", ("a",), (), ("no", "no"), (0, 1), ("a", 1), (["a"], "b"), ["a", "b"], None]


@pytest.mark.parametrize("task", [Binary, Multiclass])
@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_invalid_labels_are_refused(task: type[Binary | Multiclass], labels: Any) -> None:  # noqa: ANN401
    """They must be at least two different texts."""
    with pytest.raises(UsageError, match=r"two different labels.* each written as text, not"):
        task(labels)


def test_a_multiclass_task_has_2_to_127_labels_and_a_binary_one_2() -> None:
    """Other numbers of labels are refused."""
    assert len(Multiclass(tuple(map(str, range(127)))).labels) == 127
    with pytest.raises(UsageError, match="at least two different labels, and at most 127"):
        Multiclass(tuple(map(str, range(128))))
    with pytest.raises(UsageError, match="exactly two different labels"):
        Binary(("a", "b", "c"))


def test_the_other_label_is_one_of_the_labels() -> None:
    """Every cell that is no other label counts as it, but for empty ones."""
    codes, bad = Multiclass(("a", "b", "rest"), other="rest").target(["b", "new", "", None, "rest", "a"])
    assert codes.tolist() == [1, 2, -1, -1, 2, 0]
    assert bad.tolist() == [2, 3]
    with pytest.raises(UsageError, match="one of its labels as the other label, not 'c'"):
        Multiclass(("a", "b"), other="c")


TASKS: dict[str, tuple[Any, str, list[Any]]] = {
    "binary": (
        lambda criterion: Binary(criterion=criterion),
        "f1, Costs(...), Accuracy() or BalancedAccuracy()",
        [rmse, MAE()],
    ),
    "multiclass": (
        lambda criterion: Multiclass(("a", "b"), criterion),
        "f1 or Costs(...)",
        [rmse, MAE(), Accuracy(), BalancedAccuracy()],
    ),
    "regression": (lambda criterion: Regression(criterion=criterion), "rmse or MAE()", [f1, Costs(1, 2), Accuracy()]),
}


@pytest.mark.parametrize("kind", TASKS)
def test_a_criterion_of_another_task_or_type_is_refused(kind: str) -> None:
    """The message names the criteria of the task."""
    make, expected, others = TASKS[kind]
    for criterion in ("f1", None, F1, RMSE, len, *others):
        with pytest.raises(UsageError) as refused:
            make(criterion)
        assert f"needs {expected} of tabserve.problem.criterion as its criterion, not" in str(refused.value)


@pytest.mark.parametrize("unit", [1, None, "US\nD"])
def test_a_unit_of_several_lines_is_refused(unit: Any) -> None:  # noqa: ANN401
    """As is a unit that is no text."""
    with pytest.raises(UsageError, match="a text of one line as its unit"):
        Regression(unit)


CHANGED: dict[str, Any] = {
    "name": "mine",
    "target": "t",
    "id": "key",
    "group": "g",
    "time": "at",
    "holdout": 0.5,
    "folds": 2,
    "seed": 7,
    "ignored": ("extra",),
    "blanks": ("0.5", "word 0.500"),
}
"""Another value of each field of a problem; those of columns and task are below."""

USUAL: dict[str, tuple[tuple[Column, ...], Task]] = {
    "numbers": (numbers("a", "b", missing=True), Binary()),
    "texts": ((Column("a", "text"), Column("b", "text", missing=True)), Multiclass(("0", "1"))),
    "mixed": ((Column("a"), Column("b", "category", missing=True)), Regression()),
}

OTHERS: dict[str, tuple[tuple[Column, ...], Task]] = {
    "numbers": (numbers("b", "a", missing=True), Binary(criterion=Costs(1, 2))),
    "texts": ((Column("b", "text"), Column("a", "text", missing=True)), Multiclass(("0", "1"), Costs(1, 2))),
    "mixed": ((Column("b", "category", missing=True), Column("a")), Regression(criterion=MAE())),
}


def results(kind: str, problem: Problem, folder: Path) -> object:
    """The results that depend on a problem's fields: the rows, splits and measures of a table with every column."""
    rows, rng = 240, np.random.default_rng(1)
    table = pd.DataFrame({name: rng.normal(size=rows).round(3) for name in ("a", "b")})
    table.loc[3, "b"] = 0.5
    if kind == "texts":
        table = table.map("word {:.3f}".format)
    target = rng.normal(size=rows).round(3) if kind == "mixed" else np.where(rng.random(rows) < 0.4, "0", "1")
    table[problem.target] = target
    for column in filter(None, (problem.id, problem.group, *problem.ignored)):
        table[column] = [f"{column} {row // (1 if column == problem.id else 4)}" for row in range(rows)]
    if problem.time:
        table[problem.time] = np.datetime_as_string(np.datetime64("2020-01-01") + rng.permutation(rows))
    table.to_csv(folder / "t.csv", index=False)
    frame = read(folder / "t.csv", problem)
    development, holdout = hold_out(frame)
    folds, answers = fold_numbers(development), rng.random((len(development), 2))
    prediction = answers / answers.sum(axis=1, keepdims=True) if kind == "texts" else answers[:, 1]
    measures = training_of(problem).fold_measures(development.target, prediction, folds)
    parts = (frame.ids, frame.features, frame.group, frame.moment, holdout.ids, folds)
    return [str(np.asarray(part).tolist()) for part in parts], measures.to_csv()


@pytest.mark.parametrize("blanks", [["?"], "?", (1,), ("",), (" ?",), ("? ",), ("?", None)])
def test_blanks_are_texts_without_surrounding_spaces(blanks: Any) -> None:  # noqa: ANN401  of any type
    """As cells are compared with them after their spaces are cut off."""
    with pytest.raises(UsageError, match="as its blanks"):
        Problem("usual", numbers("a"), blanks=blanks)


@pytest.mark.parametrize("kind", USUAL)
@pytest.mark.parametrize("field", [field.name for field in fields(Problem)])
def test_every_field_has_an_effect(field: str, kind: str, tmp_path: Path) -> None:
    """On rows, splits or measures, for any kind of columns."""
    usual = Problem("usual", USUAL[kind][0], task=USUAL[kind][1])
    other = CHANGED | dict(zip(("columns", "task"), OTHERS[kind], strict=True))
    changed = results(kind, replace(usual, **{field: other[field]}), tmp_path)
    if field in {"name", "target", "ignored"}:  # names, which change no value
        assert changed == results(kind, usual, tmp_path)
    else:
        assert changed != results(kind, usual, tmp_path)
