"""Shared fixtures: the root's, small handmade models, and APIs that serve them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cases.categories.tests.served import Api, api
from cases.categories.tests.weighed import WORDS, word_model
from tests.browser import browser
from tests.conftest import clone, script, shared

from tabserve.model.model import Model, load, save

__all__ = ["browser", "clone", "script", "shared"]


@pytest.fixture(scope="session")
def title_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model over titles that knows a few words."""
    return _save(word_model("title"), tmp_path_factory.mktemp("title"))


@pytest.fixture(scope="session")
def tags_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same model over titles and tags."""
    return _save(word_model("title", "concatenated_tags"), tmp_path_factory.mktemp("tags"))


def _save(model: Model, folder: Path) -> Path:
    save(folder / "model", model, np.array([*WORDS], np.object_), "# A few words by hand\n")
    return folder / "model"


@pytest.fixture(scope="session")
def model(title_folder: Path) -> Model:
    """The model over titles."""
    return load(title_folder)


@pytest.fixture(scope="session")
def title_api(title_folder: Path) -> Iterator[Api]:
    """The API with the model over titles; shared, so tests must not stop it."""
    with api(title_folder) as running:
        yield running


@pytest.fixture(scope="session")
def tags_api(tags_folder: Path) -> Iterator[Api]:
    """The API with the model over titles and tags."""
    with api(tags_folder) as running:
        yield running
