"""A cell becomes the code of its level, however a file or a request spells it, or is refused."""

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.categories import (
    DECIMAL,
    MAX_CHARACTERS,
    MAX_LEVELS,
    MISSING,
    UNSEEN,
    Categories,
    key,
    spelling,
)
from tabserve.encoding.cells import BadCell
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column

CITY = Column("city", "category", missing=True)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
decimals = st.from_regex(DECIMAL, fullmatch=True)
levels = st.lists(texts | decimals, min_size=1, max_size=8, unique_by=key)
finite = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)

HOSTILE: list[Any] = [
    b"a",
    ["a"],
    {"a": 1},
    (),
    object(),
    10**400,
    -(10**5000),
    math.inf,
    -math.inf,
    1j,
    Decimal(1),
    "a" * (MAX_CHARACTERS + 1),
    np.datetime64("2020-01-01"),
    np.bytes_(b"a"),
    np.array([1]),
]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("a", "a"),
        ("007", "007"),
        ("1.0", "1.0"),
        ("", ""),
        (None, ""),
        (math.nan, ""),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (-3.25, "-3.25"),
        (1e-7, "0.0000001"),
        (1e16, "10000000000000000"),
        (2**70, str(2**70)),
    ],
)
def test_a_cell_has_one_spelling(cell: Any, text: str) -> None:  # noqa: ANN401  any cell
    """That of the docstring."""
    assert spelling(cell) == text


@given(finite, finite)
def test_numbers_are_spelled_alike_if_they_are_equal(one: float, other: float) -> None:
    """Whether they are whole numbers or floats; the text is the number again."""
    assert (spelling(one) == spelling(other)) == (one == other)
    assert type(one)(spelling(one)) == one
    assert key(spelling(one)) == spelling(one)


@given(levels)
def test_codes_are_the_places_of_the_levels(found: list[str]) -> None:
    """Of lists and arrays of text alike, in the order that training found, and again after the manifest."""
    learned = Categories.learn(CITY, [*found, *found, "", None])
    assert sorted(learned.levels) == sorted(found)
    cells = [*learned.levels, "", None]
    assert learned.codes(cells).tolist() == [*range(len(found)), MISSING, MISSING]
    assert learned.codes(np.array(cells, np.object_)).tolist() == learned.codes(cells).tolist()
    assert Categories.from_json(CITY, learned.to_json()) == learned


@given(st.lists(finite, min_size=1, max_size=8, unique_by=spelling))
def test_a_files_text_and_a_requests_number_are_one_level(numbers: list[float]) -> None:
    """Zeros at a decimal's end, a float for a whole number, or the text for the number change nothing."""
    written = [spelling(number) for number in numbers]
    learned = Categories.learn(CITY, [text + (".00" if "." not in text else "0") for text in written])
    codes = learned.codes(written).tolist()
    assert sorted(codes) == [*range(len(numbers))]
    assert learned.codes(numbers).tolist() == codes
    assert [float(level) for level in learned.levels] == sorted(map(float, numbers))


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=False), min_size=1, max_size=8))
def test_a_float_is_read_in_its_own_precision(numbers: list[float]) -> None:
    """So that 0.1 of a tensor of 32 bits is the level "0.1"."""
    array = np.array(numbers, np.float32)
    shortest = ["" if np.isnan(each) else spelling(float(str(each))) for each in array]
    learned = Categories.learn(CITY, [*shortest, "0.1"])
    expected = learned.codes(shortest).tolist()
    assert learned.codes(array).tolist() == expected
    assert learned.codes(np.array([0.1], np.float32)).tolist() == learned.codes(["0.1"]).tolist()


@given(st.lists(st.integers(-5, 5) | st.floats(-5, 5) | st.just(math.nan) | st.none(), min_size=1))
def test_an_array_of_numbers_is_its_list(numbers: list[Any]) -> None:
    """Where it holds them all; None is NaN in it."""
    learned = Categories(("-1", "0", "0.5", "2"), missing=True)
    assert learned.codes(np.array(numbers, np.float64)).tolist() == learned.codes(numbers).tolist()


