"""Real servers, started once for all tests: by `tabserve serve`, and by plain MLServer."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browser import browser
from tests.serving import mixed
from tests.serving.wire import DEPLOY, write_both_settings

from tabserve.client.local_server import Server, running
from tabserve.model.model import Model, load

__all__ = ["browser"]

MLSERVER_START = (str(Path(sys.executable).with_name("mlserver")), "start")


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    """What the servers serve, at hand."""
    return load(model_folder)


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
def goods(texts_folder: Path) -> Model:
    """The small model over texts, at hand."""
    return load(texts_folder)


@pytest.fixture(scope="session")
def both_folder(model_folder: Path, texts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a server with a model of either kind; copy it before changing it."""
    return write_both_settings(tmp_path_factory.mktemp("both"), model_folder, texts_folder)


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


@pytest.fixture(scope="session")
def mixed_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of a model over columns of each kind that can stand together, by its task, and the table beside it."""
    folder = tmp_path_factory.mktemp("mixed")
    return {name: mixed.trained(folder / name, name) for name in mixed.TASKS}


@pytest.fixture(scope="session")
def mixed_server(mixed_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with all of them, each called by its task."""
    folder = mixed.settings_in(tmp_path_factory.mktemp("mixed-settings"), mixed_folders)
    with running(folder, {}, ready="/v2/models/amount/ready") as started:
        yield started


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No model folder is named by the environment, and what a test or `serve` sets there ends with the test."""
    monkeypatch.setenv("TABSERVE_MODEL", "")
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
