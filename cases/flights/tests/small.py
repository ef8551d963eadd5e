"""Small models of both problems, trained on flights that a generator makes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from xgboost import XGBRegressor

from flights.flight import MINUTES
from flights.problem import BEFORE, DEP_DELAY, DEPARTED, WEATHER
from tabserve.encoding.encoder import Encoder
from tabserve.model.decision import Amount
from tabserve.model.model import Model, save, versions
from tabserve.problem.problem import Problem
from tabserve.training.proof import predictor

CARRIERS = ("AA", "B6", "DL", "UA", "US")
ORIGINS = ("EWR", "JFK", "LGA")
DESTINATIONS = ("ATL", "BOS", "IAD", "IAH", "LAX", "ORD", "SFO")

ROWS = 400

FLIGHT = {
    "carrier": "UA",
    "origin": "EWR",
    "dest": "IAH",
    "year": 2013,
    "month": 11,
    "day": 4,
    "sched_dep_time": 515,
    "sched_arr_time": 2400,
    "distance": 1400,
    "temp": 39.02,
    "wind_speed": 12.66,
}
"""A flight of a request; 4 November 2013 was a Monday."""

COLUMNS = {
    **{name: FLIGHT[name] for name in ("carrier", "origin", "dest", "distance", "month", "temp", "wind_speed")},
    "sched_dep": 315,
    "sched_arr": 1440,
    "weekday": 1,
}
"""The same flight as the columns of a model."""


def v2_request(**further: object) -> bytes:
    """A V2 request for the flight."""
    inputs = [
        {"name": name, "datatype": "BYTES" if isinstance(cell, str) else "FP32", "shape": [1], "data": [cell]}
        for name, cell in COLUMNS.items()
    ]
    return json.dumps({**further, "inputs": inputs}).encode()


def rows(seed: int = 0) -> dict[str, list[Any]]:
    """Columns of a training table."""
    rng = np.random.default_rng(seed)
    times = np.array([*MINUTES.values()])
    weather = {column.name: np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(20, 5, ROWS)) for column in WEATHER}
    return {
        "carrier": rng.choice(CARRIERS, ROWS).tolist(),
        "origin": rng.choice(ORIGINS, ROWS).tolist(),
        "dest": rng.choice(DESTINATIONS, ROWS).tolist(),
        "sched_dep": rng.choice(times, ROWS).tolist(),
        "sched_arr": rng.choice(times, ROWS).tolist(),
        "distance": rng.integers(90, 3_000, ROWS).tolist(),
        "month": rng.integers(1, 13, ROWS).tolist(),
        "weekday": rng.integers(1, 8, ROWS).tolist(),
        **{name: values.tolist() for name, values in weather.items()},
        DEP_DELAY.name: rng.normal(10, 30, ROWS).tolist(),
    }


def train(folder: Path, problem: Problem = BEFORE, shift: float = 0.0) -> Path:
    """Save a small model in `folder` and return it; `shift` minutes are added to what it learns."""
    table = rows()
    encoder = Encoder.learn(problem, {name: table[name] for name in Encoder.learned_columns(problem)})
    features = encoder.encode([table[name] for name in problem.features]).features
    late = np.array(table["sched_dep"]) / 60 + np.array(table[DEP_DELAY.name]) * (problem is DEPARTED) + shift
    options = {"enable_categorical": True, "feature_types": [*encoder.types]}
    fitted = XGBRegressor(n_estimators=8, max_depth=3, n_jobs=1, **options).fit(features, late)
    served = predictor(fitted, encoder)
    model = Model(problem, encoder, served, Amount((0.0,), (20.0, 30.0)), {}, {}, versions("xgboost"))
    save(folder, model, served.examples(features), "# A small model of made-up flights\n")
    return folder
