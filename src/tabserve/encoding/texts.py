"""Validate texts, and join those of a row; the same for files, requests and records."""

from collections.abc import Iterable

from tabserve.encoding.cells import Cells, first_refusal, is_missing, to_python
from tabserve.encoding.ngrams import has_letter_or_digit
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.wording import shown

MAX_CHARACTERS = 1_000
"""Most characters of a text in a request, to bound the time that it takes."""


def join_row(texts: Iterable[str | None]) -> str:
    """Join the texts of a row with spaces, in the order of the columns; empty ones are left out."""
    return " ".join(filter(None, texts))


def check_cells(cells: Cells, *, required: bool) -> list[str | None]:
    """The cells of a column of texts, None where a cell is missing.

    Raises:
        BadCell: a cell is not a text; or, if texts are required, has neither a letter nor a digit.
    """
    values = to_python(cells)
    expected = "a text with letters or digits" if required else "a text"

    def check(cell: object) -> str:
        valid = isinstance(cell, str) and (not required or has_letter_or_digit(cell))
        return "" if valid or (is_missing(cell) and not required) else expected

    if bad := first_refusal(values, check):
        raise bad
    return [None if is_missing(cell) else cell for cell in values]


def check_text(value: object, position: str) -> str:
    """Return the value as a text, which must have a letter or a digit.

    Args:
        value: of a request; bytes are decoded as UTF-8.
        position: of the value, for messages, such as `products[3].title`.

    Raises:
        InvalidRequest: the value is not a text, or has neither a letter nor a digit.
        TooLarge: the text has more than `MAX_CHARACTERS`.
    """
    text = check_length(value, position)
    if not has_letter_or_digit(text):
        raise InvalidRequest(f"{position} is {shown(text)}; expected a text with letters or digits.")
    return text


def check_length(value: object, position: str) -> str:
    """Return the value as a text, which may be empty; errors as for `check_text`."""
    text = check_characters(value, position)
    if len(text) > MAX_CHARACTERS:
        raise TooLarge(f"{position} has {len(text)} characters; send at most {MAX_CHARACTERS}.")
    return text


def check_characters(value: object, position: str) -> str:
    """Return the value as a text of any length.

    Raises:
        InvalidRequest: the value is not a text that UTF-8 can encode.
    """
    text = _decode(value, position) if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise InvalidRequest(f"{position} is {shown(text)}; expected a text.")
    if not is_encodable(text):
        raise InvalidRequest(f"{position} is {shown(text)}; expected whole characters, not half of a surrogate pair.")
    return text


def is_encodable(text: str) -> bool:
    """Whether UTF-8 can encode the text, which it cannot if the text has half of a surrogate pair."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _decode(value: bytes, position: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{position} is {shown(value)}; expected UTF-8.") from error
