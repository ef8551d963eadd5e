"""The candidates go from a constant to what this data wants; each learns what there is to learn."""

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
    """The candidate with fewer rounds."""
    estimator = clone(candidate.estimator)
    fewer = {"n_estimators": 20, "max_iter": 20} if "logistic" not in candidate.name else {}
    return estimator.set_params(**{name: value for name, value in fewer.items() if name in estimator.get_params()})


def test_candidates_are_known_by_their_own_names() -> None:
    """Simple ones first, beginning with the one that everyone must beat."""
    assert [candidate.name for candidate in KNOWN.values()] == list(KNOWN)
    assert next(iter(KNOWN)) == "dummy"


@pytest.mark.parametrize("name", KNOWN)
def test_each_learns_and_can_be_repeated(name: str, sample_frame: Frame) -> None:
    """Probabilities for both classes, the same for the same seed; all but the dummy tell rows apart."""
    features, target = sample_frame.features[:600, :30], sample_frame.target[:600]
    with threadpool_limits(1):  # histogram boosting would take every core, and a busy one slows all down
        found, again = (shortened(KNOWN[name]).fit(features, target).predict_proba(features) for _ in range(2))
    assert found.shape == (600, 2)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(found, again)
    assert (np.ptp(found[:, 1]) > 0) == (name != "dummy")


@pytest.mark.parametrize("name", KNOWN)
def test_each_grid_names_parameters_that_there_are(name: str) -> None:
    """With at least two values to choose from."""
    for parameter, values in KNOWN[name].grid.items():
        assert len(set(values)) > 1
        for value in values:
            assert clone(KNOWN[name].estimator).set_params(**{parameter: value}).get_params()[parameter] == value


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "dummy"])
def test_seed_threads_and_device_reach_every_model_that_has_them(name: str) -> None:
    """Nothing is left to chance, and nothing takes more of the machine than it was given."""
    found = candidates(seed=17, jobs=2, device="cuda")[name].estimator.get_params()
    wanted = {"random_state": 17, "n_jobs": 2, "device": "cuda"}
    own = {key.split("__")[-1]: value for key, value in found.items() if not key.startswith(("logistic", "standard"))}
    assert {key: own[key] for key in wanted if key in own} == {key: wanted[key] for key in wanted if key in own}


def test_what_ends_as_a_booster_can_be_served() -> None:
    """And nothing else."""
    servable = [name for name, candidate in KNOWN.items() if candidate.servable]
    assert servable == [name for name in KNOWN if name.startswith("xgboost")]


def test_the_winner_is_that_of_the_committed_model() -> None:
    """Whose comparison found it."""
    committed = load(Path(__file__).parents[2] / "deploy" / "model")
    assert committed.metrics["winner"] == WINNER
