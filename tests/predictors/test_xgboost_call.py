"""XGBoost's C function gives what its Python wrapper gives, to the bit, and so do both ways to call it here."""

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
    """An ordinary classifier's."""
    classifier = xgb.XGBClassifier(n_estimators=20, max_depth=4, n_jobs=1)
    found: xgb.Booster = classifier.fit(sample_frame.features, sample_frame.target).get_booster()
    return found


def layouts(features: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Arrays as callers have them."""
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
def test_it_gives_what_inplace_predict_gives(booster: xgb.Booster, features: NDArray[np.float32]) -> None:
    """However the rows lie in memory."""
    found = predict(booster, features)
    expected = booster.inplace_predict(features)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


def test_the_c_library_is_where_it_is_looked_for(
    booster: xgb.Booster, sample_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside `xgboost.core`; an XGBoost that has it elsewhere still predicts, by its wrapper."""
    assert xgboost_call.LIBRARY is not None
    expected = predict(booster, sample_frame.features)
    monkeypatch.setattr(xgboost_call, "CALL", None)
    assert np.array_equal(predict(booster, sample_frame.features), expected)


def test_every_thread_and_every_booster_has_its_own_answers(booster: xgb.Booster) -> None:
    """Whatever was predicted before, with however many rows."""
    boosters = [booster, booster[:5]]
    pieces = [features[:rows] for rows in (300, 1, 64, 65, 2) for features in LAYOUTS.values()]
    work = [(model, piece) for piece in pieces for model in boosters]
    expected = [model.inplace_predict(piece).tobytes() for model, piece in work]
    with ThreadPoolExecutor(4) as threads:
        found = [answer.tobytes() for answer in threads.map(lambda each: predict(*each), work * 4)]
    assert found == expected * 4


def test_an_answer_outlives_the_next_one(booster: xgb.Booster, sample_frame: Frame) -> None:
    """XGBoost itself writes each into the same place."""
    first = predict(booster, sample_frame.features[:5])
    kept = first.copy()
    predict(booster, sample_frame.features[5:10])
    assert np.array_equal(first, kept)


def test_another_number_of_features_is_xgboosts_error(booster: xgb.Booster, sample_frame: Frame) -> None:
    """As in the wrapper."""
    with pytest.raises(xgb.core.XGBoostError, match="feature"):
        predict(booster, sample_frame.features[:, :-1])
