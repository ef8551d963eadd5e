"""One pass tells what each column of a table holds, however it is cut into batches and whatever it is read from."""

from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plan.looking import profile_of, repeated

from tabserve.errors import DataError
from tabserve.plan.column_profile import ColumnProfile
from tabserve.plan.forms import Form
from tabserve.plan.options import Options
from tabserve.plan.profile import profile
from tabserve.table import csv_blocks, reader
from tabserve.table.dialect import Dialect
from tabserve.table.source import Source, as_source

CELLS = st.lists(st.sampled_from(["", "?", "NA", "1", "2", "2.5", "yes", "no", "2020-12-31", "free text of words"]))


def columns_of(path: Path, **options: object) -> dict[str, ColumnProfile]:
    """The profiles of a file's columns."""
    table = profile(Source(path), Options("y", **options))  # type: ignore[arg-type]
    return {column.name: column for column in table.columns}


@given(CELLS.filter(bool), st.integers(1, 7))
def test_batches_do_not_matter(cells: list[str], rows: int) -> None:
    """A table of any batches has the profile of the whole, which counts every cell."""
    table = pa.table({"x": cells})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "ARROW_ROWS", rows)
        (cut,) = profile(as_source(table), Options("y")).columns
    (whole,) = profile(as_source(table), Options("y")).columns
    assert cut == whole
    counts = Counter(cell for cell in cells if cell)
    assert (whole.rows, whole.present, whole.distinct) == (len(cells), counts.total(), len(counts))
    assert dict(whole.levels) == counts
    assert sum(held.count for held in whole.forms.values()) == counts.total()
    for held in whole.forms.values():
        assert [cells.index(cell) + 1 for _, cell in held.first] == [row for row, _ in held.first]
    assert whole.first_empty == (cells.index("") + 1 if "" in cells else None)


def test_the_first_rows_of_each_form_are_numbered_from_one() -> None:
    """They differ, and are at most three."""
    column = profile_of(["1", "1", "a", "2", "3", "4", "b"])
    assert column.forms[Form.WHOLE].first == ((1, "1"), (4, "2"), (5, "3"))
    assert column.forms[Form.TEXT].first == ((3, "a"), (7, "b"))
    assert column.example == "1"


def test_spellings_named_as_missing_are_empty() -> None:
    """Also numbers, by value however a cell writes them, as they are read."""
    assert profile_of(["1", "?", "-999"], "?", "-999").empty == 2
    assert profile_of(["1", "-999.0", "-9.99e2", "?", "x"], "-999").empty == 2
    assert profile_of([1.0, -999.0, None, float("nan")], "-999").empty == 3


def test_cells_are_trimmed_of_the_spaces_that_count_for_nothing_when_they_are_read() -> None:
    """Spaces and tabs; a space that does not break is part of a text, and makes no number."""
    assert profile_of(["rio", " rio", "rio\t", " "]).levels == (("rio", 3),)
    column = profile_of(["1", "\u00a0", "\u00a02", " 3 "])
    assert (column.empty, column.forms[Form.WHOLE].count) == (0, 2)


@pytest.mark.parametrize(
    ("cells", "rising"),
    [
        (["1", "2", "10"], True),
        (["1", "10", "2"], False),
        (["1", "1"], False),
        (["1", "", "2"], False),
        (["2020-01-01", "2020-01-02"], True),
        (["2020-01-02", "2020-01-01"], False),
        (["a", "b"], False),
        (["1", "2020-01-01"], False),
    ],
)
def test_rising_order_is_seen(cells: list[str], *, rising: bool) -> None:
    """As numbers, not as texts; within a batch and across batches."""
    assert profile_of(cells).rising is rising
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "ARROW_ROWS", 1)
        assert profile_of(cells).rising is rising


def test_a_copy_names_the_first_column_of_the_same_cells() -> None:
    """Also in another type; a column with one other cell is no copy."""
    table = pa.table({"a": [1, 2, 3], "b": ["1", "2", "3"], "c": ["1", "2", "4"], "d": ["1", "2", "3"]})
    columns = profile(as_source(table), Options("y")).columns
    assert [column.copy_of for column in columns] == [None, "a", None, "a"]


