"""What REST answers, as an OpenAPI document (https://spec.openapis.org/oas/v3.1.0): `openapi.json`, filled in."""

import json
from collections.abc import Iterable, Sequence
from importlib import metadata, resources
from typing import Any

from tabserve.model.decision import OutputKind
from tabserve.serving.protocol.signature import Signature

Node = dict[str, Any]

NAME, VERSION = "{model_name}", "{model_version}"

MODEL = f"/v2/models/{NAME}"

REPOSITORY = "/v2/repository/"

VALUES = {"INT64": {"type": "integer"}, "FP32": {"type": "number"}, "BYTES": {"type": "string"}}
"""What JSON has in the place of the values of each datatype that an output may have."""


def document(
    signatures: Sequence[Signature], *, admin: bool, name: str | None = None, version: str | None = None
) -> Node:
    """The document of all routes, or of those of one model or version.

    Args:
        signatures: of the models that these routes answer for; where none is known, more is left open.
        admin: whether clients may load, unload and list models.
        name: of the model.
        version: of the model.
    """
    found: Node = json.loads(resources.files(__package__).joinpath("openapi.json").read_text("utf-8"))
    found["info"]["version"] = metadata.version("tabserve")
    paths = _with_versions(found["paths"])
    found["paths"] = {path: item for path, item in paths.items() if admin or not path.startswith(REPOSITORY)}
    if name:
        found["paths"] = _paths_of(name, version, found["paths"])
    if signatures:
        _fill(found["components"]["schemas"], signatures)
    return found


def _with_versions(paths: dict[str, Node]) -> dict[str, Node]:
    """All routes: each of a model has one of a version beside it."""
    word = {"name": VERSION.strip("{}"), "in": "path", "required": True, "schema": {"type": "string"}}
    return paths | {
        path.replace(MODEL, f"{MODEL}/versions/{VERSION}"): {**item, "parameters": [*item["parameters"], word]}
        for path, item in paths.items()
        if path.startswith(MODEL)
    }


def _paths_of(name: str, version: str | None, paths: dict[str, Node]) -> dict[str, Node]:
    """The routes of one model or version, whose paths have no words left to be filled in."""
    return {
        path.replace(NAME, name).replace(VERSION, version or ""): {
            key: value for key, value in item.items() if key != "parameters"
        }
        for path, item in paths.items()
        if NAME in path and (VERSION in path) == bool(version)
    }


def _fill(schemas: Node, signatures: Sequence[Signature]) -> None:
    """Say what these models take and give."""
    outputs = [output for each in signatures for output in each.outputs.items()]
    asked, answered = schemas["Request"]["properties"], schemas["Answer"]["properties"]
    asked["inputs"]["items"]["properties"]["datatype"] = _enum(name for each in signatures for name in each.datatypes)
    asked["outputs"]["anyOf"][0]["items"]["properties"]["name"] = _enum(name for name, _ in outputs)
    answered["parameters"] = _any_of(
        _object({key: {"type": "string"} for key in each.parameters}) for each in signatures
    )
    answered["outputs"]["items"] = _any_of(_output(*output) for output in outputs)


def _output(name: str, kind: OutputKind) -> Node:
    """The schema of an answered tensor."""
    sizes = [{"type": "integer"}, {"const": kind.columns}]
    shape = {"type": "array", "prefixItems": sizes, "items": False, "minItems": 2}
    values = {"type": "array", "items": VALUES[kind.datatype]}
    return _object({"name": {"const": name}, "datatype": {"const": kind.datatype}, "shape": shape, "data": values})


def _object(members: Node) -> Node:
    return {"type": "object", "properties": members, "required": [*members], "additionalProperties": False}


def _enum(names: Iterable[str]) -> Node:
    return {"enum": [*dict.fromkeys(names)]}


def _any_of(schemas: Iterable[Node]) -> Node:
    """The schema of what is as one of these say, each said once."""
    return {"anyOf": [json.loads(text) for text in dict.fromkeys(map(json.dumps, schemas))]}
