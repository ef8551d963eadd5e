"""Several clients load models at the same time, while others ask: each load is answered, and the last one stays."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from cases.flights.tests.served import LOAD_SECONDS, Api, api
from cases.flights.tests.small import FLIGHT, train
from tests.case_api import SECONDS

from tabserve.model.archive import to_pickle, to_zip

LATE = 1_000
"""Minutes that one of two models predicts more than the other."""


def minutes(running: Api) -> tuple[str, float]:
    """The version that answers, and what it predicts."""
    answer = running.predict([FLIGHT] * 100)
    assert answer.status == 200, answer.body
    (delay,) = {each["arr_delay"] for each in answer.document["predictions"]}
    return answer.document["model"]["version"], delay


@pytest.mark.slow
def test_loads_at_the_same_time_take_turns(before_folder: Path, tmp_path: Path) -> None:
    """Three good ones and a bad one: each gets its own answer, and no prediction fails or mixes models meanwhile."""
    late, loaded, over = train(tmp_path / "late", shift=LATE), tmp_path / "loaded", Event()
    files = {"a.zip": to_zip(late), "b.pkl": to_pickle(before_folder), "c.pkl": to_pickle(late), "d.zip": b"PK\x03\x04"}

    def ask(running: Api) -> set[tuple[str, float]]:
        seen = set[tuple[str, float]]()
        while not over.is_set():
            seen.add(minutes(running))
        return seen

    settings = {"TABSERVE_LOAD": "loopback", "TABSERVE_LOAD_FOLDER": str(loaded)}
    with api(before_folder, **settings) as running, ThreadPoolExecutor(6) as threads:
        asking = [threads.submit(ask, running) for _ in range(2)]
        try:
            loads = {name: threads.submit(running.load, name, data) for name, data in files.items()}
            answers = {name: load.result(LOAD_SECONDS) for name, load in loads.items()}
        finally:
            over.set()
        seen = set.union(*(client.result(SECONDS) for client in asking))
        last = minutes(running)
    assert [answer.status_code for answer in answers.values()] == [200, 200, 200, 400]
    versions = {name: answer.json()["model"]["version"] for name, answer in answers.items() if answer.ok}
    assert versions["a.zip"] == versions["c.pkl"] != versions["b.pkl"]
    assert {version for version, _ in seen} <= {*versions.values()}
    assert all((delay > LATE / 2) == (version == versions["a.zip"]) for version, delay in seen | {last})
    assert len([*loaded.glob("uploaded-*")]) == 1
    with api(before_folder, **settings) as running:
        assert minutes(running) == last
