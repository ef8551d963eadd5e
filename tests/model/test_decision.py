"""A threshold or the most probable class turns raw outputs into answers."""

import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.errors import UsageError
from tabserve.model.decision import (
    DECISIONS,
    MAX_THRESHOLD,
    TEMPERATURES,
    Decision,
    MostProbable,
    Scores,
    Threshold,
    class_scores,
    softmax,
    threshold_of,
)
from tabserve.model.model import load
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass
from tabserve.table.frame import Frame

TWO, THREE = (
    Problem("two", numbers("x"), task=Binary(("no", "yes"))),
    Problem("three", numbers("x"), task=Multiclass(("a", "b", "c"))),
)

probabilities = npst.arrays(np.float32, st.tuples(st.integers(0, 20), st.just(1)), elements=st.floats(0, 1, width=32))
thresholds = st.floats(0, 1) | st.just(MAX_THRESHOLD)
temperatures = st.floats(*TEMPERATURES)


def margins(largest: float) -> st.SearchStrategy[NDArray[np.float64]]:
    """Margins of some rows for one class or several, up to a largest absolute value."""
    return npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-largest, largest))


# Threshold.


@given(probabilities, thresholds)
def test_a_label_is_one_exactly_where_the_probability_reaches_the_threshold(
    raw: NDArray[np.float32], threshold: float
) -> None:
    """The comparison is that of the two numbers in an answer, as Python floats."""
    for limit in (threshold, *raw[:, 0].tolist()):
        scores = Threshold(limit).scores(raw)
        assert scores.label.tolist() == [int(value >= limit) for value in raw[:, 0].tolist()]
        assert np.array_equal(scores.probability, raw[:, 0])


@given(st.floats(0, 1, width=32))
def test_a_threshold_just_above_a_probability_is_not_reached(probability: float) -> None:
    """Although both are the same number in float32."""
    above = math.nextafter(probability, 2)
    raw = np.full((1, 1), probability, np.float32)
    assert np.float32(above) == np.float32(probability)
    labels = [Threshold(limit).scores(raw).label.item() for limit in (above, probability)]
    assert labels == [0, 1]


def test_a_score_is_a_probability_and_a_label(model_folder: Path, sample_frame: Frame) -> None:
    """One of each for every row, of the protocol's types."""
    model = load(model_folder)
    scores = class_scores(model.decision.scores(model.predictor.raw(sample_frame.features)))
    assert [str(array.dtype) for array in scores] == ["float32", "int64"]
    assert scores.probability.shape == scores.label.shape == (len(sample_frame),)
    assert ((scores.probability > 0) & (scores.probability < 1)).all()
    assert 0 < scores.label.mean() < 1
    answers = model.score(sample_frame.features)
    assert np.array_equal(answers.probability, scores.probability)
    assert np.array_equal(answers.label, scores.label)


@given(probabilities)
def test_both_classes_sum_to_one_in_an_answer(raw: NDArray[np.float32]) -> None:
    """The positive probability is the raw output, the negative one its complement in float32."""
    scores, outputs = Threshold(0.5).scores(raw), Threshold(0.5).outputs(TWO)
    label, both = (outputs[name].values(scores) for name in ("predict", "predict_proba"))
    assert (label.shape, both.shape, str(both.dtype)) == ((len(raw), 1), (len(raw), 2), "float32")
    assert np.array_equal(both, np.column_stack([1 - raw[:, 0], raw[:, 0]]))
    assert np.array_equal(Threshold(0.5).watched(scores), raw[:, 0])


@pytest.mark.parametrize("labels", [("no", "yes"), ("0", "1")])
def test_a_label_is_written_as_the_problem_spells_it(labels: tuple[str, ...]) -> None:
    """In a scored file as text; an answer holds its number, and the names of the numbers belong to the output."""
    problem = replace(TWO, task=Binary(labels))
    scores = Threshold(0.5).scores(np.array([[0.2], [0.5]], np.float32))
    assert Threshold(0.5).table(scores, problem)["label"].tolist() == [*labels]
    output = Threshold(0.5).outputs(problem)["predict"]
    assert (output.labels, output.datatype, output.values(scores).tolist()) == (labels, "INT64", [[0], [1]])


