"""The document under `/v2/docs` is OpenAPI, and the server answers as it says, to right requests and to wrong ones."""

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
from tabserve.serving.protocol.columns import signature
from tabserve.serving.rest.openapi import document

MODEL, VERSION = "/v2/models/{model_name}", "/versions/{model_version}"
INFER = f"{MODEL}/infer"
SECONDS = 20
"""That a server may take to answer."""

NUMBERS = signature(PROBLEM, Encoder.learn(PROBLEM, {}), Threshold(0.5))
TEXTS = signature(GOODS, Encoder.learn(GOODS, {}), MostProbable())
SIGNATURES = [NUMBERS]
DOCUMENTS = {
    "closed": document(SIGNATURES, admin=False),
    "open": document(SIGNATURES, admin=True),
    "of a model": document(SIGNATURES, admin=False, name="m"),
    "of a version": document(SIGNATURES, admin=False, name="m", version="1"),
    "of nobody": document([], admin=False),
    "of texts": document([TEXTS], admin=False),
    "of both": document([NUMBERS, TEXTS], admin=False),
}


class Asked(NamedTuple):
    """A request by its path in the document, and the status that it gets."""

    path: str
    status: int = 200
    body: bytes | None = None
    name: str = "xgboost-model"
    version: str = "v0.1.0"
    method: str = ""


def tensor(data: Any, shape: tuple[int, ...] = (1, 200), **members: Any) -> bytes:  # noqa: ANN401  any JSON
    """A request for inference."""
    inputs = [{"name": "x", "datatype": "FP32", "shape": shape, "data": data}]
    return json.dumps({"inputs": inputs, **members}).encode()


ROW = [0.5] * 200
RIGHT = {
    "flat": tensor(ROW),
    "nested": tensor([ROW, ROW], (2, 200)),
    "named": tensor(ROW, id="x", parameters={}, outputs=[{"name": "predict_proba", "parameters": {}}]),
    "null": tensor(ROW, id=None, parameters=None, outputs=None),
    "16 bits": tensor(ROW).replace(b"FP32", b"FP16"),
    "true and false": tensor([True, False] * 100).replace(b"FP32", b"BOOL"),
}
WRONG = {
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
ASKED = {
    **{path: Asked(path) for path, item in DOCUMENTS["closed"]["paths"].items() if "get" in item},
    **{
        f"{path} of an unknown {word}": case
        for path, item in DOCUMENTS["closed"]["paths"].items()
        for word, case in {
            "name": Asked(path, 404, name="nobody"),
            "version": Asked(path, 404, version="nobody"),
        }.items()
        if "get" in item and f"{{model_{word}}}" in path
    },
    **{f"infer {name}": Asked(INFER, 200, body) for name, body in RIGHT.items()},
    "infer a version": Asked(f"{MODEL}{VERSION}/infer", 200, tensor(ROW)),
    "infer binary": Asked(INFER, 200, tensor(ROW, parameters={"binary_data_output": True})),
    **{f"infer {name}": Asked(INFER, 400, body) for name, body in WRONG.items()},
    "infer nothing": Asked(INFER, 400, b""),
    "infer an unknown model": Asked(INFER, 404, tensor(ROW), name="nobody"),
    "infer an unknown version": Asked(f"{MODEL}{VERSION}/infer", 404, tensor(ROW), version="nobody"),
    "infer by GET": Asked(INFER, 405, None, method="GET"),
    "infer too many rows": Asked(INFER, 413, tensor([0] * 200, (10_001, 200))),
}


def agrees(found: dict[str, Any], schema: dict[str, Any], instance: object) -> bool:
    """Whether a value is as a schema of the document says."""
    return bool(Draft202012Validator({**schema, "components": found["components"]}).is_valid(instance))


def asked(server: Server, case: Asked, method: str) -> requests.Response:
    """What the server answers."""
    return requests.request(case.method or method, server.url + filled(case), data=case.body, timeout=SECONDS)


@pytest.mark.parametrize("found", DOCUMENTS.values(), ids=list(DOCUMENTS))
def test_the_document_is_openapi(found: dict[str, Any]) -> None:
    """Of version 3.1: its schemas are JSON Schema, its references lead somewhere, its paths' words are described."""
    OpenAPI.model_validate(found)
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    named = set(re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(found)))
    assert named <= set(found["components"]["schemas"])
    for path, item in found["paths"].items():
        described = {each["name"] for each in item.get("parameters", [])}
        assert described == set(re.findall(r"{(\w+)}", path))


