"""Ways to make the server's process large, and the most that each takes."""

import gzip
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import NamedTuple

import grpc
import numpy as np
import orjson
from grpc_health.v1.health_pb2 import HealthCheckRequest
from mlserver.grpc.dataplane_pb2 import ModelInferRequest

from bench.clients import GRPC_METHOD
from bench.messages import FORMATS, connected, post
from tabserve.client.grpc import ENABLE_HTTP_PROXY
from tabserve.client.local_server import Server
from tabserve.encoding.ngrams import LONGEST
from tabserve.encoding.texts import MAX_CHARACTERS
from tabserve.errors import InvalidRequest
from tabserve.predictors.linear import KNOWN_WORDS
from tabserve.serving.grpc.health import MAX_WATCHERS
from tabserve.serving.grpc.message_cost import FIELD
from tabserve.serving.grpc.methods import MAX_LASTING
from tabserve.serving.limits import MIB
from tabserve.serving.mlserver.transports import OTHER_MESSAGES, STREAM_MESSAGES
from tabserve.serving.protocol import cost
from tabserve.serving.protocol.cost import MAX_COST
from tabserve.serving.protocol.request import MAX_TENSORS

CONNECTIONS = 1_000

DEPTH = 500
"""Of lists within lists, half of what is read at most."""

TIMES = 8
"""That a request is sent at once, where only one is read at a time."""

CONNECTION, WATCHER, ROW, TENSOR = 4 * 1024, 32 * 1024, 16 * 1024, 1536
"""Bytes of an idle connection; of who watches health; of a row and the call that waits for it; of a small tensor."""

MESSAGE, READING = 2, 8
"""Times the most that it may hold: a message while it arrives; a body or message, with its copies, while it is read."""

TEXT, TEXT_BATCH, WORD = 4 * 1024, 25 * MIB, 1600
"""Bytes of a text that waits; of a batch of the longest while it is scored; of a word's parts that are remembered."""


class Size(NamedTuple):
    """What the server is set to."""

    body: int
    receiving: int
    messages: int
    rows: int


class Limit(NamedTuple):
    """One way to make the server large.

    Attributes:
        drive: does so, and holds it until the block ends where it can be held.
        bound: the most bytes that it takes, by SECURITY.md.
    """

    drive: Callable[[Server, Size, ExitStack], None]
    bound: Callable[[Size], float]


def idle(server: Server, _size: Size, held: ExitStack) -> None:
    """Connections that ask nothing."""
    for _ in range(CONNECTIONS):
        held.enter_context(connected(FORMATS["json"].address(server)))
    asked(server, "json", post(b""), 1)


def watching(server: Server, _size: Size, held: ExitStack) -> None:
    """As many who watch as may, each a service with the longest name."""
    channel = held.enter_context(grpc.insecure_channel(server.grpc, options=[(ENABLE_HTTP_PROXY, 0)]))
    for number in range(MAX_WATCHERS):
        message = HealthCheckRequest(service=f"{number:0{MAX_LASTING - 3}}").SerializeToString()
        call = channel.unary_stream("/grpc.health.v1.Health/Watch")(message)
        held.callback(call.cancel)
        next(call)


def queued(server: Server, size: Size, held: ExitStack) -> None:
    """All rows but one that may wait, each from a call of its own, which keeps what a call needs."""
    channel = held.enter_context(grpc.insecure_channel(server.grpc, options=[(ENABLE_HTTP_PROXY, 0)]))
    message = FORMATS["grpc"].encode(np.zeros((1, 200), np.float32))
    calls = []
    for number in range(size.rows - 1):
        calls.append(channel.unary_unary(GRPC_METHOD).future(message))
        if number % 500 == 0:
            health(channel)
    held.callback(lambda: [call.cancel() for call in calls])
    health(channel)


def health(channel: grpc.Channel) -> None:
    """Wait until what was sent before is looked at."""
    for _ in range(20):
        channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=60)


