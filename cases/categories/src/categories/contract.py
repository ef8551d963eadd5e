"""The API's contract: its routes, what they take and answer, and the OpenAPI document that says so."""

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
    """The features of the products in a body such as `EXAMPLE`; see `records.features`."""
    content = document.parse(body, "an object with a list of products")
    return model.features(records.member(content, PRODUCTS, EXAMPLE), PRODUCTS)


async def categorize(body: Bytes, model: LoadedModel) -> Answer:
    """The category of each product, in their order."""
    answers, labels = await model.score(features(body, model)), model.model.problem.labels
    found = [labels[label] for label in answers.label.tolist()]
    return Answer(orjson.dumps({"categories": found}), len(found))


async def probabilities(body: Bytes, model: LoadedModel) -> Answer:
    """The probability of every category, for each product, in their order; as short as float32 can be."""
    answers, labels = await model.score(features(body, model)), model.model.problem.labels
    found = [dict(zip(labels, row, strict=True)) for row in answers.probability]
    return Answer(orjson.dumps({"probabilities": found}, option=orjson.OPT_SERIALIZE_NUMPY), len(found))


def openapi(model: Model, limits: Limits) -> dict[str, Any]:
    """`openapi.json`, made exact for a model under these limits."""
    found: dict[str, Any] = json.loads(resources.files("categories").joinpath("openapi.json").read_text("utf-8"))
    schemas, labels = found["components"]["schemas"], [*model.problem.labels]
    schemas["Category"]["enum"] = schemas["Probabilities"]["required"] = labels
    schemas["Probabilities"]["properties"] = dict.fromkeys(labels, schemas["Probability"])
    schemas["Request"]["properties"][PRODUCTS]["maxItems"] = limits.max_rows
    schemas["Product"] |= record_schema(model.encoder)
    return found


ROUTES = {"/v1/categorize": categorize, "/v1/probabilities": probabilities}

CONTRACT = Contract("categories", PRODUCTS, PROBLEM, (TAGS,), ROUTES, openapi)
