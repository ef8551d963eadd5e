"""The call of XGBoost's C function gives the predictions of the Python wrapper to the bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray

from santander.sample import sample
from tabserve.predictors import xgboost_call
from tabserve.predictors.xgboost_call import predict
from tabserve.table.frame import Frame


@pytest.fixture(scope="module")
def booster(sample_frame: Frame) -> xgb.Booster:
    """The booster of an ordinary classifier."""
    classifier = xgb.XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1)
    booster: xgb.Booster = classifier.fit(sample_frame.features, sample_frame.target).get_booster()
    return booster


def layouts(features: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The features in each memory layout that callers use."""
    missing = features.copy()
    missing[::3, ::2] = np.nan
    return {
        "one row": features[:1],
        "many rows": features,
        "missing values": missing,
        "every other row": features[::2],
        "column by column": np.asfortranarray(features),
        "read-only": np.frombuffer(features.tobytes(), np.float32).reshape(features.shape),
        "at an odd address": np.frombuffer(b"x" + features.tobytes(), np.float32, offset=1).reshape(features.shape),
    }


LAYOUTS = layouts(sample(300, seed=2).features)


@pytest.mark.parametrize("features", LAYOUTS.values(), ids=list(LAYOUTS))
def test_the_call_gives_the_predictions_of_inplace_predict(booster: xgb.Booster, features: NDArray[np.float32]) -> None:
    """To the bit, for every memory layout."""
    predictions = predict(booster, features)
    expected = booster.inplace_predict(features)
    assert (predictions.dtype, predictions.shape) == (expected.dtype, expected.shape)
    assert predictions.tobytes() == expected.tobytes()


def test_the_c_library_is_found(booster: xgb.Booster, sample_frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `xgboost.core`; without it, the Python wrapper predicts."""
    assert xgboost_call.LIBRARY is not None
    expected = predict(booster, sample_frame.features)
    monkeypatch.setattr(xgboost_call, "CALL", None)
    assert np.array_equal(predict(booster, sample_frame.features), expected)


def test_every_thread_and_every_booster_gets_its_own_predictions(booster: xgb.Booster) -> None:
    """Whatever was predicted before, with any number of rows."""
    boosters = [booster, booster[:5]]
    pieces = [features[:rows] for rows in (300, 1, 64, 65, 2) for features in LAYOUTS.values()]
    work = [(model, piece) for piece in pieces for model in boosters]
    expected = [model.inplace_predict(piece).tobytes() for model, piece in work]
    with ThreadPoolExecutor(4) as threads:
        predictions = [array.tobytes() for array in threads.map(lambda item: predict(*item), work * 4)]
    assert predictions == expected * 4


def test_a_prediction_is_not_overwritten_by_the_next(booster: xgb.Booster, sample_frame: Frame) -> None:
    """XGBoost writes each into the same memory."""
    first = predict(booster, sample_frame.features[:5])
    kept = first.copy()
    predict(booster, sample_frame.features[5:10])
    assert np.array_equal(first, kept)


def test_a_wrong_number_of_features_raises_xgboosts_error(booster: xgb.Booster, sample_frame: Frame) -> None:
    """As in the wrapper."""
    with pytest.raises(xgb.core.XGBoostError, match="feature"):
        predict(booster, sample_frame.features[:, :-1])
