"""Time to score 1 and 1,000 rows on one thread: the committed model, and stumps before and after folding."""

import statistics
import time
from collections.abc import Sequence

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from bench.work import MODEL
from santander.sample import sample
from tabserve.model.model import load
from tabserve.predictors.booster import Booster
from tabserve.predictors.predictor import Predictor
from tabserve.training.stumps import fold

SEEDS, ROUNDS = 2, 3_000
"""As for the committed model, which is folded from this many stumps."""

REPEATS = 200


def table() -> str:
    """A table of milliseconds a call for 1 and 1,000 rows, and the speed-up by folding."""
    frame = sample(2_000, 0)
    stumps = [_stumps(seed, frame.features, frame.target) for seed in range(SEEDS)]
    times = {
        "committed model": _milliseconds([load(MODEL).predictor], frame.features),
        f"{SEEDS * ROUNDS:,} stumps": _milliseconds([*map(Booster, stumps)], frame.features),
        "the same, folded": _milliseconds([Booster(fold(stumps, frame.features))], frame.features),
    }
    lines = [f"{'ms a call, one thread':<28}{'1 row':>9}{'1,000 rows':>12}"]
    lines += [f"{name:<28}{single:>9.3f}{thousand:>12.2f}" for name, (single, thousand) in times.items()]
    (_, slow, fast) = times.values()
    return "\n".join(
        [*lines, f"folding gains {slow[0] / fast[0]:.1f} × for 1 row, {slow[1] / fast[1]:.1f} × for 1,000 rows"]
    )


def _stumps(seed: int, features: NDArray[np.float32], target: NDArray[np.int8]) -> xgb.Booster:
    stumps = xgb.XGBClassifier(max_depth=1, n_estimators=ROUNDS, colsample_bytree=0.02, random_state=seed, n_jobs=1)
    booster: xgb.Booster = stumps.fit(features, target).get_booster()
    return booster


def _milliseconds(predictors: Sequence[Predictor], features: NDArray[np.float32]) -> tuple[float, float]:
    for predictor in predictors:
        predictor.on_one_thread()
    return _median(predictors, features[:1]), _median(predictors, features[:1_000])


def _median(predictors: Sequence[Predictor], rows: NDArray[np.float32]) -> float:
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for predictor in predictors:
            predictor.raw(rows)
        seconds.append(time.perf_counter() - start)
    return 1_000 * statistics.median(seconds)
