"""Options of a command line are what they should be, or are refused with what was expected and what came."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve import option

TYPES: list[Callable[[str], object]] = [
    option.count,
    option.threads,
    option.seed,
    option.seconds,
    option.minutes,
    option.place,
    option.folder,
    option.names,
]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (option.count, "1", 1),
        (option.count, "1000000000000", 10**12),
        (option.threads, "1024", 1024),
        (option.seed, "0", 0),
        (option.seed, "4294967295", 2**32 - 1),
        (option.seconds, "0.5", 0.5),
        (option.seconds, "86400", 86_400.0),
        (option.minutes, "1440", 1_440.0),
        (option.word, "modèle 模型", "modèle 模型"),
        (option.place, " ", " "),
        (option.folder, "a/b", Path("a/b")),
        (option.names, " one,two ,,one", ["one", "two"]),
    ],
)
def test_what_is_right_is_read(kind: Callable[[str], object], text: str, value: object) -> None:
    """Up to the ends of its range."""
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        *((option.count, text, "a whole number of at least 1") for text in ("0", "-1", "1.5", "abc", "", "nan")),
        *((option.threads, text, "a whole number from 1 to 1024") for text in ("0", "1025", "all")),
        *((option.seed, text, "a whole number from 0 to 4294967295") for text in ("-1", "4294967296", "abc")),
        *(
            (option.seconds, text, "seconds, above 0 and at most 86400 (one day)")
            for text in ("0", "-1", "86401", "1e300", "inf", "nan", "soon")
        ),
        *((option.minutes, text, "minutes, above 0 and at most 1440 (one day)") for text in ("0", "1441", "soon")),
        *((option.word, text, "printable text") for text in ("", " ", "a\nb", "\udcff")),
        *((option.folder, text, "a folder on this machine") for text in ("s3a://bucket/m", "file:///m")),
        (option.folder, "", "a path"),
        *((option.names, text, "names between commas") for text in ("", " , ")),
    ],
)
def test_what_is_wrong_is_told(kind: Callable[[str], object], text: str, expected: str) -> None:
    """With what was expected, and what came."""
    with pytest.raises(ArgumentTypeError) as refused:
        kind(text)
    assert str(refused.value) == f"expected {expected}, not {text!r}"


@given(st.sampled_from(TYPES), st.text())
def test_no_text_is_more_than_wrong(kind: Callable[[str], object], text: str) -> None:
    """Whatever is typed."""
    try:
        kind(text)
    except ArgumentTypeError as refused:
        assert str(refused).endswith(f", not {text!r}")  # noqa: PT017  some texts are right
