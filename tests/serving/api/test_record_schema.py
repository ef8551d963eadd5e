"""The schema of a record allows every record that the API accepts."""

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
"""Columns whose schema is exact; JSON Schema cannot express impossible dates or known levels."""

VALIDATORS = [
    Draft202012Validator(json.loads(json.dumps(record_schema(encoder)).replace(r"[\\p{L}\\p{N}]", r"[^\\W_]")))
    for encoder in (MIXED, TEXTS)
]
"""With the pattern in Python's syntax."""

CELL = JSON | st.sampled_from(
    ["", "Recife", "a", "true", "2020-02-30", "2020-02-29", "2020-02-29 08:30", True, 1e39, 2**70]
)


def is_accepted(record: object, encoder: Encoder) -> bool:
    """Whether a record is parsed without an error."""
    try:
        read([record], encoder)
    except InvalidRequest:
        return False
    return True


@given(column=st.sampled_from([*CELLS]), cell=CELL)
@settings(max_examples=400)
def test_the_schema_allows_every_accepted_cell(column: str, cell: Any) -> None:  # noqa: ANN401  any JSON
    """For the columns of `EXACT` it allows no other cell."""
    record = {**GOOD, column: cell}
    accepted, allowed = is_accepted(record, MIXED), VALIDATORS[0].is_valid(record)
    assert accepted <= allowed
    assert column not in EXACT or accepted == allowed


@given(title=CELL, tags=CELL)
@settings(max_examples=200)
def test_the_schema_allows_every_accepted_text(title: Any, tags: Any) -> None:  # noqa: ANN401
    """As far as JSON can hold it."""
    record = json.loads(json.dumps({"title": title, "tags": tags}))
    assert is_accepted(record, TEXTS) <= VALIDATORS[1].is_valid(record)


@pytest.mark.parametrize("missing", [*GOOD])
def test_exactly_the_columns_without_missing_values_are_required(missing: str) -> None:
    """A record of these alone is valid; without one of them it is not."""
    assert VALIDATORS[0].is_valid(GOOD)
    assert not VALIDATORS[0].is_valid({name: cell for name, cell in GOOD.items() if name != missing})