def test_truths_are_texts() -> None:
    """In a list and in an array; a number is not one of them."""
    learned = Categories(("1", "true", "false"), missing=True)
    assert learned.codes([True, None, False]).tolist() == [1, MISSING, 2]
    assert learned.codes(np.array([True, False])).tolist() == [1, 2]
    assert learned.codes([1, 0]).tolist() == [0, UNSEEN]


@pytest.mark.parametrize("learned", [["true", "false"], ["True", "False"], ["TRUE", "FALSE"]])
def test_a_truth_is_one_level_however_a_program_writes_it(learned: list[str]) -> None:
    """As csv of pandas, of a spreadsheet or of Arrow have it, and as a request brings it."""
    found = Categories.learn(CITY, learned)
    codes = found.codes([True, False]).tolist()
    assert sorted(codes) == [0, 1]
    for texts in (["true", "false"], ["True", "False"], ["TRUE", "FALSE"]):
        assert found.codes(texts).tolist() == codes
    assert found.codes(["tRUE", "yes", "T", "1"]).tolist() == [UNSEEN] * 4


def test_missing_and_unseen_are_nan() -> None:
    """Both take the default branch of a tree."""
    features = Categories(("a", "b"), missing=True).encode(["b", "", None, "c", math.nan])
    assert features.dtype == np.float32
    assert features.shape == (5, 1)
    np.testing.assert_array_equal(features[:, 0], [1, np.nan, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(
    ("cells", "rows", "expected", "found"),
    [
        (["a", "", None, "b"], [1, 2], "one of 'a', 'b'", "an empty cell"),
        ([math.nan], [0], "one of 'a', 'b'", "an empty cell"),
        (["a", "c", "d"], [1, 2], "one of 'a', 'b'", "'c'"),
        ([7.5], [0], "one of 'a', 'b'", "7.5"),
        (["a", 1, None, True, 2], [1, 3, 4], "a text, as in the rows before", "1"),
        ([1, "a", 2.5], [1], "a number, as in the rows before", "'a'"),
        ([True, 1], [1], "true or false, as in the rows before", "1"),
        (["a", b"a", ["a"]], [1, 2], "a text, a number, true or false", "b'a'"),
        ([1, math.inf], [1], "a finite number", "Infinity"),
        ([10**5000, 1], [0], "a finite number", "an integer of more than 64 bits"),
    ],
)
def test_a_cell_that_the_column_cannot_hold_is_refused(
    cells: list[Any], rows: list[int], expected: str, found: str
) -> None:
    """With all rows that the same check refuses, counted from 0."""
    with pytest.raises(BadCell) as refused:
        Categories(("a", "b"), missing=False, unseen="refused").codes(cells)
    assert (list(refused.value.rows), refused.value.expected, refused.value.found) == (rows, expected, found)


def test_a_long_text_is_refused_and_shown_shortened() -> None:
    """Of a megabyte the first characters are enough; the limit itself is taken."""
    learned = Categories(("a",))
    with pytest.raises(BadCell, match="at most 1000 characters") as refused:
        learned.codes(["a", "x" * 2**20])
    assert len(refused.value.found) < 100
    assert learned.codes(["x" * MAX_CHARACTERS]).tolist() == [UNSEEN]


def test_of_many_levels_a_few_are_named() -> None:
    """The sentence is short, however many there are."""
    with pytest.raises(BadCell) as refused:
        Categories(tuple(f"level {number}" for number in range(MAX_LEVELS)), unseen="refused").codes(["x"])
    assert refused.value.expected.startswith("one of 'level 0', 'level 1', ")
    assert refused.value.expected.endswith(f"'level 11' and {MAX_LEVELS - 12} more")


def test_a_refusal_is_on_one_line() -> None:
    """Whatever the cell holds."""
    with pytest.raises(BadCell) as refused:
        Categories(("a",), unseen="refused").codes(["two\nlines\x1b\ud800"])
    assert refused.value.found == r"'two\nlines\x1b\ud800'"


@given(st.lists(st.sampled_from(HOSTILE) | st.text() | st.floats() | st.integers() | st.booleans() | st.none()))
def test_whatever_comes_is_coded_or_refused(cells: list[Any]) -> None:
    """With no other exception, and a row that is there."""
    try:
        codes = Categories(("a", "1"), missing=False).codes(cells)
    except BadCell as bad:
        assert 0 <= bad.rows[0] <= bad.rows[-1] < len(cells)  # noqa: PT017  of either outcome
    else:
        assert len(codes) == len(cells)


@pytest.mark.parametrize("cell", HOSTILE, ids=lambda cell: repr(cell)[:20] if not isinstance(cell, int) else "huge")
def test_what_is_no_level_at_all_is_refused(cell: object) -> None:
    """Alone, beside texts, and in an array of objects."""
    learned = Categories(("a",), missing=True)
    array = np.empty(1, np.object_)
    array[0] = cell
    for cells in ([cell], ["a", cell], array):
        with pytest.raises(BadCell):
            learned.codes(cells)


def test_an_array_of_dates_or_bytes_is_refused() -> None:
    """Its numbers within are nobody's levels."""
    learned = Categories(("0",))
    for cells in (np.array(["1970-01-01"], "M8[ns]"), np.array([b"0"]), np.zeros((2, 1)), np.array([0j])):
        with pytest.raises(BadCell):
            learned.codes(cells)


def test_levels_are_sorted_as_what_they_are() -> None:
    """Numbers by their size if all are numbers, else all by their text."""
    assert Categories.learn(CITY, ["10", "9", "-1.50", "9"]).levels == ("-1.50", "9", "10")
    assert Categories.learn(CITY, ["10", "9", "a"]).levels == ("10", "9", "a")
    assert Categories.learn(CITY, iter(["b", "a"])).levels == ("a", "b")
    assert Categories.learn(CITY, np.array([2.0, 0.5, np.nan])).levels == ("0.5", "2")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([], "Column 'city' is empty throughout"),
        (["", None], "Column 'city' is empty throughout"),
        (["1", "1.0"], "Column 'city' has one level twice, as '1' and as '1.0'"),
        (["true", "True"], "Column 'city' has one level twice, as 'True' and as 'true'"),
        (["\ud800"], "which UTF-8 cannot write"),
        ([str(level) for level in range(MAX_LEVELS + 1)], "Column 'city' has more than 10000 levels"),
    ],
)
def test_a_column_that_cannot_be_learned_is_refused(cells: list[Any], said: str) -> None:
    """In a sentence that names it."""
    with pytest.raises(DataError) as refused:
        Categories.learn(CITY, cells)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "found",
    [
        ["a", "b"],
        ("a", "a"),
        ("1", "1.0"),
        ("-0.0", "0"),
        ("",),
        ("a", 1),
        (None,),
        ("x" * (MAX_CHARACTERS + 1),),
        ("\udc00",),
        tuple(map(str, range(MAX_LEVELS + 1))),
    ],
    ids=lambda found: repr(found)[:20],
)
def test_levels_that_cannot_be_are_refused(found: Any) -> None:  # noqa: ANN401  any value
    """A manifest that holds them is damaged."""
    with pytest.raises(UsageError):
        Categories(found)


@pytest.mark.parametrize("level", ["1" * MAX_CHARACTERS, "1" * 400 + ".5", "0." + "0" * 900 + "1", "1.50", "1e5"])
def test_a_level_may_be_a_decimal_that_no_float_holds(level: str) -> None:
    """It is found by its text."""
    assert Categories((level,)).codes([level, "2"]).tolist() == [0, UNSEEN]


@given(levels, st.data())
def test_recoding_is_encoding_by_the_narrowed_levels(found: list[str], data: st.DataObject) -> None:
    """Whether a row's level was kept or not."""
    learned = Categories.learn(CITY, found)
    kept = learned.encode(data.draw(st.lists(st.sampled_from([*found, ""]))))
    cells = data.draw(st.lists(st.sampled_from([*found, "", "elsewhere"])))
    narrowed = learned.narrow(kept)
    assert set(narrowed.levels) == {learned.levels[int(code)] for code in kept[~np.isnan(kept)]}
    recoded = learned.recode(learned.encode(cells), narrowed)
    np.testing.assert_array_equal(recoded, narrowed.encode(cells))
    assert recoded.dtype == np.float32
