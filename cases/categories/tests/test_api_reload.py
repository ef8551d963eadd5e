"""SIGHUP reloads the model while requests run."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from cases.categories.tests.served import Api, api
from cases.categories.tests.weighed import WORDS, word_model
from tests.case_api import SECONDS

from tabserve.model.model import save
from tabserve.predictors.linear import Linear

TITLES = ["Quadro"] * 3_000
"""One request that is scored in many slices."""


@pytest.fixture
def blank_folder(tmp_path: Path) -> Path:
    """The folder of a model that knows no word and answers Outros."""
    model = word_model("title")
    predictor = model.predictor
    assert isinstance(predictor, Linear)
    blank = replace(predictor, weights=0 * predictor.weights)
    save(tmp_path / "none", replace(model, predictor=blank), np.array([*WORDS], np.object_), "# Nothing known\n")
    return tmp_path / "none"


@pytest.fixture
def linked(title_folder: Path, tmp_path: Path) -> Iterator[tuple[Api, Path]]:
    """An API whose model folder is a link, and the link."""
    link = tmp_path / "model"
    link.symlink_to(title_folder)
    with api(link) as running:
        yield running, link


def switch_model(link: Path, folder: Path, running: Api) -> None:
    """Point the link to another folder and send SIGHUP."""
    fresh = link.with_name("fresh")
    fresh.symlink_to(folder)
    fresh.replace(link)
    running.process.send_signal(signal.SIGHUP)


def wait_for(running: Api, category: str) -> None:
    """Wait until the API answers `category` for a title."""
    deadline = time.monotonic() + SECONDS
    while running.categories(["Quadro"]) != [category]:
        assert time.monotonic() < deadline, f"no answer {category!r} within {SECONDS} s"
        time.sleep(0.01)


def test_every_answer_is_of_one_model_during_reloads(
    linked: tuple[Api, Path], title_folder: Path, blank_folder: Path
) -> None:
    """While two models are swapped repeatedly, each answer is wholly of one of them, and no request is lost."""
    running, link = linked
    over = Event()

    def ask() -> set[str]:
        categories = set[str]()
        while not over.is_set():
            answer = {*running.categories(TITLES)}
            assert len(answer) == 1, answer
            categories |= answer
        return categories

    with ThreadPoolExecutor(4) as threads:
        clients = [threads.submit(ask) for _ in range(4)]
        try:
            for folder, category in [(blank_folder, "Outros"), (title_folder, "Decoração")] * 3:
                switch_model(link, folder, running)
                wait_for(running, category)
        finally:
            over.set()
        assert set.union(*(client.result(SECONDS) for client in clients)) <= {"Outros", "Decoração"}


def test_a_refused_model_leaves_the_previous_one_serving(
    linked: tuple[Api, Path], blank_folder: Path, tmp_path: Path
) -> None:
    """A missing folder and one of another problem are refused in the log; a good folder is loaded afterwards."""
    running, link = linked
    numbers = Path(__file__).parents[3] / "deploy/model"
    for folder, words in ((tmp_path / "nowhere", "cannot be read"), (numbers, "'title: text'")):
        switch_model(link, folder, running)
        refusal = "The model was not reloaded, and goes on as before: "
        deadline = time.monotonic() + SECONDS
        while not any(refusal in line and words in line for line in running.log.read_text().splitlines()):
            assert time.monotonic() < deadline, running.log.read_text()
            time.sleep(0.01)
        assert running.categories(["Quadro"]) == ["Decoração"]
    switch_model(link, blank_folder, running)
    wait_for(running, "Outros")
    assert "Traceback" not in running.log.read_text()
