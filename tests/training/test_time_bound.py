"""A bound of minutes ends a selection with the best of the candidates that are finished; the others are told."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier

from tabserve.errors import UsageError
from tabserve.model.model import load
from tabserve.predictors.predictor import Predictor
from tabserve.reports.html.candidates import panel
from tabserve.reports.tables import selection_table
from tabserve.stations import TrainingData, train
from tabserve.table.frame import Frame
from tabserve.training.selection import Candidate, Selection, select
from tabserve.training.split import hold_out
from tabserve.training.stumps import AveragedStumps

LONG = 1e6
"""Minutes that no test takes."""


@dataclass
class Clock:
    """A clock that moves when it is told to, in seconds."""

    now: float = 0.0

    def __deepcopy__(self, _memo: Mapping[int, object]) -> "Clock":
        """Return the same clock, so that clones move it."""
        return self


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that the bound reads."""
    clock = Clock()
    monkeypatch.setattr("tabserve.training.time_bound.time.monotonic", lambda: clock.now)
    return clock


class Slow(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Takes a minute of the clock for each fit; as good as no columns are, and not servable."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock

    def fit(self, X: NDArray[Any], y: NDArray[np.int8]) -> Self:  # noqa: N803 (scikit-learn's names)
        """Fit, for a minute."""
        assert self.clock is not None
        self.clock.now += 60
        self.classes_, self.inner_ = np.array([0, 1]), self._inner().fit(X, y)
        return self

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:  # noqa: N803 (scikit-learn's name)
        """Predict like the model inside."""
        return np.asarray(self.inner_.predict_proba(X))

    def _inner(self) -> Any:  # noqa: ANN401  any classifier
        return DummyClassifier(strategy="prior")


class SlowServable(Slow):
    """The same for a booster that can be served."""

    def get_booster(self) -> Predictor:
        """That of the model inside."""
        return self.inner_.get_booster()  # type: ignore[no-any-return]

    def _inner(self) -> Any:  # noqa: ANN401  any classifier
        return AveragedStumps(n_estimators=3, n_jobs=1)


def selected(frame: Frame, clock: Clock, order: str, minutes: float | None) -> Selection:
    """Select among servable (S) and other (o) candidates, each of five fits of a minute, named by their position."""
    kinds = {"S": SlowServable, "o": Slow}
    return select(frame, [Candidate(f"{kind}{n}", kinds[kind](clock)) for n, kind in enumerate(order)], minutes)


@pytest.mark.parametrize(
    ("order", "minutes", "expected"),
    [
        ("oSS", None, (["o0", "S1", "S2"], {})),
        ("oSS", LONG, (["o0", "S1", "S2"], {})),
        ("oSS", 15.5, (["o0", "S1", "S2"], {})),
        ("oSS", 15, (["o0", "S1", "S2"], {})),
        ("oSS", 14.5, (["o0", "S1", "S2"], {})),
        ("oSS", 13.5, (["o0", "S1"], {"S2": "4 of 5 fits"})),
        ("oSS", 10, (["o0", "S1"], {"S2": "0 of 5 fits"})),
        ("oSS", 7, (["o0", "S1"], {"S2": "0 of 5 fits"})),
        ("oSS", 2, (["S1"], {"o0": "2 of 5 fits", "S2": "0 of 5 fits"})),
        ("SoS", 0.01, (["S0"], {"o1": "0 of 5 fits", "S2": "0 of 5 fits"})),
        ("oo", 0.01, (["o0"], {"o1": "0 of 5 fits"})),
        ("oo", 7, (["o0"], {"o1": "2 of 5 fits"})),
    ],
)
def test_a_selection_ends_with_the_candidates_that_are_finished(
    order: str, minutes: float | None, expected: tuple[list[str], dict[str, str]], sample_frame: Frame, clock: Clock
) -> None:
    """No fit begins after the bound, except until one candidate that can win is finished."""
    selection = selected(sample_frame.take(np.arange(200)), clock, order, minutes)
    assert ([*selection.outcomes], selection.left_out) == expected
    if "S" in order:
        assert selection.winner.candidate.name.startswith("S")


def test_training_beyond_the_bound_is_told_once(
    sample_frame: Frame, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """And not if a candidate was finished in time."""
    frame = sample_frame.take(np.arange(200))
    with caplog.at_level(logging.WARNING):
        selected(frame, clock, "SS", 5)
        assert not caplog.messages
        selected(frame, clock, "oSS", 2)
    assert caplog.messages == ["The 2 minutes are over before a candidate is finished; training goes on until one is."]


def test_a_bound_that_is_not_reached_changes_nothing(sample_frame: Frame) -> None:
    """The predictions are the same to the bit."""
    candidates = [Candidate("stumps", AveragedStumps(n_estimators=20, n_jobs=1))]
    first, second = (select(sample_frame.take(np.arange(300)), candidates, minutes) for minutes in (None, LONG))
    assert np.array_equal(first.outcomes["stumps"].prediction, second.outcomes["stumps"].prediction)
    assert first.left_out == second.left_out == {}


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_minutes_are_a_number_above_0(minutes: float, sample_frame: Frame) -> None:
    """Others are refused before the first fit."""
    with pytest.raises(UsageError, match="The minutes of a selection must be a number above 0"):
        select(sample_frame, [Candidate("dummy", DummyClassifier())], minutes)


@pytest.mark.usefixtures("few_draws")
def test_tables_manifest_and_card_tell_what_was_left_out(sample_frame: Frame, clock: Clock, tmp_path: Path) -> None:
    """Each names the candidate and its finished folds; without a bound they say nothing."""
    frame = sample_frame.take(np.arange(400))
    selection = selected(hold_out(frame).development, clock, "SS", 7)
    table = selection_table(selection)
    assert [*table.index] == ["S0", "S1"]
    assert table.iloc[1].tolist() == ["left out after 2 of 5 fits", *["–"] * (table.shape[1] - 1)]
    data = TrainingData.of(frame, "drawn")
    page = str(panel(selection, data.evaluate(selection, selection.refit())))
    assert "“S1” (after 2 of 5 fits)." in page
    candidates = [Candidate(name, SlowServable(clock)) for name in ("first", "second")]
    for minutes, told in ((7, True), (None, False)):
        folder = tmp_path / str(minutes)
        train(data, candidates, folder, minutes=minutes)
        assert load(folder).metrics.get("left_out") == ({"second": "2 of 5 fits"} if told else None)
        card = (folder / "MODEL_CARD.md").read_text()
        assert ("fitted on every fold: `second` (after 2 of 5 fits)." in card) == told
