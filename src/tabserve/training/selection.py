"""Candidates × folds in, every fold's measures and the winner out."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from tqdm import tqdm

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, TabserveError, UsageError
from tabserve.model.decision import Decision
from tabserve.predictors.predictor import Predictor
from tabserve.table.frame import Frame
from tabserve.training import folds, proof
from tabserve.training.candidate import Candidate, servable
from tabserve.training.split import fold_numbers, narrowed, subset
from tabserve.training.task_training import TaskTraining, training_of

__all__ = ["Candidate", "Outcome", "Selection", "select", "servable"]


REFUSALS: dict[str, tuple[type[TabserveError], str]] = {
    "contains NaN": (
        UsageError,
        "takes no missing values, and the table has some; put an imputer before it, or leave it out",
    ),
    "no terms remain": (DataError, "finds no n-gram in enough of the texts; leave it out, or collect more"),
    "predict_proba": (UsageError, "answers no probabilities; put it into a CalibratedClassifierCV, or leave it out"),
}
"""What scikit-learn's errors say, and what that means for the candidate."""

XGBOOSTS_PLACE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")
"""The time, and the line of its own source, that an error of XGBoost begins with."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the folds said about one candidate.

    Attributes:
        candidate: the one.
        prediction: out-of-fold: the probability of the positive class, or the amount, shape (rows,); of more than two
            classes, of each, (rows, classes). NaN for rows that no fold holds out, as folds go forward in time.
        measures: one row per measured fold, one column per measure, the criterion first; what was chosen for it (a
            threshold, a temperature, an interval) is cross-fitted.
        chosen: the grid's choice in each fold.
        trees: in the booster of each fold; empty for what is no booster.
        seconds: fit time of each fold.
    """

    candidate: Candidate
    prediction: NDArray[np.float64]
    measures: pd.DataFrame
    chosen: Sequence[Mapping[str, Any]]
    trees: Sequence[int]
    seconds: Sequence[float]


@dataclass(frozen=True, eq=False)
class Selection:
    """Every candidate's outcome over the same folds.

    Attributes:
        frame: the development rows.
        fold: number of the fold that holds each row out, or `NEVER`, shape (rows,).
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
    def decision(self) -> Decision:
        """The best one for the winner, chosen on all its out-of-fold predictions, that is on all rows that have one."""
        known = self.fold != folds.NEVER
        return training_of(self.frame.problem).decision(self.frame.target[known], self.winner.prediction[known])

    def refit(self) -> Predictor:
        """What is served of the winner, fitted on all development rows.

        Raises:
            UsageError: it answers otherwise than the estimator does.
        """
        winner = self.winner.candidate
        fitted = winner.fit(self.frame)
        proof.check(winner.name, fitted, subset(self.frame, proof.ROWS))
        return proof.predictor(fitted, self.frame.encoder)

    def _mean(self, outcome: Outcome) -> float:
        return float(outcome.measures.iloc[:, 0].mean())


def select(frame: Frame, candidates: Sequence[Candidate]) -> Selection:
    """Fit every candidate on every fold's training rows and measure it on the rows held out; shows progress.

    Args:
        frame: the development rows.
        candidates: each with a name of its own; at least one that is `servable`, if a winner is wanted.

    Raises:
        UsageError: two candidates share a name; or one cannot be judged or served (`Candidate.check`), has parameters
            that it cannot be fitted with, cannot learn from the missing values that the rows have, answers no
            probabilities (or amounts), or answers otherwise than the model that would be served of it.
        DataError: one finds no n-gram in enough of the rows, or groups, or moments, make folds too unequal,
            or too few rows to choose from a grid on.
    """
    repeated = [name for name, times in Counter(candidate.name for candidate in candidates).items() if times > 1]
    if repeated:
        raise UsageError(f"More than one candidate is named {repeated[0]!r}; every candidate needs a name of its own.")
    for candidate in candidates:
        candidate.check(frame.problem)
    training, fold = training_of(frame.problem), fold_numbers(frame)
    with tqdm(total=len(candidates) * folds.count(fold), unit="fit", disable=None) as progress:
        outcomes = {candidate.name: _outcome(candidate, frame, fold, training, progress) for candidate in candidates}
    return Selection(frame, fold, outcomes)


def _outcome(
    candidate: Candidate, frame: Frame, fold: NDArray[np.int64], training: TaskTraining, progress: "tqdm[Any]"
) -> Outcome:
    answers, fitted, seconds = [], [], []
    progress.set_description(candidate.name)
    for number in range(folds.count(fold)):
        start = time.perf_counter()
        with _named(candidate):
            estimator, encoder = _fitted(candidate, frame.take(np.flatnonzero(folds.training_rows(fold, number))))
            fitted.append(estimator)
            seconds.append(time.perf_counter() - start)
            held_out = frame.take(np.flatnonzero(fold == number)).with_encoder(encoder)
            answers.append(training.prediction(_on_one_thread(estimator), held_out.features))
        if fault := training.fault(answers[-1]):
            raise UsageError(f"Candidate {candidate.name!r} {fault}.")
        if number == 0 and candidate.servable:  # so that nobody waits for all folds to be told
            proof.check(candidate.name, estimator, held_out.take(np.arange(min(proof.ROWS, len(held_out)))))
        progress.update()
    chosen = [{name: estimator.get_params()[name] for name in candidate.grid} for estimator in fitted]
    trees = [estimator.get_booster().num_boosted_rounds() for estimator in fitted if hasattr(estimator, "get_booster")]
    prediction = np.full((len(frame), *answers[0].shape[1:]), np.nan)
    for number, answer in enumerate(answers):
        prediction[fold == number] = answer
    measures = training.measures(frame.target, prediction, fold)
    return Outcome(candidate, prediction, measures, chosen, trees, seconds)


def _fitted(candidate: Candidate, training_rows: Frame) -> tuple[BaseEstimator, Encoder]:
    """Fit the candidate on rows that know no level of the rows held out; what encodes these."""
    known = narrowed(training_rows)
    return candidate.fit(known), known.encoder


def _on_one_thread(estimator: BaseEstimator) -> BaseEstimator:
    """So that it answers the same each time: a forest's threads add up in the order in which they end."""
    return estimator.set_params(**{name: 1 for name in estimator.get_params() if name.endswith("n_jobs")})


@contextmanager
def _named(candidate: Candidate) -> Iterator[None]:
    """Name the candidate that cannot learn from the rows, or answer; known only when some step of it says so."""
    try:
        yield
    except xgb.core.XGBoostError as error:
        said = XGBOOSTS_PLACE.sub("", str(error).partition("\n")[0])
        raise UsageError(f"XGBoost cannot fit candidate {candidate.name!r}: {said}") from error
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        for words, (kind, sentence) in REFUSALS.items():
            if words in str(error):
                raise kind(f"Candidate {candidate.name!r} {sentence}.") from error
        if isinstance(error, AttributeError):
            raise
        said = str(error).strip().rpartition("\n")[2]  # a grid search says last why its fits have failed
        raise UsageError(f"Candidate {candidate.name!r} cannot be fitted: {said}") from error
