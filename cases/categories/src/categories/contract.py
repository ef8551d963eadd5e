"""The API's contract: its routes, their requests and answers, and the OpenAPI document."""

import json
from importlib import resources
from typing import Any

import orjson

from categories.problem import PROBLEM, TAGS
from tabserve.model.model import Model
from tabserve.serving.api.contract import Answer, Contract
from tabserve.serving.api.record_schema import record_schema
from tabserve.serving.limits import Limits
from tabserve.serving.model import LoadedModel
from tabserve.serving.protocol import document, records
from tabserve.serving.protocol.document import Bytes
from tabserve.serving.protocol.signature import Features

PRODUCTS = "products"

EXAMPLE = f'{{"{PRODUCTS}": [{{"title": …}}, …]}}'


def features(body: Bytes, model: LoadedModel) -> Features:
    """The features of the products in a request body such as `EXAMPLE`; see `records.features`."""
    content = document.parse(body, "an object with a list of products")
    return model.features(records.member(content, PRODUCTS, EXAMPLE), PRODUCTS)


async def categorize(body: Bytes, model: LoadedModel) -> Answer:
    """Answer the category of each product, in the order sent."""
    answers, labels = await model.score(features(body, model)), model.model.problem.labels
    categories = [labels[label] for label in answers.label.tolist()]
    return Answer(orjson.dumps({"categories": categories}), len(categories))


async def probabilities(body: Bytes, model: LoadedModel) -> Answer:
    """Answer the probability of every category for each product, in the order sent, in the shortest float32 digits."""
    answers, labels = await model.score(features(body, model)), model.model.problem.labels
    rows = [dict(zip(labels, row, strict=True)) for row in answers.probability]
    return Answer(orjson.dumps({"probabilities": rows}, option=orjson.OPT_SERIALIZE_NUMPY), len(rows))


def openapi(model: Model, limits: Limits) -> dict[str, Any]:
    """`openapi.json`, completed with a model's categories and columns and the server's limits."""
    text = resources.files("categories").joinpath("openapi.json").read_text("utf-8")
    description: dict[str, Any] = json.loads(text)
    schemas, labels = description["components"]["schemas"], [*model.problem.labels]
    schemas["Category"]["enum"] = schemas["Probabilities"]["required"] = labels
    schemas["Probabilities"]["properties"] = dict.fromkeys(labels, schemas["Probability"])
    schemas["Request"]["properties"][PRODUCTS]["maxItems"] = limits.max_rows
    schemas["Product"] |= record_schema(model.encoder)
    return description


ROUTES = {"/v1/categorize": categorize, "/v1/probabilities": probabilities}

CONTRACT = Contract("categories", PRODUCTS, PROBLEM, (TAGS,), ROUTES, openapi)
