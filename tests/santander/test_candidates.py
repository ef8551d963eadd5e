"""The candidates of the Santander case: each can be trained, repeated and searched over its grid."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import ClassifierMixin, clone
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from santander.candidates import WINNER, candidates
from tabserve.model.model import load
from tabserve.table.frame import Frame
from tabserve.training.selection import Candidate

KNOWN = candidates(seed=3, jobs=1)


def shortened(candidate: Candidate) -> ClassifierMixin:
    """The candidate's estimator with fewer rounds, which trains fast."""
    estimator = clone(candidate.estimator)
    fewer = {"n_estimators": 20, "max_iter": 20} if "logistic" not in candidate.name else {}
    return estimator.set_params(**{name: value for name, value in fewer.items() if name in estimator.get_params()})


def test_candidates_are_keyed_by_their_names() -> None:
    """The first candidate is the constant baseline."""
    assert [candidate.name for candidate in KNOWN.values()] == list(KNOWN)
    assert next(iter(KNOWN)) == "dummy"


@pytest.mark.parametrize("name", KNOWN)
def test_each_candidate_learns_and_is_deterministic(name: str, sample_frame: Frame) -> None:
    """The same seed gives the same probabilities, which differ between rows for all candidates but the dummy."""
    features, target = sample_frame.features[:600, :30], sample_frame.target[:600]
    with threadpool_limits(1):  # histogram boosting uses every core, and is slow if one of them is busy
        first, second = (shortened(KNOWN[name]).fit(features, target).predict_proba(features) for _ in range(2))
    assert first.shape == (600, 2)
    assert first.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(first, second)
    assert (np.ptp(first[:, 1]) > 0) == (name != "dummy")


@pytest.mark.parametrize("name", KNOWN)
def test_each_grid_holds_parameters_of_its_estimator(name: str) -> None:
    """Each parameter has at least two values."""
    for parameter, values in KNOWN[name].grid.items():
        assert len(set(values)) > 1
        for value in values:
            assert clone(KNOWN[name].estimator).set_params(**{parameter: value}).get_params()[parameter] == value


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "dummy"])
def test_seed_threads_and_device_reach_every_model_that_has_them(name: str) -> None:
    """Every estimator that has one of these parameters gets the value given."""
    parameters = candidates(seed=17, jobs=2, device="cuda")[name].estimator.get_params()
    own = {
        key.split("__")[-1]: value for key, value in parameters.items() if not key.startswith(("logistic", "standard"))
    }
    expected = {"random_state": 17, "n_jobs": 2, "device": "cuda"}
    assert {key: own[key] for key in expected if key in own} == {key: expected[key] for key in expected if key in own}


def test_only_candidates_of_xgboost_can_be_served() -> None:
    """A model folder holds a booster, or a linear model over texts."""
    servable = [name for name, candidate in KNOWN.items() if candidate.servable]
    assert servable == [name for name in KNOWN if name.startswith("xgboost")]


def test_the_winner_is_that_of_the_committed_model() -> None:
    """The metrics of deploy/model name the same candidate."""
    committed = load(Path(__file__).parents[2] / "deploy" / "model")
    assert committed.metrics["winner"] == WINNER
