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
    """The model that the servers serve, loaded in this process."""
    return load(model_folder)


@pytest.fixture(scope="session")
def started(model_folder: Path) -> Iterator[Server]:
    """A server started by plain MLServer."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder)}, MLSERVER_START) as server:
        yield server


@pytest.fixture(params=["served", "started"], ids=["tabserve-serve", "mlserver-start"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server started by `tabserve serve`, then one started by `mlserver start`."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def edge(model_folder: Path) -> Iterator[Server]:
    """A server for tests of edge cases, which closes a silent connection after two seconds."""
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), "TABSERVE_RECEIVE_SECONDS": "2"}) as started:
        yield started


@pytest.fixture(scope="session")
def small(model_folder: Path) -> Iterator[Server]:
    """A server that takes bodies of at most 1 MB, and lets clients manage its models."""
    settings = {"TABSERVE_MAX_BODY_BYTES": "1000000", "TABSERVE_ADMIN": "true"}
    with running(DEPLOY, {"TABSERVE_MODEL": str(model_folder), **settings}) as started:
        yield started


@pytest.fixture(scope="session")
def goods(texts_folder: Path) -> Model:
    """The small text model `goods`, loaded in this process."""
    return load(texts_folder)


@pytest.fixture(scope="session")
def both_folder(model_folder: Path, texts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of a server with a model over numbers and a model over texts; copy the folder before changing it."""
    return write_both_settings(tmp_path_factory.mktemp("both"), model_folder, texts_folder)


@pytest.fixture(scope="session")
def both(both_folder: Path) -> Iterator[Server]:
    """A server with a model over numbers and a model over texts, which lets clients manage its models."""
    with running(both_folder, {"TABSERVE_ADMIN": "true"}, ready="/v2/health/ready") as started:
        yield started


@pytest.fixture(scope="session")
def both_plain(both_folder: Path) -> Iterator[Server]:
    """A server with the same two models, started by plain MLServer."""
    with running(both_folder, {}, MLSERVER_START, "/v2/health/ready") as started:
        yield started


@pytest.fixture(scope="session")
def mixed_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By task: the folder of a model over numbers, categories and dates; its table is beside it, as `.csv`."""
    folder = tmp_path_factory.mktemp("mixed")
    return {name: mixed.train(folder / name, name) for name in mixed.TASKS}


@pytest.fixture(scope="session")
def mixed_server(mixed_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with all models of `mixed_folders`, each named after its task."""
    folder = mixed.write_settings(tmp_path_factory.mktemp("mixed-settings"), mixed_folders)
    with running(folder, {}, ready="/v2/models/amount/ready") as started:
        yield started


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Unset TABSERVE_MODEL, and undo after the test what it or `serve` changes in the environment."""
    monkeypatch.setenv("TABSERVE_MODEL", "")
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
