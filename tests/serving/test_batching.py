"""Rows that arrive together are scored together; each request gets its own scores."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from threading import Event, current_thread, main_thread
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, Overloaded
from tabserve.model.decision import Scores
from tabserve.serving.batching import MAX_THREADS, Batcher
from tabserve.serving.protocol.signature import Features

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


class Model:
    """Adds up each row, and notes what it was called with."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []

    def __call__(self, features: NDArray[np.float32]) -> Scores:
        """Refuses rows that hold a negative number."""
        self.calls.append(features[:, 0].tolist())
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
    asyncio.run(asyncio.wait_for(test(model), PATIENCE))
    return model


async def score(batcher: Batcher, features: NDArray[np.float32]) -> Scores:
    """Ask for the scores of rows that are all here."""
    scores: Scores = await batcher.score(Features(len(features), [features]))
    return scores


def tasks(batcher: Batcher, *requests: NDArray[np.float32]) -> list[asyncio.Task[Scores]]:
    """Send these requests at once."""
    return [asyncio.create_task(score(batcher, features)) for features in requests]


def test_a_lone_request_is_scored_at_once() -> None:
    """One turn of the loop later, and alone."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=100)
        for value in (1, 2):
            (task,) = tasks(batcher, rows(value))
            for _ in range(3):  # the task starts, the model is called, the task ends
                await asyncio.sleep(0)
            assert task.done()
            assert same(task.result(), rows(value))

    assert run(test).calls == [[1], [2]]


def test_requests_that_arrive_together_are_joined() -> None:
    """In their order, up to the largest batch; what does not fit waits for the next."""

    async def test(model: Model) -> None:
        requests = [rows(1), rows(2, 3), rows(4, 5), rows(6)]
        found = await asyncio.gather(*tasks(Batcher(model, max_batch_size=4), *requests))
        assert all(map(same, found, requests))

    assert run(test).calls == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(("early", "calls"), [([1], [[1], [3]]), ([1, 2], [[1, 2, 3]])])
def test_only_those_who_have_company_wait_a_turn_for_more(early: list[float], calls: list[list[float]]) -> None:
    """A lone request does not, though another comes while it waits to be scored."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=100)
        first = tasks(batcher, *map(rows, early))
        await asyncio.sleep(0)
        await asyncio.gather(*first, *tasks(batcher, rows(3)))

    assert run(test).calls == calls


def test_nobody_waits_for_a_large_request() -> None:
    """A small one is answered while every slice of the large one is still being scored; each gets its own scores."""
    go_on = Event()

    def slow_with_many(features: NDArray[np.float32]) -> Scores:
        assert len(features) == 1 or go_on.wait(PATIENCE)
        return sums(features)

    async def test(_: Model) -> None:
        large, small = tasks(Batcher(slow_with_many, max_batch_size=2), rows(1, 2, 3, 4), rows(9))
        assert same(await small, rows(9))
        assert not large.done()
        go_on.set()
        assert same(await large, rows(1, 2, 3, 4))

    run(test)


def test_others_are_answered_while_the_parts_of_a_large_request_are_taken() -> None:
    """One part a turn; two such requests take turns."""
    taken: list[float] = []

    def parts(*values: float) -> Iterator[NDArray[np.float32]]:
        for value in values:
            taken.append(value)
            yield rows(value)

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        large = [asyncio.create_task(batcher.score(Features(9, parts(*range(start, start + 9))))) for start in (10, 20)]
        await asyncio.sleep(0)
        assert same(await score(batcher, rows(1)), rows(1))
        assert len(taken) < 2 * 9
        assert same(await large[0], rows(*range(10, 19)))
        assert same(await large[1], rows(*range(20, 29)))
        assert taken[2:6] in ([11, 21, 12, 22], [21, 11, 22, 12])

    run(test)


def test_a_large_request_that_turns_out_to_be_invalid_is_refused() -> None:
    """It takes no room any more, and the next is answered."""

    def parts() -> Iterator[NDArray[np.float32]]:
        yield rows(1, 2)
        raise InvalidRequest("the second part is wrong")

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=1)
        with pytest.raises(InvalidRequest, match="the second part is wrong"):
            await batcher.score(Features(4, parts()))
        assert batcher.rows == 0
        assert same(await score(batcher, rows(1, 2)), rows(1, 2))

    run(test)


def test_a_large_request_is_scored_in_slices_of_the_largest_batch() -> None:
    """Whichever is scored first."""

    async def test(model: Model) -> None:
        assert same(await score(Batcher(model, max_batch_size=2), rows(1, 2, 3, 4, 5)), rows(1, 2, 3, 4, 5))

    assert sorted(run(test).calls) == [[1, 2], [3, 4], [5]]


