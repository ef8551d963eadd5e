"""Fit every candidate on every fold, measure it on the rows held out, and find the winner."""

import re
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
from sklearn.base import BaseEstimator
from tqdm import tqdm

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, TabserveError, UsageError
from tabserve.model.decision import Decision
from tabserve.predictors.predictor import Predictor
from tabserve.problem.metric import goodness
from tabserve.table.frame import Frame
from tabserve.training import folds, proof
from tabserve.training.candidate import Candidate, servable_candidates
from tabserve.training.split import fold_numbers, narrow_levels, subset
from tabserve.training.task_training import training_of
from tabserve.training.time_bound import TimeBound

__all__ = ["Candidate", "Outcome", "Selection", "select", "servable_candidates"]


REFUSALS: dict[str, tuple[type[TabserveError], str]] = {
    "contains NaN": (
        UsageError,
        "takes no missing values, and the table has some; put an imputer before it, or leave it out",
    ),
    "no terms remain": (DataError, "finds no n-gram in enough of the texts; leave it out, or collect more"),
    "predict_proba": (UsageError, "answers no probabilities; put it into a CalibratedClassifierCV, or leave it out"),
}
"""The error to raise for the candidate, and its sentence, by a text in scikit-learn's own error."""

XGBOOST_PREFIX = re.compile(r"^\[[\d:]+\] \S+:\d+: ")
"""The start of XGBoost's error messages: the time, and the line of its source."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of one candidate over all folds.

    Attributes:
        candidate: the candidate.
        prediction: out-of-fold predictions: the probability of the positive class, or the amount, shape (rows,); of
            several classes the probability of each, shape (rows, classes). NaN for rows that no fold holds out.
        measures: one row per measured fold, one column per measure, the one that ranks first; the decision of a fold (a
            threshold, a temperature, an interval) is chosen without its rows.
        grid_choices: the values chosen from the grid in each fold, by parameter.
        trees: the number of boosting rounds in each fold; empty if the estimator is no booster.
        seconds: fit time of each fold.
    """

    candidate: Candidate
    prediction: NDArray[np.float64]
    measures: pd.DataFrame
    grid_choices: Sequence[Mapping[str, Any]]
    trees: Sequence[int]
    seconds: Sequence[float]


@dataclass(frozen=True, eq=False)
class Selection:
    """The outcomes of all candidates over the same folds.

    Attributes:
        frame: the development rows.
        fold: number of the fold that holds each row out, or `NOT_HELD_OUT`, shape (rows,).
        outcomes: by candidate name, in the order of the candidates.
        left_out: how far the candidates were whose folds were not all fitted when the time was over, by name.
    """

    frame: Frame
    fold: NDArray[np.int64]
    outcomes: Mapping[str, Outcome]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Outcome:
        """The outcome with the best mean over folds of the measure that ranks."""
        return max(self.outcomes.values(), key=self._goodness)

    @property
    def winner(self) -> Outcome:
        """The best outcome of the candidates that are servable.

        Raises:
            UsageError: there is none.
        """
        candidates = servable_candidates([outcome.candidate for outcome in self.outcomes.values()])
        return max((self.outcomes[candidate.name] for candidate in candidates), key=self._goodness)

    @property
    def decision(self) -> Decision:
        """The best decision for the winner, chosen on its out-of-fold predictions; see `folds.deciding_rows`."""
        rows = folds.deciding_rows(self.fold)
        return training_of(self.frame.problem).choose_decision(self.frame.target[rows], self.winner.prediction[rows])

    def refit(self) -> Predictor:
        """Fit the winner on all development rows.

        Returns:
            The predictor to serve.

        Raises:
            UsageError: the predictor answers otherwise than the fitted estimator.
        """
        winner = self.winner.candidate
        fitted = winner.fit(self.frame)
        proof.check(winner.name, fitted, subset(self.frame, proof.ROWS))
        return proof.predictor(fitted, self.frame.encoder)

    def _goodness(self, outcome: Outcome) -> float:
        measure = self.frame.problem.task.ranked_by
        return goodness(measure, float(outcome.measures[measure].mean()))


