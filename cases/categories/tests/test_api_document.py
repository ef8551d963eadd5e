"""The OpenAPI document is true: what it shows is answered so, and a fuzzer that believes it finds nothing wrong."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cases.categories.tests.served import Api
from jsonschema.validators import Draft202012Validator

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
ROUTES = ["/v1/categorize", "/v1/probabilities"]


@pytest.fixture(scope="module")
def document(titled: Api) -> Any:  # noqa: ANN401  any JSON
    """What the API says of itself."""
    return titled.ask("GET", "/openapi.json").document


@pytest.mark.skipif(not find_spec("schemathesis"), reason="schemathesis is not installed")
@pytest.mark.parametrize("running", ["titled", "tagged"])
def test_a_fuzzer_that_believes_the_document_finds_nothing_wrong(
    running: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Good input is answered, bad input refused, each with a status and a body that are described."""
    url = f"http://127.0.0.1:{request.getfixturevalue(running).port}/openapi.json"
    options = ["--config-file", CONFIGURATION, "run", "--checks", "all", "--seed", "1", "--max-examples", "40", url]
    words = [sys.executable, "-m", "schemathesis.cli", *map(str, options)]
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert found.returncode == 0, found.stdout[:5_000] + found.stderr


@pytest.mark.parametrize("route", ROUTES)
def test_the_documents_examples_are_answered(titled: Api, document: dict[str, Any], route: str) -> None:
    """By what its schemas describe; the examples of answers and refusals are described by them too."""
    described = document["paths"][route]["post"]
    asked = described["requestBody"]["content"]["application/json"]["example"]
    answer = titled.ask("POST", route, json.dumps(asked).encode())
    assert answer.status == 200
    for status, response in described["responses"].items():
        media = response["content"]["application/json"]
        for body in (media["example"], *([answer.document] if status == "200" else [])):
            Draft202012Validator({**media["schema"], "components": document["components"]}).validate(body)


@pytest.mark.parametrize("route", ROUTES)
def test_what_may_come_back_is_described(document: dict[str, Any], route: str) -> None:
    """With the headers of each, and no status that never comes."""
    responses = document["paths"][route]["post"]["responses"]
    assert [*responses] == ["200", "400", "405", "413", "500", "503"]
    assert [*responses["503"]["headers"]] == ["Retry-After"]
    assert [*responses["405"]["headers"]] == ["Allow"]


def test_the_document_is_that_of_the_model_and_its_limits(tagged: Api) -> None:
    """Its columns, its categories, and how many products it takes."""
    schemas = tagged.ask("GET", "/openapi.json").document["components"]["schemas"]
    assert [*schemas["Product"]["properties"]] == ["title", "concatenated_tags"]
    assert schemas["Product"]["required"] == ["title"]
    assert schemas["Request"]["properties"]["products"]["maxItems"] == 10_000
    assert schemas["Probabilities"]["required"] == schemas["Category"]["enum"]
