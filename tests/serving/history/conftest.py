"""Histories in SQLite and PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.needs import missing, reason
from tests.serving.history.postgres import Cluster, cluster

from tabserve.serving.history.opening import dialect
from tabserve.serving.history.store import Store

NewStore = Callable[[], Store]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running server of PostgreSQL."""
    if names := missing(["postgresql"]):
        pytest.skip(reason(names))
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new history can be kept, in each kind of store."""
    if request.param == "sqlite":
        return str(tmp_path / "history.db")
    postgres: Cluster = request.getfixturevalue("postgres")
    return postgres.database()


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    """A new store of each kind."""
    made = Store(dialect(address))
    yield made
    made.close()
