"""The cells of a problem's columns become features, the same from a file, a request and a restored encoder."""

import json
import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.cells import QUICK_ERRORS, BadCell
from tabserve.encoding.encoder import ENCODINGS, Encoder
from tabserve.encoding.ngrams import has_letter_or_digit
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column, Kind, numbers
from tabserve.problem.problem import Problem

COLUMNS = (
    Column("age", missing=True),
    Column("city", "category", missing=True),
    Column("when", "date", missing=True),
    Column("floor", "category"),
)
HOUSES = Problem("houses", COLUMNS)
TRAINING: list[list[Any]] = [
    [30, 41.5, None],
    ["Rio", "São Paulo", ""],
    ["2020-01-01 10:00", "2021-12-31 23:59:59", None],
    ["1.0", "2", "10"],
]


def learn(problem: Problem, cells: list[Any]) -> Encoder:
    """Learn the encoder from the cells of each column, in the problem's order."""
    return Encoder.learn(problem, dict(zip(problem.features, cells, strict=True)))


ENCODER = learn(HOUSES, TRAINING)
DOCUMENT = {"city": {"levels": ["Rio", "São Paulo"]}, "when": {"hours": True}, "floor": {"levels": ["1.0", "2", "10"]}}

rows = st.lists(
    st.tuples(
        st.floats(-1e6, 1e6) | st.none(),
        st.sampled_from(["Rio", "São Paulo", "Recife", ""]) | st.none(),
        st.datetimes().map(str) | st.none(),
        st.sampled_from(["1", "2.0", "10", "11"]),
    ),
    min_size=1,
)


def transpose(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    """The cells of each column, from rows."""
    return [*map(list, zip(*rows, strict=True))]


def test_ordinary_cells_are_encoded_quickly_to_the_same_features() -> None:
    """To the bit, with missing cells among them."""
    quick, careful = ENCODER.encode_quickly(TRAINING), ENCODER.encode(TRAINING).features
    assert (quick.dtype, quick.shape) == (careful.dtype, careful.shape)
    assert quick.tobytes() == careful.tobytes()


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (0, True),
        (0, "1"),
        (0, math.nan),
        (0, 1e39),
        (1, "Recife"),
        (1, 1),
        (2, "2020-02-30 10:00"),
        (3, "1"),
        (3, None),
    ],
)
def test_a_cell_that_is_not_ordinary_is_not_encoded_quickly(column: int, cell: object) -> None:
    """Whether `encode` accepts it or not."""
    cells = [[*cells] for cells in TRAINING]
    cells[column][1] = cell
    with pytest.raises(QUICK_ERRORS):
        ENCODER.encode_quickly(cells)


def test_features_are_named_and_typed() -> None:
    """As XGBoost needs it; a date with a time has four features."""
    assert ENCODER.names == ("age", "city", "when.day", "when.month", "when.weekday", "when.hour", "floor")
    assert ENCODER.types == ("q", "c", "q", "q", "q", "q", "c")
    assert ENCODER.levels == (0, 2, 0, 0, 0, 0, 3)
    assert not ENCODER.numeric
    assert learn(Problem("x", numbers("a", "b")), [[1], [2]]).numeric


def test_cells_are_encoded_as_float32_features() -> None:
    """A level that training did not see is NaN, and is counted."""
    features, unseen = ENCODER.encode([[1.5, None], ["Recife", "Rio"], ["2020-02-29T08:30", ""], ["10", "1"]])
    day = date(2020, 2, 29).toordinal() - date(1970, 1, 1).toordinal()
    expected = [[1.5, math.nan, day, 2, 5, 8, 2], [math.nan, 0, *[math.nan] * 4, 0]]
    np.testing.assert_array_equal(features, np.array(expected, np.float32))
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    assert unseen == {"city": 1}


@given(rows)
def test_rows_are_encoded_alone_as_together(many: list[tuple[Any, ...]]) -> None:
    """Also by an encoder restored from its JSON, and from arrays."""
    together = ENCODER.encode(transpose(many))
    alone = [ENCODER.encode(transpose([row])) for row in many]
    np.testing.assert_array_equal(np.concatenate([encoded.features for encoded in alone]), together.features)
    for name in ("city", "floor"):
        assert together.unseen.get(name, 0) == sum(encoded.unseen.get(name, 0) for encoded in alone)
    again = Encoder.from_json(HOUSES, json.loads(json.dumps(ENCODER.to_json())))
    arrays = [np.array(cells, np.object_) for cells in transpose(many)]
    np.testing.assert_array_equal(again.encode(arrays).features, together.features)


@given(st.lists(st.sampled_from([1, 2, 10, 11]), min_size=1))
def test_a_number_of_a_request_is_the_text_of_a_file(floors: list[int]) -> None:
    """As integers, floats, texts, and an array."""
    others: list[list[Any]] = [[None] * len(floors)] * 3
    expected = ENCODER.encode([*others, [str(floor) for floor in floors]])
    for cells in (floors, [*map(float, floors)], [f"{floor}.0" for floor in floors], np.array(floors)):
        encoded = ENCODER.encode([*others, cells])
        np.testing.assert_array_equal(encoded.features, expected.features)
        assert encoded.unseen == expected.unseen


