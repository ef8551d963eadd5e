"""The JSON Schema (https://json-schema.org) of a record, for an API's document."""

from collections.abc import Mapping
from typing import Any

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.numbers import FLOAT32_MAX
from tabserve.encoding.texts import MAX_CHARACTERS
from tabserve.problem.columns import Column, Kind

Node = dict[str, Any]

NEEDED: Mapping[Kind, Node] = {
    "number": {"type": "number", "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX},
    "category": {"type": ["string", "number", "boolean"], "minLength": 1},
    "date": {"type": "string", "minLength": 1},
    "text": {"type": "string", "pattern": "[\\p{L}\\p{N}]", "maxLength": MAX_CHARACTERS},
}
"""The schema of a cell that must not be empty, by the kind of its column."""

OPTIONAL: Mapping[Kind, Node] = {
    "number": {"anyOf": [NEEDED["number"], {"enum": [None, ""]}]},
    "category": {"type": ["string", "number", "boolean", "null"]},
    "date": {"type": ["string", "null"]},
    "text": {"type": ["string", "null"], "maxLength": MAX_CHARACTERS},
}
"""The schema of a cell that may be empty, by the kind of its column."""


def record_schema(encoder: Encoder) -> Node:
    """The schema of a record: a member for each column; those that are never empty are required."""
    properties = {column.name: _member(column, encoder) for column in encoder.columns}
    return {"type": "object", "properties": properties, "required": [*encoder.required]}


def _member(column: Column, encoder: Encoder) -> Node:
    expected = encoder.required.get(column.name)
    return {**NEEDED[column.kind], "description": expected} if expected else OPTIONAL[column.kind]
