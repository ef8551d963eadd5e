"""What the API answers, as an OpenAPI document (https://spec.openapis.org/oas/v3.1.0): `openapi.json`, made exact."""

import json
from importlib import resources
from typing import Any

from tabserve.encoding.texts import MAX_CHARACTERS
from tabserve.problem.problem import Problem
from tabserve.serving.limits import Limits


def document(problem: Problem, limits: Limits) -> dict[str, Any]:
    """The document for a model of this problem, under these limits."""
    found: dict[str, Any] = json.loads(resources.files("categories").joinpath("openapi.json").read_text("utf-8"))
    schemas = found["components"]["schemas"]
    schemas["Category"]["enum"] = [*problem.labels]
    schemas["Probabilities"] |= _object(dict.fromkeys(problem.labels, schemas["Probability"]))
    schemas["Request"]["properties"]["products"]["maxItems"] = limits.max_rows
    needed, *others = problem.features
    product = schemas["Product"]
    product["required"] = [needed]
    product["properties"] = {needed: schemas["Text"] | {"maxLength": MAX_CHARACTERS}}
    product["properties"] |= {name: schemas["OtherText"] | {"maxLength": MAX_CHARACTERS} for name in others}
    return found


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"properties": members, "required": [*members], "additionalProperties": False}
