"""A table is read the same from a file, from a frame of pandas or polars, and from an Arrow table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import has_target, read, read_to_measure, stream
from tabserve.table.source import TableLike, as_source

PROBLEM = Problem(
    "orders",
    (Column("amount", missing=True), Column("place", "category", missing=True), Column("day", "date")),
    id="order",
)
FRAME = pd.DataFrame(
    {
        "order": ["a", "b", "c", "d"],
        "target": [0, 1, 1, 0],
        "amount": [1.5, None, 2.0, -3.0],
        "place": ["north", "south", None, "north"],
        "day": ["2020-01-31", "2021-02-28", "2022-03-01", "2023-12-31"],
    }
)


def as_csv(frame: pd.DataFrame, folder: Path) -> Path:
    """Write a csv."""
    frame.to_csv(folder / "t.csv", index=False)
    return folder / "t.csv"


def as_parquet(frame: pd.DataFrame, folder: Path) -> str:
    """Write a parquet file; its path as text."""
    frame.to_parquet(folder / "t.parquet", index=False)
    return str(folder / "t.parquet")


def as_polars(frame: pd.DataFrame, _: Path) -> TableLike:
    """A frame of polars."""
    polars = pytest.importorskip("polars")
    return polars.from_arrow(pa.Table.from_pandas(frame))  # type: ignore[no-any-return]


TABLES: dict[str, Callable[[pd.DataFrame, Path], TableLike]] = {
    "csv": as_csv,
    "parquet": as_parquet,
    "pandas": lambda frame, _: frame,
    "polars": as_polars,
    "arrow": lambda frame, _: pa.Table.from_pandas(frame),
    "source": lambda frame, _: as_source(frame),
}

CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "categories of pandas": lambda frame: frame.astype({"place": "category", "target": "category"}),
    "texts of Python": lambda frame: frame.astype({"place": object, "order": object}),
    "nullable numbers": lambda frame: frame.astype({"amount": "Float32", "target": "Int8"}),
    "nullable texts": lambda frame: frame.astype({"place": "string", "day": "string"}),
    "datetimes": lambda frame: frame.assign(day=pd.to_datetime(frame["day"]).dt.date),
    "texts of Arrow": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "an index": lambda frame: frame.set_index(pd.Index([7, 5, 3, 1], name="place of its own")),
    "a column that is not needed in the index": lambda frame: frame.assign(day2=1).set_index("day2"),
}


def same(one: Frame, other: Frame) -> bool:
    """Whether two frames hold the same."""
    return (
        one.ids.tolist() == other.ids.tolist()
        and np.array_equal(one.features, other.features, equal_nan=True)
        and np.array_equal(one.target, other.target)
        and one.encoder == other.encoder
    )


@pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
def test_a_table_is_read_the_same_from_everywhere(
    make: Callable[[pd.DataFrame, Path], TableLike], tmp_path: Path
) -> None:
    """To learn from, to measure and to score."""
    table, expected = make(FRAME, tmp_path), read(as_csv(FRAME, tmp_path), PROBLEM)
    assert same(read(table, PROBLEM), expected)
    assert same(read_to_measure(table, PROBLEM), expected)
    assert has_target(table, PROBLEM)
    (rows,) = stream(table, PROBLEM, expected.encoder)
    assert np.array_equal(rows.features, expected.features, equal_nan=True)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_types_of_a_frame_change_nothing(change: Callable[[pd.DataFrame], pd.DataFrame], tmp_path: Path) -> None:
    """Whatever types pandas holds the cells in, and whatever its index is."""
    assert same(read(change(FRAME), PROBLEM), read(as_csv(FRAME, tmp_path), PROBLEM))


def test_levels_of_a_pandas_category_that_do_not_occur_are_not_learned() -> None:
    """A category of pandas may list more levels than its column has."""
    frame = FRAME.assign(place=pd.Categorical(FRAME["place"], ["west", "south", "north"]))
    assert read(frame, PROBLEM).encoder.to_json()["place"] == {"levels": ["north", "south"]}


def test_large_texts_of_arrow_are_read() -> None:
    """As polars and DuckDB make them, also in a dictionary of several batches."""
    table = pa.Table.from_pandas(FRAME)
    large = table.set_column(3, "place", table["place"].cast(pa.large_string()))
    parts = [part.set_column(3, "place", part["place"].dictionary_encode()) for part in (large[:1], large[1:])]
    assert same(read(large, PROBLEM), read(FRAME, PROBLEM))
    assert same(read(pa.concat_tables(parts), PROBLEM), read(FRAME, PROBLEM))


@pytest.mark.parametrize("table", [None, 7, [{"amount": 1}], {"amount": [1]}, np.ones(3)], ids=repr)
def test_what_is_no_table_is_refused(table: object) -> None:
    """By the name of its type."""
    with pytest.raises(UsageError, match=f"or an Arrow table, not a .*{type(table).__name__}"):
        read(table, PROBLEM)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"amount": [None, "1", 2, "4"]},
            "has cells in column 'amount' that do not go together: str (row 2) and int (row 3); convert it to",
            id="mixed types",
        ),
        pytest.param({"amount": ["1", "x", "3", "4"]}, "row 2, column 'amount': expected a number, found 'x'.", id="x"),
        pytest.param({"other": 1}, "the table has unexpected columns: 'other'; remove them", id="unexpected"),
    ],
)
def test_messages_name_the_table(change: dict[str, Any], message: str) -> None:
    """Since a table in memory has no path."""
    with pytest.raises(DataError) as error:
        read(FRAME.assign(**change), PROBLEM)
    assert str(error.value).startswith("the table")
    assert message in str(error.value)


@pytest.mark.parametrize("arrow", [False, True], ids=["pandas", "arrow"])
def test_two_columns_of_one_name_are_refused(arrow: bool) -> None:
    """In a frame of pandas and in an Arrow table."""
    frame = FRAME.rename(columns={"amount": "place"})
    names = [*frame.columns]
    table = pa.table([pa.array(FRAME.iloc[:, index]) for index in range(5)], names) if arrow else frame
    with pytest.raises(DataError, match="the table has the column 'place' more than once; every column needs"):
        read(table, PROBLEM)


def test_an_arrow_table_that_is_damaged_is_refused() -> None:
    """A text that is not UTF-8 is refused as that of a file."""
    bad = pa.Array.from_buffers(
        pa.string(), 4, [*pa.array(["a", "b", "c", "d"]).buffers()[:2], pa.py_buffer(b"a\xffcd")]
    )
    with pytest.raises(DataError, match="the table cannot be read as a table: it is not UTF-8 text"):
        read(pa.Table.from_pandas(FRAME).set_column(3, "place", bad), PROBLEM)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "+05:30"])
@pytest.mark.parametrize("kind", ["parquet", "pandas", "arrow"])
def test_moments_of_a_time_zone_are_those_of_utc(unit: str, zone: str, kind: str, tmp_path: Path) -> None:
    """In features and as the time of a problem, whatever zone a column names for the same moments."""
    texts = ["2020-01-31 23:30", "NaT", "2022-03-01 00:15", "2023-12-31 12:00"]
    moments = pd.DatetimeIndex(np.array(texts, f"M8[{unit}]"))
    sold = pd.date_range("2020-01-01 02:00", periods=4)
    problem = Problem(
        "orders", (Column("day", "date", missing=True),), id="order", time="sold", ignored=("amount", "place")
    )
    plain = read(as_csv(FRAME.assign(day=moments, sold=sold), tmp_path), problem)
    aware = FRAME.assign(day=moments.tz_localize("UTC").tz_convert(zone), sold=sold.tz_localize("UTC").tz_convert(zone))
    frame = read(TABLES[kind](aware, tmp_path), problem)
    assert same(frame, plain)
    assert frame.moment is not None
    assert plain.moment is not None
    assert frame.moment.tolist() == plain.moment.tolist()


OTHERS = ("order", "place", "day")
OPTIONAL = [column.name for column in PROBLEM.columns if column.missing]


@pytest.mark.parametrize("numeric", [False, True], ids=["mixed", "numbers"])
@pytest.mark.parametrize("kind", TABLES)
def test_rows_to_score_may_lack_columns_whose_cells_may_be_missing(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, numeric: bool
) -> None:
    """They are scored as with empty cells, and one warning names the columns."""
    problem = PROBLEM
    if numeric:
        problem = Problem("orders", (Column("target"), Column("amount", missing=True)), target="y", ignored=OTHERS)
    encoder = read(FRAME.assign(y=[0, 1, 0, 1]) if numeric else FRAME, problem).encoder
    lacking = [name for name in OPTIONAL if name in problem.features]
    empty = FRAME.assign(**dict.fromkeys(lacking, pd.Series([None] * 4, dtype=object)))
    (expected,) = stream(empty, problem, encoder)
    assert not caplog.messages
    source = as_source(TABLES[kind](FRAME.drop(columns=lacking), tmp_path))
    (rows,) = stream(source, problem, encoder)
    assert np.array_equal(rows.features, expected.features, equal_nan=True)
    assert rows.ids.tolist() == expected.ids.tolist()
    names = "'amount'" if numeric else "'amount', 'place'"
    assert caplog.messages == [f"{source.name} lacks {names}; each row is answered as one with an empty cell there."]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.drop(columns="day"), "the table lacks 'day'; its columns are"),
        (FRAME.drop(columns=["day", "place"]), "the table lacks 'day'; expected 4 columns, found 3"),
        (FRAME.rename(columns={"amount": "Amount"}), "the table lacks 'amount'; did you mean 'Amount'?"),
        (FRAME.drop(columns="place").assign(other=1), "the table has unexpected columns: 'other'; remove them"),
        (FRAME[["target"]], "the table has one column, named 'target'; expected 4."),
    ],
    ids=["needed", "needed and optional", "another name", "unexpected", "none"],
)
def test_rows_to_score_need_the_other_columns(frame: pd.DataFrame, message: str) -> None:
    """A column under another name is not taken for a missing one."""
    with pytest.raises(DataError) as error:
        [*stream(frame, PROBLEM, read(FRAME, PROBLEM).encoder)]
    assert str(error.value).startswith(message)


def test_a_table_to_learn_from_needs_all_columns() -> None:
    """Also those whose cells may be missing."""
    with pytest.raises(DataError, match="the table lacks 'amount'"):
        read(FRAME.drop(columns="amount"), PROBLEM)
