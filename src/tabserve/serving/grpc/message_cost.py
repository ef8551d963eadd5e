"""Estimate from the bytes of a gRPC request, before it is parsed, how much memory its parsing takes.

https://protobuf.dev/programming-guides/encoding describes the bytes: fields of a tag and a value, where a
message within the message is prefixed by its length.
"""

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from mlserver.grpc.dataplane_pb2 import ModelInferRequest

from tabserve.serving.protocol.cost import MAX_COST, bound

FIELD, NUMBER = 384, 64
"""Memory in bytes of a parsed field, such as a tensor, and of a number in a repeated field."""

VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5
"""Wire types of values: a varint, eight bytes, a value prefixed by its length, four bytes."""

MAX_DIGITS = 10
"""Most bytes of a varint."""

WIDTHS = {FieldDescriptor.TYPE_FLOAT: 4, FieldDescriptor.TYPE_DOUBLE: 8}
"""Bytes of a number, by the types that are not varints."""

TEXTS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}

Layout = dict[int, "Layout | int"]
"""By tag of a field with a length: the layout of its message, or the bytes of each of its numbers, 0 for varints."""


def check(sent: bytes) -> None:
    """Refuse a request that would take too much memory to parse; bytes that are no message are left to the parser.

    Raises:
        TooLarge: parsing would take more than `MAX_COST` bytes.
    """
    if len(sent) * FIELD <= MAX_COST:
        return
    try:
        cost = _cost(sent, 0, len(sent), REQUEST)
    except (IndexError, OverflowError):
        return
    bound(cost, f"The message has too many fields or numbers in its {len(sent)} bytes")


def _cost(sent: bytes, start: int, end: int, layout: Layout) -> int:
    """Memory in bytes of a message with the messages in it; counting stops beyond `MAX_COST`."""
    cost = 0
    while start < end and cost <= MAX_COST:
        cost += FIELD
        tag, start = _number(sent, start)
        kind = tag & 7
        if kind == SIZED:
            size, start = _number(sent, start)
            if size and (inside := layout.get(tag)) is not None:
                cost += _inside(sent, start, min(start + size, end), inside)
            start += size
        elif kind == VARINT:
            _, start = _number(sent, start)
        else:
            start += 8 if kind == FIXED64 else 4 if kind == FIXED32 else 0
    return cost


def _inside(sent: bytes, start: int, end: int, inside: Layout | int) -> int:
    """Memory in bytes of a message within a message, or of packed numbers."""
    if isinstance(inside, dict):
        return _cost(sent, start, end, inside)
    if inside:
        return NUMBER * ((end - start) // inside)
    last_digits = np.frombuffer(sent, np.uint8, end - start, start) < 128
    return NUMBER * int(np.count_nonzero(last_digits))


def _number(sent: bytes, start: int) -> tuple[int, int]:
    """A varint, and the index of the byte after it."""
    value = sent[start]
    if value < 128:
        return value, start + 1
    value &= 127
    for index in range(1, MAX_DIGITS):
        digit = sent[start + index]
        value |= (digit & 127) << 7 * index
        if digit < 128:
            return value, start + index + 1
    raise OverflowError("a varint of too many bytes")


def _layout(kind: Descriptor) -> Layout:
    return {
        field.number << 3 | SIZED: _layout(field.message_type) if field.message_type else WIDTHS.get(field.type, 0)
        for field in kind.fields
        if field.type not in TEXTS
    }


REQUEST = _layout(ModelInferRequest.DESCRIPTOR)
