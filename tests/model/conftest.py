"""What the tests of the model folder share."""

from pathlib import Path

import pytest
from tests.model.small import MADE, Made, saved


@pytest.fixture(params=MADE, ids=lambda name: name.removeprefix("model."))
def made(request: pytest.FixtureRequest) -> Made:
    """Makes small models of one kind, then of the other."""
    return MADE[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder, alone in its parent: trees over numbers."""
    saved(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def either(made: Made, tmp_path: Path) -> Path:
    """A whole model folder, alone in its parent, of either kind."""
    saved(tmp_path / "model", made(0))
    return tmp_path / "model"
