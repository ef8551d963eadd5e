"""A table on disk becomes validated arrays, or one sentence that says which cell is wrong."""

import math
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError
from tabserve.problem.columns import Column, numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table import csv_blocks
from tabserve.table.frame import Frame, Rows
from tabserve.table.frame_reader import has_target, read, stream
from tabserve.training.split import fold_numbers, hold_out

PROBLEM = Problem("loans", numbers("income", "age"), target="default", id="customer")
ENCODER = Encoder.learn(PROBLEM, {})
MISSING = numbers("income", "age", missing=True)
HEADER = "customer,default,income,age"
GOOD = ["ana,0,1.5,20", "bia,1,2.5,30", "caio,0,3.5,40"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a test's table."""
    return tmp_path / "loans.csv"


def write(path: Path, *rows: str, header: str = HEADER) -> Path:
    """Write a csv."""
    path.write_text("\n".join([header, *rows, ""]))
    return path


def refusal(path: Path, problem: Problem = PROBLEM) -> str:
    """The message that refuses a table, without the path."""
    with pytest.raises(DataError) as error:
        read(path, problem)
    folder, message = str(error.value).split(path.name)
    assert folder == f"{path.parent}/"
    return message


def test_a_table_becomes_arrays(path: Path) -> None:
    """Ids as texts, features as float32 in the order of the problem, labels as int8."""
    frame = read(write(path, *GOOD), PROBLEM)
    assert frame.ids.tolist() == ["ana", "bia", "caio"]
    assert frame.features.tolist() == [[1.5, 20], [2.5, 30], [3.5, 40]]
    assert frame.target.tolist() == [0, 1, 0]
    assert [str(array.dtype) for array in (frame.features, frame.target)] == ["float32", "int8"]
    assert (len(frame), frame.problem) == (3, PROBLEM)


def test_a_table_is_read_without_pandas(path: Path) -> None:
    """Many of Arrow's conversions import it, which takes a sixth of the time of reading Santander's table."""
    write(path, *GOOD)
    code = (
        "import sys; from pathlib import Path; from tabserve.table.frame_reader import read;"
        "from tabserve.problem.columns import numbers; from tabserve.problem.problem import Problem;"
        f"read(Path({str(path)!r}), Problem('loans', numbers('income', 'age'), target='default', id='customer'));"
        "sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_columns_are_matched_by_name(path: Path) -> None:
    """Whatever their order in the file."""
    frame = read(write(path, "20,0,1.5,ana", "30,1,2.5,bia", header="age,default,income,customer"), PROBLEM)
    assert frame.features.tolist() == [[1.5, 20], [2.5, 30]]


@given(
    npst.arrays(np.float32, st.tuples(st.integers(2, 40), st.just(2)), elements=st.floats(-1e6, 1e6, width=32)),
    st.randoms(use_true_random=False),
)
def test_any_float32_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, features: NDArray[np.float32], random: Random
) -> None:
    """To the bit, over any number of batches."""
    target = [0, 1, *(random.randint(0, 1) for _ in features[2:])]
    rows = [f"c{row},{target[row]},{income!r},{age!r}" for row, (income, age) in enumerate(features.tolist())]
    path = write(tmp_path_factory.getbasetemp() / "any.csv", *rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", 256)
        frame = read(path, PROBLEM)
    assert np.array_equal(frame.features, features)
    assert frame.target.tolist() == target
    assert frame.ids.tolist() == [f"c{row}" for row in range(len(features))]


def test_taking_rows_keeps_ids_features_and_targets_together(path: Path) -> None:
    """In the order of the indices."""
    taken = read(write(path, *GOOD), PROBLEM).take(np.array([2, 1]))
    assert taken.ids.tolist() == ["caio", "bia"]
    assert (taken.features.tolist(), taken.target.tolist()) == ([[3.5, 40], [2.5, 30]], [0, 1])


def test_labels_are_those_of_the_problem(path: Path) -> None:
    """The second label is the positive one."""
    write(path, "ana,paid,1,2", "bia,defaulted,1,2")
    assert read(path, replace(PROBLEM, task=Binary(("paid", "defaulted")))).target.tolist() == [0, 1]


def test_rows_without_an_id_column_are_numbered(path: Path) -> None:
    """From 1, over all batches."""
    write(path, *(f"{row % 2},1,2" for row in range(100)), header="default,income,age")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", 64)
        frame = read(path, replace(PROBLEM, id=None))
    assert frame.ids.tolist() == [*range(1, 101)]


def test_an_empty_cell_is_nan_where_the_column_allows_it(path: Path) -> None:
    """For an empty text and for NA."""
    frame = read(write(path, "ana,0,,20", "bia,1,2.5,NA"), replace(PROBLEM, columns=MISSING))
    assert np.isnan(frame.features).tolist() == [[True, False], [False, True]]


def test_a_column_may_have_empty_cells_beside_one_that_may_not(path: Path) -> None:
    """In training and in scoring."""
    problem = replace(PROBLEM, columns=(Column("income", missing=True), Column("age")))
    frame = read(write(path, "ana,0,,20", "bia,1,2.5,30"), problem)
    assert np.isnan(frame.features).tolist() == [[True, False], [False, False]]
    write(path, "ana,0,,20", "bia,1,2.5,", "caio,1,,")
    assert refusal(path, problem) == ", row 2, column 'age': expected a number, found an empty cell."
    with pytest.raises(DataError, match="row 2, column 'age': expected a number, found an empty cell"):
        list(stream(path, problem, frame.encoder))


def test_a_column_of_numbers_that_is_empty_throughout_is_refused(path: Path) -> None:
    """Nothing can be learned from it; rows to score may have it empty."""
    problem = replace(PROBLEM, columns=MISSING)
    assert refusal(write(path, "ana,0,1,", "bia,1,2,"), problem) == ": Column 'age' is empty throughout; leave it out."
    assert np.isnan(next(stream(path, problem, Encoder.learn(problem, {}))).features).tolist() == [[False, True]] * 2


def test_groups_are_read_and_never_split(path: Path) -> None:
    """Neither by the hold-out nor by the folds."""
    write(path, *(f"c{row},{row // 4 % 2},{row},1,g{row // 4}" for row in range(400)), header=f"{HEADER},house")
    frame = read(path, replace(PROBLEM, group="house", folds=3))
    assert frame.group is not None
    assert frame.group.tolist() == [f"g{row // 4}" for row in range(400)]
    development, holdout = hold_out(frame)
    assert development.group is not None
    assert holdout.group is not None
    assert not {*development.group} & {*holdout.group}
    assert len({*zip(development.group, fold_numbers(development), strict=True)}) == len({*development.group})


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    ("cell", "found"),
    [
        pytest.param("x", "'x'", id="text"),
        pytest.param("3;5", "'3;5'", id="text that begins with a number"),
        pytest.param("inf", "inf, which is no finite 32-bit float", id="infinity"),
        pytest.param("-Inf", "-inf, which is no finite 32-bit float", id="minus infinity"),
        pytest.param("1e39", "1e+39, which is no finite 32-bit float", id="too large for 32 bits"),
    ],
)
def test_a_cell_that_is_not_a_finite_number_is_refused_by_row_and_column(
    path: Path, cell: str, found: str, missing: bool
) -> None:
    """Also where cells may be empty."""
    message = refusal(
        write(path, *GOOD, f"duda,1,2,{cell}"), replace(PROBLEM, columns=numbers("income", "age", missing=missing))
    )
    assert message == f", row 4, column 'age': expected a number, found {found}."


def test_an_empty_cell_is_refused_where_the_column_does_not_allow_it(path: Path) -> None:
    """The message names the row and the column."""
    message = refusal(write(path, *GOOD, "duda,1,,2"))
    assert message == ", row 4, column 'income': expected a number, found an empty cell."


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param([], " has a header and no rows; a table needs at least one row below its header.", id="no rows"),
        pytest.param(
            ["ana,1,1,2", "bia,1,1,2"],
            " has only '1' in column 'default'; a model needs rows of different targets.",
            id="one class",
        ),
        pytest.param(
            [*GOOD, "duda,2,1,2"],
            ", row 4, column 'default': expected '0' or '1', found '2'; the column holds '0', '1', '2'.",
            id="three classes",
        ),
        pytest.param(
            ["ana,no,1,2", "bia,yes,1,2"],
            ", row 1, column 'default': expected '0' or '1', found 'no'; the column holds 'no', 'yes'.",
            id="text target",
        ),
        pytest.param(
            [*GOOD, "duda,,1,2"],
            ", row 4, column 'default': expected '0' or '1', found an empty cell; the column holds '', '0', '1'.",
            id="empty target",
        ),
        pytest.param(
            [*GOOD, GOOD[0]], " has the id 'ana' 2 times; every row needs an id of its own.", id="duplicate id"
        ),
    ],
)
def test_a_table_that_cannot_be_trained_on_is_refused(path: Path, rows: list[str], message: str) -> None:
    """The message says what the table holds instead."""
    assert refusal(write(path, *rows)) == message


