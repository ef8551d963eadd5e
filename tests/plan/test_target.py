"""The target decides the task, and a target that cannot be learned is refused with what to do."""

from typing import Any

import pytest
from tests.plan.looking import profile_of, repeated

from tabserve.errors import DataError, TabserveError, UsageError
from tabserve.plan.options import Options
from tabserve.plan.target import Target, decide_target
from tabserve.problem.criterion import MAE, Accuracy, Costs, f1
from tabserve.problem.task import Binary, Multiclass, Regression

FEWEST = 7
"""Rows that a class needs."""


def decided(cells: list[Any], **options: Any) -> Target:  # noqa: ANN401  the fields of Options
    """What a target of these cells makes."""
    made = Options("x", **options)
    return decide_target(profile_of(cells, *made.missing), made, FEWEST)


def refusal(kind: type[TabserveError], cells: list[Any], **options: Any) -> str:  # noqa: ANN401  the fields of Options
    """The sentence by which a target is refused."""
    with pytest.raises(kind) as refused:
        decided(cells, **options)
    return str(refused.value)


def test_two_values_are_two_classes_and_the_rarer_is_positive() -> None:
    """Whatever the values are; the reason has the share."""
    target = decided(repeated(["no", "no", "yes"]))
    assert target.task == Binary(("no", "yes"))
    assert "'yes', the rarer, in 33.3% of the rows" in target.why
    assert decided(repeated(["1", "1", "0"])).task == Binary(("1", "0"))
    assert decided(repeated([2.5, 2.5, 7.5])).task == Binary(("2.5", "7.5"))
    assert decided(repeated([True, False, False])).task == Binary(("false", "true"))


def test_of_two_equal_classes_the_later_by_name_is_positive() -> None:
    """Usually that is 1, yes or true."""
    assert decided(repeated(["1", "0"])).task.labels == ("0", "1")
    assert decided(repeated(["yes", "no"])).task.labels == ("no", "yes")


def test_the_user_names_the_positive_class() -> None:
    """In any spelling of a number; another label is refused with the two."""
    cells = repeated(["0", "0", "1"])
    assert decided(cells, positive="0").task == Binary(("1", "0"))
    assert decided(cells, positive="0.0").task == Binary(("1", "0"))
    assert decided(cells, positive="0").positive == "0"
    assert "'0' or '1', not 'yes'" in refusal(UsageError, cells, positive="yes")


def test_few_whole_numbers_or_texts_are_classes() -> None:
    """Sorted as numbers, or as texts."""
    assert decided(repeated(["10", "9", "8"])).task == Multiclass(("8", "9", "10"))
    assert decided(repeated(["b", "a", "c"])).task == Multiclass(("a", "b", "c"))


@pytest.mark.parametrize(
    "cells",
    [
        [str(number) for number in range(60)],
        repeated([0.5, 1.5, 2.5]),
        repeated(["0.5", "1", "2"]),
        repeated([str(number) for number in range(11)], 110),
    ],
)
def test_many_numbers_or_decimals_are_amounts(cells: list[Any]) -> None:
    """The reason has their range."""
    target = decided(cells)
    assert target.task == Regression()
    assert "an amount from" in target.why


def test_the_user_names_the_task() -> None:
    """Few whole numbers may be amounts, and two classes one of several."""
    assert decided(repeated(["1", "2", "3"]), task="regression").task == Regression()
    assert decided(repeated(["a", "b"]), task="multiclass").task == Multiclass(("a", "b"))
    assert "3 different values" in refusal(DataError, repeated(["1", "2", "3"]), task="binary")
    assert "row 1: expected an amount such as 1234.5, found 'a'" in refusal(
        DataError, repeated(["a", "b"]), task="regression"
    )


def test_a_constant_or_empty_target_is_refused() -> None:
    """Nothing can be learned from it."""
    assert "'a' in every row" in refusal(DataError, repeated(["a"]))
    assert "is empty throughout" in refusal(DataError, repeated([""]))
    assert "is empty throughout" in refusal(DataError, repeated(["?"]), missing=("?",))


def test_rows_without_a_target_are_refused_unless_they_are_left_out() -> None:
    """The first such row is named, and the option."""
    cells = [*repeated(["a", "b"]), "", ""]
    sentence = refusal(DataError, cells)
    assert "row 61" in sentence
    assert "2 of 62 rows" in sentence
    assert "--drop-empty-target" in sentence
    assert decided(cells, drop_empty_target=True).task == Binary(("a", "b"))


def test_marks_among_amounts_are_rows_without_a_target() -> None:
    """As in any column of numbers."""
    cells = [*(f"{number}.5" for number in range(60)), "?"]
    assert "row 61: expected a target" in refusal(DataError, cells)
    assert decided(cells, drop_empty_target=True).task == Regression()


