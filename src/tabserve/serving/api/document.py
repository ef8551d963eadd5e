"""The OpenAPI document of an API: its contract's, with the routes that every API has (`openapi.json`)."""

import json
from importlib import resources
from typing import Any

Document = dict[str, Any]


def complete(own: Document) -> Document:
    """A contract's document with the common routes, schemas and responses."""
    common: Document = json.loads(resources.files(__package__).joinpath("openapi.json").read_text("utf-8"))
    components = {
        kind: {**own.get("components", {}).get(kind, {}), **common["components"][kind]} for kind in common["components"]
    }
    return {**own, "paths": {**own["paths"], **common["paths"]}, "components": components}