def write_parquet(path: Path, **columns: list[str | None]) -> Path:
    """Write a parquet file with these texts beside valid numbers."""
    rows = pa.table({"customer": ["ana", "bia"], "default": ["0", "1"], "income": [1.5, 2.5], "age": [20, 30]})
    for name, texts in columns.items():
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(texts, pa.string()))
    pa.parquet.write_table(rows, path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


@pytest.mark.parametrize(
    "reader", [read, lambda path, problem: list(stream(path, problem, ENCODER))], ids=["read", "stream"]
)
@pytest.mark.parametrize("name", ["", None], ids=["empty", "null"])
def test_a_row_without_an_id_is_refused(
    name: str | None, reader: Callable[[Path, Problem], object], path: Path
) -> None:
    """The message names the row and the column, in training and in scoring."""
    for table in (write_parquet(path, customer=["ana", name]), write(path, GOOD[0], ",1,2.5,30")):
        with pytest.raises(DataError) as error:
            reader(table, PROBLEM)
        assert str(error.value) == f"{table}, row 2, column 'customer': expected an id, found an empty cell."


@pytest.mark.parametrize("row", [0, 70])
def test_a_missing_id_is_found_in_any_batch(row: int, path: Path) -> None:
    """Rows are counted over all batches."""
    rows = [f"c{number},1,2" for number in range(100)]
    rows[row] = ",1,2"
    with pytest.raises(DataError, match=f"row {row + 1}, column 'customer': expected an id, found an empty cell"):
        list(stream_in_small_batches(write(path, *rows, header="customer,income,age")))


def test_a_null_target_is_an_empty_cell(path: Path) -> None:
    """As in a csv."""
    with pytest.raises(DataError) as error:
        read(write_parquet(path, default=["0", None]), PROBLEM)
    message = "row 2, column 'default': expected '0' or '1', found an empty cell; the column holds '', '0'."
    assert str(error.value).endswith(message)


FAULTS = {
    "label": ("x{},2,1,2", "column 'default': expected '0' or '1'"),
    "id": (",1,1,2", "column 'customer': expected an id"),
    "text": ("x{},1,one,2", "column 'income': expected a number, found 'one'"),
    "text on the right": ("x{},1,1,two", "column 'age': expected a number, found 'two'"),
    "empty": ("x{},1,,2", "column 'income': expected a number, found an empty cell"),
    "infinite": ("x{},1,1,inf", "column 'age': expected a number, found inf"),
    "short": ("x{},1,1", "expected 4 columns, found 3"),
}


@given(faults=st.lists(st.sampled_from(["", "", *FAULTS]), min_size=1).filter(any))
def test_the_first_of_many_bad_rows_is_named(faults: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is wrong with it and with the rows below it."""
    rows = [FAULTS[fault][0].format(row) if fault else f"x{row},1,1,2" for row, fault in enumerate(faults)]
    first = next(row for row, fault in enumerate(faults) if fault)
    message = refusal(write(tmp_path_factory.getbasetemp() / "faults.csv", *rows))
    assert message.startswith(f", row {first + 1}")
    assert FAULTS[faults[first]][1] in message


def test_an_id_may_be_any_text(path: Path) -> None:
    """Every character is kept, and a long id takes no memory for the others."""
    ids = ["a\0", "b\n\tb", "x" * 1_000_000, "ção"]
    frame = read(write(path, *(f'"{name}",{row % 2},1,2' for row, name in enumerate(ids))), PROBLEM)
    assert frame.ids.tolist() == ids
    assert frame.ids.nbytes < 1000


def stream_in_small_batches(path: Path, problem: Problem = PROBLEM) -> Iterator[Rows]:
    """Rows to score, a few per batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_blocks, "BLOCK_BYTES", 64)
        yield from stream(path, problem, ENCODER)


def test_rows_to_score_come_in_batches(path: Path) -> None:
    """Together they are the whole table."""
    rows = [f"c{row},{row},{-row}" for row in range(100)]
    batches = list(stream_in_small_batches(write(path, *rows, header="customer,income,age")))
    assert max(map(len, batches)) < 20
    assert [name for batch in batches for name in batch.ids] == [f"c{row}" for row in range(100)]
    assert np.concatenate([batch.features for batch in batches]).tolist() == [[row, -row] for row in range(100)]


def test_the_target_of_rows_to_score_is_ignored(path: Path) -> None:
    """Whether it is there, and whatever it holds."""
    write(path, "ana,who knows,1.5,20")
    assert [batch.features.tolist() for batch in stream(path, PROBLEM, ENCODER)] == [[[1.5, 20]]]
    assert not isinstance(next(stream(path, PROBLEM, ENCODER)), Frame)


def test_rows_to_score_without_an_id_are_numbered_over_all_batches(path: Path) -> None:
    """From 1."""
    write(path, *(f"{row},2" for row in range(100)), header="income,age")
    batches = stream_in_small_batches(path, replace(PROBLEM, id=None))
    assert [name for batch in batches for name in batch.ids] == [*range(1, 101)]


def test_a_bad_cell_is_found_in_any_batch_of_rows_to_score(path: Path) -> None:
    """Rows are counted over all batches."""
    write(path, *(f"c{row},1,2" for row in range(99)), "c99,1,", header="customer,income,age")
    with pytest.raises(DataError, match="row 100, column 'age': expected a number, found an empty cell"):
        list(stream_in_small_batches(path))


def test_a_table_without_rows_to_score_is_refused(path: Path) -> None:
    """A header is not enough."""
    with pytest.raises(DataError, match="has a header and no rows"):
        list(stream(write(path, header="customer,income,age"), PROBLEM, ENCODER))


def test_the_header_alone_tells_whether_a_table_has_a_target(path: Path) -> None:
    """For csv, parquet and Kaggle's zip; rows are not read."""
    with_target, without = write(path, "not,a,row"), path.with_name("unlabelled.csv")
    write(without, "ana,1.5,20", header="customer,income,age")
    parquet, archive = path.with_suffix(".parquet"), path.with_suffix(".zip")
    pyarrow.parquet.write_table(pa.table({"default": ["0"], "age": [1.0]}), parquet)
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(without, "test.csv")
        zipped.write(with_target, "train.csv")
    tables = [with_target, without, parquet, archive]
    assert [has_target(table, PROBLEM) for table in tables] == [True, False, True, True]


@pytest.mark.parametrize(("name", "text"), [("none.csv", None), ("rows.parquet", "\0text"), ("quoted.csv", '"a\n')])
def test_a_file_without_a_readable_header_is_refused(name: str, text: str | None, tmp_path: Path) -> None:
    """The message names the file."""
    if text:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=name):
        has_target(tmp_path / name, PROBLEM)


