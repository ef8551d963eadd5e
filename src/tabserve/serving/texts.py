"""The texts of a request: what may be one, and the sentence that refuses it."""

from tabserve.errors import InvalidRequest, TooLarge
from tabserve.serving.wording import shown
from tabserve.text import words

MAX_CHARACTERS = 1_000
"""Characters that a text may hold: the work that it makes is in proportion."""


def check_text(value: object, place: str) -> str:
    """The value, if it is a text that says something.

    Args:
        value: whatever the request holds.
        place: what the sentence calls it, such as `products[3] has a title that`.

    Raises:
        InvalidRequest: it is no text, or has neither a letter nor a digit.
        TooLarge: it has more than `MAX_CHARACTERS`.
    """
    if not isinstance(value, str):
        raise InvalidRequest(f"{place} is {shown(value)}; expected a text.")
    if len(value) > MAX_CHARACTERS:
        raise TooLarge(f"{place} has {len(value)} characters; send at most {MAX_CHARACTERS}.")
    if not words(value):
        raise InvalidRequest(f"{place} is {shown(value)}; expected a text with letters or digits.")
    return value
