"""Real servers, started once for all tests: by `tabserve serve`, and by plain MLServer."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabserve import artifact
from tabserve.artifact import Model
from tabserve.process import SERVE, Server, running

DEPLOY = Path(__file__).parents[2] / "deploy"
MLSERVER_START = (str(Path(sys.executable).with_name("mlserver")), "start")


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    """What the servers serve, at hand."""
    return artifact.load(model_folder)


@pytest.fixture(scope="session", params=[SERVE, MLSERVER_START], ids=["tabserve-serve", "mlserver-start"])
def server(request: pytest.FixtureRequest, model_folder: Path) -> Iterator[Server]:
    """A running server, by either command."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}, request.param) as started:
        yield started


@pytest.fixture(scope="session")
def edge(model_folder: Path) -> Iterator[Server]:
    """The one server for all that is wrong."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), "TABSERVE_RECEIVE_SECONDS": "2"}) as started:
        yield started


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No model folder is named by the environment, and what a test or `serve` sets there ends with the test."""
    monkeypatch.setenv("TABSERVE_MODEL", "")
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