MIXED = (
    Column("area", missing=True),
    Column("rooms"),
    Column("city", "category", missing=True),
    Column("floor", "category"),
    Column("garden", "category"),
    Column("built", "date", missing=True),
    Column("seen", "date"),
)
MIXED_HEADER = "area,rooms,city,floor,garden,built,seen,target"
MIXED_ROWS = [
    "50.5,2,Rio,1.5,true,2001-02-28,2020-01-01 10:30:00,{}",
    ",3,,2,false,,2020-01-02 23:59:59,{}",
    "80,1,São Paulo,0.0000001,true,1999-12-31,2021-06-30 00:00:00,{}",
]
TARGETS: dict[str, tuple[Task, list[str]]] = {
    "two labels": (Binary(("no", "yes")), ["no", "yes", "no"]),
    "three labels": (Multiclass(("a", "b", "c")), ["c", "a", "b"]),
    "an amount": (Regression("USD"), ["1.5", "-2", "1e3"]),
}


def write_mixed(path: Path, targets: list[str], rows: list[str] = MIXED_ROWS) -> Path:
    """Write a csv with columns of several kinds."""
    return write(path, *map(str.format, rows, targets), header=MIXED_HEADER)


def write_mixed_parquet(path: Path, targets: list[str], *, amount: bool) -> Path:
    """Write the same table as parquet, each column with its own type."""
    moments = [datetime(2020, 1, 1, 10, 30), datetime(2020, 1, 2, 23, 59, 59), datetime(2021, 6, 30)]  # noqa: DTZ001  no zone
    table = {
        "area": pa.array([50.5, None, 80], pa.float32()),
        "rooms": pa.array([2, 3, 1], pa.int16()),
        "city": pa.array(["Rio", None, "São Paulo"]).dictionary_encode(),
        "floor": pa.array([1.5, 2, 1e-7], pa.float64()),
        "garden": pa.array([True, False, True]),
        "built": pa.array([date(2001, 2, 28), None, date(1999, 12, 31)], pa.date32()),
        "seen": pa.array(moments, pa.timestamp("us")),
        "target": pa.array(map(float, targets)) if amount else pa.array(targets).dictionary_encode(),
    }
    pa.parquet.write_table(pa.table(table), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


@pytest.mark.parametrize("kind", TARGETS)
def test_a_mixed_table_is_the_same_as_csv_and_as_parquet(kind: str, path: Path) -> None:
    """Bool, int, float, dictionary, date32 and timestamp columns equal their csv text."""
    task, targets = TARGETS[kind]
    problem = Problem("houses", MIXED, task=task)
    csv, parquet = write_mixed(path, targets), write_mixed_parquet(path, targets, amount=task.AMOUNT)
    frame, other = read(csv, problem), read(parquet, problem)
    assert frame.encoder == other.encoder
    np.testing.assert_array_equal(frame.features, other.features)
    np.testing.assert_array_equal(frame.target, other.target)
    assert frame.target.tolist() == [float(cell) if task.AMOUNT else task.labels.index(cell) for cell in targets]
    assert frame.target.dtype == (np.float64 if task.AMOUNT else np.int8)
    for table in (csv, parquet):
        [scored] = stream(table, problem, other.encoder)
        np.testing.assert_array_equal(scored.features, frame.features)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()], ids=str)
