"""What a request takes in memory while it is read, told before it is read: at most, and the same bound for all."""

import orjson

from tabserve.errors import TooLarge

MIB = 2**20

MAX_COST = 256 * MIB
"""Bytes that the reading of a request may take beside its own: twice as many as 10,000 rows in 200 tensors need."""

SIGNS = {b"[": 96, b"{": 96, b",": 56, b":": 112, b'"': 24}
"""Bytes that orjson takes for what each of JSON's signs may stand for: a list, an object, a value, a member, and half a
string. A sign within a text counts as well: to tell which are would take as long as to read them."""

NARROW, WIDE = 2, 5
"""Bytes for each byte of JSON beside that: a text with one character beyond Latin has four for each of its others."""

MOST = WIDE + max(SIGNS.values())
"""Bytes for each byte of JSON, at most."""


def loads(text: bytes | bytearray) -> object:
    """What JSON holds, where that is not too much to read.

    Raises:
        TooLarge: reading it would take more memory than a request may.
        orjson.JSONDecodeError: it is no JSON.
    """
    check(text)
    return orjson.loads(text)


def check(text: bytes | bytearray) -> None:
    """Refuse JSON that would take more memory to read than a request may.

    Raises:
        TooLarge: it would.
    """
    if len(text) * MOST > MAX_COST:
        lists, objects, values = map(text.count, (b"[", b"{", b","))
        bound(of(text), f"The JSON has {lists + objects} lists and objects, and {values} commas between values")


def of(text: bytes | bytearray) -> int:
    """Bytes that JSON takes to read, at most."""
    width = NARROW if text.isascii() and b"\\u" not in text else WIDE
    return width * len(text) + sum(text.count(sign) * cost for sign, cost in SIGNS.items())


def bound(cost: int, found: str) -> None:
    """Refuse what takes more memory to read than a request may.

    Args:
        cost: what it takes, in bytes.
        found: what takes so much; the sentence begins with it.

    Raises:
        TooLarge: it does.
    """
    if cost > MAX_COST:
        raise TooLarge(
            f"{found}, which may take {cost // MIB} MiB to read; expected at most {MAX_COST // MIB} MiB:"
            " send less at a time."
        )
