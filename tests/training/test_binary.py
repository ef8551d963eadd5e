"""Measures equal their definitions, and their intervals are as wide as they scatter."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.problem.criterion import Costs, f1
from tabserve.training import bootstrap
from tabserve.training.binary import evaluate, measures
from tabserve.training.bootstrap import Interval


def drawn(rows: int, separation: float, seed: int = 0) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """One row in five is positive; the probability is that of normal scores whose means are this far apart."""
    rng = np.random.default_rng(seed)
    target = (np.arange(rows) % 5 == 0).astype(np.int8)
    log_odds = separation * (rng.standard_normal(rows) + separation * (target - 0.5)) + np.log(0.2 / 0.8)
    return target, 1 / (1 + np.exp(-log_odds))


@given(
    npst.arrays(np.int8, st.integers(2, 30), elements=st.integers(0, 1)),
    st.data(),
    st.floats(0, 1),
)
def test_measures_equal_their_definitions(target: NDArray[np.int8], data: st.DataObject, threshold: float) -> None:
    """Each is computed again by its definition."""
    assume(0 < target.sum() < len(target))
    probability = data.draw(
        npst.arrays(np.float64, len(target), elements=st.sampled_from([0.05, 0.2, 0.45, 0.5, 0.95]))
    )
    values = measures(target, probability, threshold, f1)
    rows = list(zip(target.tolist(), probability.tolist(), strict=True))
    hits = sum(label for label, p in rows if p >= threshold)
    flagged, positives = sum(p >= threshold for _, p in rows), sum(label for label, _ in rows)
    precision, recall = hits / max(flagged, 1), hits / positives
    pairs = list(product([p for label, p in rows if label], [p for label, p in rows if not label]))
    assert values["precision"] == pytest.approx(precision)
    assert values["recall"] == pytest.approx(recall)
    assert values["flagged"] == pytest.approx(flagged / len(rows))
    assert values["f1"] == pytest.approx(2 * precision * recall / ((precision + recall) or 1))
    assert values["roc_auc"] == pytest.approx(np.mean([(one > zero) + (one == zero) / 2 for one, zero in pairs]))
    assert values["brier"] == pytest.approx(np.mean([(p - label) ** 2 for label, p in rows]))
    assert values["log_loss"] == pytest.approx(-np.mean([np.log(p if label else 1 - p) for label, p in rows]))
    right = [(p >= threshold) == bool(label) for label, p in rows]
    recalls = [np.mean([ok for ok, (label, _) in zip(right, rows, strict=True) if label == each]) for each in (0, 1)]
    assert values["accuracy"] == pytest.approx(np.mean(right))
    assert values["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert values["f1_at_half"] == measures(target, probability, 0.5, f1)["f1"]


def test_the_criterion_comes_first_under_its_own_name() -> None:
    """With costs as the criterion, minus the mean cost comes first."""
    target, probability = drawn(100, 2)
    values = measures(target, probability, 0.5, Costs(1, 5))
    assert next(iter(values)) == "minus_cost"
    missed, alarms = (target == 1) & (probability < 0.5), (target == 0) & (probability >= 0.5)
    assert values["minus_cost"] == pytest.approx(-(5 * missed.sum() + alarms.sum()) / 100)


def test_certain_and_constant_probabilities_are_measured() -> None:
    """All measures are finite if certain probabilities are wrong, or all are equal."""
    target = np.array([0, 1, 1, 0], dtype=np.int8)
    certain = measures(target, np.array([0.0, 1.0, 0.0, 1.0]), 0.5, f1)
    constant = measures(target, np.full(4, 0.5), 0.6, f1)
    assert np.isfinite([*certain.values(), *constant.values()]).all()
    assert (constant["roc_auc"], constant["f1"], constant["precision"]) == (0.5, 0.0, 0.0)


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw fewer resamples in tests that do not depend on the width of an interval."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)


@pytest.mark.usefixtures("few_resamples")
def test_an_interval_surrounds_its_measure() -> None:
    """The values are those without resampling, each between its bounds; the seed determines the bounds."""
    target, probability = drawn(400, 1.5)
    estimates = evaluate(target, probability, 0.4, f1, seed=1)
    assert {name: interval.value for name, interval in estimates.items()} == measures(target, probability, 0.4, f1)
    assert all(interval.low < interval.value < interval.high for interval in estimates.values())
    assert estimates == evaluate(target, probability, 0.4, f1, seed=1)
    assert estimates != evaluate(target, probability, 0.4, f1, seed=2)


def test_an_interval_is_as_wide_as_its_measure_scatters() -> None:
    """Its half width is about two standard deviations of the measure over fresh tables."""
    fresh = [measures(*drawn(400, 1.5, seed), 0.4, f1) for seed in range(200)]
    for name, interval in evaluate(*drawn(400, 1.5), 0.4, f1).items():
        scatter = np.std([values[name] for values in fresh])
        assert (interval.high - interval.low) / 2 == pytest.approx(1.96 * scatter, rel=0.35), name


@pytest.mark.usefixtures("few_resamples")
def test_a_perfect_ranking_has_an_interval_without_width() -> None:
    """The ROC AUC is 1 in every resample."""
    target = np.array([0] * 30 + [1] * 10, dtype=np.int8)
    assert evaluate(target, target * 0.8 + 0.1, 0.5, f1)["roc_auc"] == Interval(1.0, 1.0, 1.0)


@pytest.mark.usefixtures("few_resamples")
def test_draws_without_one_of_the_classes_are_drawn_again() -> None:
    """One positive row is enough for finite intervals."""
    target, probability = np.array([0, 0, 1, 0], dtype=np.int8), np.array([0.1, 0.6, 0.5, 0.2])
    assert np.isfinite([tuple(interval) for interval in evaluate(target, probability, 0.5, f1).values()]).all()
