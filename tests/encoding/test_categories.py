"""Cells are encoded as the codes of their levels, whether a file or a request spells them, or are refused."""

import math
from collections import Counter
from dataclasses import replace
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
from tabserve.encoding.cells import SPACES, BadCell, Distinct
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column

CITY = Column("city", "category", missing=True)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda text: text.strip(SPACES)).filter(bool)
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
    """The text of each kind of cell."""
    assert spelling(cell) == text


@given(finite, finite)
def test_equal_numbers_have_the_same_spelling(one: float, other: float) -> None:
    """An integer and a float that are equal, and no others; the text parses to the number again."""
    assert (spelling(one) == spelling(other)) == (one == other)
    assert type(one)(spelling(one)) == one
    assert key(spelling(one)) == spelling(one)


@given(levels)
def test_codes_are_the_indices_of_the_levels(values: list[str]) -> None:
    """For lists and arrays, and for an encoding restored from its JSON."""
    learned = Categories.learn(CITY, [*values, *values, "", None])
    assert sorted(learned.levels) == sorted(values)
    cells = [*learned.levels, "", None]
    assert learned.codes(cells).tolist() == [*range(len(values)), MISSING, MISSING]
    assert learned.codes(np.array(cells, np.object_)).tolist() == learned.codes(cells).tolist()
    assert Categories.from_json(CITY, learned.to_json()) == learned


AROUND = st.text(SPACES, max_size=3)


@given(levels, AROUND, AROUND)
def test_spaces_around_a_level_count_for_nothing(values: list[str], before: str, after: str) -> None:
    """When levels are learned, and when a request spells them; spaces alone are a missing cell."""
    learned, cells = Categories.learn(CITY, values), [f"{before}{value}{after}" for value in [*values, ""]]
    assert Categories.learn(CITY, cells) == learned
    assert learned.codes(cells).tolist() == learned.codes([*values, ""]).tolist()


@given(st.lists(finite, min_size=1, max_size=8, unique_by=spelling))
def test_a_files_text_and_a_requests_number_are_one_level(numbers: list[float]) -> None:
    """Trailing zeros, a float for an integer, and a text for a number make no difference."""
    texts = [spelling(number) for number in numbers]
    learned = Categories.learn(CITY, [text + (".00" if "." not in text else "0") for text in texts])
    codes = learned.codes(texts).tolist()
    assert sorted(codes) == [*range(len(numbers))]
    assert learned.codes(numbers).tolist() == codes
    assert [float(level) for level in learned.levels] == sorted(map(float, numbers))


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=False), min_size=1, max_size=8))
def test_a_float_is_spelled_in_its_own_precision(numbers: list[float]) -> None:
    """A 32-bit 0.1 is the level "0.1"."""
    array = np.array(numbers, np.float32)
    shortest = ["" if np.isnan(number) else spelling(float(str(number))) for number in array]
    learned = Categories.learn(CITY, [*shortest, "0.1"])
    expected = learned.codes(shortest).tolist()
    assert learned.codes(array).tolist() == expected
    assert learned.codes(np.array([0.1], np.float32)).tolist() == learned.codes(["0.1"]).tolist()


@given(st.lists(st.integers(-5, 5) | st.floats(-5, 5) | st.just(math.nan) | st.none(), min_size=1))
def test_an_array_of_numbers_has_the_codes_of_its_list(numbers: list[Any]) -> None:
    """NaN in the array stands for None."""
    learned = Categories(("-1", "0", "0.5", "2"), missing=True)
    assert learned.codes(np.array(numbers, np.float64)).tolist() == learned.codes(numbers).tolist()


def test_booleans_are_texts() -> None:
    """In a list and in an array; a number is not a boolean."""
    learned = Categories(("1", "true", "false"), missing=True)
    assert learned.codes([True, None, False]).tolist() == [1, MISSING, 2]
    assert learned.codes(np.array([True, False])).tolist() == [1, 2]
    assert learned.codes([1, 0]).tolist() == [0, UNSEEN]


