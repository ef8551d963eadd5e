"""The stations train the model of one machine from rows in Spark: for every task, kind of column and kind of split."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from tests.spark import flats

from tabserve import stations
from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, UsageError
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.spark import training_data as module
from tabserve.spark import training_rows
from tabserve.spark.load_table import load_table
from tabserve.spark.rows import Cells
from tabserve.spark.source import files, table
from tabserve.spark.training_data import training_data
from tabserve.spark.training_table import TrainingTable
from tabserve.stations import TrainingData, train
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training import bootstrap, copies
from tabserve.training.candidate import Candidate
from tabserve.training.split import fold_numbers, hold_out, narrow_levels

ROWS = 900
"""So few, of so few different values, that XGBoost rounds none, and only the order of sums differs on Spark."""

Change = Callable[[Problem, pd.DataFrame], tuple[Problem, pd.DataFrame]]


def numbers(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested metrics: every number by the names that lead to it."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        flat |= numbers(value, f"{prefix} {name}") if isinstance(value, Mapping) else {f"{prefix} {name}": value}
    return flat


@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize(
    ("task", "change"),
    [("amount", lambda *table: table), ("two", flats.with_groups), ("several", flats.with_time)],
    ids=["amount", "two classes of groups", "several classes in time"],
)
def test_the_stations_make_the_model_of_one_machine(
    task: str, change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same split, levels, folds, figures and decision; the order of sums alone differs."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    problem, rows = change(flats.problem(task), flats.table(task, ROWS))
    path = flats.write_german(rows, tmp_path / "flats.csv")
    frame = read(path, problem)
    data = TrainingData.of(frame, "flats")
    local = train(data, [Candidate("trees", flats.trees(problem, frame.encoder))], tmp_path / "local")
    with training_data(files(str(path)), problem, lambda _kept, _rows: "flats") as data:
        candidate = Candidate("trees", flats.trees(problem, data.development.encoder))
        spark = train(data, [candidate], tmp_path / "spark")
    assert (spark.problem, spark.encoder) == (local.problem, local.encoder)
    for part in ("folds", "holdout"):
        assert numbers(spark.metrics[part]) == pytest.approx(numbers(local.metrics[part]), rel=1e-3, abs=1e-3)
    different = {"sha256": None, "engine": None, "reference": None}
    assert {**spark.data, **different} == {**local.data, **different}
    assert spark.data["reference"]["columns"] == local.data["reference"]["columns"]
    features = frame.with_encoder(local.encoder).features
    assert spark.predictor.raw(features) == pytest.approx(local.predictor.raw(features), rel=1e-4, abs=1e-4)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv of flats, some of which are copies of others under another key."""
    rows = flats.table("several", 400)
    rows.iloc[10:60, 1:] = rows.iloc[100:150, 1:].to_numpy()
    return flats.write_german(rows, tmp_path_factory.mktemp("flats") / "flats.csv")


@pytest.fixture(scope="module")
def frame(path: Path) -> Frame:
    """The csv as one machine reads it."""
    return read(path, flats.problem("several"))


@pytest.fixture(scope="module")
def loaded(spark: SparkSession, path: Path) -> Iterator[TrainingTable]:
    """The csv in Spark, in many partitions."""
    spark.conf.set("spark.sql.files.maxPartitionBytes", "5000")
    with load_table(spark, files(str(path)), flats.problem("several"), 2) as table:
        yield table
    spark.conf.unset("spark.sql.files.maxPartitionBytes")


def test_levels_and_features_are_those_of_one_machine(loaded: TrainingTable, frame: Frame) -> None:
    """To the bit, however Spark splits the file."""
    assert loaded.encoder == frame.encoder
    assert np.array_equal(loaded.fetch(loaded.frame).features, frame.features, equal_nan=True)
    assert np.array_equal(loaded.frame.target, frame.target)


def test_rows_have_the_features_of_an_encoder_with_their_own_levels(loaded: TrainingTable, frame: Frame) -> None:
    """Also rows that are taken of others, and rows with levels that the encoder does not know."""
    rows = np.random.default_rng(2).permutation(400)[:150]
    rows = rows[rows != 3]  # the only row of its city
    remote, local = narrow_levels(loaded.frame.take(rows)), narrow_levels(frame.take(rows))
    assert remote.encoder == local.encoder != frame.encoder
    assert np.array_equal(
        loaded.fetch(remote.take(np.arange(9, 0, -1))).features, local.features[9:0:-1], equal_nan=True
    )
    others = np.arange(6)
    unknown = loaded.fetch(loaded.frame.take(others).with_encoder(remote.encoder))
    assert np.array_equal(unknown.features, frame.take(others).with_encoder(local.encoder).features, equal_nan=True)


def test_copies_stay_on_one_side_of_every_split(loaded: TrainingTable, frame: Frame) -> None:
    """Spark finds the copies that one machine finds."""
    numbers = copies.number_rows(frame)
    assert len({*zip(copies.number_rows(loaded.frame).tolist(), numbers.tolist(), strict=True)}) == numbers.max() + 1
    development, holdout = hold_out(loaded.frame)
    assert not {*numbers[development.features]} & {*numbers[holdout.features]}
    fold = fold_numbers(development)
    pairs = {*zip(numbers[development.features].tolist(), fold.tolist(), strict=True)}
    assert len(pairs) == len({*numbers[development.features]})


