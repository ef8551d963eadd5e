"""What REST answers, as an OpenAPI document (https://spec.openapis.org/oas/v3.1.0): its schemas are JSON Schema."""

from collections.abc import Sequence
from importlib import metadata

from tabserve.model.decision import OutputKind
from tabserve.serving.protocol.signature import Signature
from tabserve.serving.rest.schema import (
    FLAG,
    OBJECT,
    TEXT,
    WHOLE,
    Node,
    any_of,
    array,
    closed_object,
    enum,
    open_object,
    or_null,
)
from tabserve.serving.triton import DURATIONS

NAME, VERSION = "{model_name}", "{model_version}"

REFUSED = {
    400: "The request breaks a rule.",
    404: "There is no such model or version.",
    405: "Inference was asked for by another method than POST.",
    413: "More rows or bytes than the server takes at a time.",
    500: "Scoring failed; the server's log says why.",
    503: "The queue is full, the model is not loaded yet, or the server is about to end.",
}

HEADERS = {405: {"Allow": {"schema": TEXT}}, 503: {"Retry-After": {"schema": TEXT}}}
"""Those of a response that belong to its status."""

HEAD_LENGTH = "Inference-Header-Content-Length"


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
    paths = _paths(admin=admin)
    if name:
        paths = {path: item for path, item in paths.items() if NAME in path and (VERSION in path) == bool(version)}
    filled = {path.replace(NAME, name or NAME).replace(VERSION, version or VERSION): paths[path] for path in paths}
    for path, item in filled.items():
        if parameters := [
            _parameter(word, "path") for word in ("model_name", "model_version") if f"{{{word}}}" in path
        ]:
            item["parameters"] = parameters
    info = {
        "title": "V2 inference protocol",
        "version": metadata.version("tabserve"),
        "description": "Classifiers over tables and texts.",
    }
    return {"openapi": "3.1.0", "info": info, "paths": filled, "components": {"schemas": _schemas(signatures)}}


def _paths(*, admin: bool) -> dict[str, Node]:
    paths = {
        "/v2": _get("What the server is", {200: _json(_of("Server"))}),
        "/v2/health/live": _get("Whether the server runs", {200: _json(_of("Live"))}),
        "/v2/health/ready": _get("Whether the server takes requests", _readiness("Ready")),
        "/v2/models/stats": _get("What was counted of all models", {200: _json(_of("AllStatistics"))}),
    }
    unanswered = _refused(404, 503)
    for model in (f"/v2/models/{NAME}", f"/v2/models/{NAME}/versions/{VERSION}"):
        paths |= {
            model: _get("What a model takes and gives", {200: _json(_of("Model")), **unanswered}),
            f"{model}/ready": _get("Whether a model takes requests", {**_readiness("ModelReady"), **_refused(404)}),
            f"{model}/config": _get("How a model is batched", {200: _json(_of("Configuration")), **unanswered}),
            f"{model}/stats": _get("What was counted of a model", {200: _json(_of("AllStatistics")), **unanswered}),
            f"{model}/infer": {"post": _inference()},
        }
    return paths | (_repository() if admin else {})


def _readiness(schema: str) -> dict[int, Node]:
    said = _json(_of(schema))
    not_ready = "A model is not loaded yet, or the server is about to end."
    return {200: said, 503: {**said, "description": not_ready, "headers": HEADERS[503]}}


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
    found = closed_object({"name": TEXT, "state": TEXT, "reason": TEXT}, version=TEXT)
    listing = {
        "summary": "The models that there are",
        "requestBody": {"required": True, "content": {"application/json": {"schema": closed_object({}, ready=FLAG)}}},
        "responses": _responses({200: _json(array(found)), **_refused(400)}),
    }
    change = {"responses": _responses({200: {}, 400: {}, **_refused(404, 500)})}
    return {
        "/v2/repository/index": {"post": listing},
        f"/v2/repository/models/{NAME}/load": {"post": {"summary": "Load a model, or load it anew", **change}},
        f"/v2/repository/models/{NAME}/unload": {"post": {"summary": "Forget a model", **change}},
    }


