"""Check, before anything is saved, that the served model answers as the estimator that was selected."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError, UsageError
from tabserve.model.golden import TOLERANCE
from tabserve.predictors.booster import Booster
from tabserve.predictors.predictor import Predictor
from tabserve.table.frame import Frame
from tabserve.training.task_training import Prediction, training_of

ROWS = 4_096
"""The largest number of rows that are compared: enough to tell two models apart, in little memory."""


def check(name: str, fitted: BaseEstimator, frame: Frame) -> None:
    """Compare the answers of a fitted estimator with those of the predictor that a folder would hold.

    Args:
        name: of the candidate.
        fitted: the estimator, as for `predictor`.
        frame: the rows to compare on, about `ROWS` of them.

    Raises:
        UsageError: the answers differ, or a model folder cannot hold the fitted estimator.
    """
    training = training_of(frame.problem)
    try:
        served = _reload(predictor(fitted, frame.encoder), frame)
        remote = hasattr(fitted, "fetch_features")  # the features are on Spark's workers
        features = fitted.fetch_features(frame.features) if remote else frame.features
        answers = training.from_raw(served.raw(features))
    except (ArtifactError, AttributeError, LookupError, ValueError) as error:  # an XGBoostError is a ValueError
        raise UsageError(f"Candidate {name!r} ends as no model that a folder can hold: {error}") from error
    _compare(name, training.predict(fitted, frame.features), answers)


def predictor(fitted: BaseEstimator, encoder: Encoder) -> Predictor:
    """The predictor of a fitted estimator, which has `get_predictor` or `get_booster`.

    After early stopping it has the rounds up to the best one, as in the answers of the estimator itself.
    """
    if hasattr(fitted, "get_predictor"):
        return fitted.get_predictor(encoder)  # type: ignore[no-any-return]
    trees = fitted.get_booster()
    best = trees.attr("best_iteration")
    trees = trees.copy() if best is None else trees[: int(best) + 1]
    trees.feature_names = list(encoder.names)
    return Booster(trees)


def _reload(model: Predictor, frame: Frame) -> Predictor:
    """The predictor, read back from the bytes of its file."""
    return type(model).read(Path(model.FILE), model.to_bytes(), frame.problem, frame.encoder)


def _compare(name: str, expected: Prediction, served: NDArray[Any]) -> None:
    difference = np.abs(expected - served) / np.maximum(1, np.abs(expected))  # relative, as amounts may be large
    wrong = ~(difference <= TOLERANCE).reshape(len(expected), -1).all(axis=1)
    if wrong.any():
        raise UsageError(
            f"Candidate {name!r} answers {wrong.sum():,} of {len(expected):,} rows otherwise than the model that would"
            f" be served of it: off by up to {difference.max():.3g}, at most {TOLERANCE:g} expected; leave it out, or"
            " let it answer as its model does."
        )