def select(frame: Frame, candidates: Sequence[Candidate], minutes: float | None = None) -> Selection:
    """Fit every candidate on every fold's training rows and measure it on the rows held out; shows progress.

    Args:
        frame: the development rows.
        candidates: with different names; at least one is `servable` if a winner is wanted.
        minutes: after which no fit of a fold begins, except to finish one servable candidate; no bound if None. A
            candidate that is not finished is left out. The refit of the winner takes its time after that.

    Raises:
        UsageError: two candidates share a name; the minutes are no number above 0; or a candidate cannot be measured or
            served (`Candidate.check`), cannot be fitted with its parameters or on missing values, predicts no
            probabilities (or amounts), or answers otherwise than the model that would be served.
        DataError: a candidate finds no n-gram in enough of the texts; whole groups, or moments, make folds too
            unequal; or there are too few rows to choose from a grid.
    """
    repeated = [name for name, times in Counter(candidate.name for candidate in candidates).items() if times > 1]
    if repeated:
        raise UsageError(f"More than one candidate is named {repeated[0]!r}; every candidate needs a name of its own.")
    for candidate in candidates:
        candidate.check(frame.problem)
    bound, fold = TimeBound(minutes, candidates), fold_numbers(frame)
    outcomes, left_out = dict[str, Outcome](), dict[str, str]()
    with tqdm(total=len(candidates) * folds.count(fold), unit="fit", disable=None) as progress:
        for candidate in candidates:
            try:
                outcomes[candidate.name] = _cross_validate(candidate, frame, fold, bound, progress)
            except _TimeOver as over:
                left_out[candidate.name] = str(over)
    return Selection(frame, fold, outcomes, left_out)


class _TimeOver(Exception):
    """The time is over before all folds of a candidate are fitted; the message says how many are."""


def _cross_validate(
    candidate: Candidate, frame: Frame, fold: NDArray[np.int64], bound: TimeBound, progress: "tqdm[Any]"
) -> Outcome:
    """Fit and measure a candidate on every fold.

    Raises:
        _TimeOver: the bound allows no further fit.
    """
    training, predictions, fitted, seconds = training_of(frame.problem), [], [], []
    progress.set_description(candidate.name)
    for number in range(folds.count(fold)):
        if not bound.allows(candidate):
            raise _TimeOver(f"{number} of {folds.count(fold)} fits")
        start = time.perf_counter()
        with _named_errors(candidate):
            estimator, encoder = _fit_fold(candidate, frame.take(np.flatnonzero(folds.training_rows(fold, number))))
            fitted.append(estimator)
            seconds.append(time.perf_counter() - start)
            held_out = frame.take(np.flatnonzero(fold == number)).with_encoder(encoder)
            predictions.append(training.predict(_on_one_thread(estimator), held_out.features))
        if fault := training.prediction_fault(predictions[-1]):
            raise UsageError(f"Candidate {candidate.name!r} {fault}.")
        if number == 0 and candidate.servable:  # fail early, not after all folds
            proof.check(candidate.name, estimator, held_out.take(np.arange(min(proof.ROWS, len(held_out)))))
        progress.update()
    grid_choices = [{name: estimator.get_params()[name] for name in candidate.grid} for estimator in fitted]
    trees = [estimator.get_booster().num_boosted_rounds() for estimator in fitted if hasattr(estimator, "get_booster")]
    prediction = np.full((len(frame), *predictions[0].shape[1:]), np.nan)
    for number, held_out_prediction in enumerate(predictions):
        prediction[fold == number] = held_out_prediction
    measures = training.fold_measures(frame.target, prediction, fold)
    bound.finish(candidate)
    return Outcome(candidate, prediction, measures, grid_choices, trees, seconds)


def _fit_fold(candidate: Candidate, training_rows: Frame) -> tuple[BaseEstimator, Encoder]:
    """Fit the candidate on rows encoded with their own levels only.

    Returns:
        The fitted estimator, and the encoder for the rows held out.
    """
    narrowed = narrow_levels(training_rows)
    return candidate.fit(narrowed), narrowed.encoder


def _on_one_thread(estimator: BaseEstimator) -> BaseEstimator:
    """The estimator, set to predict on one thread: a forest's threads add up in the order in which they end."""
    return estimator.set_params(**{name: 1 for name in estimator.get_params() if name.endswith("n_jobs")})


@contextmanager
def _named_errors(candidate: Candidate) -> Iterator[None]:
    """Turn an error of fitting or predicting into one that names the candidate."""
    try:
        yield
    except xgb.core.XGBoostError as error:
        message = XGBOOST_PREFIX.sub("", str(error).partition("\n")[0])
        raise UsageError(f"XGBoost cannot fit candidate {candidate.name!r}: {message}") from error
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        for text, (kind, sentence) in REFUSALS.items():
            if text in str(error):
                raise kind(f"Candidate {candidate.name!r} {sentence}.") from error
        if isinstance(error, AttributeError):
            raise
        message = str(error).strip().rpartition("\n")[2]  # the last line of a grid search's error has the reason
        raise UsageError(f"Candidate {candidate.name!r} cannot be fitted: {message}") from error
