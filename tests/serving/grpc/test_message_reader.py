"""Few messages arrive over gRPC at a time, and none for longer than its share while others wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import grpc
import pytest

from tabserve.errors import InvalidRequest, Overloaded
from tabserve.serving.grpc import message_reader
from tabserve.serving.grpc.message_reader import MessageReader

SECONDS = 20
"""That anything here may take."""


class Call:
    """A call whose message arrives when it is told to."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self.asked, self.message = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def read(self) -> Any:  # noqa: ANN401  bytes, or gRPC's own end
        """What comes."""
        self.asked.set()
        return await self.message


def run(check: Coroutine[Any, Any, None]) -> None:
    """Run it, within the deadline."""
    asyncio.run(asyncio.wait_for(check, SECONDS))


def test_who_finds_no_place_is_not_read_before_one_is_free() -> None:
    """And is read then, in turn; an empty message is one."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        for place, call in enumerate(calls):
            await call.asked.wait()
            assert not any(later.asked.is_set() for later in calls[place + 1 :])
            call.message.set_result(b"one" if place else b"")
        assert await asyncio.gather(*reading) == [b"", b"one", b"one"]

    run(check())


def test_a_call_without_a_message_is_refused_unless_it_turns_out_to_be_cancelled() -> None:
    """Meanwhile it takes no place."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        empty, left, next_ = [asyncio.create_task(reader.read(call)) for call in calls]
        for call in calls:
            await call.asked.wait()
            call.message.set_result(b"one" if call is calls[2] else grpc.aio.EOF)
        assert await next_ == b"one"
        left.cancel()
        with pytest.raises(InvalidRequest, match="The call ended without a message"):
            await empty
        with pytest.raises(asyncio.CancelledError):
            await left

    run(check())


def test_who_leaves_while_waiting_or_arriving_leaves_the_place() -> None:
    """To the next."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        await calls[0].asked.wait()
        reading[1].cancel()
        reading[0].cancel()
        await calls[2].asked.wait()
        calls[2].message.set_result(b"one")
        assert await reading[2] == b"one"

    run(check())


@pytest.mark.parametrize("waits", [True, False], ids=["others wait", "nobody waits"])
def test_a_message_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch, waits: bool) -> None:
    """After its share of time where others wait, else after all that it may take."""
    monkeypatch.setattr(message_reader, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(message_reader, "SHARE_SECONDS", 0.02 if waits else SECONDS)

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS if waits else 0.02), [Call() for _ in range(1 + waits)]
        sweeping = asyncio.create_task(reader.sweep())
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        with pytest.raises(Overloaded, match="took too long to arrive"):
            await reading[0]
        if waits:
            await calls[1].asked.wait()
            calls[1].message.set_result(b"one")
            assert await reading[1] == b"one"
        sweeping.cancel()

    run(check())


def test_at_the_end_nothing_more_is_read() -> None:
    """Neither what is arriving, nor who waits for a place, nor who comes yet."""

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls[:2]]
        await calls[0].asked.wait()
        reader.end()
        for each in (*reading, reader.read(calls[2])):
            with pytest.raises(Overloaded, match="took too long to arrive"):
                await each

    run(check())


def test_beyond_so_many_who_wait_the_next_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and nobody of those is harmed."""
    monkeypatch.setattr(message_reader, "MAX_WAITING", 2)

    async def check() -> None:
        reader, calls = MessageReader(1, SECONDS), [Call() for _ in range(3)]
        reading = [asyncio.create_task(reader.read(call)) for call in calls]
        await calls[0].asked.wait()
        with pytest.raises(Overloaded, match="has 2 messages to read"):
            await reader.read(Call())
        for call in calls:
            call.message.set_result(b"one")
        assert await asyncio.gather(*reading) == [b"one"] * 3

    run(check())