def title(data: Any, shape: tuple[int, ...] = (1,), **members: Any) -> bytes:  # noqa: ANN401  any JSON
    """A request for the labels of texts."""
    inputs = [{"name": "title", "datatype": "BYTES", "shape": shape, "data": data}]
    return json.dumps({"inputs": inputs, **members}).encode()


RIGHT_TEXTS = {
    "flat": title(["azul"]),
    "nested": title([["azul"], ["b"]], (2, 1)),
    "named": title(["azul"], id="x", parameters={}, outputs=[{"name": "predict"}]),
}
WRONG_TEXTS = {
    "texts of numbers": title(["azul"]).replace(b"BYTES", b"FP32"),
    "no data": title(None),
    "output unknown": title(["azul"], outputs=[{"name": "label"}]),
}
ASKED_OF_BOTH = {
    **{
        f"{path} of {name}": Asked(path, name=name, version=version)
        for name, version in (("goods", "v1"), ("xgboost-model", "v0.1.0"))
        for path, item in DOCUMENTS["closed"]["paths"].items()
        if "get" in item
    },
    **{f"infer {name}": Asked(INFER, 200, body, "goods", "v1") for name, body in RIGHT_TEXTS.items()},
    **{f"infer {name}": Asked(INFER, 400, body, "goods", "v1") for name, body in WRONG_TEXTS.items()},
    "infer a version": Asked(f"{MODEL}{VERSION}/infer", 200, title(["azul"]), "goods", "v1"),
    "infer binary": Asked(INFER, 200, title(["azul"], parameters={"binary_data_output": True}), "goods", "v1"),
    "infer too long": Asked(INFER, 413, title(["a" * 1_001]), "goods", "v1"),
    "infer numbers": Asked(INFER, 200, tensor(ROW)),
}


@pytest.mark.parametrize("case", ASKED.values(), ids=list(ASKED))
def test_the_server_answers_as_the_document_says(edge: Server, case: Asked) -> None:
    """The status, the type of the content, and the content."""
    check(edge, case, requests.get(f"{edge.url}/v2/docs/dataplane.json", timeout=SECONDS).json())


@pytest.mark.parametrize("case", ASKED_OF_BOTH.values(), ids=list(ASKED_OF_BOTH))
def test_a_server_of_both_kinds_answers_as_its_documents_say(both: Server, case: Asked) -> None:
    """The one of all models, and each model's own."""
    check(both, case, requests.get(f"{both.url}/v2/docs/dataplane.json", timeout=SECONDS).json())
    if "{" in case.path:
        base = f"/v2/models/{case.name}" + (f"/versions/{case.version}" if VERSION in case.path else "")
        own = requests.get(f"{both.url}{base}/docs/dataplane.json", timeout=SECONDS).json()
        check(both, case._replace(path=filled(case)), own)


def filled(case: Asked) -> str:
    """The path that is asked at."""
    return case.path.replace("{model_name}", case.name).replace("{model_version}", case.version)


def check(server: Server, case: Asked, found: dict[str, Any]) -> None:
    """Ask, and compare the answer with the document."""
    ((method, operation),) = [each for each in found["paths"][case.path].items() if each[0] != "parameters"]
    answer = asked(server, case, method)
    assert answer.status_code == case.status, answer.text
    told = operation["responses"][str(answer.status_code)]
    if "content" not in told:
        assert not answer.content
        return
    schema = told["content"][answer.headers["Content-Type"]].get("schema")
    assert schema is None or agrees(found, schema, answer.json()), answer.text
    assert all(name in answer.headers for name in told.get("headers", {})) or answer.status_code == 200