def receiving(server: Server, size: Size, held: ExitStack) -> None:
    """Bodies that are all but whole, as many as may be arriving, and room for one more."""
    for _ in range(size.receiving // size.body - 1):
        connection = held.enter_context(connected(FORMATS["json"].address(server)))
        connection.sendall(post(bytes(size.body))[:-1])
    asked(server, "json", post(b""), 1)


def messages(server: Server, size: Size, _: ExitStack) -> None:
    """Three times as many messages at once as may be arriving, of which each is refused."""
    junk = ModelInferRequest(model_name="xgboost-model", raw_input_contents=[bytes(size.body - 100)])
    asked(server, "grpc", junk.SerializeToString(), 3 * size.messages)


def packed(server: Server, size: Size, _: ExitStack) -> None:
    """Bodies that unpack to as much as they may."""
    body = gzip.compress(b" " * size.body, 1)
    asked(server, "json", post(body, "Content-Encoding: gzip"), TIMES)


def crowd(server: Server, size: Size, _: ExitStack) -> None:
    """As many tensors as a request may have."""
    number = min(MAX_TENSORS, size.body // 64)
    tensor = b'{"name":"x","datatype":"FP32","shape":[1],"data":[1]}'
    asked(server, "json", post(b'{"inputs":[' + b",".join([tensor] * number) + b"]}"), TIMES)


def parsed(server: Server, size: Size, _: ExitStack) -> None:
    """As much JSON as is read of what takes the most memory."""
    for item in (b"[]", b"[[]]", b"[" * DEPTH + b"]" * DEPTH, b'{"":0}'):
        number = min((size.body - 20) // (len(item) + 1), MAX_COST // cost.of(item + b","))
        text = b'{"inputs":[' + b",".join([item] * (number - 1)) + b"]}"
        asked(server, "json", post(text), TIMES)


def decoded(server: Server, size: Size, _: ExitStack) -> None:
    """A message as large as is read of what takes the most memory: tensors without, and with, a parameter."""
    for tensor, fields in ((b"\x2a\x00", 1), (b"\x2a\x02\x22\x00", 2)):
        asked(server, "grpc", tensor * min(size.body // len(tensor), MAX_COST // FIELD // fields), TIMES)


def texts(server: Server, size: Size, _: ExitStack) -> None:
    """Texts as long as may be, of words that nobody has seen, in letters of one byte and of four."""
    for first in "a𠀀":
        rows = size.body // (MAX_CHARACTERS * len(first.encode()) + 4)
        letters = np.random.default_rng(0).integers(ord(first), ord(first) + 26, (rows, MAX_CHARACTERS), dtype="<u4")
        letters[:, ::LONGEST] = ord(" ")
        data = [row.tobytes().decode("utf-32-le") for row in letters]
        tensor = {"name": "title", "datatype": "BYTES", "shape": [len(data)], "data": data}
        asked(server, "json", post(orjson.dumps({"inputs": [tensor]}), model="categories"), TIMES)


def asked(server: Server, name: str, request: bytes, times: int) -> None:
    """Send this so many times at once; whatever is answered."""

    def ask(_: int) -> None:
        with suppress(InvalidRequest):
            FORMATS[name].ask(FORMATS[name].address(server), request)

    with ThreadPoolExecutor(times) as pool:
        list(pool.map(ask, range(times)))


HELD: Mapping[str, Limit] = {
    f"{CONNECTIONS:,} idle connections": Limit(idle, lambda _: CONNECTIONS * CONNECTION),
    f"{MAX_WATCHERS} who watch its health": Limit(watching, lambda _: MAX_WATCHERS * WATCHER),
    "rows that wait, each from a call of its own": Limit(queued, lambda size: size.rows * ROW),
    "bodies that arrive in parts": Limit(receiving, lambda size: size.receiving),
    "messages that arrive": Limit(
        messages, lambda size: MESSAGE * (size.messages + STREAM_MESSAGES + OTHER_MESSAGES) * size.body
    ),
}
"""What is there at a time."""

READ: Mapping[str, Limit] = {
    "packed bodies": Limit(packed, lambda size: READING * size.body),
    f"{MAX_TENSORS:,} tensors": Limit(crowd, lambda _: MAX_TENSORS * TENSOR),
    "the most hostile JSON": Limit(parsed, lambda size: MAX_COST + READING * size.body),
    "the most hostile message": Limit(decoded, lambda size: MAX_COST + READING * size.body),
}
"""What is read one at a time."""

TEXTS = Limit(texts, lambda size: size.rows * TEXT + 2 * TEXT_BATCH + KNOWN_WORDS * WORD)
"""Texts that wait, are scored by two threads, and whose words are remembered."""
