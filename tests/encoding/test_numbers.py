"""Numbers are encoded as 32-bit floats, or refused."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.cells import BadCell
from tabserve.encoding.numbers import FLOAT32_MAX, Numbers

within = st.floats(-FLOAT32_MAX, FLOAT32_MAX) | st.integers(-(2**60), 2**60)


@given(st.lists(within | st.just(math.nan) | st.none()))
def test_a_list_is_encoded_as_its_array(cells: list[Any]) -> None:
    """Each number is rounded to 32 bits, and is NaN if missing."""
    features = Numbers(missing=True).encode(cells)
    expected = np.array(cells, np.float64).astype(np.float32).reshape(-1, 1)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, expected)
    np.testing.assert_array_equal(Numbers(missing=True).encode(np.array(cells, np.float64)), expected)
    np.testing.assert_array_equal(Numbers(missing=True).encode(np.array(cells, np.object_)), expected)


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i8", "u8"])
def test_every_array_of_numbers_is_accepted(kind: str) -> None:
    """Also an empty one."""
    assert Numbers().encode(np.array([0, 1, 100], kind)).ravel().tolist() == [0, 1, 100]
    assert Numbers().encode(np.array([], kind)).shape == (0, 1)


@pytest.mark.parametrize(
    ("cells", "rows", "expected", "found"),
    [
        ([1, None, math.nan, ""], [1, 2, 3], "a number", "an empty cell"),
        ([1, "2", True], [1, 2], "a number", "'2'"),
        ([True], [0], "a number", "true"),
        ([1.5, math.inf, 1e39], [1, 2], "a number that 32 bits can hold, up to 3.403e+38", "Infinity"),
        ([10**400], [0], "a number that 32 bits can hold, up to 3.403e+38", "an integer of more than 64 bits"),
        ([b"1"], [0], "a number", "b'1'"),
        ([[1], {}], [0, 1], "a number", "[1]"),
        (np.array([1, np.nan]), [1], "a number", "an empty cell"),
        (np.array([1, 1e39]), [1], "a number that 32 bits can hold, up to 3.403e+38", "1e+39"),
        (np.array([True]), [0], "a number", "true"),
        (np.array(["1"]), [0], "a number", "'1'"),
        (np.array(["2020-01-01"], "M8[ns]"), [0], "a number", "np.datetime64('2020-01-01T00:00:00.000000000')"),
    ],
)
def test_a_cell_that_is_not_a_32_bit_number_is_refused(cells: Any, rows: list[int], expected: str, found: str) -> None:  # noqa: ANN401
    """The error has all rows that the same check refuses."""
    with pytest.raises(BadCell) as refused:
        Numbers().encode(cells)
    assert ([*refused.value.rows], refused.value.expected, refused.value.found) == (rows, expected, found)


@given(st.lists(st.floats() | st.integers() | st.text() | st.none() | st.booleans() | st.binary()))
def test_any_cells_are_encoded_or_refused(cells: list[Any]) -> None:
    """No other exception is raised, and no feature is infinite."""
    for missing in (False, True):
        try:
            features = Numbers(missing=missing).encode(cells)
        except BadCell as bad:
            assert 0 <= bad.rows[0] <= bad.rows[-1] < len(cells)  # noqa: PT017  of either outcome
        else:
            assert not np.isinf(features).any()
            assert missing or np.isfinite(features).all()
