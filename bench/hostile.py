"""Attacks on the server's memory, and the most that each may take."""

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
from bench.messages import FORMATS, connect, post
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
"""Nesting of JSON lists, half of the deepest that is read."""

TIMES = 8
"""How many copies of a request are sent at once, where only one is read at a time."""

CONNECTION, WATCHER, ROW, TENSOR = 4 * 1024, 32 * 1024, 16 * 1024, 1536
"""Bytes of an idle connection; of a health watcher; of a waiting row and its call; of a small tensor."""

MESSAGE, READING = 2, 8
"""Multiples of the size limit: for a message while it arrives, and for a body or message while it is read."""

TEXT, TEXT_BATCH, WORD = 4 * 1024, 25 * MIB, 1600
"""Bytes of a waiting text; of a batch of the longest texts while it is scored; of the cached parts of a word."""


class Size(NamedTuple):
    """The limits that a server is started with: bytes of a body, bytes and messages being received, waiting rows."""

    body: int
    receiving: int
    messages: int
    rows: int


class Limit(NamedTuple):
    """One attack on the server's memory.

    Attributes:
        drive: attacks; what can be held is held until the `ExitStack` closes.
        bound: the most bytes that the attack takes, as SECURITY.md says.
    """

    drive: Callable[[Server, Size, ExitStack], None]
    bound: Callable[[Size], float]


def idle(server: Server, _size: Size, held: ExitStack) -> None:
    """Open connections that send nothing."""
    for _ in range(CONNECTIONS):
        held.enter_context(connect(FORMATS["json"].address(server)))
    ask_at_once(server, "json", post(b""), 1)


def watching(server: Server, _size: Size, held: ExitStack) -> None:
    """Watch health as often as is allowed, each watcher a service with the longest name."""
    channel = held.enter_context(grpc.insecure_channel(server.grpc, options=[(ENABLE_HTTP_PROXY, 0)]))
    for number in range(MAX_WATCHERS):
        message = HealthCheckRequest(service=f"{number:0{MAX_LASTING - 3}}").SerializeToString()
        call = channel.unary_stream("/grpc.health.v1.Health/Watch")(message)
        held.callback(call.cancel)
        next(call)


def queued(server: Server, size: Size, held: ExitStack) -> None:
    """Fill the queue but for one row, each row from a call of its own."""
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
    """Wait until the server has seen all calls that were sent before."""
    for _ in range(20):
        channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"", timeout=60)


def receiving(server: Server, size: Size, held: ExitStack) -> None:
    """Send bodies without their last byte, one fewer than may be received at once."""
    for _ in range(size.receiving // size.body - 1):
        connection = held.enter_context(connect(FORMATS["json"].address(server)))
        connection.sendall(post(bytes(size.body))[:-1])
    ask_at_once(server, "json", post(b""), 1)


def messages(server: Server, size: Size, _: ExitStack) -> None:
    """Send three times as many bad messages at once as may be received."""
    junk = ModelInferRequest(model_name="xgboost-model", raw_input_contents=[bytes(size.body - 100)])
    ask_at_once(server, "grpc", junk.SerializeToString(), 3 * size.messages)


def packed(server: Server, size: Size, _: ExitStack) -> None:
    """Send packed bodies that unpack to the size limit."""
    body = gzip.compress(b" " * size.body, 1)
    ask_at_once(server, "json", post(body, "Content-Encoding: gzip"), TIMES)


def crowd(server: Server, size: Size, _: ExitStack) -> None:
    """Send as many tensors as a request may have."""
    number = min(MAX_TENSORS, size.body // 64)
    tensor = b'{"name":"x","datatype":"FP32","shape":[1],"data":[1]}'
    ask_at_once(server, "json", post(b'{"inputs":[' + b",".join([tensor] * number) + b"]}"), TIMES)


def parsed(server: Server, size: Size, _: ExitStack) -> None:
    """Send as much as is read of the JSON that takes the most memory."""
    for item in (b"[]", b"[[]]", b"[" * DEPTH + b"]" * DEPTH, b'{"":0}'):
        number = min((size.body - 20) // (len(item) + 1), MAX_COST // cost.of(item + b","))
        text = b'{"inputs":[' + b",".join([item] * (number - 1)) + b"]}"
        ask_at_once(server, "json", post(text), TIMES)


def decoded(server: Server, size: Size, _: ExitStack) -> None:
    """Send as much as is read of the messages that take the most memory: tensors without and with a parameter."""
    for tensor, fields in ((b"\x2a\x00", 1), (b"\x2a\x02\x22\x00", 2)):
        ask_at_once(server, "grpc", tensor * min(size.body // len(tensor), MAX_COST // FIELD // fields), TIMES)


def texts(server: Server, size: Size, _: ExitStack) -> None:
    """Send the longest texts, of unknown words, in letters of one byte and of four."""
    for first in "a𠀀":
        rows = size.body // (MAX_CHARACTERS * len(first.encode()) + 4)
        letters = np.random.default_rng(0).integers(ord(first), ord(first) + 26, (rows, MAX_CHARACTERS), dtype="<u4")
        letters[:, ::LONGEST] = ord(" ")
        data = [row.tobytes().decode("utf-32-le") for row in letters]
        tensor = {"name": "title", "datatype": "BYTES", "shape": [len(data)], "data": data}
        ask_at_once(server, "json", post(orjson.dumps({"inputs": [tensor]}), model="categories"), TIMES)


def ask_at_once(server: Server, name: str, request: bytes, times: int) -> None:
    """Send a request this many times at once; refusals are fine."""

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
"""Attacks that hold memory at the same time."""

READ: Mapping[str, Limit] = {
    "packed bodies": Limit(packed, lambda size: READING * size.body),
    f"{MAX_TENSORS:,} tensors": Limit(crowd, lambda _: MAX_TENSORS * TENSOR),
    "the most hostile JSON": Limit(parsed, lambda size: MAX_COST + READING * size.body),
    "the most hostile message": Limit(decoded, lambda size: MAX_COST + READING * size.body),
}
"""Attacks of which one is read at a time."""

TEXTS = Limit(texts, lambda size: size.rows * TEXT + 2 * TEXT_BATCH + KNOWN_WORDS * WORD)
"""Texts that wait, or are scored by two threads, and their cached words."""
