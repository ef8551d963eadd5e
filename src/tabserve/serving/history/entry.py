"""One entry of a history: a request that was answered, with its input and its output as JSON."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import orjson

MAX_CHARACTERS = 200
"""Most characters that are kept of a request's id, a model's name, its version and a route."""

OVERHEAD = 1_000
"""Bytes of memory that an entry takes beside its input and output, about."""


@dataclass(frozen=True, slots=True)
class Later:
    """JSON that the writer's thread makes, so that no answer waits for it.

    Attributes:
        make: returns the JSON.
        size: bytes of memory that are held until then.
    """

    make: Callable[[], bytes]
    size: int

    def __len__(self) -> int:
        """The bytes that are held."""
        return self.size


Json = bytes | bytearray | Later


class Entry(NamedTuple):
    """A request that was answered.

    Attributes:
        time: when, in UTC.
        request: its id, as its client knows it.
        model, version: what answered it.
        route: the transport, `rest` or `grpc`, or the path of a case's own API.
        rows: the number of its rows.
        input, output: JSON; bytes, if it was read from a history.
    """

    time: datetime
    request: str
    model: str
    version: str
    route: str
    rows: int
    input: Json
    output: Json

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return OVERHEAD + len(self.input) + len(self.output)


class Stored(NamedTuple):
    """An entry as a store holds it, with its number; a later entry has a larger one."""

    id: int
    entry: Entry


def bounded(entry: Entry, most: int) -> Entry:
    """The entry, without its input if that and the output have more than `most` bytes, or without both."""
    if len(entry.input) + len(entry.output) <= most:
        return entry
    entry = entry._replace(input=left_out(len(entry.input), f"an entry holds at most {most}"))
    if len(entry.output) > most:
        entry = entry._replace(output=left_out(len(entry.output), f"an entry holds at most {most}"))
    return entry


def left_out(size: int, why: str) -> bytes:
    """What takes the place of an input or output that is not kept."""
    return orjson.dumps({"left_out": f"{size} bytes; {why}"})


def made(entry: Entry) -> Entry:
    """The entry with its input and output as bytes."""
    return entry._replace(input=_bytes(entry.input), output=_bytes(entry.output))


def _bytes(json: Json) -> bytes:
    return json.make() if isinstance(json, Later) else bytes(json)


def plain(text: str) -> str:
    """A text that every store can hold and index: of bounded length, without NUL and halves of surrogate pairs."""
    return text[:MAX_CHARACTERS].replace("\0", "\ufffd").encode(errors="replace").decode()