@pytest.mark.parametrize("body", [*RIGHT.values(), *WRONG.values()], ids=[*RIGHT, *WRONG])
def test_the_schema_of_a_request_knows_right_from_wrong(body: bytes) -> None:
    """As the server does, as far as a schema can."""
    found = DOCUMENTS["closed"]
    schema = found["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert agrees(found, schema, json.loads(body)) == (body in RIGHT.values())


@pytest.mark.parametrize("found", ["of texts", "of both"])
@pytest.mark.parametrize("body", [*RIGHT_TEXTS.values(), *WRONG_TEXTS.values()], ids=[*RIGHT_TEXTS, *WRONG_TEXTS])
def test_the_schema_of_a_request_of_texts_knows_right_from_wrong(found: str, body: bytes) -> None:
    """Where numbers are taken as well, no schema of one model can tell their datatypes apart."""
    whole = DOCUMENTS[found]
    schema = whole["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]["schema"]
    both_take = found == "of both" and body == WRONG_TEXTS["texts of numbers"]
    assert agrees(whole, schema, json.loads(body)) == (body in RIGHT_TEXTS.values() or both_take)


def test_an_answer_of_one_kind_is_none_of_the_other() -> None:
    """As the document of one model has it."""
    proba = {"name": "predict_proba", "datatype": "FP32", "shape": [1, 3], "data": [0.5, 0.25, 0.25]}
    label = {"name": "predict", "datatype": "BYTES", "shape": [1, 1], "data": ["azul"]}
    outputs = [label, proba]
    answer = {"model_name": "x", "model_version": None, "id": "", "parameters": dict[str, str](), "outputs": outputs}
    expected = {"closed": False, "of texts": True, "of both": True, "of nobody": True}
    for name, right in expected.items():
        found = DOCUMENTS[name]
        assert agrees(found, found["components"]["schemas"]["Answer"], answer) == right


def test_every_route_is_in_the_document(edge: Server) -> None:
    """What is not is no route of ours: streams and the repository are refused, the documents themselves aside."""
    found = requests.get(f"{edge.url}/openapi.json", timeout=SECONDS).json()
    assert found == DOCUMENTS["closed"]
    assert not [path for path in found["paths"] if "repository" in path or "stream" in path]
    for path in ("/infer_stream", "/generate_stream", "/versions/v0.1.0/infer_stream"):
        answer = requests.post(f"{edge.url}/v2/models/xgboost-model{path}", data=tensor(ROW), timeout=SECONDS)
        assert (answer.status_code, answer.json()) == (404, {"error": "This server streams nothing; ask by /infer."})


def test_a_model_has_a_document_of_its_own(edge: Server) -> None:
    """Of its routes, or those of its version."""
    for base in ("/v2/models/xgboost-model", "/v2/models/xgboost-model/versions/v0.1.0"):
        found = requests.get(f"{edge.url}{base}/docs/dataplane.json", timeout=SECONDS).json()
        assert set(found["paths"]) == {f"{base}{end}" for end in ("", "/ready", "/config", "/stats", "/infer")}
    answer = requests.get(f"{edge.url}/v2/models/nobody/docs/dataplane.json", timeout=SECONDS)
    assert answer.status_code == 404
    assert "'nobody' is not found" in answer.json()["error"]


REPOSITORY = {
    "index": Asked("/v2/repository/index", 200, b'{"ready": true}'),
    "index of nonsense": Asked("/v2/repository/index", 400, b"nonsense"),
    "load": Asked("/v2/repository/models/{model_name}/load"),
    "load an unknown model": Asked("/v2/repository/models/{model_name}/load", 404, name="nobody"),
    "unload an unknown model": Asked("/v2/repository/models/{model_name}/unload", 404, name="nobody"),
}


@pytest.mark.parametrize("case", REPOSITORY.values(), ids=list(REPOSITORY))
def test_an_open_repository_is_in_the_document(small: Server, case: Asked) -> None:
    """Where the setting `admin` opens it, and it answers so."""
    found = requests.get(f"{small.url}/v2/docs/dataplane.json", timeout=SECONDS).json()
    assert found == DOCUMENTS["open"]
    answer = asked(small, case, "post")
    assert answer.status_code == case.status, answer.text
    told = found["paths"][case.path]["post"]["responses"][str(answer.status_code)].get("content")
    assert agrees(found, told["application/json"]["schema"], answer.json()) if told else not answer.content


def test_generate_is_another_word_for_infer(edge: Server) -> None:
    """It is MLServer's, and under the same limits here."""
    url = f"{edge.url}/v2/models/xgboost-model"
    answers = [
        requests.post(f"{url}/{word}", data=tensor(ROW), timeout=SECONDS).json() for word in ("infer", "generate")
    ]
    assert answers[0]["outputs"] == answers[1]["outputs"]
    assert (
        requests.post(f"{url}/generate", data=b"", timeout=SECONDS).json()["error"].startswith("The body is not JSON")
    )
