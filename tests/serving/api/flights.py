"""An API as a case writes one: `python flights.py FOLDER` answers one flight, or a list of them, by minutes."""

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
"""What it needs; the model knows more columns, which may be missing."""

OTHERS = (
    Column("age"),
    Column("plan", "category"),
    Column("rooms", "category"),
    Column("owner", "category"),
    Column("since", "date"),
)


async def predict(body: Bytes, model: LoadedModel) -> Answer:
    """The minutes of a flight, or of each in a list."""
    found = document.parse(body, "a flight, or a list of flights")
    features = model.features(found, "flights") if isinstance(found, list) else model.features([found], "flight")
    answers = await model.score(features)
    minutes = answers.prediction if isinstance(found, list) else answers.prediction[0]
    return Answer(orjson.dumps({"minutes": minutes}, option=orjson.OPT_SERIALIZE_NUMPY), features.rows)


def openapi(model: Model, limits: Limits) -> dict[str, Any]:
    """A document that has little to say."""
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