def test_a_stray_word_among_amounts_is_named() -> None:
    """With what to do if it stands for an empty cell."""
    sentence = refusal(DataError, [*(f"{number}.5" for number in range(60)), "on request"])
    assert "row 61: expected an amount such as 1234.5, found 'on request'" in sentence
    assert "--missing" in sentence


def test_amounts_with_thousands_separators_are_refused() -> None:
    """They are amounts all the same, not classes."""
    assert "found '1,000'" in refusal(DataError, [f"{number},000" for number in range(1, 60)])


def test_thousands_of_texts_are_refused() -> None:
    """The sentence has their number and the options."""
    sentence = refusal(DataError, [f"text {number}" for number in range(5_000)])
    assert "5000 different values" in sentence
    assert "--other-label" in sentence


def test_a_class_of_too_few_rows_is_refused_or_pooled() -> None:
    """The label that pools them is one of the labels, and every other cell counts as it."""
    cells = [*repeated(["a", "b", "c"]), "d", "e", *repeated(["f"], 5)]
    sentence = refusal(DataError, cells)
    assert "in 1 row, and a class needs 7" in sentence
    assert "--other-label" in sentence
    task = decided(cells, other_label="other").task
    assert task == Multiclass(("a", "b", "c", "other"), other="other")
    codes, bad = task.target(["a", "f", "never seen", "", "c"])
    assert codes.tolist() == [0, 3, 3, -1, 2]
    assert bad.tolist() == [3]


def test_a_frequent_class_may_pool_the_rare_ones() -> None:
    """It stays one label."""
    cells = [*repeated(["a", "b", "other"]), "d", "e"]
    assert decided(cells, other_label="other").task == Multiclass(("a", "b", "other"), other="other")


def test_rare_classes_that_are_too_few_together_are_refused() -> None:
    """Their label would be a class of too few rows itself."""
    assert "3 rows of rare classes" in refusal(
        DataError, [*repeated(["a", "b", "c"]), "d", "e", "f"], other_label="other"
    )


def test_a_target_of_rare_classes_alone_is_refused() -> None:
    """Pooling them all would leave one class."""
    cells = [f"text {number}" for number in range(200)]
    assert "no value in 7 rows or more" in refusal(DataError, cells, other_label="other")


def test_nothing_is_pooled_where_no_class_is_rare() -> None:
    """The labels stay as they are."""
    assert decided(repeated(["a", "b", "c"]), other_label="other").task == Multiclass(("a", "b", "c"))


def test_a_class_of_two_with_too_few_rows_is_refused() -> None:
    """More rows are needed."""
    assert "'b' in 3 rows" in refusal(DataError, [*repeated(["a"]), "b", "b", "b"])


def test_more_frequent_classes_than_a_model_tells_apart_are_refused() -> None:
    """A target holds at most 127 labels."""
    cells = [*repeated([f"class {number}" for number in range(130)], 1_300), "rare"]
    assert "131 different values" in refusal(DataError, cells)
    assert "131 values of at least 7 rows" in refusal(DataError, cells * 7)
    rare = [f"rare {number}" for number in range(7)]
    assert "131 values of at least 7 rows" in refusal(DataError, [*cells, *rare], other_label="other")


def test_one_class_in_two_spellings_is_refused() -> None:
    """1 and 1.0 are the same number."""
    assert "in two spellings" in refusal(DataError, repeated(["1", "1.0", "2"]), task="multiclass")


@pytest.mark.parametrize(
    ("cells", "options"),
    [
        (["a", "b", "c"], {"positive": "a"}),
        (["a", "b"], {"other_label": "other"}),
        ([0.5, 1.5, 2.5], {"positive": "0.5"}),
        ([0.5, 1.5, 2.5], {"other_label": "other"}),
        ([0.5, 1.5, 2.5], {"costs": (1, 10)}),
        ([0.5, 1.5, 2.5], {"metric": "f1"}),
        (["a", "b"], {"metric": "rmse"}),
        (["a", "b"], {"metric": "costs"}),
    ],
)
def test_an_option_of_another_task_is_refused(cells: list[Any], options: dict[str, Any]) -> None:
    """In one sentence."""
    assert refusal(UsageError, repeated(cells), **options).endswith(".")


def test_metric_and_costs_become_the_goal_of_the_task() -> None:
    """As far as the task has them."""
    two = repeated(["a", "b"])
    assert decided(two).task.criterion == f1
    assert decided(two, metric="accuracy").task.criterion == Accuracy()
    assert decided(two, metric="roc_auc").task.metric == "roc_auc"
    assert decided(two, costs=(1, 10)).task.criterion == Costs(1, 10)
    assert decided(repeated([0.5, 1.5, 2.5]), metric="mae").task.criterion == MAE()
