"""Candidates × stratified folds in, every fold's measures and the winner out."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, clone
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from tqdm import tqdm

from tabserve.errors import DataError, UsageError
from tabserve.frame import Frame
from tabserve.judge import Judge, by_threshold
from tabserve.split import fold_numbers
from tabserve.threshold import choose

GRID_SHARE = 0.25
"""Share of a fold's training rows that each point of a grid is fitted on; as many others compare them."""


@dataclass(frozen=True)
class Candidate:
    """A way to learn the problem.

    Attributes:
        name: what tables call it.
        estimator: an unfitted scikit-learn classifier, cloned for every fold.
        grid: values to choose from for some of its parameters, inside the training rows alone.
    """

    name: str
    estimator: ClassifierMixin
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def servable(self) -> bool:
        """Whether it ends as what a model folder can hold, an XGBoost booster or a linear model over n-grams."""
        return hasattr(self.estimator, "get_booster") or hasattr(self.estimator, "get_linear")

    def fit(self, frame: Frame) -> ClassifierMixin:
        """Fit a fresh clone on every row of the frame, its grid chosen by average precision on a part of them."""
        estimator = clone(self.estimator)
        if not self.grid:
            return estimator.fit(frame.features, frame.target)
        inner = StratifiedShuffleSplit(1, train_size=GRID_SHARE, test_size=GRID_SHARE, random_state=frame.problem.seed)
        search = GridSearchCV(estimator, self.grid, scoring="average_precision", cv=inner)
        return search.fit(frame.features, frame.target).best_estimator_


def servable(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that a model folder can hold.

    Raises:
        UsageError: there is none.
    """
    found = [candidate for candidate in candidates if candidate.servable]
    if not found:
        names = ", ".join(candidate.name for candidate in candidates)
        raise UsageError(f"None of {names} ends as a model that a folder can hold (of XGBoost, over numbers); add one.")
    return found


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the folds said about one candidate.

    Attributes:
        candidate: the one.
        probability: out-of-fold, of the positive class, shape (rows,); of more than two, of each, (rows, classes).
        measures: one row per fold, one column per measure, the criterion first; what was chosen for it (a threshold, a
            temperature) is cross-fitted.
        chosen: the grid's choice in each fold.
        trees: in the booster of each fold; empty for what is no booster.
        seconds: fit time of each fold.
    """

    candidate: Candidate
    probability: NDArray[np.float64]
    measures: pd.DataFrame
    chosen: Sequence[Mapping[str, Any]]
    trees: Sequence[int]
    seconds: Sequence[float]


@dataclass(frozen=True, eq=False)
class Selection:
    """Every candidate's outcome over the same folds.

    Attributes:
        frame: the development rows.
        fold: number of the fold that holds each row out, shape (rows,).
        outcomes: by candidate name, in the order they were given.
    """

    frame: Frame
    fold: NDArray[np.int64]
    outcomes: Mapping[str, Outcome]

    @property
    def best(self) -> Outcome:
        """The outcome with the largest mean criterion over folds."""
        return max(self.outcomes.values(), key=self._mean)

    @property
    def winner(self) -> Outcome:
        """The best outcome that a model folder can hold.

        Raises:
            UsageError: there is none.
        """
        candidates = servable([outcome.candidate for outcome in self.outcomes.values()])
        return max((self.outcomes[candidate.name] for candidate in candidates), key=self._mean)

    @property
    def threshold(self) -> float:
        """The winner's threshold, chosen on all its out-of-fold probabilities."""
        return choose(self.frame.target, self.winner.probability, self.frame.problem.criterion)

    def refit(self) -> xgb.Booster:
        """The winner fitted on all development rows; it knows the features by name."""
        booster: xgb.Booster = self.winner.candidate.fit(self.frame).get_booster()
        booster.feature_names = list(self.frame.problem.features)
        return booster

    def _mean(self, outcome: Outcome) -> float:
        return float(outcome.measures.iloc[:, 0].mean())


def select(frame: Frame, candidates: Sequence[Candidate], judge: Judge = by_threshold) -> Selection:
    """Fit every candidate on every fold's training rows and measure it on the rows held out; shows progress.

    Args:
        frame: the development rows.
        candidates: each with a name of its own; at least one that is `servable`, if a winner is wanted.
        judge: how they are told apart.

    Raises:
        UsageError: two candidates share a name, or one cannot learn from the missing values that the rows have.
        DataError: one finds no n-gram in enough of the rows.
    """
    repeated = [name for name, times in Counter(candidate.name for candidate in candidates).items() if times > 1]
    if repeated:
        raise UsageError(f"More than one candidate is named {repeated[0]!r}; every candidate needs a name of its own.")
    fold = fold_numbers(frame)
    with tqdm(total=len(candidates) * frame.problem.folds, unit="fit", disable=None) as progress:
        outcomes = {candidate.name: _outcome(candidate, frame, fold, judge, progress) for candidate in candidates}
    return Selection(frame, fold, outcomes)


def _outcome(
    candidate: Candidate, frame: Frame, fold: NDArray[np.int64], judge: Judge, progress: "tqdm[Any]"
) -> Outcome:
    answers, fitted, seconds = [], [], []
    progress.set_description(candidate.name)
    for number in range(frame.problem.folds):
        start, held_out = time.perf_counter(), fold == number
        with _rows_refused(candidate):
            fitted.append(candidate.fit(frame.take(np.flatnonzero(~held_out))))
            seconds.append(time.perf_counter() - start)
            answers.append(judge.probability(_on_one_thread(fitted[-1]), frame.features[held_out]))
        progress.update()
    chosen = [{name: estimator.get_params()[name] for name in candidate.grid} for estimator in fitted]
    trees = [estimator.get_booster().num_boosted_rounds() for estimator in fitted if hasattr(estimator, "get_booster")]
    probability = np.concatenate(answers)[np.argsort(np.argsort(fold, kind="stable"))]
    return Outcome(candidate, probability, judge.measures(frame, probability, fold), chosen, trees, seconds)


def _on_one_thread(estimator: ClassifierMixin) -> ClassifierMixin:
    """So that it answers the same each time: a forest's threads add up in the order in which they end."""
    return estimator.set_params(**{name: 1 for name in estimator.get_params() if name.endswith("n_jobs")})


@contextmanager
def _rows_refused(candidate: Candidate) -> Iterator[None]:
    """Name the candidate that cannot learn from the rows; it is known only when some step of scikit-learn's says so."""
    try:
        yield
    except ValueError as error:
        if "contains NaN" in str(error):
            raise UsageError(
                f"Candidate {candidate.name!r} takes no missing values, and the table has some; put an imputer before"
                " it, or leave it out."
            ) from error
        if "no terms remain" in str(error):
            raise DataError(
                f"Candidate {candidate.name!r} finds no n-gram in enough of the texts; leave it out, or collect more."
            ) from error
        raise
