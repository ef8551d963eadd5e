"""What REST answers, as an OpenAPI document (https://spec.openapis.org/oas/v3.1.0): its schemas are JSON Schema."""

from typing import Any

from tabserve.serving.extensions import DURATIONS
from tabserve.serving.tensors import OUTPUTS
from tabserve.serving.values import DATATYPES

Node = dict[str, Any]

NAME, VERSION = "{model_name}", "{model_version}"

REFUSED = {
    400: "The request breaks a rule.",
    404: "There is no such model or version.",
    405: "Inference was asked for by another method than POST.",
    413: "More rows or bytes than the server takes at a time.",
    500: "Scoring failed; the server's log says why.",
    503: "The queue is full, the model is not loaded yet, or the server is about to end.",
}

TEXT, WHOLE, FLAG, OBJECT = ({"type": kind} for kind in ("string", "integer", "boolean", "object"))

HEAD_LENGTH = "Inference-Header-Content-Length"


def document(*, admin: bool, name: str | None = None, version: str | None = None) -> Node:
    """The document of all routes, or of those of one model or version.

    Args:
        admin: whether clients may load, unload and list models.
        name: of the model.
        version: of the model.
    """
    paths = _paths(admin=admin)
    if name:
        paths = {path: item for path, item in paths.items() if NAME in path and (VERSION in path) == bool(version)}
    filled = {path.replace(NAME, name or NAME).replace(VERSION, version or VERSION): paths[path] for path in paths}
    for path, item in filled.items():
        if parameters := [
            _parameter(word, "path") for word in ("model_name", "model_version") if f"{{{word}}}" in path
        ]:
            item["parameters"] = parameters
    info = {"title": "V2 inference protocol", "version": "2.0", "description": "A binary classifier over a table."}
    return {"openapi": "3.1.0", "info": info, "paths": filled, "components": {"schemas": _schemas()}}


def _paths(*, admin: bool) -> dict[str, Node]:
    ready = {200: {}, 400: {"description": "A model is not loaded yet."}, **_refused(503)}
    paths = {
        "/v2": _get("What the server is", {200: _json(_of("Server"))}),
        "/v2/health/live": _get("Whether the server runs", {200: {}}),
        "/v2/health/ready": _get("Whether the server takes requests", ready),
        "/v2/models/stats": _get("What was counted of all models", {200: _json(_of("AllStatistics"))}),
    }
    for model in (f"/v2/models/{NAME}", f"/v2/models/{NAME}/versions/{VERSION}"):
        paths |= {
            model: _get("What a model takes and gives", {200: _json(_of("Model")), **_refused(404)}),
            f"{model}/ready": _get("Whether a model takes requests", {**ready, **_refused(404)}),
            f"{model}/config": _get("How a model is batched", {200: _json(_of("Configuration")), **_refused(404)}),
            f"{model}/stats": _get("What was counted of a model", {200: _json(_of("AllStatistics")), **_refused(404)}),
            f"{model}/infer": {"post": _inference()},
        }
    return paths | (_repository() if admin else {})


def _inference() -> Node:
    length = {HEAD_LENGTH: {"description": "Where the JSON ends and the tensors begin, in bytes.", "schema": WHOLE}}
    both = {"application/json": {"schema": _of("Answer")}, "application/octet-stream": {}}
    return {
        "summary": "Labels and probabilities of rows",
        "parameters": [_parameter(HEAD_LENGTH, "header", WHOLE), _parameter("Content-Encoding", "header")],
        "requestBody": {
            "description": "JSON; where its length is told, tensors in binary may follow it.",
            "required": True,
            "content": {"application/json": {"schema": _of("Request")}, "application/octet-stream": {}},
        },
        "responses": _responses({200: {"content": both, "headers": length}, **_refused(*REFUSED)}),
    }


def _repository() -> dict[str, Node]:
    found = _object({"name": TEXT, "state": TEXT, "reason": TEXT}, version=TEXT)
    listing = {
        "summary": "The models that there are",
        "requestBody": {"required": True, "content": {"application/json": {"schema": _object({}, ready=FLAG)}}},
        "responses": _responses({200: _json(_list(found)), **_refused(400)}),
    }
    change = {"responses": _responses({200: {}, 400: {}, **_refused(404, 500)})}
    return {
        "/v2/repository/index": {"post": listing},
        f"/v2/repository/models/{NAME}/load": {"post": {"summary": "Load a model, or load it anew", **change}},
        f"/v2/repository/models/{NAME}/unload": {"post": {"summary": "Forget a model", **change}},
    }


