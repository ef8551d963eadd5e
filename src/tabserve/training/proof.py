"""That what is served answers as the estimator that was judged: seen on rows, before anything is saved."""

from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

from tabserve.errors import ArtifactError, UsageError
from tabserve.model import artifact, text_artifact
from tabserve.model.golden import TOLERANCE
from tabserve.model.scoring import probabilities
from tabserve.predictors import booster as boosters
from tabserve.predictors import linear
from tabserve.table.frame import Frame
from tabserve.training.measures import Probability, by_class, by_threshold

ROWS = 4_096
"""Rows that are answered twice, at most: as many as tell two models apart, and no memory to speak of."""


def check(name: str, fitted: ClassifierMixin, frame: Frame) -> None:
    """Answer rows by a candidate's fitted estimator, and by the model that a folder would hold of it.

    Args:
        name: of the candidate.
        fitted: with `get_booster` or `get_linear`.
        frame: the rows; best few of them (`ROWS`).

    Raises:
        UsageError: the answers differ, or a folder cannot hold such a model.
    """
    is_booster = hasattr(fitted, "get_booster")
    try:
        served = _by_booster(fitted, frame) if is_booster else _by_linear(fitted, frame)
    except (ArtifactError, AttributeError, LookupError, ValueError) as error:  # XGBoost's own is a ValueError
        raise UsageError(f"Candidate {name!r} ends as no model that a folder can hold: {error}") from error
    judge = by_threshold if is_booster else by_class
    _compare(name, judge.probability(fitted, frame.features), served)


def _by_booster(fitted: ClassifierMixin, frame: Frame) -> NDArray[np.float32]:
    """By the booster as its file holds it; where rows are with Spark's workers, their features come here."""
    model = named(fitted.get_booster().copy(), frame).save_raw("ubj")
    read = boosters.read(Path(artifact.MODEL), bytes(model), frame.problem.features)
    features = fitted.opened(frame.features) if hasattr(fitted, "opened") else frame.features
    return probabilities(read, features)


def _by_linear(fitted: ClassifierMixin, frame: Frame) -> NDArray[np.float64]:
    """By the linear model as its file holds it."""
    model: bytes = fitted.get_linear().written()
    read = linear.read(Path(text_artifact.MODEL), model, len(frame.problem.labels))
    return read.probability(frame.features)


def named(booster: xgb.Booster, frame: Frame) -> xgb.Booster:
    """The booster, which knows the features by name from now on."""
    booster.feature_names = list(frame.problem.features)
    return booster


def _compare(name: str, own: Probability, served: NDArray[Any]) -> None:
    apart = np.abs(own - served)
    wrong = ~(apart <= TOLERANCE).reshape(len(own), -1).all(axis=1)
    if wrong.any():
        raise UsageError(
            f"Candidate {name!r} answers {wrong.sum():,} of {len(own):,} rows otherwise than the model that would be"
            f" served of it: off by up to {apart.max():.3g}, at most {TOLERANCE:g} expected; leave it out, or let"
            " it answer as its model does."
        )
