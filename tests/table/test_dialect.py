"""The delimiter and the decimal sign of a csv are found out, and what cannot be read is refused in one sentence."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column, numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Regression
from tabserve.table import csv_blocks
from tabserve.table.columns import Columns
from tabserve.table.dialect import DELIMITERS, Dialect, find_dialect
from tabserve.table.frame_reader import read, stream
from tabserve.table.reader import batches, column_names
from tabserve.table.source import Source

PROBLEM = Problem("wine", (Column("sugar"), Column("place", "category")))

CSV = "target,sugar,place\n0,1.5,north\n1,2.25,south\n0,12,north\n"


def refusal(path: Path, problem: Problem = PROBLEM) -> str:
    """The message that refuses a table, without the path."""
    with pytest.raises(DataError) as error:
        read(path, problem)
    return str(error.value).removeprefix(str(path))


def written(path: Path, text: str) -> Path:
    """Write a csv as it is."""
    path.write_text(text, newline="", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "delimiter", "decimal"),
    [
        pytest.param("a,b\n1,2\n", ",", ".", id="commas"),
        pytest.param("a;b\n1.5;2\n", ";", ".", id="semicolons"),
        pytest.param("a\tb\n1\t2\n", "\t", ".", id="tabs"),
        pytest.param("a|b\n1|2\n", "|", ".", id="bars"),
        pytest.param("a;b\n1,5;2,5\n", ";", ",", id="decimal commas"),
        pytest.param("a\tb\n1,5\t2\n", "\t", ",", id="decimal commas and tabs"),
        pytest.param("a;b\n1,5;2,5", ";", ",", id="no line end at the end"),
        pytest.param("a;b\r\n1,5;2\r\n", ";", ",", id="Windows line ends"),
        pytest.param("\r\n\na;b\n1,5;2\n", ";", ",", id="blank lines"),
        pytest.param('a;b\n"1,5";"2"\n', ";", ",", id="quoted decimal commas"),
        pytest.param('a,b\n"x;y","1;2"\n', ",", ".", id="quoted semicolons"),
        pytest.param('a;b\n"x,y,z";"1\n,2"\n3;4\n', ";", ".", id="quoted commas and line ends"),
        pytest.param("a;text\n1;one, two, three\n2;four, five\n", ";", ".", id="commas in texts"),
        pytest.param("a;b\n0,125;x\n", ";", ",", id="three decimals after a zero"),
        pytest.param("a;b\n1.234,50;x\n", ";", ",", id="thousands and decimal comma"),
        pytest.param("a;b\n1,234;x\n2,345;y\n", ";", ".", id="thousands or decimals"),
        pytest.param("a;b\n1,234,567;x\n", ";", ".", id="thousands"),
        pytest.param("a;b;c\n1.234;2,5;x\n2.345;3,5;x\n", ";", ",", id="thousands with points beside decimal commas"),
        pytest.param("a;b;c\n12.5;2,5;x\n2.5;3,50;x\n1.5;x;y\n", ";", ".", id="more points than commas"),
        pytest.param("a;b\n31.12.2020;1,5\n", ";", ",", id="dates with points"),
        pytest.param("a\n1\n", ",", ".", id="one column"),
        pytest.param("what; why\nbecause\nx\n", ",", ".", id="one column with a semicolon in its name"),
        pytest.param("a,b\n1\n2\n3,4,5\n", ",", ".", id="ragged"),
        pytest.param("a,b;c\n1,2;3\n4,5;6\n", ",", ".", id="commas and semicolons alike"),
        pytest.param("a;b;c\n1;2\n3;4;5\n6;7;8\n9;1;2\n", ";", ".", id="a short row"),
        pytest.param("", ",", ".", id="nothing"),
        pytest.param(";".join(map(str, range(30_000))) + "\n" + "1,5;" * 29_999 + "1\n", ";", ",", id="long rows"),
        pytest.param("a;b", ";", ".", id="a header alone"),
        pytest.param("a;b\n" + "x" * 200_000 + ";1\n", ";", ".", id="a long cell"),
    ],
)
def test_a_dialect_is_found_by_the_first_rows(text: str, delimiter: str, decimal: str) -> None:
    """A comma and a point, unless the rows show others."""
    assert find_dialect(text.encode()) == Dialect(delimiter, decimal)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters='"\r\n,'), max_size=9)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=9))
def test_a_csv_of_commas_stays_one(rows: list[tuple[str, ...]]) -> None:
    """Whatever its cells hold: it is read as before dialects were known."""
    text = "\n".join(["a,b,c", *map(",".join, rows), ""])
    assert find_dialect(text.encode()) == Dialect()


def in_dialect(delimiter: str, decimal: str) -> str:
    """The csv with other signs."""
    return CSV.replace(",", delimiter).replace(".", decimal)


CHANGES: dict[str, Callable[[str], bytes]] = {
    "plain": str.encode,
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
    "Windows line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "packed": lambda text: gzip.compress(text.encode()),
    "spaces": lambda text: text.replace("north", " north ").replace("12", " 12 ").encode(),
    "quotes": lambda text: text.replace("north", '"north"').replace("12", '"12"').encode(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("decimal", [".", ","])
def test_a_table_is_read_in_every_dialect(
    change: Callable[[str], bytes], delimiter: str, decimal: str, tmp_path: Path
) -> None:
    """To learn from, to score, and its names alone; in blocks of a few rows too."""
    if delimiter == decimal:
        return
    path, expected = tmp_path / "t.csv", read(written(tmp_path / "usual.csv", CSV), PROBLEM)
    path.write_bytes(change(in_dialect(delimiter, decimal)))
    frame = read(path, PROBLEM)
    assert (frame.features.tolist(), frame.encoder) == (expected.features.tolist(), expected.encoder)
    assert column_names(Source(path)) == ["target", "sugar", "place"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", 60)
        parts = [rows.features for rows in stream(path, PROBLEM, expected.encoder)]
    assert np.concatenate(parts).tolist() == expected.features.tolist()


def test_signs_that_are_named_are_not_found_out(tmp_path: Path) -> None:
    """Such as a delimiter that is not recognised, and decimal commas between commas."""
    carets = written(tmp_path / "carets.csv", CSV.replace(",", "^").replace(".", ","))
    quoted = written(tmp_path / "quoted.csv", CSV.replace("1.5", '"1,5"').replace("2.25", '"2,25"'))
    for path, dialect in ((carets, Dialect("^", ",")), (quoted, Dialect(",", ","))):
        assert read(Source(path, dialect=dialect), PROBLEM).features[:, 0].tolist() == [1.5, 2.25, 12]


def test_a_point_is_no_decimal_sign_beside_decimal_commas(tmp_path: Path) -> None:
    """It would have to stand between thousands."""
    path = written(tmp_path / "t.csv", in_dialect(";", ",") + "1;1.234;north\n")
    expected = "expected a number without separators of thousands and with ',' before its decimals, found '1.234'."
    assert refusal(path) == f", row 4, column 'sugar': {expected}"


@pytest.mark.parametrize("cell", ["1,234", "1.234,5", "1'234", "1 234", "1\u00a0234.5", "1_000", "1,5", "-1,234,567.8"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_thousands_and_decimal_commas_are_named_in_a_column_of_numbers(
    cell: str, delimiter: str, tmp_path: Path
) -> None:
    """The message says how to write the number."""
    path = written(tmp_path / "t.csv", in_dialect(delimiter, ".") + f'1{delimiter}"{cell}"{delimiter}north\n')
    expected = "expected a number without separators of thousands and with '.' before its decimals"
    assert refusal(path) == f", row 4, column 'sugar': {expected}, found {cell!r}."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            CSV.replace(",", ";") + "1;2\n",
            ", row 4: expected 3 columns, found 2; put a cell that holds ';' in",
            id="a short row of semicolons",
        ),
        pytest.param(
            CSV.replace(",", "\t") + "1\t2\tx\ty\n", ", row 4: expected 3 columns, found 4; put a", id="a long row"
        ),
        pytest.param(CSV.replace("sugar", "place"), " has the column 'place' more than once; every column", id="twice"),
        pytest.param("target;sugar;place\n", " has a header and no rows; a table needs at least one row", id="no rows"),
        pytest.param(
            CSV.replace(",", ";").replace("2.25", "much"),
            ", row 2, column 'sugar': expected a number, found",
            id="a word",
        ),
        pytest.param(CSV.replace(",", ":"), " has one column, named 'target:sugar:place'; expected 3.", id="colons"),
    ],
)
def test_a_bad_table_is_refused_in_any_dialect(text: str, message: str, tmp_path: Path) -> None:
    """By row and column."""
    assert refusal(written(tmp_path / "t.csv", text)).startswith(message)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_utf_16_is_refused_with_its_name(encoding: str, delimiter: str, tmp_path: Path) -> None:
    """With a byte order mark or without."""
    (tmp_path / "t.csv").write_bytes(CSV.replace(",", delimiter).encode(encoding))
    assert "UTF-16" in refusal(tmp_path / "t.csv")


@pytest.mark.parametrize("delimiter", ["", ",,", "a", "1", '"', "\n", " ", ".", "-", "é", None])
def test_a_delimiter_that_may_stand_in_a_cell_is_refused(delimiter: str) -> None:
    """The message quotes it."""
    with pytest.raises(UsageError, match="A csv needs one sign between its cells, such as"):
        Dialect(delimiter)
    with pytest.raises(UsageError, match="A csv needs a point or a comma as its decimal sign, not ';'"):
        Dialect(";", ";")


SPELLINGS = ["", "?", "-", "--", ".", "NA", "N/A", "n/a", "#N/A", "<NA>", "nil", "null", "None", "NaN", " ? ", "  "]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("others", ["2", "1.0 "], ids=["alone", "beside a cell with a space"])
def test_an_empty_number_may_be_spelled_in_many_ways(spelling: str, others: str, tmp_path: Path) -> None:
    """In a csv and in a column of texts of parquet; where a number is needed, the cell is refused as empty."""
    cells, columns = [spelling, others, "-3.5"], Columns(["a"], ["b"])
    path = written(tmp_path / "t.csv", "a,b\n" + "".join(f"{cell},x\n" for cell in cells))
    for source in (Source(path), Source(pa.table({"a": cells, "b": ["x"] * 3}))):
        (batch,) = batches(source, columns, lambda batch: batch)
        assert batch["a"].to_pylist() == [None, float(others), -3.5]
    path.write_text(f"target,a\n0,1\n1,{spelling}\n")
    assert refusal(path, Problem("p", numbers("a"))) == ", row 2, column 'a': expected a number, found an empty cell."


BLANK_TABLE = pa.table(
    {
        "target": pa.array(["0", "1", "?", "1"]),
        "whole": pa.array([-999, 2, 3, 4]),
        "small": pa.array([1.5, -99.9, 3.5, 4.5], pa.float32()),
        "place": pa.array(["north", "unknown", " ? ", "south"]).dictionary_encode(),
        "code": pa.array([-999, 1, 1, 2]),
        "day": pa.array(["2020-01-31", "unknown", "2020-01-31", "2021-01-31"]),
    }
)

BLANKS = Problem(
    "blanks",
    (
        *numbers("whole", "small", missing=True),
        Column("place", "category", missing=True),
        Column("code", "category", missing=True),
        Column("day", "date", missing=True),
    ),
    blanks=("-999", "-99.9", "unknown", "?"),
)


def test_blanks_are_empty_in_every_column_of_every_format(tmp_path: Path) -> None:
    """Numbers by their value, whatever their type; the target as well, which may not be empty."""
    table, csv, parquet = BLANK_TABLE, tmp_path / "t.csv", tmp_path / "t.parquet"
    rows = table.take([0, 1, 3])
    for path in (csv, parquet):
        {csv: pa.csv.write_csv, parquet: pa.parquet.write_table}[path](rows, path)
    for source in (csv, parquet, rows):
        frame = read(source, BLANKS)
        assert np.isnan(frame.features[:, :4]).tolist() == [
            [True, False, False, True],
            [False, True, True, False],
            [False] * 4,
        ]
        assert frame.encoder.to_json() == {
            "place": {"levels": ["north", "south"]},
            "code": {"levels": ["1", "2"]},
            "day": {"hours": False},
        }
    with pytest.raises(DataError, match="row 3, column 'target': expected '0' or '1', found an empty cell"):
        read(table, BLANKS)
    number = Problem("blanks", numbers("small", missing=True), target="whole", task=Regression(), blanks=("-999.0",))
    with pytest.raises(
        DataError, match=r"row 1, column 'whole': expected a finite number of at most 1e\+36, found an empty cell"
    ):
        read(table.select(["small", "whole"]), number)


def test_texts_are_read_without_surrounding_spaces(tmp_path: Path) -> None:
    """Ids, targets, groups, categories and dates; from files and from memory."""
    problem = Problem("p", (Column("a", "category"), Column("d", "date")), id="id", group="g")
    text = "id,target,g,a,d\n r1 , 0,g , Yes,2020-01-31 \nr2,1\t,g, No ,  2020-02-01\n"
    frame = read(written(tmp_path / "t.csv", text), problem)
    assert (frame.ids.tolist(), frame.target.tolist()) == (["r1", "r2"], [0, 1])
    assert frame.group is not None
    assert frame.group.tolist() == ["g", "g"]
    assert frame.encoder.to_json() == {"a": {"levels": ["No", "Yes"]}, "d": {"hours": False}}
    table = pa.table(
        {
            "id": [" r1 ", "r2"],
            "target": ["0 ", "1"],
            "g": ["g", " g"],
            "a": [" Yes", "No"],
            "d": [" 2020-01-31", "2020-02-01"],
        }
    )
    assert read(table, problem).features.tolist() == frame.features.tolist()
