"""The document under `/v2/docs` is OpenAPI, and the server answers valid and invalid requests as it says."""

import json
import re
from typing import Any, NamedTuple

import pytest
import requests
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator
from tests.conftest import GOODS

from santander.problem import PROBLEM
from tabserve.client.local_server import Server
from tabserve.encoding.encoder import Encoder
from tabserve.model.decision import MostProbable, Threshold
from tabserve.serving.protocol import contributions
from tabserve.serving.protocol.columns import signature
from tabserve.serving.rest.openapi import document

MODEL, VERSION = "/v2/models/{model_name}", "/versions/{model_version}"
INFER = f"{MODEL}/infer"
SECONDS = 20
"""Most time that a server may take to answer."""

ENCODER = Encoder.learn(PROBLEM, {})
NUMBERS = signature(
    PROBLEM, ENCODER, Threshold(0.5), {contributions.NAME: contributions.output_kind(PROBLEM, ENCODER, 1, 1_000)}
)
TEXTS = signature(GOODS, Encoder.learn(GOODS, {}), MostProbable())
SIGNATURES = [NUMBERS]
DOCUMENTS = {
    "closed": document(SIGNATURES, admin=False),
    "open": document(SIGNATURES, admin=True),
    "of a model": document(SIGNATURES, admin=False, name="m"),
    "of a version": document(SIGNATURES, admin=False, name="m", version="1"),
    "of no model": document([], admin=False),
    "of texts": document([TEXTS], admin=False),
    "of both": document([NUMBERS, TEXTS], admin=False),
}


class Call(NamedTuple):
    """A request, by its path in the document, and the expected status."""

    path: str
    status: int = 200
    body: bytes | None = None
    name: str = "xgboost-model"
    version: str = "v0.1.0"
    method: str = ""


def tensor(data: Any, shape: tuple[int, ...] = (1, 200), **members: Any) -> bytes:  # noqa: ANN401  any JSON
    """The body of an inference request with one tensor of numbers."""
    inputs = [{"name": "x", "datatype": "FP32", "shape": shape, "data": data}]
    return json.dumps({"inputs": inputs, **members}).encode()


ROW = [0.5] * 200
VALID = {
    "flat": tensor(ROW),
    "nested": tensor([ROW, ROW], (2, 200)),
    "named": tensor(ROW, id="x", parameters={}, outputs=[{"name": "predict_proba", "parameters": {}}]),
    "null": tensor(ROW, id=None, parameters=None, outputs=None),
    "16 bits": tensor(ROW).replace(b"FP32", b"FP16"),
    "true and false": tensor([True, False] * 100).replace(b"FP32", b"BOOL"),
}
INVALID = {
    "no inputs": b"{}",
    "inputs empty": b'{"inputs": []}',
    "id a number": tensor(ROW, id=1),
    "no data": tensor(None),
    "shape empty": tensor(ROW, ()),
    "shape of words": tensor(ROW).replace(b"200]", b'"200"]'),
    "datatype unknown": tensor(ROW).replace(b"FP32", b"BF16"),
    "output unknown": tensor(ROW, outputs=[{"name": "label"}]),
    "parameters a list": tensor(ROW, parameters=[]),
    "input's parameters a list": tensor(ROW).replace(b'"x"', b'"x", "parameters": []'),
}
CALLS = {
    **{path: Call(path) for path, item in DOCUMENTS["closed"]["paths"].items() if "get" in item},
    **{
        f"{path} of an unknown {word}": case
        for path, item in DOCUMENTS["closed"]["paths"].items()
        for word, case in {
            "name": Call(path, 404, name="nobody"),
            "version": Call(path, 404, version="nobody"),
        }.items()
        if "get" in item and f"{{model_{word}}}" in path
    },
    **{f"infer {name}": Call(INFER, 200, body) for name, body in VALID.items()},
    "infer a version": Call(f"{MODEL}{VERSION}/infer", 200, tensor(ROW)),
    "infer binary": Call(INFER, 200, tensor(ROW, parameters={"binary_data_output": True})),
    **{f"infer {name}": Call(INFER, 400, body) for name, body in INVALID.items()},
    "infer nothing": Call(INFER, 400, b""),
    "infer an unknown model": Call(INFER, 404, tensor(ROW), name="nobody"),
    "infer an unknown version": Call(f"{MODEL}{VERSION}/infer", 404, tensor(ROW), version="nobody"),
    "infer by GET": Call(INFER, 405, None, method="GET"),
    "infer too many rows": Call(INFER, 413, tensor([0] * 200, (10_001, 200))),
}


def fits(openapi: dict[str, Any], schema: dict[str, Any], instance: object) -> bool:
    """Whether a value fits a schema of the document."""
    return bool(Draft202012Validator({**schema, "components": openapi["components"]}).is_valid(instance))


