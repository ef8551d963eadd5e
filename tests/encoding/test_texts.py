"""Texts are validated and joined in the same way for files, requests and records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.cells import BadCell
from tabserve.encoding.ngrams import has_letter_or_digit
from tabserve.encoding.texts import MAX_CHARACTERS, check_cells, check_length, check_text, join_row
from tabserve.errors import InvalidRequest, TooLarge

any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(any_text)
def test_a_required_text_must_have_a_letter_or_a_digit(text: str) -> None:
    """As bytes or as a text; an optional one may have neither."""
    assert check_length(text, "It") == check_length(text.encode(), "It") == text
    assert check_cells([text], required=False) == [text or None]
    if has_letter_or_digit(text):
        assert check_text(text, "It") == check_text(text.encode(), "It") == text
        assert check_cells([text], required=True) == [text]
    else:
        with pytest.raises(InvalidRequest, match="expected a text with letters or digits"):
            check_text(text, "It")
        with pytest.raises(BadCell, match="expected a text with letters or digits"):
            check_cells([text], required=True)


@pytest.mark.parametrize("value", [None, 1, 1.5, True, ["a"], {"a": "b"}, b"\xff"])
def test_a_value_that_is_not_a_text_is_refused(value: object) -> None:
    """As a value of a request, and as a cell of a column."""
    for check in (check_text, check_length):
        with pytest.raises(InvalidRequest, match="products"):
            check(value, "products[3].title")
    with pytest.raises(BadCell) as refused:
        check_cells(["a", value, value], required=True)
    assert [*refused.value.rows] == [1, 2]


def test_the_length_of_a_text_in_a_request_is_limited() -> None:
    """In characters; a text of the limit's length is accepted."""
    assert check_text("é" * MAX_CHARACTERS, "It") == "é" * MAX_CHARACTERS
    with pytest.raises(TooLarge, match="It has 1001 characters; send at most 1000"):
        check_text("é" * (MAX_CHARACTERS + 1), "It")


@given(any_text, any_text)
def test_an_empty_text_leaves_no_space(text: str, other: str) -> None:
    """Nor does a missing one."""
    assert join_row([text, None]) == join_row(["", text]) == join_row([text]) == text
    assert join_row([text, other]) == (f"{text} {other}" if text and other else text + other)
