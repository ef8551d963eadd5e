"""Estimate how much memory the parsing of a request takes at most, before it is parsed, and limit it."""

from collections import Counter

import numpy as np
import orjson

from tabserve.errors import TooLarge

MIB = 2**20

MAX_COST = 256 * MIB
"""Most bytes that parsing may take beside the request: twice what 10,000 rows in 200 tensors need."""

SIGNS = {ord("["): 96, ord("{"): 96, ord(","): 56, ord(":"): 112, ord('"'): 24}
"""Bytes that orjson allocates for what a sign of JSON starts: a list, an object, a value, a member, half a string.

Signs within texts count too, as telling them apart would take as long as parsing.
"""

NARROW, WIDE = 2, 5
"""Bytes for each byte of JSON beside that; a text with one character beyond Latin-1 takes four per character."""

PIECE = 2**16
"""Bytes that are counted at once."""

MOST = WIDE + max(SIGNS.values())
"""Most bytes for each byte of JSON."""


def loads(text: bytes | bytearray) -> object:
    """Parse JSON that does not take too much memory.

    Raises:
        TooLarge: parsing would take more than `MAX_COST` bytes.
        orjson.JSONDecodeError: the text is not JSON.
    """
    check(text)
    return orjson.loads(text)


def check(text: bytes | bytearray) -> None:
    """Refuse JSON that would take too much memory to parse.

    Raises:
        TooLarge: parsing would take more than `MAX_COST` bytes.
    """
    if len(text) * MOST > MAX_COST:
        counts = _signs(text)
        lists = counts[ord("[")] + counts[ord("{")]
        bound(_of(text, counts), f"The JSON has {lists} brackets of lists and objects, and {counts[ord(',')]} commas")


def of(text: bytes | bytearray) -> int:
    """Most bytes that parsing JSON takes."""
    return _of(text, _signs(text))


def _of(text: bytes | bytearray, counts: Counter[int]) -> int:
    width = NARROW if text.isascii() and b"\\u" not in text else WIDE
    return width * len(text) + sum(counts[sign] * cost for sign, cost in SIGNS.items())


def _signs(text: bytes | bytearray) -> Counter[int]:
    """The count of each sign; numpy is three times as fast as `text.count`."""
    counts = Counter[int]()
    for start in range(0, len(text), PIECE):
        piece = np.frombuffer(text, np.uint8, min(PIECE, len(text) - start), start)
        for sign in SIGNS:
            counts[sign] += int(np.count_nonzero(piece == sign))
    return counts


def bound(cost: int, subject: str) -> None:
    """Refuse a request whose parsing takes too much memory.

    Args:
        cost: of parsing, in bytes.
        subject: what takes so much, as the beginning of the message.

    Raises:
        TooLarge: the cost is more than `MAX_COST`.
    """
    if cost > MAX_COST:
        most = MAX_COST // MIB
        raise TooLarge(
            f"{subject}, which may take {max(cost // MIB, most + 1)} MiB or more to read; expected at most {most} MiB:"
            " send less at a time."
        )