def send(server: Server, case: Call, method: str) -> requests.Response:
    """Send the request; returns the response."""
    return requests.request(case.method or method, server.url + path_of(case), data=case.body, timeout=SECONDS)


@pytest.mark.parametrize("openapi", DOCUMENTS.values(), ids=list(DOCUMENTS))
def test_the_document_is_openapi(openapi: dict[str, Any]) -> None:
    """Version 3.1: its schemas are JSON Schema, its references resolve, its path parameters are described."""
    OpenAPI.model_validate(openapi)
    for schema in openapi["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(openapi)))
    assert references <= set(openapi["components"]["schemas"])
    for path, item in openapi["paths"].items():
        described = {parameter["name"] for parameter in item.get("parameters", [])}
        assert described == set(re.findall(r"{(\w+)}", path))


def title(data: Any, shape: tuple[int, ...] = (1,), **members: Any) -> bytes:  # noqa: ANN401  any JSON
    """The body of an inference request with one tensor of texts."""
    inputs = [{"name": "title", "datatype": "BYTES", "shape": shape, "data": data}]
    return json.dumps({"inputs": inputs, **members}).encode()


VALID_TEXTS = {
    "flat": title(["azul"]),
    "nested": title([["azul"], ["b"]], (2, 1)),
    "named": title(["azul"], id="x", parameters={}, outputs=[{"name": "predict"}]),
}
INVALID_TEXTS = {
    "texts as numbers": title(["azul"]).replace(b"BYTES", b"FP32"),
    "no data": title(None),
    "output unknown": title(["azul"], outputs=[{"name": "label"}]),
}
CALLS_TO_BOTH = {
    **{
        f"{path} of {name}": Call(path, name=name, version=version)
        for name, version in (("goods", "v1"), ("xgboost-model", "v0.1.0"))
        for path, item in DOCUMENTS["closed"]["paths"].items()
        if "get" in item
    },
    **{f"infer {name}": Call(INFER, 200, body, "goods", "v1") for name, body in VALID_TEXTS.items()},
    **{f"infer {name}": Call(INFER, 400, body, "goods", "v1") for name, body in INVALID_TEXTS.items()},
    "infer a version": Call(f"{MODEL}{VERSION}/infer", 200, title(["azul"]), "goods", "v1"),
    "infer binary": Call(INFER, 200, title(["azul"], parameters={"binary_data_output": True}), "goods", "v1"),
    "infer too long": Call(INFER, 413, title(["a" * 1_001]), "goods", "v1"),
    "infer numbers": Call(INFER, 200, tensor(ROW)),
}


@pytest.mark.parametrize("case", CALLS.values(), ids=list(CALLS))
def test_the_server_answers_as_the_document_says(edge: Server, case: Call) -> None:
    """The status, the content type and the content."""
    check(edge, case, requests.get(f"{edge.url}/v2/docs/dataplane.json", timeout=SECONDS).json())


@pytest.mark.parametrize("case", CALLS_TO_BOTH.values(), ids=list(CALLS_TO_BOTH))
def test_a_server_of_two_models_answers_as_its_documents_say(both: Server, case: Call) -> None:
    """As the document of all models says, and as that of each model."""
    check(both, case, requests.get(f"{both.url}/v2/docs/dataplane.json", timeout=SECONDS).json())
    if "{" in case.path:
        base = f"/v2/models/{case.name}" + (f"/versions/{case.version}" if VERSION in case.path else "")
        of_model = requests.get(f"{both.url}{base}/docs/dataplane.json", timeout=SECONDS).json()
        check(both, case._replace(path=path_of(case)), of_model)


def path_of(case: Call) -> str:
    """The path with the names of the case in place of its parameters."""
    return case.path.replace("{model_name}", case.name).replace("{model_version}", case.version)


def check(server: Server, case: Call, openapi: dict[str, Any]) -> None:
    """Send the request, and compare the response with the document."""
    ((method, operation),) = [pair for pair in openapi["paths"][case.path].items() if pair[0] != "parameters"]
    answer = send(server, case, method)
    assert answer.status_code == case.status, answer.text
    documented = operation["responses"][str(answer.status_code)]
    if "content" not in documented:
        assert not answer.content
        return
    schema = documented["content"][answer.headers["Content-Type"]].get("schema")
    assert schema is None or fits(openapi, schema, answer.json()), answer.text
    assert all(name in answer.headers for name in documented.get("headers", {})) or answer.status_code == 200


@pytest.mark.parametrize("body", [*VALID.values(), *INVALID.values()], ids=[*VALID, *INVALID])
def test_the_schema_of_a_request_allows_exactly_the_valid_ones(body: bytes) -> None:
    """As far as a schema can tell."""
    openapi = DOCUMENTS["closed"]
    schema = openapi["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert fits(openapi, schema, json.loads(body)) == (body in VALID.values())


@pytest.mark.parametrize("name", ["of texts", "of both"])
@pytest.mark.parametrize("body", [*VALID_TEXTS.values(), *INVALID_TEXTS.values()], ids=[*VALID_TEXTS, *INVALID_TEXTS])
def test_the_schema_of_a_request_of_texts_allows_exactly_the_valid_ones(name: str, body: bytes) -> None:
    """But that of two models also allows a datatype that only the other model takes."""
    openapi = DOCUMENTS[name]
    schema = openapi["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]["schema"]
    is_of_other = name == "of both" and body == INVALID_TEXTS["texts as numbers"]
    assert fits(openapi, schema, json.loads(body)) == (body in VALID_TEXTS.values() or is_of_other)


def test_the_schema_of_an_answer_is_that_of_its_models() -> None:
    """An answer of labels of text fits the documents of models that give such labels, and no other."""
    proba = {"name": "predict_proba", "datatype": "FP32", "shape": [1, 3], "data": [0.5, 0.25, 0.25]}
    label = {"name": "predict", "datatype": "BYTES", "shape": [1, 1], "data": ["azul"]}
    outputs = [label, proba]
    answer = {"model_name": "x", "model_version": None, "id": "", "parameters": dict[str, str](), "outputs": outputs}
    expected = {"closed": False, "of texts": True, "of both": True, "of no model": True}
    for name, is_valid in expected.items():
        openapi = DOCUMENTS[name]
        assert fits(openapi, openapi["components"]["schemas"]["Answer"], answer) == is_valid


def test_every_route_is_in_the_document(edge: Server) -> None:
    """Except the documents; MLServer's streams and repository are not in it, and streams are refused."""
    openapi = requests.get(f"{edge.url}/openapi.json", timeout=SECONDS).json()
    assert openapi == DOCUMENTS["closed"]
    assert not [path for path in openapi["paths"] if "repository" in path or "stream" in path]
    for path in ("/infer_stream", "/generate_stream", "/versions/v0.1.0/infer_stream"):
        answer = requests.post(f"{edge.url}/v2/models/xgboost-model{path}", data=tensor(ROW), timeout=SECONDS)
        assert (answer.status_code, answer.json()) == (404, {"error": "This server streams nothing; ask by /infer."})


def test_a_model_has_a_document_of_its_own(edge: Server) -> None:
    """It has the routes of the model, or of one version of it."""
    for base in ("/v2/models/xgboost-model", "/v2/models/xgboost-model/versions/v0.1.0"):
        openapi = requests.get(f"{edge.url}{base}/docs/dataplane.json", timeout=SECONDS).json()
        assert set(openapi["paths"]) == {f"{base}{end}" for end in ("", "/ready", "/config", "/stats", "/infer")}
    answer = requests.get(f"{edge.url}/v2/models/nobody/docs/dataplane.json", timeout=SECONDS)
    assert answer.status_code == 404
    assert "'nobody' is not found" in answer.json()["error"]


REPOSITORY = {
    "index": Call("/v2/repository/index", 200, b'{"ready": true}'),
    "index with an invalid body": Call("/v2/repository/index", 400, b"nonsense"),
    "load": Call("/v2/repository/models/{model_name}/load"),
    "load an unknown model": Call("/v2/repository/models/{model_name}/load", 404, name="nobody"),
    "unload an unknown model": Call("/v2/repository/models/{model_name}/unload", 404, name="nobody"),
}


@pytest.mark.parametrize("case", REPOSITORY.values(), ids=list(REPOSITORY))
def test_an_open_repository_is_in_the_document(small: Server, case: Call) -> None:
    """If the setting `admin` opens it; it answers as the document says."""
    openapi = requests.get(f"{small.url}/v2/docs/dataplane.json", timeout=SECONDS).json()
    assert openapi == DOCUMENTS["open"]
    answer = send(small, case, "post")
    assert answer.status_code == case.status, answer.text
    content = openapi["paths"][case.path]["post"]["responses"][str(answer.status_code)].get("content")
    assert fits(openapi, content["application/json"]["schema"], answer.json()) if content else not answer.content


def test_generate_is_the_same_as_infer(edge: Server) -> None:
    """MLServer has both routes; the limits here are the same."""
    url = f"{edge.url}/v2/models/xgboost-model"
    answers = [
        requests.post(f"{url}/{route}", data=tensor(ROW), timeout=SECONDS).json() for route in ("infer", "generate")
    ]
    assert answers[0]["outputs"] == answers[1]["outputs"]
    assert (
        requests.post(f"{url}/generate", data=b"", timeout=SECONDS).json()["error"].startswith("The body is not JSON")
    )