def test_a_small_request_in_several_parts_is_scored_by_other_threads() -> None:
    """It is long to score or to read, and nobody else is to wait for it."""
    threads: set[str] = set()

    def model(features: NDArray[np.float32]) -> Scores:
        threads.add(current_thread().name)
        return sums(features)

    async def test(_: Model) -> None:
        batcher = Batcher(model, max_batch_size=4)
        assert same(await batcher.score(Features(2, [rows(1), rows(2)])), rows(1, 2))
        assert same(await batcher.score(Features(2, [rows(1, 2)])), rows(1, 2))

    run(test)
    assert len(threads) == 2
    assert main_thread().name in threads


def test_the_slices_of_a_cancelled_request_that_wait_are_not_scored() -> None:
    """Only those that each thread has begun."""
    begun, go_on = Event(), Event()

    async def test(model: Model) -> None:
        def slow(features: NDArray[np.float32]) -> Scores:
            begun.set()
            assert go_on.wait(PATIENCE)
            return model(features)

        batcher = Batcher(slow, max_batch_size=1)
        (large,) = tasks(batcher, rows(*range(100)))
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        large.cancel()
        await asyncio.wait([large])
        go_on.set()
        assert same(await score(batcher, rows(1, 2)), rows(1, 2))  # behind all that waits
        assert batcher.rows == 0

    assert len(run(test).calls) <= MAX_THREADS + 2


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
    """Others in its batch are."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=4)
        leaving, staying = tasks(batcher, rows(1), rows(2))
        await asyncio.sleep(0)
        leaving.cancel()
        assert same(await staying, rows(2))
        assert leaving.cancelled()
        assert same(await score(batcher, rows(8)), rows(8))
        assert batcher.rows == 0

    assert run(test).calls == [[2], [8]]


def test_a_failure_reaches_its_whole_batch_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """The next batch is scored, and the log says what happened."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        *failing, next_one = tasks(batcher, rows(1), rows(-1), rows(2, 3))
        for task in failing:
            with pytest.raises(ArithmeticError, match="negative"):
                await task
        assert same(await next_one, rows(2, 3))
        assert batcher.rows == 0

    assert run(test).calls == [[1, -1], [2, 3]]
    assert "Scoring 2 rows failed." in caplog.text


def test_rows_beyond_the_queue_are_refused_at_once() -> None:
    """Those that wait are scored, and then there is room again."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2, max_queue_rows=5)
        waiting = tasks(batcher, rows(1, 2, 3), rows(4, 5))
        await asyncio.sleep(0)
        batcher_full = "has 5 rows to score, of at most 5; try again in a second"
        with pytest.raises(Overloaded, match=batcher_full):
            await score(batcher, rows(6))
        with pytest.raises(Overloaded, match=batcher_full):
            batcher.check_room()
        await asyncio.gather(*waiting)
        batcher.check_room()
        assert same(await score(batcher, rows(7)), rows(7))

    assert sorted(run(test).calls) == [[1, 2], [3], [4, 5], [7]]


def test_a_request_larger_than_the_queue_is_scored_when_nothing_waits() -> None:
    """It could never be otherwise."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2, max_queue_rows=2)
        assert same(await score(batcher, rows(1, 2, 3)), rows(1, 2, 3))

    run(test)


def test_large_requests_leave_room_for_small_ones() -> None:
    """They hold no more than their share of the queue; a lone one may be larger."""
    go_on = Event()

    def slow_with_many(features: NDArray[np.float32]) -> Scores:
        assert len(features) == 1 or go_on.wait(PATIENCE)
        return sums(features)

    async def test(_: Model) -> None:
        batcher = Batcher(slow_with_many, max_batch_size=2, max_queue_rows=10, large_share=0.5)
        (large,) = tasks(batcher, rows(1, 2, 3, 4, 5, 6))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="has 6 rows of large requests to score, of at most 5; try again"):
            await score(batcher, rows(1, 2, 3))
        assert same(await score(batcher, rows(9)), rows(9))
        go_on.set()
        assert same(await large, rows(1, 2, 3, 4, 5, 6))
        assert same(await score(batcher, rows(1, 2, 3)), rows(1, 2, 3))

    run(test)


def test_large_requests_take_turns() -> None:
    """Slice by slice: one of few slices does not wait for the last of one of many."""

    async def test(model: Model) -> None:
        await asyncio.gather(*tasks(Batcher(model, max_batch_size=2), rows(*range(200)), rows(*range(200, 208))))

    calls = run(test).calls
    assert calls.index([206, 207]) < calls.index([100, 101])


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
        task = asyncio.create_task(score(batcher, features))
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
