"""Real servers record what they answer, by every transport, and nothing else."""

import gzip
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from tests.serving import mixed
from tests.serving.history.entries import parsed
from tests.serving.transports import BINARY, Columns, Reply, by_json, by_raw

from tabserve.client.local_server import Server, free_ports, running, running_process
from tabserve.errors import ServerError
from tabserve.serving.history.entry import Entry
from tabserve.serving.history.opening import dialect
from tabserve.serving.history.query import Query
from tabserve.serving.history.store import Store

SECONDS = 30

API = Path(__file__).parents[1] / "api" / "flights.py"

FLIGHT = {"income": 1200.5, "city": "Recife", "seen": "2022-02-01 08:30"}

COLUMNS: Columns = {
    "income": ("FP64", [1200.5, 0.1]),
    "age": ("FP32", [0.5, 40.0]),
    "city": ("BYTES", ["Recife", "São Paulo"]),
    "rooms": ("INT64", [1, 2]),
    "owner": ("BOOL", [True, False]),
    "seen": ("BYTES", ["2022-02-01 08:30", "2022-02-02 08:30"]),
}
"""Two rows of each datatype."""


def entries(address: str) -> list[Entry]:
    """All entries of a history, oldest first."""
    return [*reversed(Store(dialect(address)).page(Query(limit=1_000)).entries)]


def eventually(address: str, count: int) -> list[Entry]:
    """The entries, once there are so many."""
    deadline = time.monotonic() + SECONDS
    while len(found := entries(address)) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


@contextmanager
def serving(folders: dict[str, Path], scratch: Path, history: str, **settings: str) -> Iterator[Server]:
    """A server of the models over columns of each kind, with a history."""
    folder = scratch / "settings"
    folder.mkdir(parents=True)
    variables = {"TABSERVE_HISTORY": history, **settings}
    with running(mixed.write_settings(folder, folders), variables, ready="/v2/models/amount/ready") as server:
        yield server


class Recorded(NamedTuple):
    """A running server, and the address of its history."""

    server: Server
    address: str

    def during(self, action: Callable[[], object], count: int) -> list[Entry]:
        """The entries that an action adds."""
        before = len(entries(self.address))
        action()
        return eventually(self.address, before + count)[before:]


