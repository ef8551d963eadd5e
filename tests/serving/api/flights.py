"""An example of an API: `python flights.py FOLDER` predicts the minutes of a flight or of a list of flights."""

import sys
from pathlib import Path
from typing import Any

import orjson

from tabserve.model.model import Model
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Regression
from tabserve.serving.api import process
from tabserve.serving.api.contract import Answer, Contract
from tabserve.serving.api.record_schema import record_schema
from tabserve.serving.limits import Limits
from tabserve.serving.model import LoadedModel
from tabserve.serving.protocol import document
from tabserve.serving.protocol.document import Bytes

COLUMNS = (
    Column("income"),
    Column("city", "category"),
    Column("seen", "date"),
)
"""The columns that every model must have; it may have `OTHERS` too."""

OTHERS = (
    Column("age"),
    Column("plan", "category"),
    Column("rooms", "category"),
    Column("owner", "category"),
    Column("since", "date"),
)


async def predict(body: Bytes, model: LoadedModel) -> Answer:
    """Predict the minutes of a flight, or of each flight in a list."""
    flights = document.parse(body, "a flight, or a list of flights")
    is_list = isinstance(flights, list)
    features = model.features(flights, "flights") if is_list else model.features([flights], "flight")
    scores = await model.score(features)
    minutes = scores.prediction if is_list else scores.prediction[0]
    return Answer(orjson.dumps({"minutes": minutes}, option=orjson.OPT_SERIALIZE_NUMPY), features.rows)


def openapi(model: Model, limits: Limits) -> dict[str, Any]:
    """A minimal OpenAPI document."""
    paths = {"/model/predict": {"post": {"summary": f"Up to {limits.max_rows} flights", "responses": {}}}}
    schemas = {"Flight": record_schema(model.encoder)}
    return {"openapi": "3.1.0", "info": {"title": "Flights"}, "paths": paths, "components": {"schemas": schemas}}


CONTRACT = Contract(
    "flights",
    "legs",
    Problem("flights", COLUMNS, "amount", Regression("USD")),
    OTHERS,
    {"/model/predict": predict},
    openapi,
)


if __name__ == "__main__":
    process.run(CONTRACT, Path(sys.argv[1]), 5000, max_rows=1_000)