def test_large_floats_of_a_parquet_file_are_the_levels_of_requests(kind: pa.DataType, path: Path) -> None:
    """Beyond 2**53 the shortest decimal of a float is another integer than the float."""
    floats = pa.array([1e23, 1.2345678901234566e17, 1.2345679e30, 1e16, 1e-7, 1e22], kind)
    table = {"size": floats, "target": pa.array(["0", "1"] * 3)}
    pa.parquet.write_table(pa.table(table), path.with_suffix(".parquet"))
    frame = read(path.with_suffix(".parquet"), Problem("large", (Column("size", "category"),)))
    np.testing.assert_array_equal(frame.encoder.encode([floats.to_numpy()]).features, frame.features)


def test_the_features_of_a_mixed_table_are_numbers_codes_and_parts_of_dates(path: Path) -> None:
    """Empty cells are NaN in each of them."""
    frame = read(write_mixed(path, ["0", "1", "0"]), Problem("houses", MIXED))
    named = dict(zip(frame.encoder.names, frame.features.T.tolist(), strict=True))
    empty = {name for name, values in named.items() if np.isnan(values).any()}
    assert empty == {"area", "city", "built.day", "built.month", "built.weekday"}
    assert (named["rooms"], named["floor"], named["garden"]) == ([2, 3, 1], [1, 2, 0], [1, 0, 1])
    assert (named["built.month"][0], named["seen.hour"]) == (2, [10, 23, 0])
    assert [frame.encoder.to_json()[name]["levels"] for name in ("floor", "city")] == [
        ["0.0000001", "1.5", "2"],
        ["Rio", "São Paulo"],
    ]


