"""Raw outputs become answers: a threshold or the most probable class decides, and nothing else does."""

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
    """Of some rows, for one class or several, none of them larger."""
    return npst.arrays(np.float64, npst.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-largest, largest))


# A threshold.


@given(probabilities, thresholds)
def test_a_label_is_one_exactly_where_the_probability_reaches_the_threshold(
    raw: NDArray[np.float32], threshold: float
) -> None:
    """As anyone sees who compares the two numbers in an answer, in the precision of Python's."""
    for limit in (threshold, *raw[:, 0].tolist()):
        found = Threshold(limit).scores(raw)
        assert found.label.tolist() == [int(value >= limit) for value in raw[:, 0].tolist()]
        assert np.array_equal(found.probability, raw[:, 0])


@given(st.floats(0, 1, width=32))
def test_a_threshold_just_above_a_probability_is_not_reached(probability: float) -> None:
    """Though in float32 both are the same number."""
    above = math.nextafter(probability, 2)
    raw = np.full((1, 1), probability, np.float32)
    assert np.float32(above) == np.float32(probability)
    labels = [Threshold(limit).scores(raw).label.item() for limit in (above, probability)]
    assert labels == [0, 1]


def test_a_score_is_a_probability_and_a_label(model_folder: Path, sample_frame: Frame) -> None:
    """One of each for every row, of the types the protocol answers with."""
    model = load(model_folder)
    found = class_scores(model.decision.scores(model.predictor.raw(sample_frame.features)))
    assert [str(array.dtype) for array in found] == ["float32", "int64"]
    assert found.probability.shape == found.label.shape == (len(sample_frame),)
    assert ((found.probability > 0) & (found.probability < 1)).all()
    assert 0 < found.label.mean() < 1
    scored = model.score(sample_frame.features)
    assert np.array_equal(scored.probability, found.probability)
    assert np.array_equal(scored.label, found.label)


@given(probabilities)
def test_both_classes_sum_to_one_in_an_answer(raw: NDArray[np.float32]) -> None:
    """The positive one as it is, the negative one in float32; the label beside them is 0 or 1."""
    scores, outputs = Threshold(0.5).scores(raw), Threshold(0.5).outputs(TWO)
    label, both = (outputs[name].values(scores) for name in ("predict", "predict_proba"))
    assert (label.shape, both.shape, str(both.dtype)) == ((len(raw), 1), (len(raw), 2), "float32")
    assert np.array_equal(both, np.column_stack([1 - raw[:, 0], raw[:, 0]]))
    assert np.array_equal(Threshold(0.5).watched(scores), raw[:, 0])


# The most probable of several.


@given(margins(1e300), temperatures)
def test_probabilities_of_any_margins_are_finite_and_sum_to_one(raw: NDArray[np.float64], temperature: float) -> None:
    """At any temperature, up to the largest margins that a model file may hold."""
    found = MostProbable(temperature).scores(raw)
    assert found.probability.dtype == np.float32
    assert np.isfinite(found.probability).all()
    np.testing.assert_allclose(found.probability.sum(axis=1), 1, atol=1e-6)


@given(margins(1e300), temperatures)
def test_the_label_is_a_most_probable_class_and_one_of_the_largest_margin(
    raw: NDArray[np.float64], temperature: float
) -> None:
    """No temperature makes another one of it, but where probabilities are too close to be told apart."""
    found, rows = MostProbable(temperature).scores(raw), np.arange(len(raw))
    assert (found.probability[rows, found.label] == found.probability.max(axis=1)).all()
    assert np.array_equal(MostProbable().watched(found), found.probability.max(axis=1))
    apart = (raw.max(axis=1) - raw[rows, found.label]) / temperature
    assert (apart <= 1e-9).all()


@given(margins(700))
def test_softmax_is_what_its_definition_says(raw: NDArray[np.float64]) -> None:
    """Where the definition does not overflow."""
    powers = np.exp(raw)
    np.testing.assert_allclose(softmax(raw), powers / powers.sum(axis=1, keepdims=True), rtol=1e-9, atol=1e-300)


def test_an_answer_of_several_names_the_label_and_all_probabilities() -> None:
    """As the problem spells them, in its order."""
    outputs = MostProbable().outputs(THREE)
    scores = Scores(np.eye(3, dtype=np.float32)[[2, 0]], np.array([2, 0]))
    assert outputs["predict"].values(scores).tolist() == [["c"], ["a"]]
    assert outputs["predict_proba"].labels == THREE.labels
    assert np.array_equal(outputs["predict_proba"].values(scores), scores.probability)


# What a decision may be.


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, math.inf, 10**400, "0.5", True, None, [0.5]])
def test_what_is_no_threshold_is_refused(value: object) -> None:
    """In one sentence."""
    with pytest.raises(UsageError, match=r"^The threshold is .*, expected a number from 0 to 1\.$"):
        Threshold(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0, -1, 5e-324, 1e7, math.nan, math.inf, 10**400, "1", True, None])
def test_what_is_no_temperature_is_refused(value: object) -> None:
    """In one sentence."""
    with pytest.raises(UsageError, match=r"^The temperature is .*, expected a number from 1e-06 to 1000000\.0\.$"):
        MostProbable(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [1, np.float64(1)])
def test_a_number_is_a_plain_float_whatever_it_came_as(value: float) -> None:
    """As an answer spells it."""
    assert Threshold(value).parameters == {"threshold": "1.0"}
    assert type(MostProbable(value).temperature) is float


@pytest.mark.parametrize("decision", [Threshold(0.5), MostProbable(2.0)])
def test_a_decision_is_a_value(decision: Decision) -> None:
    """Known by its kind's name; equal to a copy, and not to be changed."""
    assert DECISIONS[decision.KIND] is type(decision)
    assert replace(decision) == decision
    with pytest.raises(FrozenInstanceError):
        decision.threshold = 1.0  # type: ignore[misc,union-attr]


def test_only_a_threshold_has_one() -> None:
    """Who asks another decision for it is told so in one sentence."""
    assert threshold_of(Threshold(0.25)) == 0.25
    with pytest.raises(UsageError, match="Only a model of two labels has a threshold"):
        threshold_of(MostProbable())


def test_a_decision_fits_what_it_can_decide_by() -> None:
    """One probability for two labels, or one margin for each label."""
    problems = {"two": TWO, "three": THREE}
    fitting: dict[Decision, set[tuple[str, int]]] = {
        Threshold(0.5): {("two", 1)},
        MostProbable(): {("two", 2), ("three", 3)},
    }
    for decision, expected in fitting.items():
        found = {(name, n) for name, problem in problems.items() for n in range(5) if decision.fits(problem, n)}
        assert found == expected