@given(rows, rows)
def test_recoding_is_encoding_by_the_narrowed_encoder(
    kept: list[tuple[Any, ...]], others: list[tuple[Any, ...]]
) -> None:
    """Of all columns; quantities stay as they are."""
    narrowed = ENCODER.narrow(ENCODER.encode(transpose(kept)).features)
    recoded = ENCODER.recode(ENCODER.encode(transpose(others)).features, narrowed)
    np.testing.assert_array_equal(recoded, narrowed.encode(transpose(others)).features)
    assert recoded.flags.c_contiguous
    assert all(
        level < size for level, size in zip(np.nanmax(np.nan_to_num(recoded[:, [1, 6]]), axis=0), (2, 3), strict=True)
    )
    assert narrowed.types == ENCODER.types


def test_without_categories_nothing_is_recoded() -> None:
    """The same array comes back, for numbers and for texts."""
    for problem, cells in (
        (Problem("x", numbers("a", "b")), [[1.0], [2.0]]),
        (Problem("x", (Column("title", "text"),)), [["a"]]),
    ):
        encoder = learn(problem, cells)
        features = encoder.encode(cells).features
        narrowed = encoder.narrow(features)
        assert narrowed == encoder
        assert encoder.recode(features, narrowed) is features


@pytest.mark.parametrize(
    ("index", "cell"), [(0, "a"), (0, 1e39), (1, b"Rio"), (1, ["Rio"]), (2, "2020-01-01"), (2, 5), (3, None), (3, {})]
)
def test_a_bad_cell_names_its_column_and_row(index: int, cell: object) -> None:
    """For each kind of column."""
    cells: list[list[Any]] = [[1, 1], ["Rio", "Rio"], [None, None], ["1", "1"]]
    cells[index][1] = cell
    with pytest.raises(BadCell) as refused:
        ENCODER.encode(cells)
    assert (refused.value.column, [*refused.value.rows]) == (COLUMNS[index].name, [1])


def test_a_column_that_cannot_be_learned_is_named() -> None:
    """Whether a cell or the whole column is invalid."""
    with pytest.raises(BadCell) as refused:
        learn(HOUSES, [TRAINING[0], ["Rio", 1], *TRAINING[2:]])
    assert refused.value.column == "city"
    with pytest.raises(DataError, match="'floor' is empty throughout"):
        learn(HOUSES, [*TRAINING[:3], [""]])


def test_the_manifest_keeps_what_was_learned() -> None:
    """Nothing of numbers."""
    assert ENCODER.to_json() == DOCUMENT
    assert Encoder.from_json(HOUSES, DOCUMENT) == ENCODER
    assert Encoder.from_json(Problem("x", numbers("a")), {}).to_json() == {}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "Expected the encoding of the columns 'city', 'when', 'floor', found []"),
        (None, "found null"),
        ({}, "found {}"),
        ({**DOCUMENT, "age": {}}, "found 'city', 'when', 'floor', 'age'"),
        ({"city": DOCUMENT["city"], "when": {"hours": True}}, "found 'city', 'when'."),
        ({**DOCUMENT, "city": ["a"]}, "column 'city' cannot be used: A category needs {\"levels\": […]}, not ['a']"),
        ({**DOCUMENT, "city": {"levels": "ab"}}, "column 'city' cannot be used"),
        ({**DOCUMENT, "city": {"levels": ["a", 1]}}, "column 'city' cannot be used: A category needs a tuple of texts"),
        ({**DOCUMENT, "city": {"levels": ["a", "a"]}}, "has one level twice, as 'a' and as 'a'"),
        ({**DOCUMENT, "city": {"levels": ["1", "1.0"]}}, "has one level twice, as '1' and as '1.0'"),
        ({**DOCUMENT, "city": {"levels": ["a"], "more": 1}}, "column 'city' cannot be used"),
        ({**DOCUMENT, "when": {"hours": "yes"}}, "column 'when' cannot be used: A date needs"),
    ],
)
def test_a_document_of_another_encoder_is_refused(document: object, message: str) -> None:
    """The message says which column is wrong."""
    with pytest.raises(UsageError) as refused:
        Encoder.from_json(HOUSES, document)
    assert message in str(refused.value)


def test_two_features_of_one_name_are_refused() -> None:
    """XGBoost would refuse them."""
    problem = Problem("x", (Column("when", "date"), Column("when.day")))
    with pytest.raises(UsageError, match=r"'when\.day'; rename"):
        learn(problem, [["2020-01-01"], [1]])


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(any_text.filter(has_letter_or_digit), any_text | st.none()), min_size=1))
def test_columns_of_text_become_one_text_per_row(texts: list[tuple[str, str | None]]) -> None:
    """Encoded by the same call as other columns."""
    encoder = learn(Problem("goods", (Column("title", "text"), Column("tags", "text", missing=True))), transpose(texts))
    assert (encoder.names, encoder.levels, encoder.types, encoder.numeric) == ((), (), (), False)
    assert encoder.to_json() == {}
    features, unseen = encoder.encode(transpose(texts))
    assert features.shape == (len(texts),)
    assert not unseen
    assert features.tolist() == [f"{title} {tags}" if tags else title for title, tags in texts]
    with pytest.raises(BadCell) as refused:
        encoder.encode([["a", " "], ["b", "c"]])
    assert (refused.value.column, [*refused.value.rows]) == ("title", [1])


@pytest.mark.parametrize("kind", ENCODINGS)
def test_no_rows_give_an_empty_array_with_all_columns(kind: Kind) -> None:
    """For each kind of column."""
    cells: dict[str, list[Any]] = {"number": [1], "category": ["a"], "date": ["2020-01-01"]}
    encoder = learn(Problem("x", (Column("x", kind),)), [cells[kind]])
    assert encoder.encode([[]]).features.shape == (0, len(encoder.names))