@pytest.mark.parametrize("learned", [["true", "false"], ["True", "False"], ["TRUE", "FALSE"]])
def test_every_usual_spelling_of_a_boolean_is_one_level(learned: list[str]) -> None:
    """As pandas, spreadsheets and Arrow write it into a csv, and as a request holds it."""
    encoding = Categories.learn(CITY, learned)
    codes = encoding.codes([True, False]).tolist()
    assert sorted(codes) == [0, 1]
    for texts in (["true", "false"], ["True", "False"], ["TRUE", "FALSE"]):
        assert encoding.codes(texts).tolist() == codes
    assert encoding.codes(["tRUE", "yes", "T", "1"]).tolist() == [UNSEEN] * 4


def test_missing_and_unseen_cells_are_nan() -> None:
    """Both take the default branch of a tree."""
    features = Categories(("a", "b"), missing=True).encode(["b", "", None, "c", math.nan])
    assert features.dtype == np.float32
    assert features.shape == (5, 1)
    np.testing.assert_array_equal(features[:, 0], [1, np.nan, np.nan, np.nan, np.nan])


@given(levels, st.lists(texts | decimals | st.just(""), max_size=20))
def test_unseen_levels_are_counted_as_they_are_encoded(known: list[str], cells: list[str]) -> None:
    """One by one or as distinct values, of which some may have no cell; a column that refuses them counts them too."""
    encoding = Categories(tuple(known), missing=True)
    codes = encoding.codes(cells)
    expected = Counter(key(cell) for cell, code in zip(cells, codes, strict=True) if code == UNSEEN)
    distinct = Distinct([*cells, "nobody has it", ""], np.arange(len(cells)))
    for one in (encoding, replace(encoding, missing=False, unseen="refused")):
        assert one.unseen_levels(cells) == one.unseen_levels(distinct) == expected
        assert np.array_equal(
            one.tolerant().codes([cell for cell in cells if cell]), codes[[bool(cell) for cell in cells]]
        )


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
    """The error has all rows that the same check refuses, counted from 0."""
    with pytest.raises(BadCell) as refused:
        Categories(("a", "b"), missing=False, unseen="refused").codes(cells)
    assert (list(refused.value.rows), refused.value.expected, refused.value.found) == (rows, expected, found)


def test_a_long_text_is_refused_and_shown_shortened() -> None:
    """The message shows the beginning of a megabyte; a text of the limit's length is accepted."""
    learned = Categories(("a",))
    with pytest.raises(BadCell, match="at most 1000 characters") as refused:
        learned.codes(["a", "x" * 2**20])
    assert len(refused.value.found) < 100
    assert learned.codes(["x" * MAX_CHARACTERS]).tolist() == [UNSEEN]


def test_without_levels_only_an_empty_cell_is_expected() -> None:
    """As where a category is empty in all development rows."""
    with pytest.raises(BadCell, match=r"^expected an empty cell, as training saw no level, found 'a'"):
        Categories((), missing=True, unseen="refused").codes([None, "a"])


def test_a_refusal_names_few_of_many_levels() -> None:
    """The message stays short."""
    with pytest.raises(BadCell) as refused:
        Categories(tuple(f"level {number}" for number in range(MAX_LEVELS)), unseen="refused").codes(["x"])
    assert refused.value.expected.startswith("one of 'level 0', 'level 1', ")
    assert refused.value.expected.endswith(f"'level 11' and {MAX_LEVELS - 12} more")


def test_a_refusal_is_on_one_line() -> None:
    """Whatever characters the cell holds."""
    with pytest.raises(BadCell) as refused:
        Categories(("a",), unseen="refused").codes(["two\nlines\x1b\ud800"])
    assert refused.value.found == r"'two\nlines\x1b\ud800'"