def with_cell(column: str, text: str) -> list[str]:
    """The rows of the mixed table with one cell of the second row replaced."""
    cells = MIXED_ROWS[1].split(",")
    cells[MIXED_HEADER.split(",").index(column)] = text
    return [MIXED_ROWS[0], ",".join(cells), MIXED_ROWS[2]]


BAD_CELLS: dict[str, tuple[str, str, str]] = {
    "text for a number": ("rooms", "two", "expected a number, found 'two'"),
    "an empty number": ("rooms", "", "expected a number, found an empty cell"),
    "an infinite number": ("area", "inf", "expected a number that 32 bits can hold, up to 3.403e+38, found Infinity"),
    "an empty category": ("floor", "", "expected one of '0.0000001', '1.5', found an empty cell"),
    "a category of a megabyte": ("city", "x" * 2**20, "expected a text of at most 1000 characters, found 'xxxxx"),
    "30 February": ("built", "2001-02-30", "expected a day that the calendar has, found '2001-02-30'"),
    "two formats": (
        "built",
        "2001-02-28 10:00",
        "expected a date without a time, such as 2020-12-31, found '2001-02-28 10:00'",
    ),
    "a date among times": ("seen", "2020-01-02", "expected a date with a time, such as 2020-12-31 08:30, found"),
    "a year of five digits": ("built", "12001-02-28", "expected a year from 0001 to 9999, found '12001-02-28'"),
    "a zone": (
        "seen",
        "2020-01-02 10:00Z",
        "expected a time without a zone, such as 2020-12-31 08:30, found '2020-01-02 10:00Z'",
    ),
    "an hour that is none": ("seen", "2020-01-02 24:00", "expected a time from 00:00 to 23:59:59, found"),
    "an empty date": ("seen", "", "expected a date with a time, such as 2020-12-31 08:30, found an empty cell"),
    "no date": ("built", "yesterday", "expected a date such as 2020-12-31, found 'yesterday'"),
}


