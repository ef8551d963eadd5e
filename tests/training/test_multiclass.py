"""Measures of several classes equal those of scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support

from tabserve.model.decision import softmax
from tabserve.problem.criterion import Costs, f1
from tabserve.training.multiclass import by_class, confusion, evaluate, measures


@st.composite
def answered(draw: st.DrawFn) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Targets of up to 5 classes, each at least once, and probabilities without ties."""
    classes, rows = draw(st.integers(2, 5)), draw(st.integers(5, 60))
    target = np.array([*range(classes), *draw(st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows))])
    seed = draw(st.integers(0, 999))
    return target.astype(np.int8), softmax(np.random.default_rng(seed).normal(size=(len(target), classes)))


@given(answered())
def test_the_measures_equal_those_of_scikit_learn(rows: tuple[NDArray[np.int8], NDArray[np.float64]]) -> None:
    """Macro F1, accuracy, log loss and balanced accuracy, and the measures of each class."""
    target, probability = rows
    predicted, values = probability.argmax(axis=1), measures(target, probability, f1)
    assert [*values] == ["macro_f1", "accuracy", "log_loss", "balanced_accuracy"]
    np.testing.assert_allclose(values["macro_f1"], f1_score(target, predicted, average="macro", zero_division=0))
    np.testing.assert_allclose(values["accuracy"], accuracy_score(target, predicted))
    np.testing.assert_allclose(values["log_loss"], log_loss(target, probability, labels=range(probability.shape[1])))
    recalls = [(predicted[target == label] == label).mean() for label in np.unique(target)]
    np.testing.assert_allclose(values["balanced_accuracy"], np.mean(recalls))
    table = by_class(target, probability, [str(index) for index in range(probability.shape[1])])
    labels = list(range(probability.shape[1]))
    expected = precision_recall_fscore_support(target, predicted, labels=labels, zero_division=0)
    np.testing.assert_allclose(table.to_numpy().T, np.array(expected, np.float64))
    assert confusion(target, probability).sum() == len(target)


def test_another_criterion_is_averaged_over_the_classes_too() -> None:
    """The costs of each class against all others."""
    target, probability = np.array([0, 1, 2], np.int8), np.eye(3)[[0, 2, 2]]
    assert measures(target, probability, Costs(1, 6))["macro_minus_cost"] == pytest.approx(-(0 + 6 / 3 + 1 / 3) / 3)


def test_an_interval_surrounds_its_measure() -> None:
    """The same seed gives the same interval."""
    target = np.arange(90).astype(np.int8) % 3
    probability = softmax(np.eye(3)[target] + np.random.default_rng(0).normal(size=(90, 3)))
    intervals = evaluate(target, probability, f1)
    assert all(interval.low < interval.value < interval.high for interval in intervals.values())
    assert intervals == evaluate(target, probability, f1)
