"""Decode the body of a REST request, and encode that of a response: JSON, with binary tensors after it.

The binary tensors are those of Triton's extension of the protocol
(https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md).
"""

import zlib
from collections.abc import Generator, Iterable, Iterator
from typing import Any, NamedTuple

import orjson
from numpy.typing import NDArray

from tabserve.errors import InvalidRequest, TooLarge
from tabserve.serving.protocol import json_numbers, parameters
from tabserve.serving.protocol.datatypes import Packed, packed, unpacked
from tabserve.serving.protocol.document import Bytes
from tabserve.serving.protocol.request import Output
from tabserve.wording import shown

HEAD_LENGTH = b"inference-header-content-length"
"""The header with the length of the JSON, after which the binary tensors begin."""

MAX_DIGITS = 18
"""Most digits of the length of a body."""

PIECE = 2**16
"""Bytes that are decompressed at a time, both compressed and plain."""


class Packing(NamedTuple):
    """A compression of a body.

    Attributes:
        window: zlib's number of the format.
        streams: most streams that may follow each other; each takes time, however short it is.
    """

    window: int
    streams: int


GZIP = Packing(zlib.MAX_WBITS + 16, 10_000)

PACKINGS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": Packing(zlib.MAX_WBITS, 1)}
"""The compressions by their Content-Encoding (RFC 9110, 8.4.1)."""


class Encoded(NamedTuple):
    """A response's body, and the length of its JSON if binary tensors follow it."""

    body: bytes
    head_length: int | None


def decompress(body: Bytes, encoding: str, max_bytes: int) -> bytearray:
    """Decompress a body of Content-Encoding gzip or deflate.

    Raises:
        InvalidRequest: the encoding is another, or the body is damaged.
        TooLarge: the plain body has more than `max_bytes`.
    """
    if encoding not in PACKINGS:
        raise InvalidRequest(f"The body has the Content-Encoding {shown(encoding)}; expected gzip, deflate or none.")
    plain = bytearray()
    try:
        for piece in _pieces(body, encoding):
            plain += piece
            if len(plain) > max_bytes:
                raise TooLarge(f"The body unpacks to more than {max_bytes} bytes; send less at a time.")
    except zlib.error as error:
        raise InvalidRequest(f"The body cannot be unpacked as {encoding} ({error}); compress it again.") from error
    return plain


def _pieces(body: Bytes, encoding: str) -> Iterator[bytes]:
    """The plain body, chunk by chunk; gzip may have several members (RFC 1952, 2.2), and an empty body is damaged."""
    start, streams, most = 0, 0, PACKINGS[encoding].streams
    while start < len(body) or not streams:
        if streams == most:
            raise InvalidRequest(
                f"The body goes on behind {most} whole {encoding} stream{'s' * (most > 1)}; compress it as one."
            )
        start = yield from _stream(body, start, encoding)
        streams += 1


def _stream(body: Bytes, start: int, encoding: str) -> Generator[bytes, None, int]:
    """The plain content of the stream that begins at `start`; returns the index after its end."""
    inflater = zlib.decompressobj(PACKINGS[encoding].window)
    while not inflater.eof:
        packed = body[start : start + PIECE]  # not more, as zlib copies all that follows the stream
        plain = inflater.decompress(packed, PIECE)
        start += len(packed) - len(inflater.unused_data or inflater.unconsumed_tail)
        if not packed and not plain and not inflater.eof:
            raise InvalidRequest(f"The body is not one whole {encoding} stream; compress it again.")
        yield plain
    return start


def decode(body: Bytes, head_length: bytes | None = None) -> Any:  # noqa: ANN401  whatever JSON holds
    """Decode a body into plain data with its binary tensors in place.

    Raises:
        InvalidRequest: the body is not JSON, or the binary tensors are not as announced.
    """
    if head_length is None:
        return json_numbers.parse(body)
    if not head_length.isdigit() or len(head_length) > MAX_DIGITS or int(head_length) > len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {shown(head_length.decode('latin-1'))};"
            f" expected the length of the JSON at the start of the body, which has {len(body)} bytes."
        )
    document = json_numbers.parse(body[: int(head_length)])
    _attach(document, memoryview(body)[int(head_length) :])
    return document


def encode(document: dict[str, Any], outputs: Iterable[Output], binary: frozenset[str]) -> Encoded:
    """Encode a response with these outputs; those named in `binary` follow the JSON as bytes."""
    tails: list[bytes] = []
    document["outputs"] = [_output(output, tails if output.name in binary else None) for output in outputs]
    head = orjson.dumps(document)
    return Encoded(b"".join([head, *tails]), len(head) if tails else None)


def wanted_binary(document: dict[str, Any], outputs: Iterable[str]) -> frozenset[str]:
    """The names of the outputs that a valid request wants as bytes.

    Raises:
        InvalidRequest: a parameter about it is not a boolean.
    """
    default = _flag(document, "binary_data_output", default=False)
    flags = {item["name"]: _flag(item, "binary_data", default=default) for item in document.get("outputs") or []}
    return frozenset(name for name in outputs if flags.get(name, default))


def _attach(document: object, tail: memoryview) -> None:
    """Give each input that announces bytes its part of the tail, in order."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    start = 0
    for index, item in enumerate(inputs if isinstance(inputs, list) else []):
        size = parameters.of(item, f"inputs[{index}]").get("binary_data_size") if isinstance(item, dict) else None
        if size is not None:
            item["data"] = _array(item, f"inputs[{index}]", size, tail[start:])
            start += size
    if start != len(tail):
        raise InvalidRequest(
            f"The body has {len(tail)} bytes behind its JSON, and the inputs' binary_data_size add up to {start};"
            " expected the same."
        )


def _array(item: dict[str, Any], path: str, size: object, tail: memoryview) -> NDArray[Any] | Packed | list[Any]:
    if type(size) is not int or not 0 <= size <= len(tail):
        raise InvalidRequest(
            f"{path} has {shown(size)} as its binary_data_size; expected the number of its bytes, {len(tail)} at most."
        )
    if "data" in item:
        raise InvalidRequest(f"{path} has both data and binary_data_size; send its values once.")
    datatype = item.get("datatype")
    return unpacked(tail[:size], datatype if isinstance(datatype, str) else "", path)


def _output(output: Output, tails: list[bytes] | None) -> dict[str, Any]:
    members: dict[str, Any] = {"name": output.name, "shape": output.values.shape, "datatype": output.datatype}
    if tails is None:
        # As float64, so that a client that compares with the threshold sees the number that was compared here.
        return {**members, "data": output.values.ravel().tolist()}
    tails.append(packed(output.values, output.datatype))
    return {**members, "parameters": {"binary_data_size": len(tails[-1])}}


def _flag(item: dict[str, Any], name: str, *, default: bool) -> bool:
    flag = parameters.of(item, "The request").get(name, default)
    if not isinstance(flag, bool):
        raise InvalidRequest(f"The request has {shown(flag)} as its {name!r}; expected true or false.")
    return flag
