"""SIGHUP puts another model in the place of the one that answers, while requests run."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from cases.categories.tests.served import SECONDS, Api, api
from cases.categories.tests.weighed import WORDS, weighed

from tabserve.model.model import save
from tabserve.predictors.linear import Linear

TITLES = ["Quadro"] * 3_000
"""One request of many slices, each scored by itself."""


@pytest.fixture
def by_none(tmp_path: Path) -> Path:
    """The folder of a model that knows no word: all are Outros."""
    model = weighed("title")
    predictor = model.predictor
    assert isinstance(predictor, Linear)
    blank = replace(predictor, weights=0 * predictor.weights)
    save(tmp_path / "none", replace(model, predictor=blank), np.array([*WORDS], np.object_), "# Nothing known\n")
    return tmp_path / "none"


@pytest.fixture
def linked(by_title: Path, tmp_path: Path) -> Iterator[tuple[Api, Path]]:
    """An API whose model folder is a link, and that link."""
    link = tmp_path / "model"
    link.symlink_to(by_title)
    with api(link) as running:
        yield running, link


def point(link: Path, folder: Path, running: Api) -> None:
    """Let the link lead to another folder, and say so."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(folder)
    fresh.replace(link)
    running.process.send_signal(signal.SIGHUP)


def wait_for(running: Api, category: str) -> None:
    """Until this is the category of a picture."""
    deadline = time.monotonic() + SECONDS
    while running.categories(["Quadro"]) != [category]:
        assert time.monotonic() < deadline, f"no answer {category!r} within {SECONDS} s"
        time.sleep(0.01)


def test_every_reply_is_of_one_model(linked: tuple[Api, Path], by_title: Path, by_none: Path) -> None:
    """The one before or the one after, whole, while they change places again and again; no request is lost."""
    running, link = linked
    over = Event()

    def ask() -> set[str]:
        found = set[str]()
        while not over.is_set():
            answered = {*running.categories(TITLES)}
            assert len(answered) == 1, answered
            found |= answered
        return found

    with ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        try:
            for folder, category in [(by_none, "Outros"), (by_title, "Decoração")] * 3:
                point(link, folder, running)
                wait_for(running, category)
        finally:
            over.set()
        assert set.union(*(each.result(SECONDS) for each in asking)) <= {"Outros", "Decoração"}


def test_a_model_that_is_refused_leaves_the_one_before(linked: tuple[Api, Path], by_none: Path, tmp_path: Path) -> None:
    """A folder that is not whole, or of another problem; the log says so, and a good one is taken afterwards."""
    running, link = linked
    numbers = Path(__file__).parents[3] / "deploy/model"
    for folder, words in ((tmp_path / "nowhere", "cannot be read"), (numbers, "'title: text'")):
        point(link, folder, running)
        said = "The model was not reloaded, and goes on as before: "
        deadline = time.monotonic() + SECONDS
        while not any(said in line and words in line for line in running.log.read_text().splitlines()):
            assert time.monotonic() < deadline, running.log.read_text()
            time.sleep(0.01)
        assert running.categories(["Quadro"]) == ["Decoração"]
    point(link, by_none, running)
    wait_for(running, "Outros")
    assert "Traceback" not in running.log.read_text()
