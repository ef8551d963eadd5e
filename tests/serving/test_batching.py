"""Rows that arrive together are scored together, and each request gets its own scores."""

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
from tabserve.serving.batching import Batcher
from tabserve.serving.protocol.signature import Features
from tabserve.serving.slices import MAX_THREADS

PATIENCE = 20.0
"""Seconds after which a test gives up waiting."""


class Model:
    """Sums each row, and records the first feature of the rows of each call."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []

    def __call__(self, features: NDArray[np.float32]) -> Scores:
        """Score rows; raise an error if one holds a negative number."""
        self.calls.append(features[:, 0].tolist())
        if (features < 0).any():
            raise ArithmeticError("negative")
        return scores_of(features)


def rows(*first: float) -> NDArray[np.float32]:
    """Rows of two features, of which the first has these values."""
    return np.array([[value, 1] for value in first], dtype=np.float32)


def scores_of(features: NDArray[np.float32]) -> Scores:
    """The scores that the model gives to rows."""
    total = features.sum(axis=1)
    return Scores(total, (total >= 3).astype(np.int64))


def are_scores_of(scores: Scores, features: NDArray[np.float32]) -> bool:
    """Whether these are the scores of these rows."""
    expected = scores_of(features)
    return np.array_equal(scores.probability, expected.probability) and np.array_equal(scores.label, expected.label)


def run(test: Callable[[Model], Coroutine[Any, Any, None]]) -> Model:
    """Run an asynchronous test with a model and a deadline; return the model."""
    model = Model()
    asyncio.run(asyncio.wait_for(test(model), PATIENCE))
    return model


async def score(batcher: Batcher, features: NDArray[np.float32]) -> Scores:
    """Score rows that arrive in one chunk."""
    scores: Scores = await batcher.score(Features(len(features), [features]))
    return scores


def send(batcher: Batcher, *requests: NDArray[np.float32]) -> list[asyncio.Task[Scores]]:
    """Send requests in one turn of the loop."""
    return [asyncio.create_task(score(batcher, features)) for features in requests]


def test_a_single_request_is_scored_at_the_end_of_its_turn() -> None:
    """Without waiting for others."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=100)
        for value in (1, 2):
            (task,) = send(batcher, rows(value))
            for _ in range(3):  # the task starts, the model is called, the task ends
                await asyncio.sleep(0)
            assert task.done()
            assert are_scores_of(task.result(), rows(value))

    assert run(test).calls == [[1], [2]]


def test_requests_that_arrive_together_form_a_batch() -> None:
    """In their order, up to the batch size; the rest forms the next batch."""

    async def test(model: Model) -> None:
        requests = [rows(1), rows(2, 3), rows(4, 5), rows(6)]
        results = await asyncio.gather(*send(Batcher(model, max_batch_size=4), *requests))
        assert all(map(are_scores_of, results, requests))

    assert run(test).calls == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(("early", "calls"), [([1], [[1], [3]]), ([1, 2], [[1, 2, 3]])])