@pytest.mark.parametrize("bad", BAD_CELLS)
def test_a_bad_cell_of_a_mixed_table_is_refused_by_row_and_column(bad: str, path: Path) -> None:
    """In one short sentence, in training and in scoring."""
    problem = Problem("houses", MIXED)
    encoder = read(write_mixed(path, ["0", "1", "0"]), problem).encoder
    column, text, message = BAD_CELLS[bad]
    write_mixed(path, ["0", "1", "0"], with_cell(column, text))
    refused = refusal(path, problem)
    assert refused.startswith(f", row 2, column {column!r}: {message}")
    assert refused.endswith(".")
    assert len(refused) < 250
    with pytest.raises(DataError) as scored:
        list(stream(path, problem, encoder))
    position = f"{path}, row 2, column {column!r}: "
    assert str(scored.value).startswith(position if bad == "an empty category" else position + message)
    assert len(str(scored.value)) < len(str(path)) + 250


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32()], ids=str)
def test_an_infinite_category_of_a_parquet_file_is_refused(kind: pa.DataType, path: Path) -> None:
    """In training and in scoring."""
    table, problem = path.with_suffix(".parquet"), Problem("houses", (Column("floor", "category"),))
    encoder = read(write(path, "0,1", "1,2", header="target,floor"), problem).encoder
    floors = pa.array([1.0, 2.0, -math.inf, None]).cast(kind)
    pa.parquet.write_table(pa.table({"target": ["0", "1", "0", "1"], "floor": floors}), table)
    for reading in (lambda: read(table, problem), lambda: list(stream(table, problem, encoder))):
        with pytest.raises(DataError, match="row 3, column 'floor': expected a finite number, found '-inf'"):
            reading()


def test_an_unseen_level_is_refused_or_missing_as_the_column_says(path: Path) -> None:
    """The message names the row and the known levels."""
    write(path, "0,Rio", "1,Olinda", header="target,city")
    for unseen in ("missing", "refused"):
        problem = Problem("houses", (Column("city", "category", unseen=unseen),))
        encoder = read(path, problem).encoder
        rows = write(path.with_name("new.csv"), "Rio", "Natal", header="city")
        if unseen == "missing":
            assert np.isnan(next(stream(rows, problem, encoder)).features[:, 0]).tolist() == [False, True]
        else:
            with pytest.raises(DataError, match="row 2, column 'city': expected one of 'Olinda', 'Rio', found 'Natal'"):
                list(stream(rows, problem, encoder))


