"""The types of options parse valid text, and refuse other text with a message that quotes it."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.cli import options

TYPES: list[Callable[[str], object]] = [
    options.count,
    options.threads,
    options.seed,
    options.seconds,
    options.minutes,
    options.path,
    options.folder,
    options.file,
    options.port,
    options.model_name,
    options.names,
]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (options.count, "1", 1),
        (options.count, "1000000000000", 10**12),
        (options.threads, "1024", 1024),
        (options.seed, "0", 0),
        (options.seed, "4294967295", 2**32 - 1),
        (options.seconds, "0.5", 0.5),
        (options.seconds, "86400", 86_400.0),
        (options.minutes, "1440", 1_440.0),
        (options.printable, "modèle 模型", "modèle 模型"),
        (options.path, " ", " "),
        (options.folder, "a/b", Path("a/b")),
        (options.file, "a/b.csv", Path("a/b.csv")),
        (options.port, "65535", 65_535),
        (options.model_name, "modèle 模型.1", "modèle 模型.1"),
        (options.names, " one,two ,,one", ["one", "two"]),
    ],
)
def test_valid_text_is_parsed(parse: Callable[[str], object], text: str, value: object) -> None:
    """Both ends of each range are valid."""
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        *((options.count, text, "a whole number of at least 1") for text in ("0", "-1", "1.5", "abc", "", "nan")),
        *((options.threads, text, "a whole number from 1 to 1024") for text in ("0", "1025", "all")),
        *((options.seed, text, "a whole number from 0 to 4294967295") for text in ("-1", "4294967296", "abc")),
        *(
            (options.seconds, text, "seconds, above 0 and at most 86400 (one day)")
            for text in ("0", "-1", "86401", "1e300", "inf", "nan", "soon")
        ),
        *((options.minutes, text, "minutes, above 0 and at most 1440 (one day)") for text in ("0", "1441", "soon")),
        *((options.printable, text, "printable text") for text in ("", " ", "a\nb", "\udcff")),
        *((options.folder, text, "a folder on this machine") for text in ("s3a://bucket/m", "file:///m")),
        (options.folder, "", "a path"),
        (options.file, "", "a path"),
        *((options.port, text, "a whole number from 1 to 65535") for text in ("0", "65536", "-1", "http", "")),
        *((options.model_name, text, "a name without a slash") for text in ("a/b", "/")),
        *((options.model_name, text, "a name that paths do not use otherwise") for text in (".", "..", "stats")),
        *((options.model_name, text, "printable text") for text in ("", " ", "a\nb")),
        *((options.names, text, "names between commas") for text in ("", " , ")),
    ],
)
def test_invalid_text_is_refused(parse: Callable[[str], object], text: str, expected: str) -> None:
    """The message says what was expected, and quotes the text."""
    with pytest.raises(ArgumentTypeError) as refused:
        parse(text)
    assert str(refused.value) == f"expected {expected}, not {text!r}"


@given(st.sampled_from(TYPES), st.text())
def test_any_text_is_parsed_or_refused(parse: Callable[[str], object], text: str) -> None:
    """No text raises another error."""
    try:
        parse(text)
    except ArgumentTypeError as refused:
        assert str(refused).endswith(f", not {text!r}")  # noqa: PT017  some texts are valid