def _schemas() -> Node:
    shape, tensors = _list(WHOLE), _list(_object({"name": TEXT, "datatype": TEXT, "shape": _list(WHOLE)}))
    sides = _list(_object({"name": TEXT, "data_type": TEXT, "dims": shape}))
    flagged = _or_null(OBJECT)
    given = {"name": TEXT, "datatype": {"enum": [*DATATYPES]}, "shape": {**shape, "minItems": 1}}
    rows = {"type": "array", "description": "Flat in row-major order, or nested as the shape says."}
    duration = _object({"count": WHOLE, "ns": WHOLE})
    counts = {
        "name": TEXT,
        "version": TEXT,
        "last_inference": WHOLE,
        "inference_count": WHOLE,
        "execution_count": WHOLE,
    }
    statistics = _object({**counts, "inference_stats": _object(dict.fromkeys(DURATIONS, duration))})
    delay = _object({"max_queue_delay_microseconds": WHOLE})
    batched = {"name": TEXT, "platform": TEXT, "max_batch_size": WHOLE, "input": sides, "output": sides}
    version, threshold = _or_null(TEXT), _object({"threshold": TEXT})
    answered = {"model_name": TEXT, "model_version": version, "id": TEXT, "parameters": threshold}
    wanted = _or_null(_list(_open({"name": {"enum": [*OUTPUTS]}}, parameters=flagged)))
    return {
        "Error": _object({"error": TEXT}),
        "Server": _object({"name": TEXT, "version": TEXT, "extensions": _list(TEXT)}),
        "Model": _object(
            {"name": TEXT, "platform": TEXT, "versions": _list(TEXT), "inputs": tensors, "outputs": tensors},
            parameters=OBJECT,
        ),
        "Configuration": _object({**batched, "dynamic_batching": delay}),
        "AllStatistics": _object({"model_stats": _list(statistics)}),
        "Request": _open(
            {"inputs": {**_list(_open({**given, "data": rows}, parameters=flagged)), "minItems": 1}},
            id=_or_null(TEXT),
            parameters=flagged,
            outputs=wanted,
        ),
        "Answer": _object({**answered, "outputs": _list({"oneOf": [_output(name) for name in OUTPUTS]})}),
    }


def _output(name: str) -> Node:
    """The schema of an answered tensor."""
    kind = OUTPUTS[name]
    shape = {"type": "array", "prefixItems": [WHOLE, {"const": kind.columns}], "items": False, "minItems": 2}
    values = _list(WHOLE if kind.datatype.startswith("INT") else {"type": "number"})
    return _object({"name": {"const": name}, "datatype": {"const": kind.datatype}, "shape": shape, "data": values})


def _get(summary: str, responses: dict[int, Node]) -> Node:
    return {"get": {"summary": summary, "responses": _responses(responses)}}


def _responses(responses: dict[int, Node]) -> Node:
    return {str(status): {"description": "", **responses[status]} for status in sorted(responses)}


def _refused(*statuses: int) -> dict[int, Node]:
    headers = {405: {"Allow": {"schema": TEXT}}, 503: {"Retry-After": {"schema": TEXT}}}
    return {
        status: {**_json(_of("Error")), "description": REFUSED[status], "headers": headers.get(status, {})}
        for status in statuses
    }


def _json(schema: Node) -> Node:
    return {"content": {"application/json": {"schema": schema}}}


def _of(schema: str) -> Node:
    return {"$ref": f"#/components/schemas/{schema}"}


def _parameter(name: str, place: str, schema: Node = TEXT) -> Node:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _list(items: Node) -> Node:
    return {"type": "array", "items": items}


def _or_null(schema: Node) -> Node:
    return {"anyOf": [schema, {"type": "null"}]}


def _open(members: Node, **others: Node) -> Node:
    """The schema of an object with these members, perhaps those, and any more."""
    return {"type": "object", "properties": {**members, **others}, "required": [*members]}


def _object(members: Node, **others: Node) -> Node:
    """The schema of an object with these members, perhaps those, and no more."""
    return {**_open(members, **others), "additionalProperties": False}