def _schemas(signatures: Sequence[Signature]) -> Node:
    shape = array(WHOLE)
    tensors = array(closed_object({"name": TEXT, "datatype": TEXT, "shape": shape}, parameters=OBJECT))
    sides = array(closed_object({"name": TEXT, "data_type": TEXT, "dims": shape}, optional=FLAG))
    flagged = or_null(OBJECT)
    datatypes = enum(name for each in signatures for name in each.datatypes)
    given = {"name": TEXT, "datatype": datatypes, "shape": {**shape, "minItems": 1}}
    rows = {"type": "array", "description": "Flat in row-major order, or nested as the shape says."}
    duration = closed_object({"count": WHOLE, "ns": WHOLE})
    counts = {
        "name": TEXT,
        "version": TEXT,
        "last_inference": WHOLE,
        "inference_count": WHOLE,
        "execution_count": WHOLE,
    }
    statistics = closed_object({**counts, "inference_stats": closed_object(dict.fromkeys(DURATIONS, duration))})
    delay = closed_object({"max_queue_delay_microseconds": WHOLE})
    batched = {"name": TEXT, "platform": TEXT, "max_batch_size": WHOLE, "input": sides, "output": sides}
    said = any_of(closed_object(dict.fromkeys(each.parameters, TEXT)) for each in signatures)
    answered = {"model_name": TEXT, "model_version": or_null(TEXT), "id": TEXT, "parameters": said}
    outputs = [output for each in signatures for output in each.outputs.items()]
    wanted = or_null(array(open_object({"name": enum(name for name, _ in outputs)}, parameters=flagged)))
    return {
        "Error": closed_object({"error": TEXT}),
        "Live": closed_object({"live": FLAG}),
        "Ready": closed_object({"live": FLAG, "ready": FLAG}),
        "ModelReady": closed_object({"name": TEXT, "ready": FLAG}),
        "Server": closed_object({"name": TEXT, "version": TEXT, "extensions": array(TEXT)}),
        "Model": closed_object(
            {"name": TEXT, "platform": TEXT, "versions": array(TEXT), "inputs": tensors, "outputs": tensors},
            parameters=OBJECT,
        ),
        "Configuration": closed_object({**batched, "dynamic_batching": delay}),
        "AllStatistics": closed_object({"model_stats": array(statistics)}),
        "Request": open_object(
            {"inputs": {**array(open_object({**given, "data": rows}, parameters=flagged)), "minItems": 1}},
            id=or_null(TEXT),
            parameters=flagged,
            outputs=wanted,
        ),
        "Answer": closed_object({**answered, "outputs": array(any_of(_output(*output) for output in outputs))}),
    }


def _output(name: str, kind: OutputKind) -> Node:
    """The schema of an answered tensor."""
    shape = {"type": "array", "prefixItems": [WHOLE, {"const": kind.columns}], "items": False, "minItems": 2}
    described = {"name": {"const": name}, "datatype": {"const": kind.datatype}, "shape": shape}
    return closed_object({**described, "data": array(VALUES[kind.datatype])})


def _get(summary: str, responses: dict[int, Node]) -> Node:
    return {"get": {"summary": summary, "responses": _responses(responses)}}


def _responses(responses: dict[int, Node]) -> Node:
    return {str(status): {"description": "", **responses[status]} for status in sorted(responses)}


def _refused(*statuses: int) -> dict[int, Node]:
    return {
        status: {**_json(_of("Error")), "description": REFUSED[status], "headers": HEADERS.get(status, {})}
        for status in statuses
    }


def _json(schema: Node) -> Node:
    return {"content": {"application/json": {"schema": schema}}}


def _of(schema: str) -> Node:
    return {"$ref": f"#/components/schemas/{schema}"}


def _parameter(name: str, place: str, schema: Node = TEXT) -> Node:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}
