"""Rows that arrive while the model is busy are scored together, next; each request gets its own scores."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tabserve.scoring import Scores
from tabserve.serving.batching import Batcher

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


class Model:
    """Adds up each row, notes what it was called with, and is busy for as long as a test holds it."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []
        self.threads: set[int] = set()
        self.free = threading.Event()
        self.free.set()

    def __call__(self, features: NDArray[np.float32]) -> Scores:
        """Refuses rows that hold a negative number."""
        self.calls.append(features[:, 0].tolist())
        self.threads.add(threading.get_ident())
        assert self.free.wait(PATIENCE), "the test never set the model free"
        if (features < 0).any():
            raise ArithmeticError("negative")
        return sums(features)


def rows(*first: float) -> NDArray[np.float32]:
    """Rows of two features, of which the first are given."""
    return np.array([[value, 1] for value in first], dtype=np.float32)


def sums(features: NDArray[np.float32]) -> Scores:
    """What the model answers."""
    total = features.sum(axis=1)
    return Scores(total, (total >= 3).astype(np.int64))


def same(found: Scores, features: NDArray[np.float32]) -> bool:
    """Whether these are the scores of these rows."""
    expected = sums(features)
    return np.array_equal(found.probability, expected.probability) and np.array_equal(found.label, expected.label)


def run(test: Callable[[Model], Coroutine[Any, Any, None]]) -> Model:
    """Run an asynchronous test with a model, within the time a test may take."""
    model = Model()

    async def limited() -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await test(model)
        finally:
            model.free.set()

    asyncio.run(limited())
    return model


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something is so; `run` ends what never comes."""
    while not condition():  # noqa: ASYNC110  it comes about in another thread
        await asyncio.sleep(0.001)


async def keep_busy(batcher: Batcher, model: Model) -> asyncio.Task[Scores]:
    """Send a row that the model does not finish before it is set free."""
    model.free.clear()
    task = asyncio.create_task(batcher.score(rows(0)))
    await until(lambda: model.calls == [[0]])
    return task


def tasks(batcher: Batcher, *requests: NDArray[np.float32]) -> list[asyncio.Task[Scores]]:
    """Send these requests at once."""
    return [asyncio.create_task(batcher.score(features)) for features in requests]


def test_an_idle_model_scores_a_request_at_once() -> None:
    """And alone, one after the other, outside the event loop's thread."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=100)
        for value in (1, 2):
            assert same(await batcher.score(rows(value)), rows(value))
        assert threading.get_ident() not in model.threads

    assert run(test).calls == [[1], [2]]


def test_requests_that_arrive_while_the_model_is_busy_are_joined() -> None:
    """In their order, up to the largest batch; what does not fit waits for the next."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=4)
        first = await keep_busy(batcher, model)
        requests = [rows(1), rows(2, 3), rows(4, 5), rows(6)]
        waiting = tasks(batcher, *requests)
        await asyncio.sleep(0.01)
        assert model.calls == [[0]]
        model.free.set()
        for found, features in zip(await asyncio.gather(first, *waiting), [rows(0), *requests], strict=True):
            assert same(found, features)

    model = run(test)
    assert model.calls == [[0], [1, 2, 3], [4, 5, 6]]
    assert len(model.threads) == 1


def test_a_large_request_is_scored_in_slices_between_which_others_get_in() -> None:
    """A small request that arrives during the first slice does not wait for the last."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        first = await keep_busy(batcher, model)
        large, small = tasks(batcher, rows(1, 2, 3, 4, 5), rows(9))
        await asyncio.sleep(0.01)
        model.free.set()
        assert same(await small, rows(9))
        assert same(await large, rows(1, 2, 3, 4, 5))
        await first

    assert run(test).calls == [[0], [1, 2], [9], [3, 4], [5]]


