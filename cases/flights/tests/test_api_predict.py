"""The running API predicts, and refuses every kind of bad input with one sentence."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases.flights.tests.served import Api, api
from cases.flights.tests.small import DESTINATIONS, FLIGHT, v2_request
from tests.case_api import SECONDS, Answer

from flights.flight import features as chunks
from flights.problem import BEFORE
from tabserve.client.rest import RestClient
from tabserve.model.model import Model

PATH = "/model/predict/"

OTHER = {**FLIGHT, "dest": "LAX", "sched_dep_time": 2359, "temp": None}


def features(flights: list[Any], model: Model) -> Any:  # noqa: ANN401  an array
    """The features of all flights."""
    return np.concatenate([*chunks(flights, model, "flights").chunks])


def expected(flights: list[Any], model: Model) -> list[dict[str, float]]:
    """The predictions of a model, rounded as the API rounds."""
    amounts = model.score(features(flights, model))
    rows = np.stack([*amounts], axis=1).round(2).astype(float).round(2).tolist()
    return [dict(zip(("arr_delay", "low", "high"), row, strict=True)) for row in rows]


@pytest.mark.parametrize("path", [PATH, PATH.rstrip("/")])
def test_one_flight_a_list_and_an_object_are_answered_alike(before_api: Api, before: Model, path: str) -> None:
    """In the order sent, with the unit, the model's version and an id."""
    for body, flights in ((FLIGHT, [FLIGHT]), ([FLIGHT, OTHER], [FLIGHT, OTHER]), ({"flights": [OTHER]}, [OTHER])):
        answer = before_api.ask("POST", path, json.dumps(body).encode())
        assert answer.status == 200, answer.body
        assert [*answer.document] == ["predictions", "unit", "model", "request_id"]
        assert answer.document["predictions"] == expected(flights, before)
        assert answer.document["unit"] == "minutes"
        assert answer.document["model"] == before_api.ask("GET", "/health/").document["model"]
        assert answer.document["request_id"] == answer.headers["x-request-id"]


