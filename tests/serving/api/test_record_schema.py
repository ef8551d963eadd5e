"""The schema of a record says what is read: whatever is taken, it allows."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import Draft202012Validator
from tests.serving.protocol.test_records import CELLS, GOOD, JSON, MIXED, TEXTS, read

from tabserve.encoding.encoder import Encoder
from tabserve.errors import InvalidRequest
from tabserve.serving.api.record_schema import record_schema

EXACT = {"income", "age", "tags"}
"""Columns of which the schema says all: it has no word for days that the calendar lacks, and for a level."""

VALIDATORS = [
    Draft202012Validator(json.loads(json.dumps(record_schema(encoder)).replace(r"[\\p{L}\\p{N}]", r"[^\\W_]")))
    for encoder in (MIXED, TEXTS)
]
"""With its pattern as Python spells it."""

CELL = JSON | st.sampled_from(
    ["", "Recife", "a", "true", "2020-02-30", "2020-02-29", "2020-02-29 08:30", True, 1e39, 2**70]
)


def taken(record: object, encoder: Encoder) -> bool:
    """Whether a record is read."""
    try:
        read([record], encoder)
    except InvalidRequest:
        return False
    return True


@given(column=st.sampled_from([*CELLS]), cell=CELL)
@settings(max_examples=400)
def test_a_cell_that_is_taken_is_allowed(column: str, cell: Any) -> None:  # noqa: ANN401  any JSON
    """And of numbers none is allowed that is not taken."""
    record = {**GOOD, column: cell}
    is_taken, is_allowed = taken(record, MIXED), VALIDATORS[0].is_valid(record)
    assert is_taken <= is_allowed
    assert column not in EXACT or is_taken == is_allowed


@given(title=CELL, tags=CELL)
@settings(max_examples=200)
def test_texts_that_are_taken_are_allowed(title: Any, tags: Any) -> None:  # noqa: ANN401
    """As far as JSON can write them."""
    record = json.loads(json.dumps({"title": title, "tags": tags}))
    assert taken(record, TEXTS) <= VALIDATORS[1].is_valid(record)


@pytest.mark.parametrize("left", [*GOOD])
def test_what_must_be_there_is_required(left: str) -> None:
    """And nothing else is."""
    assert VALIDATORS[0].is_valid(GOOD)
    assert not VALIDATORS[0].is_valid({name: cell for name, cell in GOOD.items() if name != left})
