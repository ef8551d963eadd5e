"""Parse any JSON, also what orjson refuses although it is JSON.

These are texts with half of a surrogate pair, and numbers beyond 64-bit floats. The half stays in its text, the number
becomes infinite, so that the validation of such a value can name its position.
"""

import json
from typing import Any

import orjson

from tabserve.errors import InvalidRequest
from tabserve.serving.protocol import cost

Bytes = bytes | bytearray


def parse(body: Bytes, expected: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """Parse a body of JSON in UTF-8.

    Args:
        body: the JSON.
        expected: what it should hold, in words.

    Raises:
        InvalidRequest: the body is not JSON, or nested too deep.
        TooLarge: parsing would take too much memory.
    """
    try:
        return cost.loads(body)
    except orjson.JSONDecodeError as error:
        reason = str(error)  # not the error: it holds the whole text, with four bytes per character
    return _read_slowly(body, expected, reason)


def _read_slowly(body: Bytes, expected: str, reason: str) -> Any:  # noqa: ANN401
    """Parse by Python's own parser, which is several times slower."""
    try:
        return json.loads(body.decode(), parse_int=_whole, parse_constant=_refuse)
    except RecursionError as error:
        raise InvalidRequest(
            f"The body holds lists or objects nested too deep to be read; expected {expected}."
        ) from error
    except ValueError:  # without a cause, which would hold the whole text
        raise InvalidRequest(f"The body is not JSON ({reason}); expected {expected}.") from None


def _whole(digits: str) -> int | float:
    """A whole number as orjson parses it: a float beyond 64 bits."""
    number = int(digits) if len(digits) <= 20 else 2**64
    return number if -(2**63) <= number < 2**64 else float(digits)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