def test_a_thousand_flights_are_answered_in_order(before_api: Api, before: Model) -> None:
    """They differ, so that an exchange would be noticed."""
    flights = [{**FLIGHT, "sched_dep_time": minute // 60 * 100 + minute % 60} for minute in range(1_000)]
    assert before_api.predict(flights).document["predictions"] == expected(flights, before)


def test_after_departure_the_delay_is_part_of_the_question(departed_api: Api, departed: Model) -> None:
    """A flight without it is refused."""
    flight = {**FLIGHT, "dep_delay": 60}
    answer = departed_api.predict(flight)
    assert answer.document["predictions"] == expected([flight], departed)
    assert answer.document["model"]["name"] == "flights"
    assert departed_api.predict(FLIGHT).status == 400


GOOD = json.dumps(FLIGHT).encode()

BAD = {
    "empty body": b"",
    "no JSON": b"flight",
    "cut off": GOOD[:-1],
    "something behind": GOOD + b"x",
    "bad UTF-8": GOOD.replace(b"UA", b"\xea"),
    "deep nesting": b"[" * 100_000 + b"]" * 100_000,
    "NaN": GOOD.replace(b"39.02", b"NaN"),
    "a huge number": GOOD.replace(b"1400", b"1e999"),
    "a text": b'"flight"',
    "null": b"null",
    "a number": b"5",
    "an empty list": b"[]",
    "an empty object": b"{}",
    "no flight": b'{"flights": []}',
    "flights null": b'{"flights": null}',
    "flights and more": b'{"flights": [' + GOOD + b'], "unit": "hours"}',
    "a flight that is a text": b'["flight"]',
    "a flight that is a list": b"[[]]",
    "a flight twice packed": b"[[" + GOOD + b"]]",
    "the target": GOOD.replace(b'"temp"', b'"arr_delay"'),
    "a leaking field": GOOD.replace(b'"temp"', b'"air_time"'),
    "an unknown field": GOOD.replace(b'"temp"', b'"gate"'),
    "a missing field": GOOD.replace(b'"carrier": "UA", ', b""),
    "24:61": GOOD.replace(b"515", b"2461"),
    "31 February": GOOD.replace(b'"month": 11, "day": 4', b'"month": 2, "day": 31'),
    "a number as text": GOOD.replace(b"515", b'"515"'),
    "one of several": b"[" + GOOD + b', {"carrier": "UA"}]',
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad_input_is_refused_in_one_sentence(before_api: Api, body: bytes) -> None:
    """With status 400 and nothing but the sentence; the next request is answered."""
    assert_refused(before_api.ask("POST", PATH, body), 400)
    assert before_api.predict(FLIGHT).status == 200


def assert_refused(answer: Answer, status: int) -> None:
    """One sentence, in JSON."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json"), answer.body
    assert [*answer.document] == ["error"]
    assert answer.document["error"].endswith((".", "…"))
    assert "\n" not in answer.document["error"]


def test_an_unknown_airport_gets_422_with_near_ones(before_api: Api) -> None:
    """As the README says."""
    answer = before_api.predict([FLIGHT, {**FLIGHT, "dest": "IHA"}])
    assert_refused(answer, 422)
    known = len(DESTINATIONS)
    sentence = f"flights[1].dest is 'IHA', which is none of the {known} that the model has learned from; near are IAH"
    assert answer.document["error"].startswith(sentence)


@pytest.fixture(scope="module")
def small(before_folder: Any) -> Iterator[Api]:  # noqa: ANN401  a path
    """An API with small limits."""
    with api(before_folder, TABSERVE_MAX_ROWS="3", TABSERVE_MAX_BODY_BYTES="5000", TABSERVE_LOAD="off") as running:
        yield running


def test_more_flights_or_bytes_than_allowed_get_413(small: Api) -> None:
    """The limits themselves are answered."""
    assert small.predict([FLIGHT] * 3).status == 200
    assert_refused(small.predict([FLIGHT] * 4), 413)
    assert_refused(small.ask("POST", PATH, GOOD + b" " * 5_000), 413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/model/predicts/", 404),
        ("POST", "/model/predict//", 404),
        ("GET", "/model/predict/", 405),
        ("GET", "/model/load/", 405),
        ("POST", "/model/history/", 405),
        ("DELETE", "/health/", 405),
    ],
)
def test_an_unknown_path_or_method_is_refused_in_json(before_api: Api, method: str, path: str, status: int) -> None:
    """A wrong method gets 405 and an Allow header; nothing is redirected."""
    answer = before_api.ask(method, path, GOOD)
    assert_refused(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


def test_v2_answers_with_the_same_model(before_api: Api, before: Model) -> None:
    """A client of the protocol learns the columns from the metadata; the numbers are those of the case's own route."""
    model = before_api.ask("GET", "/health/").document["model"]
    metadata = before_api.ask("GET", "/v2/models/flights").document
    assert (metadata["name"], metadata["versions"]) == ("flights", [model["version"]])
    for path in ("/v2/models/flights/infer", f"/v2/models/flights/versions/{model['version']}/infer/"):
        answer = before_api.ask("POST", path, v2_request(id="mine")).document
        assert (answer["id"], answer["model_version"]) == ("mine", model["version"])
        values = [round(value, 2) for output in answer["outputs"] for value in output["data"]]
        assert values == pytest.approx([*expected([FLIGHT], before)[0].values()], abs=0.006)


def test_v2_knows_no_other_model(before_api: Api) -> None:
    """Another name or version gets 404 on every route, and the repository is closed."""
    for path in ("/v2/models/other", "/v2/models/flights/versions/9", "/v2/models/other/ready"):
        assert_refused(before_api.ask("GET", path), 404)
        assert_refused(before_api.ask("POST", f"{path.removesuffix('/ready')}/infer", b"{}"), 404)
    assert_refused(before_api.ask("POST", "/v2/repository/index"), 403)
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/flights/ready", "/v2"):
        assert before_api.ask("GET", path).status == 200


def test_the_projects_client_asks_the_api(before_api: Api, before: Model) -> None:
    """It learns the columns from the metadata."""
    row = dict(zip(BEFORE.features, features([FLIGHT], before)[0].tolist(), strict=True))
    cells = {name: np.array([FLIGHT.get(name, value)]) for name, value in row.items()}
    client = RestClient(before_api.url, None, SECONDS)
    assert client.ready()
    answer = client.ask_columns(cells, ["predict"])
    assert answer.outputs["predict"].ravel() == pytest.approx([expected([FLIGHT], before)[0]["arr_delay"]], abs=0.006)


def test_health_tells_live_ready_version_and_uptime(before_api: Api) -> None:
    """With and without the last slash."""
    for path in ("/health", "/health/"):
        health = before_api.ask("GET", path).document
        assert (health["status"], health["ready"], health["model"]["name"]) == ("live", True, "flights")
        assert health["uptime_seconds"] > 0
