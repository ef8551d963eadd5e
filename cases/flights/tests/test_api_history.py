"""The history shows what was asked and what was answered, page by page, also after a restart."""

import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cases.flights.tests.served import Api, api
from cases.flights.tests.small import FLIGHT, v2_request
from cases.flights.tests.test_api_predict import assert_refused
from tests.case_api import SECONDS

PATH = "/model/history/"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a history."""
    return tmp_path / "history.db"


@pytest.fixture
def recording(before_folder: Path, file: Path) -> Iterator[Api]:
    """An API that keeps a history."""
    with api(before_folder, TABSERVE_HISTORY=str(file), TABSERVE_LOAD="off") as running:
        yield running


def history(running: Api, count: int, **parameters: str) -> Any:  # noqa: ANN401  any JSON
    """A page, once it has `count` entries."""
    deadline = time.monotonic() + SECONDS
    while True:
        answer = running.ask("GET", f"{PATH}?{urlencode(parameters)}")
        assert answer.status == 200, answer.body
        if len(answer.document["history"]) == count:
            return answer.document
        assert time.monotonic() < deadline, answer.document
        time.sleep(0.05)


def test_an_entry_holds_the_question_and_the_answer(recording: Api) -> None:
    """An empty history is an empty list; refused requests are not in it."""
    assert history(recording, 0) == {"history": [], "next": None}
    answer = recording.predict({"flights": [FLIGHT, FLIGHT]}).document
    assert recording.predict({**FLIGHT, "arr_delay": 3}).status == 400
    (entry,) = history(recording, 1)["history"]
    assert (entry["request"], entry["route"], entry["rows"]) == (answer["request_id"], "/model/predict", 2)
    assert {"name": entry["model"], "version": entry["version"]} == answer["model"]
    assert (entry["input"], entry["output"]) == ({"flights": [FLIGHT, FLIGHT]}, answer)
    assert entry["time"].endswith("Z")


def test_pages_and_filters_find_every_entry_once(recording: Api) -> None:
    """Newest first; with and without the last slash."""
    ids = [recording.predict(FLIGHT).document["request_id"] for _ in range(5)]
    history(recording, 5)
    first = history(recording, 2, limit="2")
    second = history(recording, 2, limit="2", cursor=first["next"])
    third = history(recording, 1, limit="2", cursor=second["next"])
    pages = [entry["request"] for page in (first, second, third) for entry in page["history"]]
    assert (pages, third["next"]) == (ids[::-1], None)
    assert history(recording, 1, request=ids[2])["history"][0]["request"] == ids[2]
    assert len(history(recording, 5, model="flights")["history"]) == 5
    assert history(recording, 0, model="other") == history(recording, 0, until="2001-01-01")
    assert recording.ask("GET", PATH.rstrip("/")).document == history(recording, 5)


def test_all_entries_are_streamed_as_lines(recording: Api) -> None:
    """As JSON and as csv."""
    ids = [recording.predict(FLIGHT).document["request_id"] for _ in range(3)]
    history(recording, 3)
    lines = recording.ask("GET", f"{PATH}?format=ndjson").body.splitlines()
    assert [json.loads(line)["request"] for line in lines] == ids[::-1]
    rows = [*csv.DictReader(io.StringIO(recording.ask("GET", f"{PATH}?format=csv").body.decode()))]
    assert [row["request"] for row in rows] == ids[::-1]
    assert json.loads(rows[0]["input"]) == FLIGHT


def test_a_history_survives_a_restart_and_holds_v2_requests_too(before_folder: Path, file: Path) -> None:
    """What waits is written at the end."""
    for _ in range(2):
        with api(before_folder, TABSERVE_HISTORY=str(file), TABSERVE_LOAD="off") as running:
            running.predict(FLIGHT)
            running.process.terminate()
            assert running.process.wait(SECONDS) == 0
    with api(before_folder, TABSERVE_HISTORY=str(file), TABSERVE_LOAD="off") as running:
        running.ask("POST", "/v2/models/flights/infer", v2_request())
        routes = [entry["route"] for entry in history(running, 3)["history"]]
    assert routes == ["rest", "/model/predict", "/model/predict"]


def test_a_wrong_parameter_is_refused_by_name(recording: Api) -> None:
    """In one sentence."""
    for wrong in ("limit=0", "limit=many", "limit=1001", "cursor=x", "since=yesterday", "until=2026-02-31", "page=1"):
        answer = recording.ask("GET", f"{PATH}?{wrong}")
        assert_refused(answer, 400)
        assert f"'{wrong.partition('=')[0]}'" in answer.document["error"]


def test_without_a_history_the_route_says_how_to_keep_one(before_api: Api) -> None:
    """Status 404."""
    answer = before_api.ask("GET", PATH)
    assert_refused(answer, 404)
    assert "TABSERVE_HISTORY" in answer.document["error"]
