"""Any JSON in, plain data out: also what orjson cannot read, which is JSON all the same.

That is a text with half of a surrogate pair, and a number beyond 64-bit floats: the one stays in its text, the other is
infinite, so that who looks at them can say where they are, and who does not look never meets them.
"""

import json
from typing import Any

import orjson

from tabserve.errors import InvalidRequest
from tabserve.serving.protocol import cost

Bytes = bytes | bytearray


def read(body: Bytes, expected: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """Plain data.

    Args:
        body: in UTF-8.
        expected: what it should be, for the sentence.

    Raises:
        InvalidRequest: it is no JSON, or nested too deep.
        TooLarge: reading it would take more memory than a request may.
    """
    try:
        return cost.loads(body)
    except orjson.JSONDecodeError as error:
        said = str(error)  # the error holds the whole text, four bytes for each of its characters
    return _read_slowly(body, expected, said)


def _read_slowly(body: Bytes, expected: str, said: str) -> Any:  # noqa: ANN401
    """What Python's own parser makes of it, which takes some times as long."""
    try:
        return json.loads(body.decode(), parse_int=_whole, parse_constant=_refuse)
    except RecursionError as error:
        raise InvalidRequest(
            f"The body holds lists or objects nested too deep to be read; expected {expected}."
        ) from error
    except ValueError:  # not as its cause: it holds the whole text as well
        raise InvalidRequest(f"The body is not JSON ({said}); expected {expected}.") from None


def _whole(digits: str) -> int | float:
    """A whole number as orjson has it: a float beyond 64 bits."""
    number = int(digits) if len(digits) <= 20 else 2**64
    return number if -(2**63) <= number < 2**64 else float(digits)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