# Most probable class.


@given(margins(1e300), temperatures)
def test_probabilities_of_any_margins_are_finite_and_sum_to_one(raw: NDArray[np.float64], temperature: float) -> None:
    """At any temperature, up to the largest margins in a model file."""
    scores = MostProbable(temperature).scores(raw)
    assert scores.probability.dtype == np.float32
    assert np.isfinite(scores.probability).all()
    np.testing.assert_allclose(scores.probability.sum(axis=1), 1, atol=1e-6)


@given(margins(1e300), temperatures)
def test_the_label_is_a_most_probable_class_and_one_of_the_largest_margin(
    raw: NDArray[np.float64], temperature: float
) -> None:
    """No temperature changes it, unless probabilities are too close to be distinguished."""
    scores, rows = MostProbable(temperature).scores(raw), np.arange(len(raw))
    assert (scores.probability[rows, scores.label] == scores.probability.max(axis=1)).all()
    assert np.array_equal(MostProbable().watched(scores), scores.probability.max(axis=1))
    difference = (raw.max(axis=1) - raw[rows, scores.label]) / temperature
    assert (difference <= 1e-9).all()


@given(margins(700))
def test_softmax_equals_its_definition(raw: NDArray[np.float64]) -> None:
    """For margins at which the definition does not overflow."""
    powers = np.exp(raw)
    np.testing.assert_allclose(softmax(raw), powers / powers.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-300)


def test_an_answer_of_several_classes_has_the_label_and_all_probabilities() -> None:
    """Labels are spelled and ordered as in the problem."""
    outputs = MostProbable().outputs(THREE)
    scores = Scores(np.eye(3, dtype=np.float32)[[2, 0]], np.array([2, 0]))
    assert outputs["predict"].values(scores).tolist() == [["c"], ["a"]]
    assert outputs["predict_proba"].labels == THREE.labels
    assert np.array_equal(outputs["predict_proba"].values(scores), scores.probability)


# Validation.


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, math.inf, 10**400, "0.5", True, None, [0.5]])
def test_an_invalid_threshold_is_refused(value: object) -> None:
    """The message is one sentence."""
    with pytest.raises(UsageError, match=r"^The threshold is .*, expected a number from 0 to 1\.$"):
        Threshold(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 5e-324, 1e7, math.nan, math.inf, 10**400, "1", True, None])
def test_an_invalid_temperature_is_refused(value: object) -> None:
    """The message is one sentence."""
    with pytest.raises(UsageError, match=r"^The temperature is .*, expected a number from 1e-06 to 1000000\.0\.$"):
        MostProbable(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1, np.float64(1)])
def test_numbers_of_a_decision_become_plain_floats(value: float) -> None:
    """Whatever type of number they were."""
    assert Threshold(value).parameters == {"threshold": "1.0"}
    assert type(MostProbable(value).temperature) is float


@pytest.mark.parametrize("decision", [Threshold(0.5), MostProbable(2.0)])
def test_a_decision_is_a_value(decision: Decision) -> None:
    """It is registered by its kind, equal to a copy, and immutable."""
    assert DECISIONS[decision.KIND] is type(decision)
    assert replace(decision) == decision
    with pytest.raises(FrozenInstanceError):
        decision.threshold = 1.0  # type: ignore[misc,union-attr]


def test_only_a_threshold_decision_has_a_threshold() -> None:
    """Other decisions are refused in one sentence."""
    assert threshold_of(Threshold(0.25)) == 0.25
    with pytest.raises(UsageError, match="Only a model of two labels has a threshold"):
        threshold_of(MostProbable())


def test_a_decision_fits_models_with_the_outputs_it_needs() -> None:
    """One probability for two labels, or one margin per label."""
    problems = {"two": TWO, "three": THREE}
    fitting: dict[Decision, set[tuple[str, int]]] = {
        Threshold(0.5): {("two", 1)},
        MostProbable(): {("two", 2), ("three", 3)},
    }
    for decision, expected in fitting.items():
        fits = {(name, n) for name, problem in problems.items() for n in range(5) if decision.fits(problem, n)}
        assert fits == expected
