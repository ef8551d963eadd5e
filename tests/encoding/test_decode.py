"""Features become cells for people again."""

from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.encoder import Encoder
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem

PROBLEM = Problem(
    "mixed",
    (
        Column("number", missing=True),
        Column("level", "category", missing=True),
        Column("day", "date", missing=True),
        Column("hour", "date", missing=True),
    ),
)
ROW = st.tuples(
    st.none() | st.integers(-9999, 9999).map(lambda number: number / 8),
    st.sampled_from(["", "a", "1.0", "São"]),
    st.none() | st.dates(date(1900, 1, 1), date(2100, 1, 1)).map(str),
    st.none() | st.builds("{} {:02}:00".format, st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 23)),
)
FIRST = (0.5, "a", "2020-02-29", "2020-02-29 23:00")


@given(st.lists(ROW))
def test_cells_are_read_back(rows: list[tuple[float | None, str, str | None, str | None]]) -> None:
    """Numbers as their shortest decimal; a missing cell is empty."""
    columns = [[*cells] for cells in zip(*[FIRST, *rows], strict=True)]
    encoder = Encoder.learn(PROBLEM, dict(zip(PROBLEM.features, columns, strict=True)))
    decoded = encoder.decode(encoder.encode(columns).features)
    assert list(decoded) == [*PROBLEM.features]
    assert [float(text) if text else None for text in decoded["number"]] == columns[0]
    assert [[cell or "" for cell in cells] for cells in columns[1:]] == [decoded[name] for name in PROBLEM.features[1:]]


def test_unseen_levels_and_columns_of_text_have_no_cells() -> None:
    """The features do not tell which level it was, and texts have no features."""
    encoder = Encoder.learn(PROBLEM, dict(zip(PROBLEM.features, [[cell] for cell in FIRST], strict=True)))
    unseen = encoder.encode([[1], ["other"], [None], [None]]).features
    assert encoder.decode(unseen) == {"number": ["1"], "level": [""], "day": [""], "hour": [""]}
    texts = Problem("texts", (Column("text", "text"),))
    assert Encoder.learn(texts, {}).decode(np.array(["a"], np.object_)) == {}