def test_only_several_requests_wait_a_turn_for_more(early: list[float], calls: list[list[float]]) -> None:
    """A single request does not, even if another arrives before it is scored."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=100)
        first = send(batcher, *map(rows, early))
        await asyncio.sleep(0)
        await asyncio.gather(*first, *send(batcher, rows(3)))

    assert run(test).calls == calls


def test_a_small_request_does_not_wait_for_a_large_one() -> None:
    """It is answered while all slices of the large one are still being scored; each gets its own scores."""
    may_go_on = Event()

    def slow_with_many(features: NDArray[np.float32]) -> Scores:
        assert len(features) == 1 or may_go_on.wait(PATIENCE)
        return scores_of(features)

    async def test(_: Model) -> None:
        large, small = send(Batcher(slow_with_many, max_batch_size=2), rows(1, 2, 3, 4), rows(9))
        assert are_scores_of(await small, rows(9))
        assert not large.done()
        may_go_on.set()
        assert are_scores_of(await large, rows(1, 2, 3, 4))

    run(test)


def test_small_requests_are_answered_while_chunks_of_large_ones_are_parsed() -> None:
    """One chunk is parsed per turn, and two large requests take turns."""
    parsed: list[float] = []

    def chunks(*values: float) -> Iterator[NDArray[np.float32]]:
        for value in values:
            parsed.append(value)
            yield rows(value)

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        large = [
            asyncio.create_task(batcher.score(Features(9, chunks(*range(start, start + 9))))) for start in (10, 20)
        ]
        await asyncio.sleep(0)
        assert are_scores_of(await score(batcher, rows(1)), rows(1))
        assert len(parsed) < 2 * 9
        assert are_scores_of(await large[0], rows(*range(10, 19)))
        assert are_scores_of(await large[1], rows(*range(20, 29)))
        assert parsed[2:6] in ([11, 21, 12, 22], [21, 11, 22, 12])

    run(test)


def test_a_large_request_with_an_invalid_chunk_is_refused() -> None:
    """It leaves the queue, and the next request is answered."""

    def chunks() -> Iterator[NDArray[np.float32]]:
        yield rows(1, 2)
        raise InvalidRequest("the second chunk is wrong")

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=1)
        with pytest.raises(InvalidRequest, match="the second chunk is wrong"):
            await batcher.score(Features(4, chunks()))
        assert batcher.rows == 0
        assert are_scores_of(await score(batcher, rows(1, 2)), rows(1, 2))

    run(test)


def test_a_large_request_is_scored_in_slices_of_the_batch_size() -> None:
    """In any order."""

    async def test(model: Model) -> None:
        assert are_scores_of(await score(Batcher(model, max_batch_size=2), rows(1, 2, 3, 4, 5)), rows(1, 2, 3, 4, 5))

    assert sorted(run(test).calls) == [[1, 2], [3, 4], [5]]


def test_a_small_request_of_several_chunks_is_scored_on_another_thread() -> None:
    """It takes long to score or to parse, and no other request should wait for it."""
    threads: set[str] = set()

    def model(features: NDArray[np.float32]) -> Scores:
        threads.add(current_thread().name)
        return scores_of(features)

    async def test(_: Model) -> None:
        batcher = Batcher(model, max_batch_size=4)
        assert are_scores_of(await batcher.score(Features(2, [rows(1), rows(2)])), rows(1, 2))
        assert are_scores_of(await batcher.score(Features(2, [rows(1, 2)])), rows(1, 2))

    run(test)
    assert len(threads) == 2
    assert main_thread().name in threads


def test_waiting_slices_of_a_cancelled_request_are_not_scored() -> None:
    """Only those that a thread has started."""
    started, may_go_on = Event(), Event()

    async def test(model: Model) -> None:
        def slow(features: NDArray[np.float32]) -> Scores:
            started.set()
            assert may_go_on.wait(PATIENCE)
            return model(features)

        batcher = Batcher(slow, max_batch_size=1)
        (large,) = send(batcher, rows(*range(100)))
        assert await asyncio.to_thread(started.wait, PATIENCE)
        large.cancel()
        await asyncio.wait([large])
        may_go_on.set()
        assert are_scores_of(await score(batcher, rows(1, 2)), rows(1, 2))  # after all waiting slices
        assert batcher.rows == 0

    assert len(run(test).calls) <= MAX_THREADS + 2


def test_a_batch_waits_for_others_up_to_max_batch_time() -> None:
    """A request that arrives within it joins the batch; then the batch is scored though it is not full."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=100, max_batch_time=0.2)
        (early,) = send(batcher, rows(1))
        await asyncio.sleep(0.02)
        (late,) = send(batcher, rows(2))
        assert are_scores_of(await early, rows(1))
        assert are_scores_of(await late, rows(2))

    assert run(test).calls == [[1, 2]]


