"""Fixtures for the tests of model folders."""

from pathlib import Path

import pytest
from tests.model.small import BUILDERS, Build, save_small


@pytest.fixture(params=BUILDERS, ids=lambda name: name.removeprefix("model."))
def build(request: pytest.FixtureRequest) -> Build:
    """A function that builds small models of one kind, for each kind in turn."""
    return BUILDERS[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A valid model folder of trees over numbers, alone in its parent folder."""
    save_small(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def either(build: Build, tmp_path: Path) -> Path:
    """A valid model folder of each kind in turn, alone in its parent folder."""
    save_small(tmp_path / "model", build(0))
    return tmp_path / "model"
