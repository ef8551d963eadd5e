"""The OpenAPI document is true: its examples are answered as shown, and a fuzzer finds no deviation."""

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
def document(title_api: Api) -> Any:  # noqa: ANN401  any JSON
    """The API's OpenAPI document."""
    return title_api.ask("GET", "/openapi.json").document


@pytest.mark.skipif(not find_spec("schemathesis"), reason="schemathesis is not installed")
@pytest.mark.parametrize("running", ["title_api", "tags_api"])
def test_a_fuzzer_finds_no_deviation_from_the_document(
    running: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Good input is answered and bad input refused, each with a documented status and body."""
    url = f"http://127.0.0.1:{request.getfixturevalue(running).port}/openapi.json"
    options = ["--config-file", CONFIGURATION, "run", "--checks", "all", "--seed", "1", "--max-examples", "40", url]
    command = [sys.executable, "-m", "schemathesis.cli", *map(str, options)]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert finished.returncode == 0, finished.stdout[:5_000] + finished.stderr


@pytest.mark.parametrize("route", ROUTES)
def test_the_documents_examples_are_answered(title_api: Api, document: dict[str, Any], route: str) -> None:
    """Answers and the examples of answers and refusals fit the schemas."""
    operation = document["paths"][route]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = title_api.ask("POST", route, json.dumps(example).encode())
    assert answer.status == 200
    for status, response in operation["responses"].items():
        media = response["content"]["application/json"]
        for body in (media["example"], *([answer.document] if status == "200" else [])):
            Draft202012Validator({**media["schema"], "components": document["components"]}).validate(body)


@pytest.mark.parametrize("route", ROUTES)
def test_every_possible_status_is_documented(document: dict[str, Any], route: str) -> None:
    """Each status has its headers, and no status is there that never comes."""
    responses = document["paths"][route]["post"]["responses"]
    assert [*responses] == ["200", "400", "405", "413", "500", "503"]
    assert [*responses["503"]["headers"]] == ["Retry-After"]
    assert [*responses["405"]["headers"]] == ["Allow"]


def test_the_document_has_the_models_columns_and_limits(tags_api: Api) -> None:
    """It names the model's columns and categories, and the most products of a request."""
    schemas = tags_api.ask("GET", "/openapi.json").document["components"]["schemas"]
    assert [*schemas["Product"]["properties"]] == ["title", "concatenated_tags"]
    assert schemas["Product"]["required"] == ["title"]
    assert schemas["Request"]["properties"]["products"]["maxItems"] == 10_000
    assert schemas["Probabilities"]["required"] == schemas["Category"]["enum"]
