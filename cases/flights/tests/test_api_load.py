"""A client replaces the model while the API serves; whatever it sends instead of one changes nothing."""

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from cases.flights.tests.served import Api, api
from cases.flights.tests.small import FLIGHT, train, v2_request
from cases.flights.tests.test_api_predict import assert_refused
from tests.case_api import SECONDS

from tabserve.model.archive import to_pickle, to_zip

MIB = 2**20


@pytest.fixture(scope="module")
def late_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that predicts a thousand minutes more than the others."""
    return train(tmp_path_factory.mktemp("late") / "model", shift=1_000)


@pytest.fixture
def loading(before_folder: Path, tmp_path: Path) -> Iterator[Api]:
    """An API that clients of this machine load models into."""
    with api(before_folder, TABSERVE_LOAD="loopback", TABSERVE_LOAD_FOLDER=str(tmp_path / "loaded")) as running:
        yield running


def delay(running: Api) -> float:
    """The predicted delay of the flight."""
    answer = running.predict(FLIGHT)
    assert answer.status == 200, answer.body
    return float(answer.document["predictions"][0]["arr_delay"])


def v2_delay(running: Api) -> float:
    """The same by the V2 protocol."""
    answer = running.ask("POST", "/v2/models/flights/infer", v2_request()).document
    return float(answer["outputs"][0]["data"][0])


@pytest.mark.parametrize(("name", "pack"), [("model.zip", to_zip), ("model.pkl", to_pickle)])
def test_a_loaded_model_answers_both_protocols_and_survives_a_restart(
    before_folder: Path,
    late_folder: Path,
    tmp_path: Path,
    name: str,
    pack: Any,  # noqa: ANN401  a function
) -> None:
    """Health and answers name the new version."""
    settings = {"TABSERVE_LOAD": "loopback", "TABSERVE_LOAD_FOLDER": str(tmp_path / "loaded")}
    with api(before_folder, **settings) as running:
        first = running.ask("GET", "/health").document["model"]
        assert delay(running) < 500
        answer = running.load(name, pack(late_folder))
        assert answer.status_code == 200, answer.text
        second = answer.json()["model"]
        assert second != first
        assert delay(running) > 500
    with api(before_folder, **settings) as running:
        assert running.ask("GET", "/health").document["model"] == running.predict(FLIGHT).document["model"] == second
        assert delay(running) == pytest.approx(v2_delay(running), abs=0.006)


def test_it_starts_without_a_model_and_predicts_once_one_is_loaded(before_folder: Path, tmp_path: Path) -> None:
    """Until then it is live but not ready, and predictions get 503."""
    settings = {"MODEL_PATH": "none", "TABSERVE_LOAD": "loopback", "TABSERVE_LOAD_FOLDER": str(tmp_path / "loaded")}
    with api(None, **settings) as running:
        assert_refused(running.predict(FLIGHT), 503)
        assert running.predict(FLIGHT).document == {"error": "No model is loaded yet; send one to /model/load."}
        for path in ("/ready", "/v2/models/flights", "/openapi.json"):
            assert_refused(running.ask("GET", path), 503)
        for path in ("/v2/models/flights/ready", "/v2/health/ready"):
            assert running.ask("GET", path).status == 503
        health = running.ask("GET", "/health").document
        assert (health["status"], health["ready"], health["model"]) == ("live", False, None)
        assert running.load("model.zip", to_zip(before_folder)).status_code == 200
        assert running.ask("GET", "/ready").status == running.ask("GET", "/v2/models/flights/ready").status == 200
        assert delay(running) == pytest.approx(v2_delay(running), abs=0.006)


class Marker:
    """Runs code of its author when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_what_is_no_model_is_refused_and_changes_nothing(loading: Api, before_folder: Path, tmp_path: Path) -> None:
    """One sentence each, and the model answers as before; no code of an upload runs."""
    before, whole, marker = delay(loading), to_zip(before_folder), tmp_path / "marker"
    numbers = to_zip(Path(__file__).parents[3] / "deploy/model")
    wrong: dict[str, tuple[str, bytes]] = {
        "a truncated zip": ("model.zip", whole[:-100]),
        "no zip": ("model.zip", b"model"),
        "a wrong name": ("model.joblib", whole),
        "an empty file": ("model.zip", b""),
        "a model of other features": ("model.zip", numbers),
        "a pickle of another kind": ("model.pkl", pickle.dumps({"weights": [1, 2]})),
        "a pickle that runs code": ("model.pkl", pickle.dumps(Marker(marker))),
    }
    for what, (name, data) in wrong.items():
        answer = loading.load(name, data)
        assert (answer.status_code, [*answer.json()]) == (400, ["error"]), what
        assert answer.json()["error"].endswith((".", "…")), what
        assert delay(loading) == before, what
    assert not marker.exists()


