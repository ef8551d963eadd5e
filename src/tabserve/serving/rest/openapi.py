"""The OpenAPI document of the REST routes (https://spec.openapis.org/oas/v3.1.0): `openapi.json`, filled in."""

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
"""The JSON type of the values of each datatype of an output."""


def document(
    signatures: Sequence[Signature], *, admin: bool, name: str | None = None, version: str | None = None
) -> Node:
    """The document of all routes, or of those of one model or version.

    Args:
        signatures: of the models of these routes; if there are none, the document is less exact.
        admin: whether clients may load, unload and list models.
        name: of the model.
        version: of the model.
    """
    openapi: Node = json.loads(resources.files(__package__).joinpath("openapi.json").read_text("utf-8"))
    openapi["info"]["version"] = metadata.version("tabserve")
    paths = _with_versions(openapi["paths"])
    openapi["paths"] = {path: item for path, item in paths.items() if admin or not path.startswith(REPOSITORY)}
    if name:
        openapi["paths"] = _paths_of(name, version, openapi["paths"])
    if signatures:
        _fill(openapi["components"]["schemas"], signatures)
    return openapi


def _with_versions(paths: dict[str, Node]) -> dict[str, Node]:
    """These routes, and for each route of a model that of a version."""
    parameter = {"name": VERSION.strip("{}"), "in": "path", "required": True, "schema": {"type": "string"}}
    return paths | {
        path.replace(MODEL, f"{MODEL}/versions/{VERSION}"): {**item, "parameters": [*item["parameters"], parameter]}
        for path, item in paths.items()
        if path.startswith(MODEL)
    }


def _paths_of(name: str, version: str | None, paths: dict[str, Node]) -> dict[str, Node]:
    """The routes of one model or version, without path parameters."""
    return {
        path.replace(NAME, name).replace(VERSION, version or ""): {
            key: value for key, value in item.items() if key != "parameters"
        }
        for path, item in paths.items()
        if NAME in path and (VERSION in path) == bool(version)
    }


def _fill(schemas: Node, signatures: Sequence[Signature]) -> None:
    """Fill in the inputs and outputs of these models."""
    outputs = [output for signature in signatures for output in signature.outputs.items()]
    datatypes = (datatype for signature in signatures for datatype in signature.datatypes)
    request, response = schemas["Request"]["properties"], schemas["Answer"]["properties"]
    request["inputs"]["items"]["properties"]["datatype"] = _enum(datatypes)
    request["outputs"]["anyOf"][0]["items"]["properties"]["name"] = _enum(name for name, _ in outputs)
    response["parameters"] = _any_of(
        _object({name: {"type": "string"} for name in signature.parameters}) for signature in signatures
    )
    response["outputs"]["items"] = _any_of(_output(*output) for output in outputs)


def _output(name: str, kind: OutputKind) -> Node:
    """The schema of an output tensor."""
    sizes = [{"type": "integer"}, *({"const": size} for size in kind.shape)]
    shape = {"type": "array", "prefixItems": sizes, "items": False, "minItems": len(sizes)}
    values = {"type": "array", "items": VALUES[kind.datatype]}
    members = {"name": {"const": name}, "datatype": {"const": kind.datatype}, "shape": shape, "data": values}
    return _object(members) | _description(kind)


def _description(kind: OutputKind) -> Node:
    """Names of columns, and the most rows of a costly output, in words, as a schema has no place for them."""
    most = f"Only for a request that names it, of {kind.max_rows} rows at most. " if kind.max_rows else ""
    columns = f"Columns: {', '.join(kind.columns)}." if kind.columns else ""
    return {"description": most + columns} if most or columns else {}


def _object(members: Node) -> Node:
    return {"type": "object", "properties": members, "required": [*members], "additionalProperties": False}


def _enum(names: Iterable[str]) -> Node:
    return {"enum": [*dict.fromkeys(names)]}


def _any_of(schemas: Iterable[Node]) -> Node:
    """The schema of a value that fits one of these schemas, without repetition."""
    return {"anyOf": [json.loads(text) for text in dict.fromkeys(map(json.dumps, schemas))]}
