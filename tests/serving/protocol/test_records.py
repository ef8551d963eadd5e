"""JSON records become the features of their cells, or are refused in one sentence that names the position."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.serving.mixed import COLUMNS, LARGE, problem, table

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.texts import MAX_CHARACTERS
from tabserve.errors import InvalidRequest, TooLarge
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.serving.protocol import records
from tabserve.serving.protocol.columns import CHUNK_ROWS

MIXED = Encoder.learn(problem("two"), {column.name: [*table()[column.name]] for column in COLUMNS})
TEXTS = Encoder.learn(Problem("texts", (Column("title", "text"), Column("tags", "text", missing=True))), {})

CELLS: dict[str, st.SearchStrategy[Any]] = {
    "income": st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1),
    "age": st.none() | st.integers(0, 120),
    "city": st.sampled_from(["Recife", "Olinda", "Nowhere", "007", "7"]),
    "plan": st.sampled_from(["a", "b", "", None]),
    "rooms": st.sampled_from([1, 2, LARGE, None, 1.0]),
    "owner": st.sampled_from([True, False, None]),
    "since": st.dates().map(str) | st.none(),
    "seen": st.datetimes().map(lambda moment: moment.isoformat(" ", "minutes")),
}
"""Valid cells of each column; some levels are unseen."""

GOOD = {"income": 1, "city": "Recife", "seen": "2020-02-01 08:30"}
"""A record of the required columns."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def read(items: object, encoder: Encoder = MIXED, most: int = 1_000) -> Any:  # noqa: ANN401  an array
    """The features of all records."""
    features = records.features(items, "flights", encoder, most)
    values = np.concatenate([*features.chunks])
    assert len(values) == features.rows
    return values


@given(
    rows=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=4),
    others=st.dictionaries(st.text(max_size=9).filter(lambda name: name not in CELLS), JSON, max_size=2),
    omitted=st.sets(st.sampled_from([column.name for column in COLUMNS if column.missing])),
)
def test_records_become_the_features_of_their_cells(rows: list[dict[str, Any]], others: Any, omitted: set[str]) -> None:  # noqa: ANN401
    """In their order; other members are ignored, and a column that may be missing is null or left out."""
    given_rows = [others | {name: cell for name, cell in row.items() if name not in omitted} for row in rows]
    cells = [[row.get(column.name) for row in given_rows] for column in COLUMNS]
    np.testing.assert_array_equal(read(given_rows), MIXED.encode(cells).features)


def test_levels_that_training_did_not_see_are_counted() -> None:
    """After the iteration over the chunks."""
    features = records.features([GOOD, {**GOOD, "city": "Nowhere"}], "flights", MIXED, 2)
    assert len([*features.chunks]) == 1
    assert features.unseen == {"city": 1}


@given(
    document=JSON | st.lists(JSON, max_size=3) | st.lists(st.fixed_dictionaries(dict.fromkeys(CELLS, JSON)), max_size=3)
)
@settings(max_examples=300)
def test_any_json_is_accepted_or_refused_in_one_sentence(document: object) -> None:
    """Only errors with status 400 or 413 are raised."""
    for encoder in (MIXED, TEXTS):
        try:
            read(document, encoder)
        except InvalidRequest as error:
            assert str(error).startswith("flights")  # noqa: PT017
            assert str(error).endswith((".", "…"))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
            assert len(str(error)) < 700  # noqa: PT017


