"""A worker reads the same rows from a csv's lines as one machine, and rejects each bad row by itself."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.spark.rows import Cells, CsvReader, Lines, Piece
from tabserve.spark.worker import RejectedRow, split_bad_rows
from tabserve.table.conversion import batch_to_rows, scoring_columns
from tabserve.table.dialect import Dialect
from tabserve.table.frame_reader import stream

PROBLEM = Problem("small", numbers("a", "b"), id="ID_code")
ENCODER = Encoder.learn(PROBLEM, {})
COLUMNS = scoring_columns(PROBLEM)
NAMES = ("ID_code", "a", "b")

Row = tuple[str, list[float]]


def lines(*texts: str | bytes, file: str = "file:/x.csv", start: int = 0) -> pa.RecordBatch:
    """A batch of a csv's lines as Spark hands it to a worker."""
    cells = [text.encode() if isinstance(text, str) else text for text in texts]
    columns = [pa.array(cells, pa.binary()), pa.array([file] * len(cells)), pa.array([start] * len(cells))]
    return pa.record_batch(columns, ["value", "file_path", "file_block_start"])


def read(*batches: pa.RecordBatch, other: Sequence[str] = NAMES) -> list[Row | RejectedRow]:
    """Id and features of each good row, and each rejected row; `other` are the column names of y.csv."""
    results: list[Row | RejectedRow] = []
    for piece in CsvReader({"/x.csv": NAMES, "/y.csv": other})(iter(batches)):
        for part in split_bad_rows(piece, "ID_code", lambda part: batch_to_rows(PROBLEM, ENCODER, part.batch(COLUMNS))):
            results += [part] if isinstance(part, RejectedRow) else zip(part.ids, part.features.tolist(), strict=True)
    return results


def test_the_header_is_the_first_line_of_a_files_first_block() -> None:
    """Also if a batch has lines of two files; a later block of a file begins with a row."""
    first, below = lines("ID_code,a,b", "r1,1,2"), lines("r2,3,4", start=100)
    other = lines("b,ID_code,a", "6,r3,5", file="file:/y.csv")
    (batch,) = pa.Table.from_batches([first, below, other]).combine_chunks().to_batches()
    assert read(batch, other=("b", *NAMES[:2])) == [("r1", [1, 2]), ("r2", [3, 4]), ("r3", [5, 6])]
    assert read(below, lines("r3,5,6", start=100)) == [("r2", [3, 4]), ("r3", [5, 6])]


def test_a_header_is_skipped_once_however_the_lines_are_batched() -> None:
    """Empty lines above the header and between rows are skipped too."""
    batches = [lines("", ""), lines("", "ID_code,a,b"), lines("r1,1,2", ""), lines("r2,3,4")]
    assert read(*batches) == [("r1", [1, 2]), ("r2", [3, 4])]


@pytest.mark.parametrize("line", ["ID_code,b,a", "r1,1,2", '"', b"\xff"], ids=["order", "none", "quote", "ill"])
def test_a_header_that_was_changed_during_the_job_ends_it(line: str | bytes) -> None:
    """Cells of a replaced file would be read into the wrong columns."""
    with pytest.raises(DataError, match=r"^/x\.csv was changed after its header had been read"):
        read(lines(line, "r1,1,2"))


def test_a_header_among_the_rows_is_a_bad_row() -> None:
    """As in a file that was joined from two."""
    (bad,) = read(lines("ID_code,a,b", "ID_code,a,b"))
    assert bad == RejectedRow("/x.csv", "ID_code", "column 'a': expected a number, found 'a'")


QUOTE = (
    "; put a cell that holds ',' in double quotes, write ',' between all cells, or name another --delimiter in training"
)

BAD: dict[str, tuple[str | bytes, str, str]] = {
    "text": ("x,1,two", "x", "column 'b': expected a number, found 'two'"),
    "nothing": ("x,,2", "x", "column 'a': expected a number, found an empty cell"),
    "null": ("x,1,NULL", "x", "column 'b': expected a number, found an empty cell"),
    "infinite": ("x,1,inf", "x", "column 'b': expected a number, found inf, which is no finite 32-bit float"),
    "beyond float32": ("x,1e39,2", "x", "column 'a': expected a number, found 1e+39, which is no finite 32-bit float"),
    "no id": (",1,2", "", "column 'ID_code': expected an id, found an empty cell"),
    "too short": ("x,1", "x", "expected 3 columns, found 2" + QUOTE),
    "too long": ("x,1,2,3", "x", "expected 3 columns, found 4" + QUOTE),
    "a byte order mark": ("\ufeff", "\ufeff", "expected 3 columns, found 1" + QUOTE),
    "blanks": ("  ", "  ", "expected 3 columns, found 1" + QUOTE),
    "open quote": (
        '"x,1,2',
        "x,1,2",
        "a quote is opened in it and not closed; to Spark a row ends where its line does",
    ),
    "not UTF-8": (b"x\xff,1,2", "x�", "it is not UTF-8 text; save the file as UTF-8"),
}


@pytest.mark.parametrize(("line", "name", "reason"), BAD.values(), ids=BAD)
def test_a_bad_row_is_rejected_with_file_and_id_and_all_other_rows_are_read(
    line: str | bytes, name: str, reason: str
) -> None:
    """At every position among good rows."""
    bad, good = RejectedRow("/x.csv", name, reason), [(f"r{number}", [number, 0.5]) for number in range(6)]
    for index in range(7):
        texts: list[str | bytes] = [f"r{number},{number},0.5" for number in range(6)]
        texts.insert(index, line)
        expected: list[Row | RejectedRow] = [*good[:index], bad, *good[index:]]
        assert read(lines("ID_code,a,b", *texts)) == expected