def cell(column: str, text: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Change the column's cell in row 40."""

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows.loc[40, column] = text
        return rows

    return change


Reads = Callable[[Problem, Encoder, training_rows.Read, training_rows.Batches], training_rows.Batches]


def learn(problem: Problem, _encoder: Encoder, read: training_rows.Read, batches: Any) -> training_rows.Batches:  # noqa: ANN401
    """The first pass over the rows."""
    return training_rows.distinct_texts(problem, read, batches)


BAD_CELLS: dict[str, tuple[Reads, str, str, str]] = {
    "no date": (training_rows.encode_batches, "since", "soon", "expected a date such as 2020-12-31, found 'soon'"),
    "no level": (training_rows.encode_batches, "married", "", "expected one of 'False', 'True', found an empty cell"),
    "no label": (training_rows.encode_batches, "rent", "none", "expected 'low' or 'mid.dle' or 'high, `or` so', found"),
    "no group": (training_rows.encode_batches, "landlord", "", "expected a group, found an empty cell"),
    "a long text": (learn, "city", "x" * 1001, "expected a text of at most 1000 characters, found 'xxx"),
}


@pytest.mark.parametrize(("read", "column", "text", "reason"), BAD_CELLS.values(), ids=BAD_CELLS)
def test_a_bad_cell_is_named_by_its_file_and_id(read: Reads, column: str, text: str, reason: str) -> None:
    """In the words of one machine, which names the row by its number; a worker raises it."""
    problem, rows = flats.with_groups(flats.problem("several"), flats.table("several", 80))
    encoder = Encoder.learn(problem, {name: rows[name].tolist() for name in Encoder.learned_columns(problem)})
    batch = pa.RecordBatch.from_pandas(cell(column, text)(rows))
    with pytest.raises(DataError) as error:
        [*read(problem, encoder, lambda batches: (Cells("flats.csv", each) for each in batches), [batch])]
    assert str(error.value).startswith(f"flats.csv, key 'flat 40', column {column!r}: {reason}")


BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "two spellings": (cell("married", "TRUE"), ": Column 'married' has one level twice, as "),
    "an empty column": (lambda rows: rows.assign(age="?"), ": Column 'age' is empty throughout; leave it out."),
    "only a header": (lambda rows: rows[:0], " has a header and no rows; a table needs at least one row below its hea"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_table_is_one_sentence(name: str, spark: SparkSession, tmp_path: Path) -> None:
    """In the words of one machine."""
    (change, reason), bad = BAD[name], tmp_path / "flats.csv"
    change(flats.table("several", 80)).to_csv(bad, index=False)
    with pytest.raises(DataError) as error, load_table(spark, files(str(bad)), flats.problem("several"), 2):
        pass
    assert str(error.value).startswith(f"{bad}{reason}")
    assert "\n" not in str(error.value)


def test_moments_with_and_without_times_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    """Also if each file has one kind of them."""
    problem, rows = flats.with_time(flats.problem("amount"), flats.table("amount", 80))
    rows[:40].to_csv(tmp_path / "a.csv", index=False)
    rows[40:].assign(at=rows["at"].str[:10]).to_csv(tmp_path / "b.csv", index=False)
    refused = pytest.raises(DataError, match="has dates with and without a time in the column that it is split by")
    with refused, load_table(spark, files(str(tmp_path)), problem, 2):
        pass


def test_texts_are_refused_before_spark_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what Spark learns from."""
    monkeypatch.setattr(module, "session", None)
    texts = replace(flats.problem("two"), columns=(Column("title", "text"),))
    refused = pytest.raises(UsageError, match=r"^Spark learns from numbers, categories and dates, by XGBoost, and")
    with refused, training_data(table("rows"), texts, lambda _kept, _rows: ""):
        pass


def test_the_example_of_the_page_fits_a_model(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own lines, with fewer trees and one fit in place of all."""
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    rng = np.random.default_rng(1)
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, 400), "D")
    rents = rng.choice(["low", "middle", "high"], 400)
    rows = pd.DataFrame(
        {"age": rng.integers(1, 90, 400), "city": rng.choice([*"abc"], 400), "since": days, "rent": rents}
    )
    (tmp_path / "rows").mkdir()
    rows.to_csv(tmp_path / "rows" / "flats.csv", index=False)
    fitted: list[Any] = []

    def fit(data: TrainingData, candidates: list[Candidate], _folder: str) -> None:
        fitted.append(data.adapt(candidates[0]).fit(data.development))

    monkeypatch.setattr(stations, "train", fit)
    monkeypatch.chdir(tmp_path)
    exec(code.replace("n_estimators=300", "n_estimators=2"), {})
    assert [each.get_booster().num_boosted_rounds() for each in fitted] == [2]
    assert spark.version
