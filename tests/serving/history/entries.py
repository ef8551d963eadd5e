"""Entries of histories for tests."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tabserve.serving.history.entry import Entry, Json

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def entry(number: int = 0, **members: Any) -> Entry:  # noqa: ANN401  of any field
    """An entry of a second after noon; `members` replace its own."""
    made = Entry(
        time=NOON + timedelta(seconds=number),
        request=f"r{number}",
        model="flights",
        version="v1",
        route="rest",
        rows=1,
        input=b'{"flight": %d}' % number,
        output=b'{"minutes": [%d.5]}' % number,
    )
    return made._replace(**members)


TIMES = st.integers(0, 5).map(lambda seconds: NOON + timedelta(seconds=seconds))
"""Times, of which several entries share each."""

ENTRIES = st.lists(
    st.builds(
        entry,
        number=st.integers(0, 9),
        time=TIMES,
        model=st.sampled_from(["flights", "goods"]),
        request=st.sampled_from(["a", "b", "é\n'"]),
    ),
    max_size=30,
)


def parsed(text: Json) -> Any:  # noqa: ANN401  whatever JSON holds
    """What an input or output holds that was read from a history."""
    assert isinstance(text, bytes)
    return json.loads(text)
