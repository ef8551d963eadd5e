"""Mixed traffic over both transports: good requests, whose answers are checked, bad ones, and clients that leave."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Event

import numpy as np
from numpy.typing import NDArray

from bench.messages import FORMATS, connected, post
from tabserve.client.local_server import Server
from tabserve.errors import InvalidRequest, ServerError
from tabserve.serving.protocol.request import MAX_ROWS

SIZES = (1, 100)
"""Rows of good requests."""

SHARE = 4
"""How often each sort of good request is sent while each sort of bad one is sent once."""

REFUSALS = {"400", "404", "413", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
"""What a bad request may get."""

Send = Callable[[Server], None]
"""Sends one request; raises ServerError where the answer is not what it should be."""


def good(features: NDArray[np.float32], expected: NDArray[np.float32]) -> Mapping[str, Send]:
    """Requests by the names of their sorts; `expected` are the probabilities of both classes, shape (rows, 2)."""
    return {
        f"{name}-{rows}": partial(_good, name, form.encode(features[:rows]), expected[:rows].ravel())
        for name, form in FORMATS.items()
        for rows in SIZES
    }


def bad(features: NDArray[np.float32]) -> Mapping[str, Send]:
    """What must be refused, and clients that leave before they have sent all."""
    halves = {
        f"half of {name}": partial(_leaving, FORMATS[name].encode(features)) for name in ("json", "binary", "gzip")
    }
    return {sort: partial(_bad, sort, name, request) for sort, name, request in _wrong(features[:1])} | halves


def client(
    server: Server, sorts: tuple[Mapping[str, Send], Mapping[str, Send]], seed: int, stop: Event
) -> Counter[str]:
    """Send good and bad traffic in an order of one's own until told to stop; count what was sent."""
    order = [*sorts[0].items()] * SHARE + [*sorts[1].items()]
    turns, sent = np.random.default_rng(seed), Counter[str]()
    while not stop.is_set():
        name, send = order[turns.integers(len(order))]
        try:
            send(server)
        except OSError as error:
            raise ServerError(f"{name}: expected an answer, found {error!r}.") from error
        sent[name] += 1
    return sent


def _wrong(row: NDArray[np.float32]) -> Iterator[tuple[str, str, bytes]]:
    """The sort, the format and the request."""
    for name, form in FORMATS.items():
        yield f"{name} without a column", name, form.encode(row[:, 1:])
        yield f"{name} with infinity", name, form.encode(np.full_like(row, np.inf))
        yield f"{name} of too many rows", name, form.encode(np.zeros((MAX_ROWS + 1, row.shape[1]), np.float32))
    yield "json of another model", "json", post(b"{}", model="nobody")
    yield "json cut off", "json", post(b'{"inputs": [')
    yield "gzip that is none", "gzip", post(b"{}", "Content-Encoding: gzip")
    yield "binary longer than it is", "binary", post(b"{}", "Inference-Header-Content-Length: 9")
    yield "grpc that is none", "grpc", b"\xff" * 99


def _good(name: str, request: bytes, expected: NDArray[np.float32], server: Server) -> None:
    form = FORMATS[name]
    try:
        answer = form.ask(form.address(server), request)
    except InvalidRequest as refusal:
        raise ServerError(f"{name}: a good request of {len(expected) // 2} rows got {refusal}.") from refusal
    found = form.decode(answer, len(expected) // 2)
    if found.tobytes() != expected.tobytes():
        raise ServerError(f"{name}: expected the model's probabilities {expected[:4]}…, found {found[:4]}….")


def _bad(sort: str, name: str, request: bytes, server: Server) -> None:
    form = FORMATS[name]
    try:
        form.ask(form.address(server), request)
    except InvalidRequest as refusal:
        if str(refusal).split()[0] in REFUSALS:
            return
        raise ServerError(f"{sort}: expected one of {', '.join(sorted(REFUSALS))}, found {refusal}.") from refusal
    raise ServerError(f"{sort}: expected a refusal, found an answer.")


def _leaving(request: bytes, server: Server) -> None:
    with connected(FORMATS["json"].address(server)) as connection:
        connection.sendall(request[: len(request) // 2])