def test_rows_to_score_may_spell_numbers_and_booleans_differently(path: Path) -> None:
    """Another program's spelling is the same level."""
    problem = Problem("houses", (Column("floor", "category"), Column("garden", "category")))
    encoder = read(write(path, "0,1,true", "1,2.5,false", header="target,floor,garden"), problem).encoder
    other = write(path.with_name("other.csv"), "1.0,True", "2.50,FALSE", header="floor,garden")
    parquet = path.with_suffix(".parquet")
    pa.parquet.write_table(pa.table({"floor": [1.0, 2.5], "garden": [True, False]}), parquet)
    for table in (other, parquet):
        assert next(stream(table, problem, encoder)).features.tolist() == [[0, 1], [1, 0]]


BAD_COLUMNS: dict[str, tuple[str, list[str], str]] = {
    "one level in two spellings": (
        "floor",
        ["1.0", "1", "2"],
        ": Column 'floor' has one level twice, as '1' and as '1.0'; spell it in one way.",
    ),
    "true in two spellings": (
        "garden",
        ["true", "True", "false"],
        ": Column 'garden' has one level twice, as 'True' and as 'true'; spell it in one way.",
    ),
    "empty categories": ("city", [""] * 3, ": Column 'city' is empty throughout; leave it out."),
    "empty dates": ("built", [""] * 3, ": Column 'built' is empty throughout; leave it out."),
    "empty numbers": ("area", [""] * 3, ": Column 'area' is empty throughout; leave it out."),
    "more than 10,000 levels": (
        "city",
        [*map(str, range(10_001))],
        ": Column 'city' has more than 10000 levels; leave the column out, or group its values.",
    ),
}


