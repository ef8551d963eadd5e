"""Real servers, started once for all tests: by `tabserve serve`, and by plain MLServer."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browser import browser
from tests.serving.wire import DEPLOY, both_in

from tabserve.client.local_server import Server, running
from tabserve.model import artifact, text_artifact
from tabserve.model.artifact import Model
from tabserve.model.text_artifact import TextModel

__all__ = ["browser"]

MLSERVER_START = (str(Path(sys.executable).with_name("mlserver")), "start")


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    """What the servers serve, at hand."""
    return artifact.load(model_folder)


@pytest.fixture(scope="session")
def started(model_folder: Path) -> Iterator[Server]:
    """A running server, by plain MLServer."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}, MLSERVER_START) as server:
        yield server


@pytest.fixture(params=["served", "started"], ids=["tabserve-serve", "mlserver-start"])
def server(request: pytest.FixtureRequest) -> Server:
    """A running server, by either command."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def edge(model_folder: Path) -> Iterator[Server]:
    """The one server for all that may be asked of `tabserve serve`."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), "TABSERVE_RECEIVE_SECONDS": "2"}) as started:
        yield started


@pytest.fixture(scope="session")
def small(model_folder: Path) -> Iterator[Server]:
    """A server that takes only small bodies, and lets its models be listed."""
    settings = {"TABSERVE_MAX_BODY_BYTES": "1000000", "TABSERVE_ADMIN": "true"}
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), **settings}) as started:
        yield started


@pytest.fixture(scope="session")
def goods(texts_folder: Path) -> TextModel:
    """The small model over texts, at hand."""
    return text_artifact.load(texts_folder)


@pytest.fixture(scope="session")
def both_folder(model_folder: Path, texts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a server with a model of either kind; copy it before changing it."""
    return both_in(tmp_path_factory.mktemp("both"), model_folder, texts_folder)


@pytest.fixture(scope="session")
def both(both_folder: Path) -> Iterator[Server]:
    """A server with a model of either kind, which lets its models be listed."""
    with running(both_folder, {"TABSERVE_ADMIN": "true"}, ready="/v2/health/ready") as started:
        yield started


@pytest.fixture(scope="session")
def both_plain(both_folder: Path) -> Iterator[Server]:
    """The same, by plain MLServer."""
    with running(both_folder, {}, MLSERVER_START, "/v2/health/ready") as started:
        yield started


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No model folder is named by the environment, and what a test or `serve` sets there ends with the test."""
    monkeypatch.setenv("TABSERVE_MODEL", "")
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
