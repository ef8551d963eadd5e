"""The texts of a row are checked and joined: the same in a file, a request and a record."""

from collections.abc import Iterable

from tabserve.encoding.cells import Cells, is_missing, plain, refused
from tabserve.encoding.ngrams import says_something
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.wording import shown

MAX_CHARACTERS = 1_000
"""Characters that a text of a request may hold: the work that it makes is in proportion."""


def join_row(texts: Iterable[str | None]) -> str:
    """The text that a model reads of a row: those of its columns, in their order; an empty one leaves no space."""
    return " ".join(filter(None, texts))


def check_cells(cells: Cells, *, needed: bool) -> list[str | None]:
    """The cells of a column, if each is a text, or is missing where no text is needed.

    Raises:
        BadCell: one is something else or, where it is needed, has neither a letter nor a digit.
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
    """The value, if it is a text that says something.

    Args:
        value: whatever the request holds; bytes are a text in UTF-8.
        place: what the sentence calls it, such as `products[3] has a title that`.

    Raises:
        InvalidRequest: it is no text, or has neither a letter nor a digit.
        TooLarge: it has more than `MAX_CHARACTERS`.
    """
    text = check_length(value, place)
    if not says_something(text):
        raise InvalidRequest(f"{place} is {shown(text)}; expected a text with letters or digits.")
    return text


def check_length(value: object, place: str) -> str:
    """The value, if it is a text, which may be empty; `check_text` says the rest."""
    text = check_characters(value, place)
    if len(text) > MAX_CHARACTERS:
        raise TooLarge(f"{place} has {len(text)} characters; send at most {MAX_CHARACTERS}.")
    return text


def check_characters(value: object, place: str) -> str:
    """The value, if it is a text that UTF-8 can write, of any length.

    Raises:
        InvalidRequest: it is none.
    """
    text = _decoded(value, place) if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise InvalidRequest(f"{place} is {shown(text)}; expected a text.")
    if not is_writable(text):
        raise InvalidRequest(f"{place} is {shown(text)}; expected whole characters, not half of a surrogate pair.")
    return text


def is_writable(text: str) -> bool:
    """Whether UTF-8 can write a text: it holds no half of a surrogate pair."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _decoded(value: bytes, place: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{place} is {shown(value)}; expected UTF-8.") from error
