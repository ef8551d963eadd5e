"""A short contract makes a whole API: its routes, limits, metrics, document and process."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from tests.serving.api.flights import CONTRACT
from tests.serving.mixed import COLUMNS, table

from tabserve.client.local_server import free_ports, running_process
from tabserve.errors import ArtifactError
from tabserve.model.model import Model, load
from tabserve.problem.columns import Column
from tabserve.table.frame_reader import stream

SECONDS = 30
SCRIPT = Path(__file__).with_name("flights.py")
GOOD = {"income": 1200.5, "city": "Recife", "seen": "2022-02-01 08:30"}
ROWS = 40


@pytest.fixture(scope="module")
def folder(mixed_folders: dict[str, Path]) -> Path:
    """The folder of a regression model over columns of each kind."""
    return mixed_folders["amount"]


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """The URL of a running API."""
    (port,) = free_ports(1)
    environment = {**os.environ, "PORT": str(port), "PYTHONPATH": str(Path(__file__).parents[3]), "MODEL_PATH": ""}
    address = f"http://127.0.0.1:{port}"
    with running_process([sys.executable, str(SCRIPT), str(folder)], environment, f"{address}/ready") as (process, _):
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def post(url: str, body: object) -> requests.Response:
    """POST to the route for predictions."""
    return requests.post(f"{url}/model/predict/", json=body, timeout=SECONDS)


def flights() -> list[dict[str, Any]]:
    """The first rows of the training table, as JSON records."""
    names = [column.name for column in COLUMNS]
    rows = table()[names].head(ROWS).replace({np.nan: None})
    return [dict(zip(names, row, strict=True)) for row in rows.to_numpy(object).tolist()]


def test_the_model_answers_a_list_of_flights_and_one_flight(url: str, folder: Path) -> None:
    """With its amounts in the order of the flights; one flight gets one amount."""
    model = load(folder)
    batch = next(stream(folder.with_suffix(".csv"), model.problem, model.encoder))
    expected = [float(str(amount)) for amount in model.score(batch.features[:ROWS]).prediction]
    assert post(url, flights()).json() == {"minutes": expected}
    assert post(url, flights()[0]).json() == {"minutes": expected[0]}


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ([GOOD, {**GOOD, "income": "x"}], 400, "flights[1].income is 'x'; expected a number."),
        ({**GOOD, "seen": "soon"}, 400, "flight[0].seen is 'soon'; expected a date with a time, such as "),
        ({"income": 1}, 400, "flight[0] has no 'city'; expected one of '007', "),
        ([], 400, "flights is []; expected a list of at least one object."),
        ("x", 400, "flight[0] is 'x'; expected an object with 'income', 'city', 'seen'."),
        ([GOOD] * 1_001, 413, "The request has 1001 flights; send at most 1000 at a time."),
    ],
)
def test_an_invalid_record_is_refused(url: str, body: object, status: int, sentence: str) -> None:
    """With one sentence that says where; the next valid request is answered."""
    answer = post(url, body)
    assert (answer.status_code, [*answer.json()]) == (status, ["error"])
    assert answer.json()["error"].startswith(sentence)
    assert post(url, GOOD).status_code == 200


def test_the_metrics_count_requests_and_the_models_rows(url: str) -> None:
    """Under the API's own names, and under the V2 server's names for the model."""
    before = metrics(url)
    post(url, [GOOD, {**GOOD, "city": "Nowhere"}])
    post(url, [])
    after = metrics(url)
    requests_total, legs = 'flights_requests_total{route="/model/predict",status="%d"}', "flights_request_legs"
    unseen = 'tabserve_unseen_levels_total{column="city",model="flights"}'
    for name, grown in (
        (requests_total % 200, 1),
        (requests_total % 400, 1),
        (f'{legs}_sum{{route="/model/predict"}}', 2),
        ('tabserve_amount_count{model="flights"}', 2),
        (unseen, 1),
    ):
        assert after[name] - before.get(name, 0) == grown, name
    assert after['tabserve_queue_rows{model="flights"}'] == 0
    assert "process_resident_memory_bytes" in after


def metrics(url: str) -> dict[str, float]:
    """The samples of `/metrics` by name."""
    lines = requests.get(f"{url}/metrics", timeout=SECONDS).text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_the_document_shows_the_models_columns_and_the_limits(url: str) -> None:
    """Columns that are never empty are required."""
    openapi = requests.get(f"{url}/openapi.json", timeout=SECONDS).json()
    flight = openapi["components"]["schemas"]["Flight"]
    assert [*flight["properties"]] == [column.name for column in COLUMNS]
    assert flight["required"] == [column.name for column in COLUMNS if not column.missing]
    assert openapi["paths"]["/model/predict"]["post"]["summary"] == "Up to 1000 flights"
    assert requests.get(f"{url}/docs", timeout=SECONDS).status_code == 200


def test_a_model_of_another_problem_is_refused(mixed_folders: dict[str, Path], model: Model, goods: Model) -> None:
    """Other columns or another task; the sentence says what the API needs."""
    CONTRACT.check(load(mixed_folders["amount"]), Path("folder"))
    others = {
        "over the columns 'var_0: number', ": model,
        "over the columns 'title: text'": goods,
        "for the task Binary(": load(mixed_folders["two"]),
    }
    for holds, other in others.items():
        with pytest.raises(ArtifactError) as error:
            CONTRACT.check(other, Path("folder"))
        assert str(error.value).startswith(f"folder holds a model {holds}")
        assert "; this API needs " in str(error.value)
        assert str(error.value).endswith("; name the folder of another in MODEL_PATH.")


def test_a_column_of_another_kind_is_refused(mixed_folders: dict[str, Path]) -> None:
    """Even if it has the same name."""
    columns = (Column("income", "category"), *CONTRACT.problem.columns[1:])
    other = replace(CONTRACT, problem=replace(CONTRACT.problem, columns=columns))
    with pytest.raises(ArtifactError, match=r"; this API needs 'income: category', "):
        other.check(load(mixed_folders["amount"]), Path("folder"))
