"""The OpenAPI document is true: its examples are answered as shown, and a fuzzer finds no deviation."""

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cases.flights.tests.served import Api, api
from cases.flights.tests.small import CARRIERS, FLIGHT
from jsonschema.validators import Draft202012Validator

from flights.fields import OPTIONAL, REQUIRED, UNUSED

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

Document = dict[str, Any]


@pytest.fixture(scope="module")
def recording(before_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with a history."""
    file = tmp_path_factory.mktemp("history") / "history.db"
    with api(before_folder, TABSERVE_HISTORY=str(file), TABSERVE_LOAD="off") as running:
        yield running


@pytest.fixture(scope="module")
def document(recording: Api) -> Document:
    """The API's OpenAPI document."""
    described: Document = recording.ask("GET", "/openapi.json").document
    return described


def resolved(document: Document, node: Document) -> Document:
    """What a node stands for, if it is a reference."""
    if "$ref" not in node:
        return node
    for name in node["$ref"].removeprefix("#/").split("/"):
        document = document[name]
    return document


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("schemathesis"), reason="schemathesis is not installed")
def test_a_fuzzer_finds_no_deviation_from_the_document(recording: Api, tmp_path: Path) -> None:
    """Good input is answered and bad input refused, each with a documented status and body."""
    options = ["--checks", "all", "--seed", "1", "--max-examples", "25", f"{recording.url}/openapi.json"]
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", *options]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert finished.returncode == 0, finished.stdout[:5_000] + finished.stderr


def test_every_example_fits_its_schema(document: Document) -> None:
    """Of requests, answers and refusals."""
    media = [
        each
        for path in document["paths"].values()
        for operation in path.values()
        for part in [operation.get("requestBody", {}), *operation["responses"].values()]
        for each in resolved(document, part).get("content", {}).values()
        if "example" in each
    ]
    assert len(media) > 15
    for each in media:
        schema = {**each["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(each["example"])


def test_answers_fit_their_schemas(recording: Api, document: Document) -> None:
    """Of the case's routes, and of those that every API has."""
    predicted = recording.ask("POST", "/model/predict/", json.dumps([FLIGHT, FLIGHT]).encode())
    answers = {"/model/predict/": predicted}
    answers |= {path: recording.ask("GET", path) for path in ("/health", "/ready", "/model/history/")}
    for path, answer in answers.items():
        (operation,) = document["paths"][path].values()
        schema = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": document["components"]}).validate(answer.document)


def test_the_document_has_the_models_codes_and_the_limits(document: Document) -> None:
    """A flight's fields are those that are accepted, and no others."""
    schemas = document["components"]["schemas"]
    assert {*schemas["Flight"]["properties"]} == {*REQUIRED, *OPTIONAL, *UNUSED}
    assert schemas["Flight"]["required"] == [*REQUIRED]
    assert schemas["Flight"]["properties"]["carrier"]["enum"] == [*CARRIERS]
    assert schemas["Flight"]["additionalProperties"] is False
    assert schemas["Flights"]["maxItems"] == 10_000


def test_after_departure_the_delay_is_among_the_fields(departed_api: Api) -> None:
    """And required."""
    flight = departed_api.ask("GET", "/openapi.json").document["components"]["schemas"]["Flight"]
    assert "dep_delay" in flight["required"]


def test_the_page_shows_the_document(recording: Api) -> None:
    """With and without the last slash."""
    for path in ("/docs", "/docs/"):
        assert b"swagger-ui" in recording.ask("GET", path).body