def test_a_csv_is_read_by_its_own_signs(tmp_path: Path) -> None:
    """The dialect is told, and decimal commas are numbers."""
    path = tmp_path / "t.csv"
    path.write_text("a;b\n1,5;x\n2,5;y\n")
    table = profile(Source(path), Options("y"))
    assert table.dialect == Dialect(";", ",")
    assert (table.columns[0].low, table.columns[0].high) == (1.5, 2.5)


def test_a_csv_of_many_blocks_numbers_its_rows_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row numbers count from the first row of the file."""
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 64)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 500 + "stray,\n" + "1,2\n" * 20)
    columns = columns_of(path)
    assert columns["a"].forms[Form.TEXT].first == ((501, "stray"),)
    assert columns["b"].first_empty == 501
    assert columns["a"].rows == 521


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Timestamps are dates, booleans are booleans, dictionaries are told, and lists are not read."""
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "moment": np.array(["2020-01-01T08", "NaT"], "M8[us]"),
            "day": [date(2020, 1, 1), date(2020, 1, 2)],
            "flag": [True, False],
            "number": [1.5, float("nan")],
            "level": pa.array(["a", "b"]).dictionary_encode(),
            "large": pa.array(["a", ""], pa.large_string()),
            "list": [[1], [2]],
            "bytes": [b"a", b"b"],
            "nothing": pa.nulls(2),
        }
    )
    pyarrow.parquet.write_table(table, path)
    for source in (path, table):
        columns = {column.name: column for column in profile(as_source(source), Options("y")).columns}
        forms = {name: [*column.forms] for name, column in columns.items()}
        assert forms["moment"] == [Form.MOMENT]
        assert forms["day"] == [Form.DATE]
        assert forms["flag"] == [Form.BOOLEAN]
        assert (columns["number"].present, columns["number"].high) == (1, 1.5)
        assert columns["level"].stored.startswith("dictionary")
        assert columns["large"].present == 1
        assert columns["nothing"].present == 0
        assert [name for name, column in columns.items() if not column.readable] == ["list", "bytes"]


def test_large_whole_numbers_stay_apart() -> None:
    """Ids beyond 2 ** 53 differ, as they are not read as floats."""
    ids = [2**60 + number for number in range(100)]
    column = profile_of(ids)
    assert (column.distinct, column.repeats) == (100, False)


def test_the_largest_sizes_are_told() -> None:
    """Characters of the longest cell, and the mean number of words of texts."""
    column = profile_of(["one", "two words", "", "12345678901"])
    assert (column.longest, column.words) == (11, 1.5)


@pytest.mark.parametrize("text", ["a,b\n", "a;b\n"])
def test_a_header_without_rows_is_refused(text: str, tmp_path: Path) -> None:
    """Whatever separates its cells."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match="has a header and no rows"):
        columns_of(path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("a,a\n1,2\n", "more than once"), ("a,b\n1,2,3\n", "row 1"), ("", "cannot be read as a table")],
)
def test_the_readers_refusals_are_kept(text: str, sentence: str, tmp_path: Path) -> None:
    """Two columns of one name, ragged rows and an empty file are refused as everywhere else."""
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        columns_of(path)


def test_many_rows_need_no_more_memory_than_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of a column does not grow with the rows: of 30,000 different cells 200 are kept."""
    column = profile_of([str(number) for number in range(30_000)])
    assert not column.counted
    assert len(column.levels) == 200
    assert column.distinct == 30_000
    assert not column.repeats
    monkeypatch.setattr(reader, "ARROW_ROWS", 1_000)
    assert profile_of(repeated([str(number) for number in range(15_000)], 30_000)).distinct == pytest.approx(
        15_000, rel=0.1
    )


def test_spaces_around_a_cell_do_not_count(tmp_path: Path) -> None:
    """As everywhere where tables are read."""
    path = tmp_path / "t.csv"
    path.write_text("a,b\nyes , 1\n yes,2 \nno,  \n")
    columns = columns_of(path)
    assert columns["a"].levels == (("yes", 2), ("no", 1))
    assert (columns["b"].present, columns["b"].high) == (2, 2.0)
