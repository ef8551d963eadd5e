"""JSON records, objects with one member for each column of any kind, into features."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.texts import check_length, check_text
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.problem.columns import Column, Kind
from tabserve.serving.protocol.columns import encoded
from tabserve.serving.protocol.signature import Features
from tabserve.wording import listed, shown


def member(document: object, name: str, example: str) -> Any:  # noqa: ANN401  whatever JSON holds
    """The member of a request's document that holds its records.

    Args:
        document: the body, as JSON holds it.
        name: of the member.
        example: of a document, for the sentence.

    Raises:
        InvalidRequest: the document has none.
    """
    if not isinstance(document, dict):
        raise InvalidRequest(f"The body is {shown(document)}; expected {example}.")
    if name not in document:
        raise InvalidRequest(f"The body has no member {name!r}; expected {example}.")
    return document[name]


def features(records: object, name: str, encoder: Encoder, max_rows: int) -> Features:
    """The features of records, in their order; nothing else of them is kept.

    Members that are no columns are ignored. A column that may be missing may be null, or left out. What is wrong with
    numbers, categories and dates is said while the parts are taken.

    Args:
        records: a list of at least one object.
        name: what sentences call them: the fourth of `flights` is `flights[3]`, and its cell `flights[3].carrier`.
        encoder: the model's.
        max_rows: that a request may hold.

    Raises:
        InvalidRequest: they are something else, or a cell is not what its column holds.
        TooLarge: they are more, or a text is longer than allowed.
    """
    if not isinstance(records, list) or not records:
        raise InvalidRequest(f"{name} is {shown(records)}; expected a list of at least one object.")
    if len(records) > max_rows:
        raise TooLarge(f"The request has {len(records)} {name}; send at most {max_rows} at a time.")
    rows = [_cells(record, f"{name}[{row}]", encoder) for row, record in enumerate(records)]
    takes = [partial(_sliced, [*column]) for column in zip(*rows, strict=True)]
    return encoded(takes, len(rows), encoder, lambda row, column: f"{name}[{row}].{column}")


def _sliced(cells: list[Any], start: int, stop: int) -> list[Any]:
    return cells[start:stop]


def _cells(record: object, position: str, encoder: Encoder) -> list[Any]:
    """The cells of a record, in the order of the columns."""
    if not isinstance(record, dict):
        expected = listed(encoder.needed) or f"any of {listed(column.name for column in encoder.columns)}"
        raise InvalidRequest(f"{position} is {shown(record)}; expected an object with {expected}.")
    for name, expected in encoder.needed.items():
        if name not in record:
            raise InvalidRequest(f"{position} has no {name!r}; expected {expected}.")
    return [CHECKS[each.kind](record.get(each.name), each, f"{position}.{each.name}") for each in encoder.columns]


def _text(cell: object, column: Column, position: str) -> str | None:
    if not column.missing:
        return check_text(cell, position)
    return None if cell is None else check_length(cell, position)


def _unchecked(cell: object, _column: Column, _position: str) -> object:
    """The cell as it is: the encoder checks it."""
    return cell


CHECKS: Mapping[Kind, Callable[[object, Column, str], object]] = {
    "number": _unchecked,
    "category": _unchecked,
    "date": _unchecked,
    "text": _text,
}
"""What is checked before the encoder is asked, by the kind of the column: how much work a text may make."""