def test_a_batch_waits_for_company_only_as_long_as_asked() -> None:
    """With `max_batch_time`, what comes a little later is still joined; the first is answered though no more come."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=100, max_batch_time=0.2)
        (early,) = tasks(batcher, rows(1))
        await asyncio.sleep(0.02)
        (late,) = tasks(batcher, rows(2))
        assert same(await early, rows(1))
        assert same(await late, rows(2))

    assert run(test).calls == [[1, 2]]


def test_a_full_batch_does_not_wait() -> None:
    """However long `max_batch_time` is."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=3, max_batch_time=3600)
        requests = rows(1), rows(2, 3)
        for found, features in zip(await asyncio.gather(*tasks(batcher, *requests)), requests, strict=True):
            assert same(found, features)

    assert run(test).calls == [[1, 2, 3]]


def test_a_cancelled_request_is_not_scored() -> None:
    """Neither while it waits, nor the later slices of a large one; others in its batch are."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        first = await keep_busy(batcher, model)
        leaving, staying, large = tasks(batcher, rows(1), rows(2), rows(3, 4, 5))
        await asyncio.sleep(0.01)
        leaving.cancel()
        large.cancel()
        await asyncio.sleep(0)
        model.free.set()
        assert same(await staying, rows(2))
        await first
        assert leaving.cancelled()
        assert large.cancelled()
        assert same(await batcher.score(rows(6)), rows(6))

    assert run(test).calls == [[0], [2], [6]]


def test_a_request_may_be_cancelled_while_it_is_scored() -> None:
    """The others of its batch get their scores."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        first = await keep_busy(batcher, model)
        first.cancel()
        (other,) = tasks(batcher, rows(1))
        await asyncio.sleep(0.01)
        model.free.set()
        assert same(await other, rows(1))
        assert first.cancelled()

    assert run(test).calls == [[0], [1]]


def test_a_failure_reaches_its_whole_batch_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """The next batch is scored, and the log says what happened."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        first = await keep_busy(batcher, model)
        failing = tasks(batcher, rows(1), rows(-1))
        (next_one,) = tasks(batcher, rows(2, 3))
        await asyncio.sleep(0.01)
        model.free.set()
        for task in failing:
            with pytest.raises(ArithmeticError, match="negative"):
                await task
        assert same(await next_one, rows(2, 3))
        assert same(await first, rows(0))

    assert run(test).calls == [[0], [1, -1], [2, 3]]
    assert "Scoring 2 rows failed." in caplog.text


def test_the_event_loop_stays_free_while_the_model_works() -> None:
    """Whatever else the server does goes on."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        busy = await keep_busy(batcher, model)
        await asyncio.sleep(0.01)
        assert not busy.done()
        model.free.set()
        await busy

    run(test)


class Sent:
    """One request of a random interleaving: its size, how long after the last it comes, and whether it is given up."""

    def __init__(self, size: int, pause: int, *, leaves: bool) -> None:
        self.size, self.pause, self.leaves = size, pause, leaves

    def __repr__(self) -> str:
        return f"Sent({self.size}, {self.pause}, leaves={self.leaves})"


interleavings = st.lists(st.builds(Sent, st.integers(1, 9), st.integers(0, 3), leaves=st.booleans()), max_size=12)


@given(interleavings, st.integers(1, 6), st.sampled_from([0.0, 0.001]))
def test_any_interleaving_gives_each_request_its_own_scores(
    sent: list[Sent], max_batch_size: int, max_batch_time: float
) -> None:
    """Whatever comes when, of whatever size, and whoever leaves; and no call is larger than the largest batch."""

    async def one(batcher: Batcher, features: NDArray[np.float32], *, leaves: bool) -> None:
        task = asyncio.create_task(batcher.score(features))
        if leaves:
            await asyncio.sleep(0)
            task.cancel()
        try:
            assert same(await task, features)
        except asyncio.CancelledError:
            assert leaves

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size, max_batch_time)
        requests: list[Awaitable[None]] = []
        start = 0
        for request in sent:
            for _ in range(request.pause):
                await asyncio.sleep(0)
            features = rows(*range(start, start + request.size))
            requests.append(asyncio.create_task(one(batcher, features, leaves=request.leaves)))
            start += request.size
        await asyncio.gather(*requests)

    calls = run(test).calls
    scored = [value for call in calls for value in call]
    assert len(scored) == len(set(scored))
    assert all(1 <= len(call) <= max_batch_size for call in calls)