@pytest.mark.parametrize("blocks", [256, 1 << 21])
@pytest.mark.parametrize("bad", BAD_COLUMNS)
def test_a_column_that_cannot_be_learned_is_named(
    bad: str, blocks: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence, over any number of batches."""
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", blocks * (1 if len(BAD_COLUMNS[bad][1]) == 3 else 100))
    column, texts, message = BAD_COLUMNS[bad]
    index = MIXED_HEADER.split(",").index(column)
    rows = [MIXED_ROWS[0].split(",") for _ in texts]
    for row, text in zip(rows, texts, strict=True):
        row[index] = text
    write_mixed(path, [str(row % 2) for row in range(len(rows))], [*map(",".join, rows)])
    assert refusal(path, Problem("houses", MIXED)) == message


def test_a_column_may_have_10000_levels(path: Path) -> None:
    """Each has its own code."""
    write(path, *(f"{row % 2},{row}" for row in range(10_000)), header="target,city")
    frame = read(path, Problem("houses", (Column("city", "category"),)))
    assert frame.features[:, 0].tolist() == [*range(10_000)]


@pytest.mark.parametrize(
    ("kind", "target", "message"),
    [
        ("two labels", "maybe", "expected 'no' or 'yes', found 'maybe'; the column holds 'maybe', 'no'."),
        ("three labels", "d", "expected 'a' or 'b' or 'c', found 'd'; the column holds 'b', 'c', 'd'."),
        ("three labels", "", "expected 'a' or 'b' or 'c', found an empty cell; the column holds '', 'b', 'c'."),
        ("an amount", "inf", "expected a finite number of at most 1e+36, found inf."),
        ("an amount", "-inf", "expected a finite number of at most 1e+36, found -inf."),
        ("an amount", "1e300", "expected a finite number of at most 1e+36, found 1e+300."),
        ("an amount", "", "expected a finite number of at most 1e+36, found an empty cell."),
        ("an amount", "NaN", "expected a finite number of at most 1e+36, found an empty cell."),
        ("an amount", "dear", "expected a number, found 'dear'."),
    ],
)
def test_an_invalid_target_is_refused_by_row_and_column(kind: str, target: str, message: str, path: Path) -> None:
    """For each task."""
    task, targets = TARGETS[kind]
    write_mixed(path, [targets[0], target, targets[2]])
    assert refusal(path, Problem("houses", MIXED, task=task)) == f", row 2, column 'target': {message}"


def test_nan_in_parquet_is_an_empty_cell(path: Path) -> None:
    """In a target and in a feature, though Arrow tells NaN from null."""
    table = path.with_suffix(".parquet")
    for column in ("rooms", "target"):
        cells = {"rooms": [1.0, 2.0], "target": [1.0, 2.0]} | {column: [1.0, math.nan]}
        pa.parquet.write_table(pa.table(cells), table)
        with pytest.raises(DataError, match=f"row 2, column '{column}': expected a .*number.*, found an empty cell"):
            read(table, Problem("houses", numbers("rooms"), task=Regression()))


def test_amounts_that_are_all_the_same_are_refused(path: Path) -> None:
    """Nothing can be learned from them."""
    message = refusal(write_mixed(path, ["2.50"] * 3), Problem("houses", MIXED, task=Regression()))
    assert message == " has only 2.5 in column 'target'; a model needs rows of different targets."


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("empty", ["", "NA"])
def test_rows_without_a_target_are_left_out_if_the_user_says_so(kind: str, empty: str, path: Path) -> None:
    """The others keep their numbers as ids."""
    task, targets = TARGETS[kind]
    problem = Problem("houses", MIXED, task=task, blanks=("NA",))
    write_mixed(path, [targets[0], empty, targets[1]])
    frame = read(path, problem, drop_empty_target=True)
    assert frame.ids.tolist() == [1, 3]
    assert frame.target.tolist() == task.target(targets[:2])[0].tolist()
    assert len(frame.features) == 2
    with pytest.raises(DataError, match="row 2, column 'target'"):
        read(path, problem)


def test_a_wrong_target_is_refused_beside_those_that_are_left_out(path: Path) -> None:
    """The row is numbered as in the table."""
    write_mixed(path, ["", "maybe", "no"])
    with pytest.raises(DataError, match="row 2, column 'target': expected 'no' or 'yes', found 'maybe'"):
        read(path, Problem("houses", MIXED, task=Binary(("no", "yes"))), drop_empty_target=True)


def test_a_table_without_any_target_is_refused(path: Path) -> None:
    """Even if rows without a target are left out."""
    write_mixed(path, ["", "", ""])
    with pytest.raises(DataError, match="has no row with a target in column 'target'"):
        read(path, Problem("houses", MIXED, task=Regression()), drop_empty_target=True)


def test_any_other_cell_counts_as_the_other_label(path: Path) -> None:
    """So rare classes are one; an empty cell is no label all the same."""
    task = Multiclass(("a", "rest"), other="rest")
    write_mixed(path, ["a", "b", "never seen"])
    assert read(path, Problem("houses", MIXED, task=task)).target.tolist() == [0, 1, 1]
    write_mixed(path, ["a", "b", ""])
    with pytest.raises(DataError, match=r"row 3, column 'target': .* found an empty cell"):
        read(path, Problem("houses", MIXED, task=task))


CITIES = replace(PROBLEM, columns=(Column("income", missing=True), Column("age"), Column("city", "category")))

LATE_FAULTS = {
    "a ragged row": ("c40,0,1,40,rio,2", "row 41: expected 5 columns, found 6"),
    "a word among numbers": ("c40,0,x,40,rio", "row 41, column 'income': expected a number, found 'x'"),
    "a long text": (f"c40,0,1,40,{'x' * 1_001}", "row 41, column 'city': expected a text of at most 1000 characters"),
}
"""Rows that cannot be read, and what their messages begin with."""


@pytest.mark.parametrize("block", [64, 1 << 22], ids=["many blocks", "one block"])
@pytest.mark.parametrize("fault", LATE_FAULTS)
def test_the_first_bad_row_is_named_whether_or_not_the_encoder_is_known(
    fault: str, block: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a row that cannot be converted is above one that cannot even be read."""
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", block)
    rows = [f"c{row},{row % 2},{row or ''},{row},{('rio', 'natal')[row % 3 == 0]}" for row in range(60)]
    encoder = read(write(path, *rows, header=f"{HEADER},city"), CITIES).encoder
    rows[40], message = LATE_FAULTS[fault]
    for first in (message, "row 8, column 'customer': expected an id, found an empty cell"):
        write(path, *rows, header=f"{HEADER},city")
        for known in (None, encoder):
            with pytest.raises(DataError) as error:
                read(path, CITIES, known)
            assert str(error.value).startswith(f"{path}, {first}")
        rows[7] = ",1,1,7,rio"