def test_a_full_batch_does_not_wait() -> None:
    """However long `max_batch_time` is."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=3, max_batch_time=3600)
        requests = rows(1), rows(2, 3)
        for scores, features in zip(await asyncio.gather(*send(batcher, *requests)), requests, strict=True):
            assert are_scores_of(scores, features)

    assert run(test).calls == [[1, 2, 3]]


def test_a_cancelled_request_is_not_scored() -> None:
    """The others in its batch are."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=4)
        cancelled, other = send(batcher, rows(1), rows(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        assert are_scores_of(await other, rows(2))
        assert cancelled.cancelled()
        assert are_scores_of(await score(batcher, rows(8)), rows(8))
        assert batcher.rows == 0

    assert run(test).calls == [[2], [8]]


def test_an_error_of_the_model_reaches_its_whole_batch_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """The next batch is scored, and the error is logged."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2)
        *failing, next_one = send(batcher, rows(1), rows(-1), rows(2, 3))
        for task in failing:
            with pytest.raises(ArithmeticError, match="negative"):
                await task
        assert are_scores_of(await next_one, rows(2, 3))
        assert batcher.rows == 0

    assert run(test).calls == [[1, -1], [2, 3]]
    assert "Scoring 2 rows failed." in caplog.text


def test_rows_beyond_the_queue_are_refused_at_once() -> None:
    """Rows in the queue are scored, and then there is room again."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2, max_queue_rows=5)
        waiting = send(batcher, rows(1, 2, 3), rows(4, 5))
        await asyncio.sleep(0)
        batcher_full = "has 5 rows to score, of at most 5; try again in a second"
        with pytest.raises(Overloaded, match=batcher_full):
            await score(batcher, rows(6))
        with pytest.raises(Overloaded, match=batcher_full):
            batcher.check_room()
        await asyncio.gather(*waiting)
        batcher.check_room()
        assert are_scores_of(await score(batcher, rows(7)), rows(7))

    assert sorted(run(test).calls) == [[1, 2], [3], [4, 5], [7]]


def test_a_request_larger_than_the_queue_is_scored_when_the_queue_is_empty() -> None:
    """Otherwise it could never be scored."""

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size=2, max_queue_rows=2)
        assert are_scores_of(await score(batcher, rows(1, 2, 3)), rows(1, 2, 3))

    run(test)


def test_large_requests_leave_room_for_small_ones() -> None:
    """They hold at most their share of the queue, unless only one is there."""
    may_go_on = Event()

    def slow_with_many(features: NDArray[np.float32]) -> Scores:
        assert len(features) == 1 or may_go_on.wait(PATIENCE)
        return scores_of(features)

    async def test(_: Model) -> None:
        batcher = Batcher(slow_with_many, max_batch_size=2, max_queue_rows=10, large_share=0.5)
        (large,) = send(batcher, rows(1, 2, 3, 4, 5, 6))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="has 6 rows of large requests to score, of at most 5; try again"):
            await score(batcher, rows(1, 2, 3))
        assert are_scores_of(await score(batcher, rows(9)), rows(9))
        may_go_on.set()
        assert are_scores_of(await large, rows(1, 2, 3, 4, 5, 6))
        assert are_scores_of(await score(batcher, rows(1, 2, 3)), rows(1, 2, 3))

    run(test)


def test_large_requests_take_turns() -> None:
    """Slice by slice, so that a request of few slices does not wait for one of many."""

    async def test(model: Model) -> None:
        await asyncio.gather(*send(Batcher(model, max_batch_size=2), rows(*range(200)), rows(*range(200, 208))))

    calls = run(test).calls
    assert calls.index([206, 207]) < calls.index([100, 101])


class Arrival:
    """A request of a random interleaving: its size, the turns since the previous one, and whether it is cancelled."""

    def __init__(self, size: int, pause: int, *, cancelled: bool) -> None:
        self.size, self.pause, self.cancelled = size, pause, cancelled

    def __repr__(self) -> str:
        return f"Arrival({self.size}, {self.pause}, cancelled={self.cancelled})"


interleavings = st.lists(st.builds(Arrival, st.integers(1, 9), st.integers(0, 3), cancelled=st.booleans()), max_size=12)


@given(interleavings, st.integers(1, 6), st.sampled_from([0.0, 0.001]))
def test_any_interleaving_gives_each_request_its_own_scores(
    arrivals: list[Arrival], max_batch_size: int, max_batch_time: float
) -> None:
    """Whatever the sizes, times and cancellations; no call has more rows than the batch size."""

    async def check(batcher: Batcher, features: NDArray[np.float32], *, cancelled: bool) -> None:
        task = asyncio.create_task(score(batcher, features))
        if cancelled:
            await asyncio.sleep(0)
            task.cancel()
        try:
            assert are_scores_of(await task, features)
        except asyncio.CancelledError:
            assert cancelled

    async def test(model: Model) -> None:
        batcher = Batcher(model, max_batch_size, max_batch_time)
        requests: list[Awaitable[None]] = []
        start = 0
        for request in arrivals:
            for _ in range(request.pause):
                await asyncio.sleep(0)
            features = rows(*range(start, start + request.size))
            requests.append(asyncio.create_task(check(batcher, features, cancelled=request.cancelled)))
            start += request.size
        await asyncio.gather(*requests)

    calls = run(test).calls
    scored = [value for call in calls for value in call]
    assert len(scored) == len(set(scored))
    assert all(1 <= len(call) <= max_batch_size for call in calls)