@pytest.fixture(scope="module")
def recorded(mixed_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """A server with a history in SQLite."""
    scratch = tmp_path_factory.mktemp("recorded")
    address = str(scratch / "history.db")
    with serving(mixed_folders, scratch, address) as server:
        yield Recorded(server, address)


def inputs(entry: Entry) -> dict[str, tuple[str, list[int], list[Any]]]:
    """Datatype, shape and values of each input."""
    return {item["name"]: (item["datatype"], item["shape"], item["data"]) for item in parsed(entry.input)["inputs"]}


def test_every_transport_records_the_same_request(recorded: Recorded) -> None:
    """JSON as it was sent, and tensors as JSON; with the answer that the client got, its rows, model and route."""
    replies: list[Reply] = []

    def ask() -> None:
        replies.extend(ask(recorded.server, "amount", COLUMNS) for ask in (by_json, *BINARY))

    found = recorded.during(ask, 4)
    assert [each.route for each in found] == ["rest", "rest", "grpc", "grpc"]
    for entry, reply in zip(found, replies, strict=True):
        assert (entry.model, entry.version, entry.rows) == ("amount", "v1", 2)
        output = parsed(entry.output)
        assert (output["id"], output["model_name"]) == (entry.request, "amount")
        prediction = next(item for item in output["outputs"] if item["name"] == "predict")
        assert prediction["data"] == reply.values
        values = {name: values for name, (_, values) in COLUMNS.items()}
        assert {name: data for name, (_, _, data) in inputs(entry).items()} == values
    assert inputs(found[1]) == inputs(found[2]) == inputs(found[3])
    assert [each.time for each in found] == sorted(each.time for each in found)


def test_only_answers_are_recorded(recorded: Recorded) -> None:
    """No refusal and no metadata; the client's own id is the entry's, and binary outputs are JSON."""
    url, _ = f"{recorded.server.url}/v2/models/three", recorded.address
    tensors = [{"name": name, "datatype": kind, "shape": [2], "data": data} for name, (kind, data) in COLUMNS.items()]
    body = {"id": "mine", "inputs": tensors, "parameters": {"binary_data_output": True}}

    def ask() -> None:
        refused = requests.post(f"{url}/infer", json={**body, "inputs": tensors[1:]}, timeout=SECONDS)
        assert refused.status_code == 400
        assert requests.get(url, timeout=SECONDS).status_code == 200
        assert requests.post(f"{url}/infer", json=body, timeout=SECONDS).status_code == 200

    (entry,) = recorded.during(ask, 1)
    assert (entry.request, parsed(entry.input)) == ("mine", body)
    assert {item["name"] for item in parsed(entry.output)["outputs"]} >= {"predict", "predict_proba"}


def test_a_body_is_kept_byte_by_byte(recorded: Recorded) -> None:
    """With its white space, its order and its spelling, also if it came compressed."""
    tensors = [{"shape": [2], "data": data, "name": name, "datatype": kind} for name, (kind, data) in COLUMNS.items()]
    body = json.dumps({"inputs": tensors}, indent=1).encode()

    def ask() -> None:
        for sent, headers in ((body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"})):
            url = f"{recorded.server.url}/v2/models/two/infer"
            assert requests.post(url, data=sent, headers=headers, timeout=SECONDS).status_code == 200

    assert [each.input for each in recorded.during(ask, 2)] == [body, body]


def test_the_metrics_count_entries(recorded: Recorded) -> None:
    """Among the server's own."""
    recorded.during(lambda: by_json(recorded.server, "two", COLUMNS), 1)
    lines = requests.get(f"{recorded.server.metrics}/metrics", timeout=SECONDS).text.splitlines()
    count = len(entries(recorded.address))
    assert f"tabserve_history_written_total {count}.0" in lines
    assert 'tabserve_history_lost_total{reason="full"} 0.0' in lines


def test_a_locked_file_delays_no_answer(recorded: Recorded) -> None:
    """Predictions go on, and are written once the file is free."""

    def ask() -> None:
        lock = sqlite3.connect(recorded.address, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        assert not any(by_raw(recorded.server, "two", COLUMNS).refused for _ in range(50))
        lock.close()

    assert len(recorded.during(ask, 50)) == 50


def test_the_end_of_a_server_loses_no_answer(mixed_folders: dict[str, Path], tmp_path: Path) -> None:
    """SIGTERM right after the last answer; a server that starts again adds to the same history."""
    address = str(tmp_path / "history.db")
    for start in range(2):
        with serving(mixed_folders, tmp_path / str(start), address) as server:
            for _ in range(20):
                by_json(server, "two", COLUMNS)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(SECONDS) == 0
        assert len(entries(address)) == 20 * (start + 1)


def test_requests_beyond_the_size_of_an_entry_leave_their_input_out(
    mixed_folders: dict[str, Path], tmp_path: Path
) -> None:
    """By every transport; the answer is kept."""
    path = str(tmp_path / "history.db")
    with serving(mixed_folders, tmp_path, path, TABSERVE_HISTORY_ENTRY_BYTES="500") as server:
        many: Columns = {name: (datatype, values * 10) for name, (datatype, values) in COLUMNS.items()}
        for ask in (by_json, *BINARY):
            assert not ask(server, "amount", many).refused
        found = eventually(path, 4)
    assert all([*parsed(each.input)] == ["left_out"] for each in found)


@contextmanager
def flights(folder: Path, **variables: str) -> Iterator[str]:
    """The URL of a case's API."""
    (port,) = free_ports(1)
    environment = {**os.environ, "PORT": str(port), "PYTHONPATH": str(Path(__file__).parents[3]), "MODEL_PATH": ""}
    url = f"http://127.0.0.1:{port}"
    with running_process([sys.executable, str(API), str(folder)], {**environment, **variables}, f"{url}/ready"):
        yield url


def test_an_api_records_its_own_routes(mixed_folders: dict[str, Path], address: str) -> None:
    """By their paths, with the id of the response's head; refusals are not there."""
    with flights(mixed_folders["amount"], TABSERVE_HISTORY=address) as url:
        answers = [
            requests.post(f"{url}/model/predict", json=body, timeout=SECONDS) for body in (FLIGHT, {}, [FLIGHT, FLIGHT])
        ]
        found = eventually(address, 2)
        text = requests.get(f"{url}/metrics", timeout=SECONDS).text
    one, refused, two = answers
    assert refused.status_code == 400
    assert [(each.route, each.model, each.rows) for each in found] == [
        ("/model/predict", "flights", 1),
        ("/model/predict", "flights", 2),
    ]
    assert [each.request for each in found] == [each.headers["x-request-id"] for each in (one, two)]
    assert [parsed(each.output) for each in found] == [one.json(), two.json()]
    assert [parsed(each.input) for each in found] == [FLIGHT, [FLIGHT, FLIGHT]]
    assert "tabserve_history_written_total 2.0" in text


def test_an_api_shows_its_history(mixed_folders: dict[str, Path], tmp_path: Path) -> None:
    """Page by page, filtered, and as lines; a wrong parameter is a 400 with one sentence."""
    path = str(tmp_path / "history.db")
    with flights(mixed_folders["amount"], TABSERVE_HISTORY=path) as url:
        history = f"{url}/model/history/"
        assert requests.get(history, timeout=SECONDS).json() == {"history": [], "next": None}
        for income in range(5):
            requests.post(f"{url}/model/predict/", json={**FLIGHT, "income": income}, timeout=SECONDS)
        eventually(path, 5)
        first = requests.get(history, {"limit": 3}, timeout=SECONDS).json()
        second = requests.get(history, {"limit": 3, "cursor": first["next"]}, timeout=SECONDS).json()
        assert [entry["input"]["income"] for entry in first["history"] + second["history"]] == [4, 3, 2, 1, 0]
        assert second["next"] is None
        (one,) = requests.get(history, {"request": first["history"][1]["request"]}, timeout=SECONDS).json()["history"]
        assert one == first["history"][1]
        since = requests.get(history, {"since": one["time"]}, timeout=SECONDS).json()["history"]
        assert since == first["history"][:2]
        lines = requests.get(history, {"format": "ndjson"}, timeout=SECONDS)
        assert lines.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in lines.iter_lines()] == first["history"] + second["history"]
        table = requests.get(history, {"format": "csv"}, timeout=SECONDS).text.splitlines()
        assert table[0] == "time,request,model,version,route,rows,input,output"
        assert len(table) == 6
        wrong = requests.get(history, {"limit": 0}, timeout=SECONDS)
        assert (wrong.status_code, wrong.json()) == (
            400,
            {"error": "The parameter 'limit' is '0'; expected a whole number from 1 to 1000."},
        )


def test_a_history_that_cannot_be_kept_ends_a_server(mixed_folders: dict[str, Path]) -> None:
    """At its start, in one sentence."""
    variables = {"TABSERVE_HISTORY": "/no/such/history.db"}
    with pytest.raises(ServerError, match="exit code 5") as error, running(mixed_folders["two"], variables):
        pass
    assert str(error.value).endswith("is /no/such/history.db, and /no/such is no folder; make it, or name another.")
    assert "Traceback" not in str(error.value)
