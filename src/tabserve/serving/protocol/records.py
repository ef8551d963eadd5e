"""Make features of JSON records: objects with one member per column, of any kind."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.texts import check_length, check_text
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.problem.columns import Column, Kind
from tabserve.serving.protocol.columns import encode_rows
from tabserve.serving.protocol.signature import Features
from tabserve.wording import listed, shown


def member(document: object, name: str, example: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """The member of a document that holds its records.

    Args:
        document: the parsed body.
        name: of the member.
        example: an example of a document, for the error message.

    Raises:
        InvalidRequest: the document is not an object, or lacks the member.
    """
    if not isinstance(document, dict):
        raise InvalidRequest(f"The body is {shown(document)}; expected {example}.")
    if name not in document:
        raise InvalidRequest(f"The body has no member {name!r}; expected {example}.")
    return document[name]


def check(records: object, name: str, max_rows: int) -> list[Any]:
    """The records, if they are a list of one to `max_rows`; `name` is theirs in error messages.

    Raises:
        InvalidRequest: they are no list, or an empty one.
        TooLarge: there are too many.
    """
    if not isinstance(records, list) or not records:
        raise InvalidRequest(f"{name} is {shown(records)}; expected a list of at least one object.")
    if len(records) > max_rows:
        raise TooLarge(f"The request has {len(records)} {name}; send at most {max_rows} at a time.")
    return records


def features(records: object, name: str, encoder: Encoder, max_rows: int) -> Features:
    """Make features of records, in their order.

    Members that are not columns are ignored. A column that may be missing may be null or left out. Numbers, categories
    and dates are validated during the iteration over the chunks.

    Args:
        records: a list of at least one object.
        name: of the records in error messages: the fourth of `flights` is `flights[3]`, its cell `flights[3].carrier`.
        encoder: the model's.
        max_rows: most records of a request.

    Raises:
        InvalidRequest: the records are not a list of objects, or a column cannot hold a cell.
        TooLarge: there are too many records, or a text is too long.
    """
    rows = [_cells(record, f"{name}[{row}]", encoder) for row, record in enumerate(check(records, name, max_rows))]
    takes = [partial(_slice, [*column]) for column in zip(*rows, strict=True)]
    return encode_rows(takes, len(rows), encoder, lambda row, column: f"{name}[{row}].{column}")


def _slice(cells: list[Any], start: int, stop: int) -> list[Any]:
    return cells[start:stop]


def _cells(record: object, position: str, encoder: Encoder) -> list[Any]:
    """The cells of a record, in the order of the columns; texts are validated."""
    if not isinstance(record, dict):
        expected = listed(encoder.required) or f"any of {listed(column.name for column in encoder.columns)}"
        raise InvalidRequest(f"{position} is {shown(record)}; expected an object with {expected}.")
    for name, expected in encoder.required.items():
        if name not in record:
            raise InvalidRequest(f"{position} has no {name!r}; expected {expected}.")
    return [
        CHECKS[column.kind](record.get(column.name), column, f"{position}.{column.name}") for column in encoder.columns
    ]


def _text(cell: object, column: Column, position: str) -> str | None:
    if not column.missing:
        return check_text(cell, position)
    return None if cell is None else check_length(cell, position)


def _unchecked(cell: object, _column: Column, _position: str) -> object:
    """The cell as it is, as the encoder validates it."""
    return cell


CHECKS: Mapping[Kind, Callable[[object, Column, str], object]] = {
    "number": _unchecked,
    "category": _unchecked,
    "date": _unchecked,
    "text": _text,
}
"""The check of each kind of column before encoding; it bounds the length of a text."""
