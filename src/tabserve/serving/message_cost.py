"""What a request over gRPC takes in memory while it is read, told from its bytes by the layout of protocol buffers.

https://protobuf.dev/programming-guides/encoding has that layout: fields, each a tag and a value; a message within a
message is a value of the kind that has its length before it.
"""

from collections.abc import Iterator

import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from mlserver.grpc.dataplane_pb2 import ModelInferRequest

from tabserve.serving.cost import MAX_COST, bound

FIELD, NUMBER = 192, 64
"""Bytes that a field may take, such as a tensor or its parameter; and a number among many, until it is in an array."""

VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5
"""The wire types that have a value."""

MAX_VARINT = 10
"""Bytes of a number in base 128, at most."""

WIDTHS = {
    FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_DOUBLE: 8,
}
"""Bytes of each number, of the fields whose numbers are all as wide."""

TEXTS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}


def check(sent: bytes) -> None:
    """Refuse a request that would cost too much to read; one that is no message is left to its reader.

    Raises:
        TooLarge: in a sentence that says how much.
    """
    if len(sent) * FIELD <= MAX_COST:
        return
    cost = 0
    try:
        for each in _costs(sent, 0, len(sent), ModelInferRequest.DESCRIPTOR):
            cost += each
            if cost > MAX_COST:  # what follows does not matter
                break
    except (IndexError, OverflowError):
        return
    bound(cost, f"The message has too many fields or numbers in its {len(sent)} bytes")


def _costs(sent: bytes, start: int, end: int, kind: Descriptor) -> Iterator[int]:
    """What each field of a message costs, those of the messages within it too."""
    while start < end:
        tag, start = _varint(sent, start)
        yield FIELD
        wire = tag & 7
        if wire == VARINT:
            _, start = _varint(sent, start)
        elif wire == SIZED:
            size, start = _varint(sent, start)
            stop = min(start + size, end)
            yield from _inside(sent, start, stop, kind.fields_by_number.get(tag >> 3))
            start = stop
        else:
            start += {FIXED64: 8, FIXED32: 4}.get(wire, 0)


def _inside(sent: bytes, start: int, stop: int, field: FieldDescriptor | None) -> Iterator[int]:
    """What a field with a length costs beyond itself: a message, numbers, or nothing."""
    if field is None or field.type in TEXTS:
        return
    if field.message_type:
        yield from _costs(sent, start, stop, field.message_type)
    elif field.type in WIDTHS:
        yield NUMBER * ((stop - start) // WIDTHS[field.type])
    else:
        ends = np.frombuffer(sent, np.uint8, stop - start, start) < 128  # the last byte of each number in base 128
        yield NUMBER * int(np.count_nonzero(ends))


def _varint(sent: bytes, start: int) -> tuple[int, int]:
    """A number in base 128, the lowest digit first, and the place behind it."""
    value = 0
    for place in range(MAX_VARINT):
        digit = sent[start + place]
        value |= (digit & 127) << 7 * place
        if digit < 128:
            return value, start + place + 1
    raise OverflowError("a number of too many bytes")
