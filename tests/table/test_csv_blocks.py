"""A csv is cut where rows end, in one pass and in bounded memory."""

from io import BytesIO

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tabserve.table import csv_blocks
from tabserve.table.csv_blocks import BadRow, convert_options, parse, split_header

SCHEMA = pa.schema([("a", pa.string()), ("b", pa.string())])

CONVERSION = convert_options(SCHEMA)


class Long(BytesIO):
    """A file of a start and a million times the same text; it counts the calls of `read` and their bytes."""

    def __init__(self, start: bytes, text: bytes) -> None:
        super().__init__(start + text * (1 << 20))
        self.reads = self.bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        more = super().read(size)
        self.reads, self.bytes = self.reads + 1, self.bytes + len(more)
        return more


def cut(text: bytes, size: int) -> list[bytes]:
    """Cut a csv into blocks of about this size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", size)
        return list(csv_blocks.split_blocks(BytesIO(text)))


def rows(block: bytes) -> list[dict[str, str]]:
    """The rows that Arrow reads from a block; it skips rows that do not have two cells."""
    read = pyarrow.csv.ReadOptions(column_names=["a", "b"], block_size=len(block) + 1)
    split = pyarrow.csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
    convert = pyarrow.csv.ConvertOptions(column_types=SCHEMA)
    cells: list[dict[str, str]] = pyarrow.csv.read_csv(BytesIO(block), read, split, convert).to_pylist()
    return cells


PIECES = st.sampled_from([b"a", b"b", b'"', b",", b"\n", b"\r\n", b'"a\n,b"', b'a"', b'""', b"a,b\n"])


@pytest.mark.parametrize("few", [0, 1 << 12], ids=["numpy", "expression"])
@given(text=st.lists(PIECES, max_size=30).map(b"".join), size=st.integers(1, 16))
@example(text=b'a",b\n"a\nb",b\n', size=1)
def test_a_cut_changes_no_row(few: int, text: bytes, size: int) -> None:
    """The blocks have the rows of the whole, wherever there are quotes, and whether they are closed or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "FEW_BYTES", few)
        blocks = cut(text, size)
    assert [row for block in blocks for row in rows(block)] == rows(text + b"\n")


QUOTED = st.lists(st.text('ab,;\n\r"', max_size=5).map(lambda text: '"' + text.replace('"', '""') + '"'), max_size=3)


@given(rows=st.lists(QUOTED.map(",".join), max_size=6), cut=st.integers(0, 99), stray=st.integers(0, 99) | st.none())
def test_numpy_and_the_expression_find_the_same_end(rows: list[str], cut: int, stray: int | None) -> None:
    """Of quoted cells that are cut anywhere, and with a quote that stands anywhere."""
    text = "\n".join([*rows, ""])
    if stray is not None:
        text = text[:stray] + '"' + text[stray:]
    ends = set()
    for few in (0, 1 << 12):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_blocks, "FEW_BYTES", few)
            ends.add(csv_blocks.end_of_rows(text[:cut].encode()))
    assert len(ends) == 1


@given(lines=st.lists(st.text("ab,", min_size=1, max_size=9), min_size=1), size=st.integers(10, 40))
def test_blocks_have_about_their_size(lines: list[str], size: int) -> None:
    """Their sizes differ by the length of a row, and each block ends with a line end."""
    text = "\n".join(lines).encode()
    blocks = cut(text, size)
    assert b"".join(blocks) == text + b"\n"
    assert all(block.endswith(b"\n") and len(block) <= size + 2 * 10 for block in blocks)
    assert all(len(block) >= size - 10 for block in blocks[:-2])


@pytest.mark.parametrize(
    ("start", "text"),
    [(b'"', b"a\n"), (b'a,"', b'""\n'), (b'"', b'","'), (b"", b"a"), (b"", b'"",')],
    ids=["text", "quotes", "cells", "line", "row"],
)
def test_a_row_that_never_ends_is_refused(start: bytes, text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `MAX_ROW_BYTES`; each read takes more bytes than the last, so that no byte is searched often."""
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 16)
    monkeypatch.setattr(csv_blocks, "MAX_ROW_BYTES", 1 << 14)
    file = Long(b"a,b\n" + start, text)
    *_, last = csv_blocks.split_blocks(file)
    with pytest.raises(BadRow, match="expected its end within") as error:
        list(parse(last, ["a", "b"], CONVERSION))
    assert error.value.row == 1
    assert file.reads < 20
    assert file.bytes < 4 << 14


def test_the_header_is_split_from_the_rows() -> None:
    """Also if a column's name holds a line end."""
    assert split_header(b'"a\nb",c\r\n1,2\n3,4\n') == (["a\nb", "c"], b"1,2\n3,4\n")


def test_spaces_around_names_count_for_nothing() -> None:
    """As around cells; those within a name stay."""
    assert split_header(b'a,\t b c ," d "\n1, 2 ,3\n') == (["a", "b c", "d"], b"1, 2 ,3\n")


def test_cells_of_another_type_come_as_text() -> None:
    """With all other cells of their block, so that an error can name row and column."""
    schema = pa.schema([("a", pa.float64()), ("b", pa.string())])
    (numbers,) = parse(b"1,x\n2,y\n", ["a", "b"], convert_options(schema))
    (texts,) = parse(b"1,x\nz,y\n", ["a", "b"], convert_options(schema))
    assert numbers.to_pylist() == [{"a": 1.0, "b": "x"}, {"a": 2.0, "b": "y"}]
    assert texts.to_pylist() == [{"a": "1", "b": "x"}, {"a": "z", "b": "y"}]


@pytest.mark.parametrize(("bad", "cells"), [(b"1\n", 1), (b"1,2,3\n", 3)])
def test_a_row_of_another_length_is_numbered_within_its_block(bad: bytes, cells: int) -> None:
    """From 1, without blank lines; the rows above it are yielded first."""
    batches = parse(b'1,2\n\n"a\nb",2\n' + bad + bad, ["a", "b"], CONVERSION)
    assert next(batches).to_pylist() == [{"a": "1", "b": "2"}, {"a": "a\nb", "b": "2"}]
    with pytest.raises(BadRow, match=f"expected 2 columns, found {cells}") as error:
        next(batches)
    assert error.value.row == 3
