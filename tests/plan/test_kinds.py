"""Each column gets the kind that a person would give it, with a reason."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.plan.looking import profile_of, repeated

from tabserve.errors import DataError
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.kinds import LIKE_AN_ID, guess, has_id_name
from tabserve.plan.options import Options
from tabserve.plan.profile import profile
from tabserve.plan.stated import state
from tabserve.problem.columns import Kind
from tabserve.table.source import as_source

WORDS = ["good", "bad", "fair"]
COUNT = [str(number) for number in range(100, 160)]


@pytest.mark.parametrize(
    ("cells", "kind", "why"),
    [
        (["1", "2", "3", "1"], "number", "whole numbers from 1 to 3"),
        (["0.5", "2", "2"], "number", "numbers from 0.5 to 2"),
        (["1", "?", "2", "2", "-"], "number", "'?', '-' read as empty, in 2 of 5 cells"),
        ([1.5, None, 2.5, 2.5], "number", "numbers from 1.5 to 2.5"),
        (repeated(["0", "1"]), "number", "0 or 1"),
        (["00501", "94103", "00501"], "number", "whole numbers"),
        (WORDS * 2, "category", "3 levels: bad, fair, good"),
        (["true", "false", "true"], "category", "true or false"),
        ([True, False, True], "category", "true or false"),
        (["0", "1", "2", "3+"] * 9, "category", "4 levels"),
        (["10%", "20%"] * 9, "category", "2 levels"),
        (["?", "a", "a"], "category", "2 levels"),
        (["2020-12-31", "2021-01-01"], "date", "dates such as 2020-12-31"),
        (["2020-12-31 08:30"] * 2 + ["2020-12-31 08:31"], "date", "dates with a time"),
        (np.array(["2020-01-01", "2021-01-01"], "M8[us]").tolist(), "date", "dates with a time"),
        (["", ""], None, "empty throughout"),
        (["a", "a"], None, "the same in every row: 'a'"),
        (COUNT, None, f"a different whole number in every row{LIKE_AN_ID}"),
        (list(reversed(COUNT)), None, f"a different whole number in every row{LIKE_AN_ID}"),
        (
            [f"C{number}" for number in COUNT],
            None,
            f"a different text in every row{LIKE_AN_ID}",
        ),
        ([f"C{number}" for number in COUNT] + ["C100"], None, "60 different texts in 61 rows, nearly an id"),
        ([f"{n},000" for n in COUNT] * 2, None, "numbers with thousands separators"),
        ([f"{1 + n % 28}/01/20{n}" for n in range(10, 60)], None, "dates in another format than 2020-12-31"),
        ([f"a long text of words number {n}" for n in COUNT] * 2, None, "free text of 7 words on average"),
        (["a" * 1_001, "b", "b"], None, "free text"),
    ],
)
def test_a_column_gets_the_kind_that_its_cells_suggest(cells: Sequence[Any], kind: Kind | None, why: str) -> None:
    """Where it is left out, the reason says what it looks like."""
    made = guess(profile_of(cells))
    assert made.kind == kind
    assert why in made.why


def test_numbers_of_one_value_beside_empty_cells_are_kept() -> None:
    """Where the cell is empty may say something."""
    assert guess(profile_of(["7", "", "7"])).kind == "number"


def test_random_whole_numbers_that_differ_are_amounts_unless_named_like_an_id() -> None:
    """Salaries may differ in every row, and so may ids; the name decides."""
    amounts = [str(number * number % 99_991) for number in range(300, 360)]
    table = pa.table({"salary": amounts, "customer_id": amounts[::-1]})
    assert guess(profile_of(amounts)).kind == "number"
    salary, customer = profile(as_source(table), Options("y")).columns
    assert guess(salary).kind == "number"
    assert guess(customer).kind is None


def test_a_dictionary_is_a_category_whatever_it_holds() -> None:
    """Categories of pandas and of Arrow stay categories, of numbers too."""
    for cells in (COUNT, [1, 2, 3]):
        assert guess(profile_of(pa.array(cells).dictionary_encode())).kind == "category"


def test_too_many_levels_are_left_out() -> None:
    """A category has at most 10,000 levels."""
    made = guess(profile_of([f"level {number % 12_000}" for number in range(60_000)]))
    assert made.kind is None
    assert "a category has at most 10000" in made.why


@pytest.mark.parametrize(("cells", "missing"), [(["1", "2"], False), (["1", ""], True), (["1", "2", "?"], True)])
def test_numbers_may_be_missing_where_the_table_lacks_one(cells: list[str], *, missing: bool) -> None:
    """A mark is an empty cell among numbers."""
    assert state(profile_of(cells), "number").missing is missing


def test_a_category_may_always_be_missing() -> None:
    """A new row with a hole is answered, as one with an unseen level is."""
    assert guess(profile_of(WORDS * 2)).missing


@pytest.mark.parametrize(
    ("cells", "kind", "sentence"),
    [
        (["1", "x"], "number", "row 2: expected a number, found 'x'"),
        (["1", "1,234"], "number", "row 2: expected a number, found '1,234'; write it as 1234.5"),
        (["2020-01-01", "31/12/2020"], "date", "row 2: expected a date such as 2020-12-31"),
        (["2020-01-01 10:00", "2020-01-01"], "date", "row 1: expected a date such as 2020-12-31"),
        (["a" * 2_000, "b"], "category", "up to 2000 characters"),
        (["", ""], "number", "is empty throughout"),
    ],
)
def test_a_column_that_is_not_what_the_user_says_is_refused(cells: list[str], kind: Kind, sentence: str) -> None:
    """The first row that shows it is named."""
    with pytest.raises(DataError) as refused:
        state(profile_of(cells), kind)
    assert sentence in str(refused.value)
    assert "'x'" in str(refused.value)


@pytest.mark.parametrize("name", ["id", "ID", "customer_id", "customerID", "userId", "Order No", "row_number", "uuid"])
def test_names_of_ids_are_known(name: str) -> None:
    """In the usual spellings."""
    assert has_id_name(profile_named(name))


@pytest.mark.parametrize(
    "name", ["paid", "valid", "humid", "covid", "monkey", "piano", "turkey", "Madrid", "", "tenor"]
)
def test_names_that_end_alike_are_no_ids(name: str) -> None:
    """A word is looked for, not an ending."""
    assert not has_id_name(profile_named(name))


def profile_named(name: str) -> ColumnProfile:
    """The profile of a column of this name."""
    return replace(profile_of(["1"]), name=name)
