"""Check and join the texts of a row, for files, requests and records alike."""

from collections.abc import Iterable

from tabserve.encoding.cells import Cells, is_missing, plain, refused
from tabserve.encoding.ngrams import says_something
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.wording import shown

MAX_CHARACTERS = 1_000
"""Most characters of a text in a request; the work grows with them."""


def join_row(texts: Iterable[str | None]) -> str:
    """Join the texts of a row's columns, in their order, with spaces; an empty one is left out."""
    return " ".join(filter(None, texts))


def check_cells(cells: Cells, *, needed: bool) -> list[str | None]:
    """The cells of a column of texts, with None for a missing one.

    Raises:
        BadCell: a cell is not a text, or where a text is needed has neither a letter nor a digit.
    """
    values = plain(cells)
    expected = "a text with letters or digits" if needed else "a text"

    def check(cell: object) -> str:
        there = isinstance(cell, str) and (not needed or says_something(cell))
        return "" if there or (is_missing(cell) and not needed) else expected

    if bad := refused(values, check):
        raise bad
    return [None if is_missing(cell) else cell for cell in values]


def check_text(value: object, place: str) -> str:
    """The value as a text with letters or digits.

    Args:
        value: of a request; bytes are decoded as UTF-8.
        place: its position in words, such as `products[3].title`.

    Raises:
        InvalidRequest: the value is not a text, or has neither a letter nor a digit.
        TooLarge: the text has more than `MAX_CHARACTERS`.
    """
    text = check_length(value, place)
    if not says_something(text):
        raise InvalidRequest(f"{place} is {shown(text)}; expected a text with letters or digits.")
    return text


def check_length(value: object, place: str) -> str:
    """The value as a text that may be empty; errors as for `check_text`."""
    text = check_characters(value, place)
    if len(text) > MAX_CHARACTERS:
        raise TooLarge(f"{place} has {len(text)} characters; send at most {MAX_CHARACTERS}.")
    return text


def check_characters(value: object, place: str) -> str:
    """The value as a text of any length that UTF-8 can write.

    Raises:
        InvalidRequest: the value is not such a text.
    """
    text = _decoded(value, place) if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise InvalidRequest(f"{place} is {shown(text)}; expected a text.")
    if not is_writable(text):
        raise InvalidRequest(f"{place} is {shown(text)}; expected whole characters, not half of a surrogate pair.")
    return text


def is_writable(text: str) -> bool:
    """Whether UTF-8 can write the text, which must hold no half of a surrogate pair."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _decoded(value: bytes, place: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{place} is {shown(value)}; expected UTF-8.") from error