WRONG = {
    "a text for a number": ("income", "x", "is 'x'; expected a number."),
    "true for a number": ("income", True, "is true; expected a number."),
    "a list for a number": ("age", [1], "is [1]; expected a number."),
    "null for a number": ("income", None, "is an empty cell; expected a number."),
    "infinity": ("income", float("inf"), "is Infinity; expected a number that 32 bits can hold, up to 3.403e+38."),
    "an object for a category": ("city", {}, "is {}; expected a text, a number, true or false."),
    "null for a category": ("city", None, "is an empty cell; expected one of '007', 'Olinda', 'Recife', 'São Paulo'."),
    "an unseen category": ("plan", "c", "is 'c'; expected one of 'a', 'b'."),
    "a number among texts": ("city", 7, "is 7; expected a text, as in the rows before."),
    "half of a pair": ("city", "\ud83d", "is '\\ud83d'; expected whole characters, not half of a surrogate pair."),
    "a number for a date": ("seen", 5, "is 5; expected a date with a time, such as 2020-12-31 08:30."),
    "30 February": ("since", "2020-02-30", "is '2020-02-30'; expected a day that the calendar has."),
}


@pytest.mark.parametrize(("column", "cell", "sentence"), WRONG.values(), ids=[*WRONG])
@pytest.mark.parametrize("row", [1, CHUNK_ROWS + 50])
def test_a_wrong_cell_is_named_by_its_record_and_column(column: str, cell: object, sentence: str, row: int) -> None:
    """By the record's index from 0, also beyond the first chunk."""
    items: list[dict[str, object]] = [GOOD] * (row + 3)
    items[row] = {**GOOD, column: cell}
    with pytest.raises(InvalidRequest) as error:
        read(items)
    assert str(error.value) == f"flights[{row}].{column} {sentence}"


@pytest.mark.parametrize(
    ("items", "encoder", "sentence"),
    [
        ({}, MIXED, "flights is {}; expected a list of at least one object."),
        ([], MIXED, "flights is []; expected a list of at least one object."),
        ([GOOD, 3], MIXED, "flights[1] is 3; expected an object with 'income', 'city', 'seen'."),
        ([{}], MIXED, "flights[0] has no 'income'; expected a number."),
        ([{"income": 1, "city": "7"}], MIXED, "flights[0] has no 'seen'; expected a date with a time, such as "),
        ([{"title": "?!"}], TEXTS, "flights[0].title is '?!'; expected a text with letters or digits."),
        ([{"title": 7}], TEXTS, "flights[0].title is 7; expected a text."),
        ([{"title": "Quadro", "tags": 7}], TEXTS, "flights[0].tags is 7; expected a text."),
    ],
)
def test_a_value_that_is_not_a_record_is_refused(items: object, encoder: Encoder, sentence: str) -> None:
    """The message says what was expected."""
    with pytest.raises(InvalidRequest) as error:
        read(items, encoder)
    assert str(error.value).startswith(sentence)


def test_a_record_of_columns_that_may_all_be_missing_may_be_empty() -> None:
    """But it must be an object."""
    encoder = Encoder.learn(Problem("any", (Column("a", missing=True), Column("b", missing=True))), {})
    assert np.isnan(read([{}], encoder)).all()
    with pytest.raises(InvalidRequest, match=r"^flights\[0\] is 3; expected an object with any of 'a', 'b'\.$"):
        read([3], encoder)


def test_too_many_records_or_characters_are_too_large() -> None:
    """The limits themselves are accepted."""
    assert len(read([GOOD] * 3, most=3)) == 3
    with pytest.raises(TooLarge, match=r"^The request has 4 flights; send at most 3 at a time\.$"):
        read([GOOD] * 4, most=3)
    assert len(read([{"title": "q" * MAX_CHARACTERS}], TEXTS)) == 1
    with pytest.raises(TooLarge, match=r"^flights\[0\]\.tags has 1001 characters; send at most 1000\.$"):
        read([{"title": "q", "tags": "q" * (MAX_CHARACTERS + 1)}], TEXTS)


@pytest.mark.parametrize("document", [[], None, "x", {}, {"flight": []}])
def test_a_document_without_the_member_is_refused(document: object) -> None:
    """The message has an example of a document."""
    with pytest.raises(InvalidRequest, match=r'^The body .*; expected \{"flights": \[…\]\}\.$'):
        records.member(document, "flights", '{"flights": […]}')
    assert records.member({"flights": [1]}, "flights", "") == [1]
