"""The bytes of a REST request in, plain data out, and back again: JSON, and tensors in binary behind it.

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
"""The header that says where the JSON ends and the binary tensors begin."""

MAX_DIGITS = 18
"""Digits of a length that a body can have."""


PIECE = 2**16
"""Bytes that are unpacked at a time, of what is packed and of what it holds."""


class Packing(NamedTuple):
    """How a body may be packed.

    Attributes:
        window: zlib's number for the format.
        streams: that may follow each other, at most; each takes time, however little it holds.
    """

    window: int
    streams: int


GZIP = Packing(zlib.MAX_WBITS + 16, 10_000)

PACKINGS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": Packing(zlib.MAX_WBITS, 1)}
"""By what Content-Encoding calls them (RFC 9110, 8.4.1)."""


class Encoded(NamedTuple):
    """A response's body, and the length of its JSON where binary tensors follow it."""

    body: bytes
    head_length: int | None


def inflated(body: Bytes, encoding: str, max_bytes: int) -> bytearray:
    """The body without its Content-Encoding, gzip or deflate.

    Raises:
        InvalidRequest: it is of another encoding, or damaged.
        TooLarge: it holds more bytes than that.
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
    """What a packed body holds, of gzip in all its members (RFC 1952, 2.2); of none, an empty body is half a stream."""
    start, streams, most = 0, 0, PACKINGS[encoding].streams
    while start < len(body) or not streams:
        if streams == most:
            raise InvalidRequest(
                f"The body goes on behind {most} whole {encoding} stream{'s' * (most > 1)}; compress it as one."
            )
        start = yield from _stream(body, start, encoding)
        streams += 1


def _stream(body: Bytes, start: int, encoding: str) -> Generator[bytes, None, int]:
    """What the stream holds that begins there; returns where it ends."""
    inflater = zlib.decompressobj(PACKINGS[encoding].window)
    while not inflater.eof:
        packed = body[start : start + PIECE]  # little, as zlib copies all of it that is another stream's
        plain = inflater.decompress(packed, PIECE)
        start += len(packed) - len(inflater.unused_data or inflater.unconsumed_tail)
        if not packed and not plain and not inflater.eof:
            raise InvalidRequest(f"The body is not one whole {encoding} stream; compress it again.")
        yield plain
    return start


def read(body: Bytes, head_length: bytes | None = None) -> Any:  # noqa: ANN401  whatever JSON holds
    """The document of a body, its binary tensors in place.

    Raises:
        InvalidRequest: it is no JSON, or the binary tensors are not where it says.
    """
    if head_length is None:
        return json_numbers.read(body)
    if not head_length.isdigit() or len(head_length) > MAX_DIGITS or int(head_length) > len(body):
        raise InvalidRequest(
            f"Inference-Header-Content-Length is {shown(head_length.decode('latin-1'))};"
            f" expected the length of the JSON at the start of the body, which has {len(body)} bytes."
        )
    document = json_numbers.read(body[: int(head_length)])
    _attach(document, memoryview(body)[int(head_length) :])
    return document


def write(document: dict[str, Any], outputs: Iterable[Output], binary: frozenset[str]) -> Encoded:
    """A response with these outputs; those named in `binary` follow the JSON as bytes."""
    tails: list[bytes] = []
    document["outputs"] = [_output(output, tails if output.name in binary else None) for output in outputs]
    head = orjson.dumps(document)
    return Encoded(b"".join([head, *tails]), len(head) if tails else None)


def wanted_binary(document: dict[str, Any], outputs: Iterable[str]) -> frozenset[str]:
    """Names of the outputs that a valid request wants as bytes.

    Raises:
        InvalidRequest: what says so is no boolean.
    """
    default = _flag(document, "binary_data_output", default=False)
    asked = {item["name"]: _flag(item, "binary_data", default=default) for item in document.get("outputs") or []}
    return frozenset(name for name in outputs if asked.get(name, default))


def _attach(document: object, tail: memoryview) -> None:
    """Give each input that announces bytes its part of the tail, in their order."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    start = 0
    for place, item in enumerate(inputs if isinstance(inputs, list) else []):
        size = parameters.of(item, f"inputs[{place}]").get("binary_data_size") if isinstance(item, dict) else None
        if size is not None:
            item["data"] = _array(item, f"inputs[{place}]", size, tail[start:])
            start += size
    if start != len(tail):
        raise InvalidRequest(
            f"The body has {len(tail)} bytes behind its JSON, and the inputs' binary_data_size add up to {start};"
            " expected the same."
        )


def _array(item: dict[str, Any], place: str, size: object, tail: memoryview) -> NDArray[Any] | Packed | list[Any]:
    if type(size) is not int or not 0 <= size <= len(tail):
        raise InvalidRequest(
            f"{place} has {shown(size)} as its binary_data_size; expected the number of its bytes, {len(tail)} at most."
        )
    if "data" in item:
        raise InvalidRequest(f"{place} has both data and binary_data_size; send its values once.")
    datatype = item.get("datatype")
    return unpacked(tail[:size], datatype if isinstance(datatype, str) else "", place)


def _output(output: Output, tails: list[bytes] | None) -> dict[str, Any]:
    described: dict[str, Any] = {"name": output.name, "shape": output.values.shape, "datatype": output.datatype}
    if tails is None:
        # As float64, so that whoever compares with the threshold sees the very number that was compared here.
        return {**described, "data": output.values.ravel().tolist()}
    tails.append(packed(output.values, output.datatype))
    return {**described, "parameters": {"binary_data_size": len(tails[-1])}}


def _flag(item: dict[str, Any], name: str, *, default: bool) -> bool:
    found = parameters.of(item, "The request").get(name, default)
    if not isinstance(found, bool):
        raise InvalidRequest(f"The request has {shown(found)} as its {name!r}; expected true or false.")
    return found
