"""The message reader limits how many gRPC messages arrive at a time, and how long each one takes."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
import pytest

from tabserve.errors import InvalidRequest, Overloaded
from tabserve.serving.grpc import message_reader
from tabserve.serving.grpc.message_reader import MessageReader

SECONDS = 20
"""Deadline for each test."""


class Call:
    """A call whose message arrives when the test sets it."""

    def __init__(self) -> None:
        """Start without a message."""
        self.read_started, self.message = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def read(self) -> Any:  # noqa: ANN401  bytes, or gRPC's own end
        """The message, once the test sets it."""
        self.read_started.set()
        return await self.message


def run(check: Coroutine[Any, Any, None]) -> None:
    """Run the check within the deadline."""
    asyncio.run(asyncio.wait_for(check, SECONDS))


def test_a_call_beyond_the_limit_is_read_once_a_slot_is_free() -> None:
    """Calls are read in the order in which they came; an empty message is a message."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        for index, call in enumerate(calls):
            await call.read_started.wait()
            assert not any(later.read_started.is_set() for later in calls[index + 1 :])
            call.message.set_result(b"one" if index else b"")
        assert await asyncio.gather(*reading) == [b"", b"one", b"one"]

    run(check())


def test_a_call_that_ends_without_a_message_is_refused_or_found_cancelled() -> None:
    """It holds no slot while the reader waits for the cancellation."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        empty, left, next_ = [asyncio.create_task(reader.read(call)) for call in calls]
        for call in calls:
            await call.read_started.wait()
            call.message.set_result(b"one" if call is calls[2] else grpc.aio.EOF)
        assert await next_ == b"one"
        left.cancel()
        with pytest.raises(InvalidRequest, match="The call ended without a message"):
            await empty
        with pytest.raises(asyncio.CancelledError):
            await left

    run(check())


def test_a_cancelled_call_frees_its_slot() -> None:
    """The next call is read, whether the cancelled ones were being read or waited."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        await calls[0].read_started.wait()
        reading[1].cancel()
        reading[0].cancel()
        await calls[2].read_started.wait()
        calls[2].message.set_result(b"one")
        assert await reading[2] == b"one"

    run(check())


@pytest.mark.parametrize("others_wait", [True, False], ids=["others wait", "no other waits"])
def test_a_message_that_takes_too_long_is_abandoned(monkeypatch: pytest.MonkeyPatch, others_wait: bool) -> None:
    """It is abandoned after SHARE_SECONDS while others wait, else after the reader's `seconds`."""
    monkeypatch.setattr(message_reader, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(message_reader, "SHARE_SECONDS", 0.02 if others_wait else SECONDS)

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS if others_wait else 0.02), [Call() for _ in range(1 + others_wait)]
        sweeping = asyncio.create_task(reader.sweep())
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        with pytest.raises(Overloaded, match="took too long to arrive"):
            await reading[0]
        if others_wait:
            await calls[1].read_started.wait()
            calls[1].message.set_result(b"one")
            assert await reading[1] == b"one"
        sweeping.cancel()

    run(check())


def test_an_ended_reader_reads_nothing_more() -> None:
    """It refuses messages that are arriving, calls that wait, and calls that come later."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls[:2]]
        await calls[0].read_started.wait()
        reader.end()
        for result in (*reading, reader.read(calls[2])):
            with pytest.raises(Overloaded, match="took too long to arrive"):
                await result

    run(check())


def test_the_number_of_waiting_calls_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call beyond the limit is refused at once; those that wait are read."""
    monkeypatch.setattr(message_reader, "MAX_WAITING", 2)

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        await calls[0].read_started.wait()
        with pytest.raises(Overloaded, match="has 2 messages to read"):
            await reader.read(Call())
        for call in calls:
            call.message.set_result(b"one")
        assert await asyncio.gather(*reading) == [b"one"] * 3

    run(check())