def test_the_error_of_a_bad_row_names_file_id_and_column() -> None:
    """A DataError of one sentence."""
    (bad,) = read(lines("x,1,two", start=9))
    assert isinstance(bad, RejectedRow)
    assert isinstance(bad.error("ID_code"), DataError)
    assert str(bad.error("ID_code")) == "/x.csv, ID_code 'x', column 'b': expected a number, found 'two'."


ILL = pa.array([b"r\xff"]).view(pa.string())
"""A text that is not UTF-8, which a parquet file may hold."""


@pytest.mark.parametrize(
    ("ids", "name"),
    [(pa.array([0]), "0"), (pa.array([7.0]), "7"), (pa.array([None], pa.string()), ""), (ILL, "r\ufffd")],
    ids=["whole", "float", "none", "ill"],
)
def test_a_rejected_id_of_any_type_is_spelled_as_on_one_machine(ids: pa.Array, name: str) -> None:
    """Bytes that are not UTF-8 are replaced."""
    assert Cells("/x.parquet", pa.record_batch([ids], ["ID_code"])).first_cell("ID_code") == name


@pytest.mark.parametrize("column", NAMES)
def test_a_text_that_is_not_utf_8_is_a_bad_row(column: str) -> None:
    """In the column of ids and in those of numbers."""
    columns = {"ID_code": pa.array(["r1"]), "a": pa.array([1.0]), "b": pa.array([2.0])}
    cells = Cells("/x.parquet", pa.record_batch(columns | {column: ILL}))
    (row,) = split_bad_rows(cells, "ID_code", lambda part: batch_to_rows(PROBLEM, ENCODER, part.batch(COLUMNS)))
    assert isinstance(row, RejectedRow)
    assert row.reason == "it is not UTF-8 text; save its texts as UTF-8"


@pytest.mark.parametrize("packed", [False, True], ids=["lines", "cells"])
@pytest.mark.parametrize(
    "wrong", [["x"], ["inf"], [""], ['"'], [b"\xff"], ["x", "inf", "", "1,2"]], ids=lambda wrong: str(wrong[0])
)
def test_each_bad_row_costs_one_conversion_and_the_rows_between_two_bad_ones_another(
    wrong: list[str | bytes], *, packed: bool
) -> None:
    """Halving the piece until each bad row stands alone would take far more conversions."""
    count, conversions = 400, 0
    cells = [wrong[number // 8 % len(wrong)] if number % 8 == 3 else "1" for number in range(count)]
    rest = [cell if isinstance(cell, bytes) else cell.encode() for cell in cells]
    piece: Cells | Lines = Lines("/x.csv", NAMES, pa.array([b"r,%b,2" % cell for cell in rest], pa.binary()))
    if packed:
        texts = pa.array(rest, pa.binary()).view(pa.string())
        piece = Cells("/x.parquet", pa.record_batch([pa.array(["r"] * count), texts, pa.array([2.0] * count)], NAMES))

    def convert(part: Piece) -> int:
        nonlocal conversions
        conversions += 1
        return len(batch_to_rows(PROBLEM, ENCODER, part.batch(COLUMNS)))

    parts = [*split_bad_rows(piece, "ID_code", convert)]
    bad = sum(isinstance(part, RejectedRow) for part in parts)
    assert (bad, len(parts)) == (count // 8, 2 * count // 8 + 1)
    assert conversions < 1.5 * len(parts)


CELLS = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**40), 10**40).map(str),
    st.sampled_from(
        ["", " 1", "1 ", '"3"', '"a,b"', '"a""b"', '"', 'a"', "NaN", "1e400", "0x1", "+1", "1_0", "\t", "é", "\ufeff"]
    ),
    st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=3),
)

LINES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join).filter(bool), min_size=1, max_size=8)


@given(LINES)
def test_a_line_is_read_alone_as_among_others(texts: list[str]) -> None:
    """Whatever the lines beside it hold."""
    alone = [row for text in texts for row in read(lines(text, start=9))]
    assert repr(read(lines(*texts, start=9))) == repr(alone)  # by repr, as NaN is not equal to NaN


@given(LINES)
def test_good_lines_are_the_rows_that_one_machine_reads(texts: list[str]) -> None:
    """Good lines to the bit; a bad line is refused on one machine too."""
    with TemporaryDirectory() as folder:
        for text in texts:
            (row,) = read(lines(text, start=9))
            path = Path(folder, "x.csv")
            path.write_text(f"ID_code,a,b\n{text}\n", encoding="utf-8")
            if isinstance(row, RejectedRow):
                with pytest.raises(DataError):
                    [*stream(path, PROBLEM, ENCODER)]
            else:
                (expected,) = stream(path, PROBLEM, ENCODER)
                assert row == (expected.ids[0], expected.features[0].tolist())


def test_lines_of_another_dialect_are_read() -> None:
    """By the signs of their file, which other files need not have."""
    german = Dialect(";", ",")
    reader = CsvReader({"/x.csv": NAMES, "/y.csv": NAMES}, {"/x.csv": german})
    first = lines("ID_code;a;b", 'r1;"1,5";2', "r2;2,5;-;x")
    other = lines("ID_code,a,b", "r3,1.5,2", file="file:/y.csv")
    parts = [
        part
        for piece in reader(iter([first, other]))
        for part in split_bad_rows(piece, "ID_code", lambda part: batch_to_rows(PROBLEM, ENCODER, part.batch(COLUMNS)))
    ]
    good, bad, others = parts
    assert not isinstance(good, RejectedRow)
    assert not isinstance(others, RejectedRow)
    assert bad == RejectedRow("/x.csv", "r2", "expected 3 columns, found 4" + QUOTE.replace("','", "';'"))
    assert (good.features.tolist(), others.features.tolist()) == ([[1.5, 2]], [[1.5, 2]])
