"""A training table in Spark has the rows that one machine reads, in its order, however Spark splits the file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from tabserve.errors import DataError
from tabserve.predictors.xgboost_call import predict
from tabserve.problem import columns
from tabserve.problem.problem import Problem
from tabserve.spark.load_table import load_table
from tabserve.spark.source import files
from tabserve.spark.training_table import TrainingTable
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training.stumps import AveragedStumps, covers, step_functions

PROBLEM = Problem("small", columns.numbers(*(f"x{number}" for number in range(6)), missing=True), id="key")

ROWS = 700


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv with missing values."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(ROWS, len(PROBLEM.features)))
    values[rng.random(values.shape) < 0.05] = np.nan
    table = pd.DataFrame(values, columns=list(PROBLEM.features))
    table.insert(3, "target", (np.nan_to_num(values[:, 0]) + rng.normal(size=ROWS) > 0).astype(int))
    table.insert(0, "key", [f"row {number}" for number in range(ROWS)])
    path = tmp_path_factory.mktemp("training_table") / "train.csv"
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def small_blocks(spark: SparkSession) -> Iterator[SparkSession]:
    """A Spark that splits a file into many partitions."""
    spark.conf.set("spark.sql.files.maxPartitionBytes", "10000")
    yield spark
    spark.conf.unset("spark.sql.files.maxPartitionBytes")


@pytest.fixture(scope="module")
def table(small_blocks: SparkSession, path: Path) -> Iterator[TrainingTable]:
    """The csv in Spark."""
    with load_table(small_blocks, files(str(path)), PROBLEM, 2) as table:
        yield table


@pytest.fixture(scope="module")
def frame(path: Path) -> Frame:
    """The csv as one machine reads it."""
    return read(path, PROBLEM)


@pytest.fixture
def numbers() -> np.ndarray:
    """Numbers of some rows, shuffled."""
    return np.random.default_rng(1).permutation(ROWS)[:300]


def test_rows_are_numbered_in_the_files_order(table: TrainingTable, frame: Frame) -> None:
    """So splits, which depend on targets and numbers, are those of one machine."""
    assert table.frame.features.tolist() == list(range(ROWS))
    assert np.array_equal(table.frame.target, frame.target)


def test_features_are_fetched_by_row_numbers(table: TrainingTable, frame: Frame, numbers: np.ndarray) -> None:
    """In the order of the numbers, to the bit, missing values included."""
    rows = table.fetch(table.frame.take(numbers))
    assert rows.features.dtype == np.float32
    assert np.array_equal(rows.features, frame.features[numbers], equal_nan=True)
    assert np.array_equal(rows.target, frame.target[numbers])


def test_each_worker_gets_a_part_of_the_rows(table: TrainingTable, numbers: np.ndarray) -> None:
    """Every row is in one part, and no part is empty."""
    parts = table.select_rows(numbers).rdd.mapPartitions(lambda rows: [[row.number for row in rows]]).collect()
    assert sorted(number for part in parts for number in part) == sorted(numbers)
    assert len(parts) == 2
    assert all(parts)


def test_scores_come_in_the_order_of_the_numbers(table: TrainingTable, frame: Frame, numbers: np.ndarray) -> None:
    """To the bit as the booster answers on one machine."""
    booster = AveragedStumps(n_estimators=30, n_jobs=1).fit(frame.features, frame.target).get_booster()
    assert np.array_equal(table.score(booster, numbers), predict(booster, frame.features[numbers]))


def test_covers_are_summed_over_all_workers(table: TrainingTable, frame: Frame, numbers: np.ndarray) -> None:
    """The sums are the counts that one machine makes."""
    booster = AveragedStumps(n_estimators=30, n_jobs=1).members()[0].fit(frame.features, frame.target).get_booster()
    functions = step_functions([booster])
    expected = covers(functions, frame.features[numbers])
    assert [*map(np.ndarray.tolist, table.covers(functions, numbers))] == [*map(np.ndarray.tolist, expected)]


def test_the_checksum_depends_on_the_rows_alone(table: TrainingTable, small_blocks: SparkSession, path: Path) -> None:
    """The number of workers does not change it; one row less does."""
    everything = np.arange(ROWS)
    with load_table(small_blocks, files(str(path)), PROBLEM, 3) as other:
        assert table.checksum(everything) == other.checksum(everything)
    assert table.checksum(everything) != table.checksum(everything[1:])


# Bad tables.

Change = Callable[[pd.DataFrame], pd.DataFrame]


def cell(column: str, text: str) -> Change:
    """Change the column's cell in row 400."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[400, column] = text
        return table

    return change


BAD: dict[str, tuple[Change, str]] = {
    "text in a number": (cell("x2", "twelve"), "key 'row 400', column 'x2': expected a number, found 'twelve'."),
    "a third label": (cell("target", "2"), "key 'row 400', column 'target': expected '0' or '1', found '2'."),
    "an id twice": (cell("key", "row 3"), " has the id 'row 3' 2 times; every row needs an id of its own."),
    "one class": (
        lambda table: table.assign(target="1"),
        " has only '1' in column 'target'; a model needs rows of different targets.",
    ),
    "a column missing": (lambda table: table.drop(columns="x4"), " lacks 'x4'; expected 8 columns, found 7."),
    "a column too many": (lambda table: table.assign(day="1"), " has unexpected columns: 'day'; remove them"),
    "only a header": (lambda table: table[:0], " has a header and no rows; a table needs at least one row"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_sentence(name: str, spark: SparkSession, path: Path, tmp_path: Path) -> None:
    """It names the file and, where there is one, the row's id and the column."""
    change, reason = BAD[name]
    bad = tmp_path / "train.csv"
    change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(bad, index=False)
    with pytest.raises(DataError) as error, load_table(spark, files(str(bad)), PROBLEM, 2):
        pass
    assert str(error.value).startswith(str(bad))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
