"""What a request over gRPC takes in memory while it is read, told from the layout of its bytes before it is read.

https://protobuf.dev/programming-guides/encoding has that layout: fields, each a tag and a value, of which a message
within the message is one that has its length before it.
"""

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from mlserver.grpc.dataplane_pb2 import ModelInferRequest

from tabserve.serving.protocol.cost import MAX_COST, bound

FIELD, NUMBER = 384, 64
"""Bytes that a field may take, such as a tensor, and what is made of it; and a number among many."""

VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5
"""Kinds of values: a number in base 128, one of eight bytes, one with its length before it, one of four bytes."""

MAX_DIGITS = 10
"""Of a number in base 128."""

WIDTHS = {FieldDescriptor.TYPE_FLOAT: 4, FieldDescriptor.TYPE_DOUBLE: 8}
"""Bytes of a number, of the types that are not in base 128."""

TEXTS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}

Layout = dict[int, "Layout | int"]
"""What the fields with a length hold, by their tags: a message, or numbers so wide, or (0) in base 128."""


def check(sent: bytes) -> None:
    """Refuse a request that would take more memory to read than it may; what is no message is left to its reader.

    Raises:
        TooLarge: it would.
    """
    if len(sent) * FIELD <= MAX_COST:
        return
    try:
        cost = _cost(sent, 0, len(sent), REQUEST)
    except (IndexError, OverflowError):
        return
    bound(cost, f"The message has too many fields or numbers in its {len(sent)} bytes")


def _cost(sent: bytes, start: int, end: int, layout: Layout) -> int:
    """Bytes that a message takes, with the messages within it; counted until it is too much."""
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
    """Bytes that a message within a message takes, or numbers that lie one behind the other."""
    if isinstance(inside, dict):
        return _cost(sent, start, end, inside)
    if inside:
        return NUMBER * ((end - start) // inside)
    last_digits = np.frombuffer(sent, np.uint8, end - start, start) < 128
    return NUMBER * int(np.count_nonzero(last_digits))


def _number(sent: bytes, start: int) -> tuple[int, int]:
    """A number in base 128, its lowest digit first, and the place behind it."""
    value = sent[start]
    if value < 128:
        return value, start + 1
    value &= 127
    for place in range(1, MAX_DIGITS):
        digit = sent[start + place]
        value |= (digit & 127) << 7 * place
        if digit < 128:
            return value, start + place + 1
    raise OverflowError("a number of too many digits")


def _layout(kind: Descriptor) -> Layout:
    return {
        field.number << 3 | SIZED: _layout(field.message_type) if field.message_type else WIDTHS.get(field.type, 0)
        for field in kind.fields
        if field.type not in TEXTS
    }


REQUEST = _layout(ModelInferRequest.DESCRIPTOR)