def test_a_form_without_one_file_is_refused(loading: Api, before_folder: Path) -> None:
    """No file, two of them, another field, and no form at all."""
    file = ("model.zip", to_zip(before_folder))
    forms: list[dict[str, Any]] = [
        {"files": {"file": (None, "text")}},
        {"files": [("file", file), ("file", file)]},
        {"files": {"model": file}},
        {"data": file[1]},
        {},
    ]
    for form in forms:
        answer = requests.post(f"{loading.url}/model/load", timeout=SECONDS, **form)
        assert answer.status_code == 400
        assert "send one file as the field 'file' of multipart/form-data" in answer.json()["error"]


def test_a_file_that_is_too_large_gets_413(before_folder: Path, tmp_path: Path) -> None:
    """By the limit of a body and by that of an upload."""
    settings = {"TABSERVE_LOAD": "loopback", "TABSERVE_LOAD_FOLDER": str(tmp_path), "TABSERVE_LOAD_MAX_BYTES": "1000"}
    with api(before_folder, TABSERVE_MAX_BODY_BYTES=str(MIB), **settings) as running:
        assert running.load("model.zip", b"x" * 1_001).status_code == 413
        assert running.load("model.zip", b"x" * MIB).status_code == 413


def test_loading_is_closed_to_outsiders(before_api: Api, before_folder: Path, tmp_path: Path) -> None:
    """It can be off, or need a token; behind a proxy a client is no longer one of this machine."""
    data, token = to_zip(before_folder), "a secret of an operator"
    assert before_api.load("model.zip", data).status_code == 403
    settings = {"TABSERVE_LOAD_FOLDER": str(tmp_path / "loaded"), "TABSERVE_LOAD_TOKEN": token}
    with api(before_folder, TABSERVE_LOAD="token", **settings) as running:
        assert running.load("model.zip", data).status_code == 403
        assert running.load("model.zip", data, Authorization="Bearer another").status_code == 403
        assert running.load("model.zip", data, Authorization=f"Bearer {token}").status_code == 200


@pytest.mark.slow
def test_no_request_fails_and_no_answer_mixes_models_while_they_change(
    loading: Api, before_folder: Path, late_folder: Path
) -> None:
    """Several loads in a storm of predictions of many flights, some of which are scored in several slices."""
    over, both = Event(), [to_zip(late_folder), to_zip(before_folder)]

    def ask() -> set[tuple[str, bool]]:
        seen = set[tuple[str, bool]]()
        while not over.is_set():
            answer = loading.predict([FLIGHT] * 1_500)
            assert answer.status == 200, answer.body
            delays = {each["arr_delay"] for each in answer.document["predictions"]}
            assert len(delays) == 1
            seen.add((answer.document["model"]["version"], delays.pop() > 500))
        return seen

    with ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(ask) for _ in range(4)]
        try:
            for data in both * 2:
                assert loading.load("model.zip", data).status_code == 200
        finally:
            over.set()
        seen = set.union(*(client.result(SECONDS) for client in clients))
    assert len(seen) == len({version for version, _ in seen}) == 2
