"""What the tests of the model folder share."""

from pathlib import Path

import pytest
from tests.model.small import BUILDERS, Build, save_small


@pytest.fixture(params=BUILDERS, ids=lambda name: name.removeprefix("model."))
def made(request: pytest.FixtureRequest) -> Build:
    """Makes small models of one kind, then of the other."""
    return BUILDERS[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder, alone in its parent: trees over numbers."""
    save_small(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def either(made: Build, tmp_path: Path) -> Path:
    """A whole model folder, alone in its parent, of either kind."""
    save_small(tmp_path / "model", made(0))
    return tmp_path / "model"
