"""A server of linear models over numbers and categories gives REST and gRPC clients the models' own predictions."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serving import mixed
from tests.serving.test_mixed_columns import Columns, by_json, by_raw, by_typed, cells, check_equal, expected

from tabserve.client.local_server import Server, running
from tabserve.model.model import load
from tabserve.predictors.one_hot import OneHotLinear


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By task: the folder of a linear model; its table is beside it, as `.csv`."""
    folder = tmp_path_factory.mktemp("linear")
    return {name: mixed.train(folder / name, name, mixed.linear) for name in mixed.TASKS}


@pytest.fixture(scope="module")
def server(folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with all of them, each named after its task."""
    settings = mixed.write_settings(tmp_path_factory.mktemp("linear-settings"), folders)
    with running(settings, {}, ready="/v2/models/amount/ready") as started:
        yield started


@pytest.mark.parametrize("name", mixed.TASKS)
def test_every_client_gets_the_models_predictions(server: Server, folders: dict[str, Path], name: str) -> None:
    """Equal to the bit, for many rows and for one; an unseen level is a missing one."""
    model, columns = load(folders[name]), cells(folders[name])
    assert isinstance(model.predictor, OneHotLinear)
    wanted = expected(model, folders[name])
    for ask in (by_json, by_typed, by_raw):
        check_equal(ask(server, name, columns), wanted)
    one: Columns = {column: (kind, values[:1]) for column, (kind, values) in columns.items()}
    check_equal(by_json(server, name, one), [values[:1] for values in wanted])
    plans = {kind: by_json(server, name, one | {"rooms": ("BYTES", [kind])}) for kind in ("", "a hundred")}
    check_equal(plans[""], plans["a hundred"])
