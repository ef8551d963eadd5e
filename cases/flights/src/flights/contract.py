"""The API's contract: how flights are asked about and answered, and the OpenAPI document of it."""

import json
from importlib import resources
from typing import Any

import orjson

from flights import fields, flight
from flights.problem import BEFORE, DEP_DELAY
from tabserve.errors import InvalidRequest
from tabserve.model.decision import Amounts
from tabserve.model.model import Model
from tabserve.serving.api.contract import Answer, Contract
from tabserve.serving.limits import Limits
from tabserve.serving.model import LoadedModel
from tabserve.serving.models import new_id
from tabserve.serving.protocol import document, records
from tabserve.serving.protocol.document import Bytes
from tabserve.wording import shown

FLIGHTS = "flights"

PREDICT = "/model/predict"

EXPECTED = 'a flight, a list of flights, or {"flights": [a flight, …]}'

DIGITS = 2
"""Decimal places of a minute in an answer."""


async def predict(body: Bytes, model: LoadedModel) -> Answer:
    """Answer the arrival delay of each flight with its interval, in the order sent."""
    asked = flights(body, model.max_rows)
    amounts = await model.score(flight.features(asked, model.model, FLIGHTS))
    request = new_id()
    answer = {
        "predictions": predictions(amounts),
        "unit": "minutes",
        "model": {"name": model.name, "version": model.version},
        "request_id": request,
    }
    return Answer(orjson.dumps(answer), len(asked), request)


def flights(body: Bytes, most: int) -> list[Any]:
    """The flights of a body: one, a list of them, or an object with such a list.

    Raises:
        InvalidRequest: it is something else, or has no flight.
        TooLarge: it has more than `most` flights.
    """
    content = document.parse(body, EXPECTED)
    if isinstance(content, list):
        return records.check(content, FLIGHTS, most)
    if not isinstance(content, dict):
        raise InvalidRequest(f"The body is {shown(content)}; expected {EXPECTED}.")
    if FLIGHTS not in content:
        return [content]
    for other in content.keys() - {FLIGHTS}:
        raise InvalidRequest(f"The body has {shown(other)} beside {FLIGHTS!r}; expected {EXPECTED}.")
    return records.check(content[FLIGHTS], FLIGHTS, most)


def predictions(amounts: Amounts) -> list[dict[str, float]]:
    """The members of an answer, in minutes."""
    columns = [amount.round(DIGITS).astype(float).round(DIGITS).tolist() for amount in amounts]
    return [{"arr_delay": delay, "low": low, "high": high} for delay, low, high in zip(*columns, strict=True)]


def openapi(model: Model, limits: Limits) -> dict[str, Any]:
    """`openapi.json`, completed with the fields and codes that a model knows and the server's limits."""
    text = resources.files("flights").joinpath("openapi.json").read_text("utf-8")
    description: dict[str, Any] = json.loads(text)
    schemas = description["components"]["schemas"]
    schemas["Flight"] |= fields.schema(flight.levels(model.encoder), departed=flight.is_departed(model))
    schemas["Flights"]["maxItems"] = limits.max_rows
    return description


CONTRACT = Contract(FLIGHTS, FLIGHTS, BEFORE, (DEP_DELAY,), {PREDICT: predict}, openapi)
