"""Rows are explained beside the event loop, only on request, and no more of them at a time than the limit."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from threading import Event, current_thread, main_thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, Overloaded
from tabserve.model.decision import Scores
from tabserve.model.model import Model, load
from tabserve.predictors.booster import Booster
from tabserve.serving.explanations import SLICE_ROWS, Explained, Explainer
from tabserve.serving.limits import Limits
from tabserve.serving.metrics import ModelMetrics
from tabserve.serving.model import LoadedModel
from tabserve.serving.protocol.contributions import NAME
from tabserve.serving.protocol.signature import Features

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


def explain(features: NDArray[np.float32]) -> Explained:
    """Explain rows by their own cells."""
    probability = features[:, 0]
    return Explained(Scores(probability, (probability > 1).astype(np.int64)), features[:, np.newaxis])


def rows(count: int) -> NDArray[np.float32]:
    """Rows of two features, of which the first is the row's number."""
    return np.array([[row, 1] for row in range(count)], np.float32)


def of(features: NDArray[np.float32]) -> Features:
    """Features that arrive in one chunk."""
    return Features(len(features), [features])


def run(test: Any) -> None:  # noqa: ANN401  a coroutine
    """Run an asynchronous test with a deadline."""
    asyncio.run(asyncio.wait_for(test, PATIENCE))


@pytest.mark.parametrize("count", [1, SLICE_ROWS, 3 * SLICE_ROWS + 1])
def test_rows_are_explained_in_slices_on_other_threads(count: int) -> None:
    """Each gets its own contributions, beside its answers."""
    sizes: list[int] = []

    def watched(features: NDArray[np.float32]) -> Explained:
        assert current_thread() is not main_thread()
        sizes.append(len(features))
        return explain(features)

    async def test() -> None:
        explainer = Explainer(watched, 1_000)
        explained = await explainer.explain(of(rows(count)))
        assert np.array_equal(explained.contributions[:, 0], rows(count))
        assert np.array_equal(explained.probability, rows(count)[:, 0])
        assert np.array_equal(explained.label, rows(count)[:, 0] > 1)
        assert explainer.rows == 0

    run(test())
    assert max(sizes) <= SLICE_ROWS
    assert sum(sizes) == count


def test_rows_beyond_the_limit_wait_for_the_client() -> None:
    """The server refuses them while others are explained, and takes any number if none are."""
    may_go_on = Event()

    def slow(features: NDArray[np.float32]) -> Explained:
        assert may_go_on.wait(PATIENCE)
        return explain(features)

    async def test() -> None:
        explainer = Explainer(slow, 5)
        waiting = asyncio.create_task(explainer.explain(of(rows(4))))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="has 4 rows to explain, of at most 5; try again in a second"):
            await explainer.explain(of(rows(2)))
        may_go_on.set()
        await waiting
        assert len((await explainer.explain(of(rows(9)))).contributions) == 9

    run(test())


def test_an_invalid_chunk_refuses_the_request_alone() -> None:
    """The next is explained."""

    def chunks() -> Iterator[NDArray[np.float32]]:
        yield rows(2)
        raise InvalidRequest("the second chunk is wrong")

    async def test() -> None:
        explainer = Explainer(explain, 5)
        with pytest.raises(InvalidRequest, match="the second chunk is wrong"):
            await explainer.explain(Features(4, chunks()))
        assert explainer.rows == 0
        assert len((await explainer.explain(of(rows(3)))).contributions) == 3

    run(test())


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    """The committed model."""
    return load(model_folder)


def request(count: int, *outputs: str) -> dict[str, Any]:
    """A request of rows of zeros."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [count, 200], "data": [0.0] * 200 * count}
    return {"inputs": [tensor], "outputs": [{"name": name} for name in outputs]}


def test_other_requests_compute_no_contributions(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even those that arrive together with one that wants them, and they are answered while it waits."""
    may_go_on, calls = Event(), list[int]()
    contributions = Booster.contributions

    def slow(booster: Booster, features: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(len(features))
        assert may_go_on.wait(PATIENCE)
        return contributions(booster, features)

    monkeypatch.setattr(Booster, "contributions", slow)

    async def test() -> None:
        loaded = LoadedModel(model, Limits(), ModelMetrics())
        explained, *others = [
            asyncio.create_task(loaded.answer(loaded.validate(document)))
            for document in (request(3, NAME), request(1), request(2, "predict"), request(600, "predict_proba"))
        ]
        assert [[output.name for output in await other] for other in others] == [
            ["predict", "predict_proba"],
            ["predict"],
            ["predict_proba"],
        ]
        assert not explained.done()
        may_go_on.set()
        (output,) = await explained
        assert output.values.shape == (3, 201)

    run(test())
    assert calls == [3]


def test_waiting_rows_are_in_the_gauge_of_the_queue(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until they are answered."""
    may_go_on = Event()
    contributions = Booster.contributions

    def slow(booster: Booster, features: NDArray[np.float32]) -> NDArray[np.float32]:
        assert may_go_on.wait(PATIENCE)
        return contributions(booster, features)

    monkeypatch.setattr(Booster, "contributions", slow)

    async def test() -> None:
        metrics = ModelMetrics()
        loaded = LoadedModel(model, Limits(), metrics)
        waiting = asyncio.create_task(loaded.answer(loaded.validate(request(20, NAME))))
        await asyncio.sleep(0)
        assert metrics.queue() == 20
        may_go_on.set()
        await waiting
        assert metrics.queue() == 0
        assert sum(metrics.labels.values()) == 20

    run(test())


def test_an_operator_may_forbid_explanations(model: Model) -> None:
    """A limit of 0 rows leaves the output out; another limit bounds the rows of a request."""

    async def outputs(limit: int) -> LoadedModel:
        return LoadedModel(model, Limits(max_explained_rows=limit), ModelMetrics())

    assert NAME not in asyncio.run(outputs(0)).signature.outputs
    limited = asyncio.run(outputs(7))
    assert limited.signature.outputs[NAME].max_rows == 7
    assert limited.validate(request(7, NAME)).outputs == (NAME,)
    with pytest.raises(InvalidRequest, match="of 8 rows; ask for it of at most 7 at a time"):
        limited.validate(request(8, NAME))


def test_a_predictor_without_contributions_has_no_such_output(texts_folder: Path) -> None:
    """The other outputs are as ever."""

    async def loaded() -> LoadedModel:
        return LoadedModel(load(texts_folder), Limits(), ModelMetrics())

    signature = asyncio.run(loaded()).signature
    assert [*signature.outputs] == [*signature.default_outputs] == ["predict", "predict_proba"]
