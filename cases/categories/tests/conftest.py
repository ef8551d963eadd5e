"""What this case's tests share: the root's fixtures, small models made by hand, and servers of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cases.categories.tests.served import Api, api
from cases.categories.tests.weighed import WORDS, weighed
from tests.browser import browser
from tests.conftest import clone, script, shared

from tabserve.model.model import Model, load, save

__all__ = ["browser", "clone", "script", "shared"]


@pytest.fixture(scope="session")
def by_title(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that knows a few words of titles."""
    return _saved(weighed("title"), tmp_path_factory.mktemp("title"))


@pytest.fixture(scope="session")
def by_tags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, of titles and tags."""
    return _saved(weighed("title", "concatenated_tags"), tmp_path_factory.mktemp("tags"))


def _saved(model: Model, folder: Path) -> Path:
    save(folder / "model", model, np.array([*WORDS], np.object_), "# A few words by hand\n")
    return folder / "model"


@pytest.fixture(scope="session")
def model(by_title: Path) -> Model:
    """What is served, at hand."""
    return load(by_title)


@pytest.fixture(scope="session")
def titled(by_title: Path) -> Iterator[Api]:
    """The API with a model of titles, for whoever does it no harm."""
    with api(by_title) as running:
        yield running


@pytest.fixture(scope="session")
def tagged(by_tags: Path) -> Iterator[Api]:
    """The API with a model of titles and tags."""
    with api(by_tags) as running:
        yield running
