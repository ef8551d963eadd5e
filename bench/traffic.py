"""Mixed traffic over HTTP and gRPC: good requests, whose answers are checked, bad ones, and clients that leave."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from threading import Event

import numpy as np
from numpy.typing import NDArray

from bench.messages import FORMATS, connect, post
from tabserve.client.local_server import Server
from tabserve.errors import InvalidRequest, ServerError
from tabserve.serving.protocol.request import MAX_ROWS

SIZES = (1, 100)
"""Rows in good requests."""

SHARE = 4
"""How many times as often each sort of good request is sent as each sort of bad one."""

REFUSALS = {"400", "404", "413", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
"""Statuses that a bad request may get."""

Send = Callable[[Server], None]
"""Sends one request; raises ServerError where the answer is wrong."""


def good(features: NDArray[np.float32], expected: NDArray[np.float32]) -> Mapping[str, Send]:
    """Good requests by sort; `expected` are the probabilities of both classes, shape (rows, 2)."""
    return {
        f"{name}-{rows}": partial(_send_good, name, form.encode(features[:rows]), expected[:rows].ravel())
        for name, form in FORMATS.items()
        for rows in SIZES
    }


def bad(features: NDArray[np.float32]) -> Mapping[str, Send]:
    """Bad requests by sort, and clients that leave before they have sent all."""
    halves = {
        f"half of {name}": partial(_send_half, FORMATS[name].encode(features)) for name in ("json", "binary", "gzip")
    }
    whole = {sort: partial(_send_bad, sort, name, request) for sort, name, request in _bad_requests(features[:1])}
    return whole | halves


def client(
    server: Server, sorts: tuple[Mapping[str, Send], Mapping[str, Send]], seed: int, stop: Event
) -> Counter[str]:
    """Send good and bad requests in a random order until `stop`; count them by sort."""
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


def _bad_requests(row: NDArray[np.float32]) -> Iterator[tuple[str, str, bytes]]:
    """Sort, format and bytes of each bad request."""
    for name, form in FORMATS.items():
        yield f"{name} without a column", name, form.encode(row[:, 1:])
        yield f"{name} with infinity", name, form.encode(np.full_like(row, np.inf))
        yield f"{name} of too many rows", name, form.encode(np.zeros((MAX_ROWS + 1, row.shape[1]), np.float32))
    yield "json of another model", "json", post(b"{}", model="nobody")
    yield "json cut off", "json", post(b'{"inputs": [')
    yield "gzip that is none", "gzip", post(b"{}", "Content-Encoding: gzip")
    yield "binary longer than it is", "binary", post(b"{}", "Inference-Header-Content-Length: 9")
    yield "grpc that is none", "grpc", b"\xff" * 99


def _send_good(name: str, request: bytes, expected: NDArray[np.float32], server: Server) -> None:
    form = FORMATS[name]
    try:
        answer = form.ask(form.address(server), request)
    except InvalidRequest as refusal:
        raise ServerError(f"{name}: a good request of {len(expected) // 2} rows got {refusal}.") from refusal
    probabilities = form.decode(answer, len(expected) // 2)
    if probabilities.tobytes() != expected.tobytes():
        raise ServerError(f"{name}: expected the model's probabilities {expected[:4]}…, found {probabilities[:4]}….")


def _send_bad(sort: str, name: str, request: bytes, server: Server) -> None:
    form = FORMATS[name]
    try:
        form.ask(form.address(server), request)
    except InvalidRequest as refusal:
        if str(refusal).split()[0] in REFUSALS:
            return
        raise ServerError(f"{sort}: expected one of {', '.join(sorted(REFUSALS))}, found {refusal}.") from refusal
    raise ServerError(f"{sort}: expected a refusal, found an answer.")


def _send_half(request: bytes, server: Server) -> None:
    with connect(FORMATS["json"].address(server)) as connection:
        connection.sendall(request[: len(request) // 2])
