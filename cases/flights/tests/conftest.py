"""Shared fixtures: the root's, small models of both problems, and APIs that serve them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cases.flights.tests.served import Api, api
from cases.flights.tests.small import train
from tests.conftest import clone, script, shared

from flights.problem import DEPARTED
from tabserve.model.model import Model, load

__all__ = ["clone", "script", "shared"]


@pytest.fixture(scope="session")
def before_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model that is asked before departure."""
    return train(tmp_path_factory.mktemp("before") / "model")


@pytest.fixture(scope="session")
def departed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model that is asked after departure."""
    return train(tmp_path_factory.mktemp("departed") / "model", DEPARTED)


@pytest.fixture(scope="session")
def before(before_folder: Path) -> Model:
    """The model that is asked before departure."""
    return load(before_folder)


@pytest.fixture(scope="session")
def departed(departed_folder: Path) -> Model:
    """The model that is asked after departure."""
    return load(departed_folder)


@pytest.fixture(scope="session")
def before_api(before_folder: Path) -> Iterator[Api]:
    """An API with the model before departure; shared, so tests must not change it."""
    with api(before_folder, TABSERVE_LOAD="off") as running:
        yield running


@pytest.fixture(scope="session")
def departed_api(departed_folder: Path) -> Iterator[Api]:
    """An API with the model after departure; shared, so tests must not change it."""
    with api(departed_folder, TABSERVE_LOAD="off") as running:
        yield running