@given(st.lists(st.sampled_from(HOSTILE) | st.text() | st.floats() | st.integers() | st.booleans() | st.none()))
def test_any_cells_are_encoded_or_refused(cells: list[Any]) -> None:
    """No other exception is raised, and the rows of the error exist."""
    try:
        codes = Categories(("a", "1"), missing=False).codes(cells)
    except BadCell as bad:
        assert 0 <= bad.rows[0] <= bad.rows[-1] < len(cells)  # noqa: PT017  of either outcome
    else:
        assert len(codes) == len(cells)


@pytest.mark.parametrize("cell", HOSTILE, ids=lambda cell: repr(cell)[:20] if not isinstance(cell, int) else "huge")
def test_a_cell_that_cannot_be_a_level_is_refused(cell: object) -> None:
    """Alone, beside a text, and in an array of objects."""
    learned = Categories(("a",), missing=True)
    array = np.empty(1, np.object_)
    array[0] = cell
    for cells in ([cell], ["a", cell], array):
        with pytest.raises(BadCell):
            learned.codes(cells)


def test_an_array_of_dates_or_bytes_is_refused() -> None:
    """The numbers inside are not taken for levels."""
    learned = Categories(("0",))
    for cells in (np.array(["1970-01-01"], "M8[ns]"), np.array([b"0"]), np.zeros((2, 1)), np.array([0j])):
        with pytest.raises(BadCell):
            learned.codes(cells)


def test_levels_are_sorted_by_number_or_by_text() -> None:
    """By number if all are numbers, else by text."""
    assert Categories.learn(CITY, ["10", "9", "-1.50", "9"]).levels == ("-1.50", "9", "10")
    assert Categories.learn(CITY, ["10", "9", "a"]).levels == ("10", "9", "a")
    assert Categories.learn(CITY, iter(["b", "a"])).levels == ("a", "b")
    assert Categories.learn(CITY, np.array([2.0, 0.5, np.nan])).levels == ("0.5", "2")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "Column 'city' is empty throughout"),
        (["", None], "Column 'city' is empty throughout"),
        (["1", "1.0"], "Column 'city' has one level twice, as '1' and as '1.0'"),
        (["true", "True"], "Column 'city' has one level twice, as 'True' and as 'true'"),
        (["\ud800"], "which UTF-8 cannot write"),
        ([str(level) for level in range(MAX_LEVELS + 1)], "Column 'city' has more than 10000 levels"),
    ],
)
def test_a_column_that_cannot_be_learned_is_refused(cells: list[Any], message: str) -> None:
    """The message names the column."""
    with pytest.raises(DataError) as refused:
        Categories.learn(CITY, cells)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "invalid",
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
    ids=lambda invalid: repr(invalid)[:20],
)
def test_invalid_levels_are_refused(invalid: Any) -> None:  # noqa: ANN401  any value
    """As a damaged manifest may hold them."""
    with pytest.raises(UsageError):
        Categories(invalid)


@pytest.mark.parametrize("level", ["1" * MAX_CHARACTERS, "1" * 400 + ".5", "0." + "0" * 900 + "1", "1.50", "1e5"])
def test_a_level_may_be_a_decimal_that_no_float_holds(level: str) -> None:
    """It is found by its text."""
    assert Categories((level,)).codes([level, "2"]).tolist() == [0, UNSEEN]


@given(levels, st.data())
def test_recoding_is_encoding_by_the_narrowed_levels(values: list[str], data: st.DataObject) -> None:
    """For levels that were kept and levels that were dropped."""
    learned = Categories.learn(CITY, values)
    kept = learned.encode(data.draw(st.lists(st.sampled_from([*values, ""]))))
    cells = data.draw(st.lists(st.sampled_from([*values, "", "elsewhere"])))
    narrowed = learned.narrow(kept)
    assert set(narrowed.levels) == {learned.levels[int(code)] for code in kept[~np.isnan(kept)]}
    recoded = learned.recode(learned.encode(cells), narrowed)
    np.testing.assert_array_equal(recoded, narrowed.encode(cells))
    assert recoded.dtype == np.float32
