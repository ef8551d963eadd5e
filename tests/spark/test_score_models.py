"""Scoring on Spark gives the answers of one machine to the bit, for folders of every predictor, task and column."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.base import BaseEstimator
from tests.spark import flats

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, UsageError
from tabserve.model.decision import Amount, Decision, MostProbable, Threshold
from tabserve.model.model import Model, load, save, versions
from tabserve.problem.problem import Problem
from tabserve.score import score_file
from tabserve.spark import score as spark_score
from tabserve.spark.score import RowCounts, score_table
from tabserve.spark.source import files, table
from tabserve.table.frame_reader import read
from tabserve.training import proof
from tabserve.training.one_hot_linear import OneHotLogistic, OneHotRidge
from tabserve.training.target_encoding import TargetEncodedClassifier, TargetEncodedRegressor

pytestmark = pytest.mark.usefixtures("spark")

Estimator = Callable[[Problem, Encoder], BaseEstimator]

DECISIONS: dict[str, Decision] = {
    "two": Threshold(0.4),
    "several": MostProbable(0.7),
    "amount": Amount((90.0, 160.0), (9.0, 12.0, 30.0)),
}


def linear(problem: Problem, encoder: Encoder) -> BaseEstimator:
    """Ends as a `OneHotLinear`."""
    return OneHotLogistic(encoder.types) if problem.labels else OneHotRidge(encoder.types)


def target_encoded(problem: Problem, encoder: Encoder) -> BaseEstimator:
    """Ends as an `EncodedBooster`."""
    kind = TargetEncodedClassifier if problem.labels else TargetEncodedRegressor
    return kind(flats.trees(problem, encoder), [1])


def save_model(folder: Path, task: str, estimator: Estimator) -> Path:
    """Fit a model on flats, and write its folder."""
    flats.table(task, 300).to_csv(folder / "train.csv", index=False)
    problem = flats.problem(task)
    frame = read(folder / "train.csv", problem)
    predictor = proof.predictor(estimator(problem, frame.encoder).fit(frame.features, frame.target), frame.encoder)
    model = Model(problem, frame.encoder, predictor, DECISIONS[task], metrics={}, data={}, versions=versions())
    save(folder / "model", model, predictor.examples(frame.features), "# A model of flats\n")
    return folder / "model"


def write_rows(folder: Path, task: str) -> list[Path]:
    """Rows that training did not see, some of a new city: a csv with commas, one with semicolons and decimal commas."""
    rows = flats.table(task, 120, seed=4).replace({"city": {"Jena": "Mainz"}})
    folder.mkdir()
    rows[:50].drop(columns=["rent", "note"]).to_csv(folder / "a.csv", index=False)
    return [folder / "a.csv", flats.write_german(rows[50:].iloc[:, ::-1], folder / "b.csv")]


def scored_here(model: Path, rows: list[Path], folder: Path) -> pd.DataFrame:
    """The answers that one machine writes, sorted by key."""
    for number, path in enumerate(rows):
        score_file(load(model), path, folder / f"{number}.parquet")
    return by_key(pd.concat([pd.read_parquet(folder / f"{number}.parquet") for number in range(len(rows))]))


def by_key(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores, sorted by key."""
    return scores.sort_values("key", ignore_index=True)


@pytest.mark.parametrize("task", flats.TASKS)
@pytest.mark.parametrize("estimator", [flats.trees, target_encoded, linear])
def test_every_model_of_flats_answers_as_on_one_machine(task: str, estimator: Estimator, tmp_path: Path) -> None:
    """With the same columns and types, from files of two dialects."""
    model, rows = save_model(tmp_path, task, estimator), write_rows(tmp_path / "rows", task)
    assert score_table(model, files(f"{tmp_path}/rows"), f"{tmp_path}/scores") == RowCounts(120)
    expected = scored_here(model, rows, tmp_path)
    pd.testing.assert_frame_equal(by_key(pd.read_parquet(tmp_path / "scores")), expected, check_exact=True)


def test_a_model_over_texts_answers_as_on_one_machine(texts_folder: Path, tmp_path: Path) -> None:
    """Written as csv; a text may be empty, and have spaces around it."""
    titles = [" carrinho azul", "convite ", 'quadro "decorativo", azul', "bebê"]
    rows = pd.DataFrame({"product_id": [*"abcd"], "title": titles, "tags": ["bebê", "", " ", "azul"]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert score_table(texts_folder, files(f"{tmp_path}/rows.csv"), f"{tmp_path}/scores.csv") == RowCounts(4)
    score_file(load(texts_folder), tmp_path / "rows.csv", tmp_path / "here.csv")
    (part,) = (tmp_path / "scores.csv").glob("part-*.csv")
    spark, here = (pd.read_csv(path, dtype=str) for path in (part, tmp_path / "here.csv"))
    floats = dict.fromkeys(here.columns[2:], "float32")
    pd.testing.assert_frame_equal(spark.astype(floats), here.astype(floats), check_exact=True)


def test_typed_cells_get_the_answers_of_one_machine(spark: SparkSession, tmp_path: Path) -> None:
    """Of parquet and of a table: whole numbers as blanks, dictionaries, booleans, and dates as times."""
    model = save_model(tmp_path, "several", flats.trees)
    loaded = load(model)
    renamed = replace(loaded, problem=replace(loaded.problem, blanks=("-1",)))
    save(model, renamed, loaded.predictor.examples(read(tmp_path / "train.csv", loaded.problem).features), "# Flats\n")
    rows = flats.table("several", 60, seed=4)
    typed = rows.assign(
        age=pd.to_numeric(rows["age"], errors="coerce").fillna(-1).astype("float32"),
        city=rows["city"].replace("", None).astype("category"),
        married=rows["married"] == "True",
        since=pd.to_datetime(rows["since"].replace("", None)).astype("datetime64[us]"),
    )
    typed.to_parquet(tmp_path / "rows.parquet", index=False)
    expected = scored_here(model, [tmp_path / "rows.parquet"], tmp_path)
    assert expected["label"].nunique() == 3
    spark.read.parquet(f"{tmp_path}/rows.parquet").createOrReplaceGlobalTempView("flats")
    for name, source in {"file": files(f"{tmp_path}/rows.parquet"), "table": table("global_temp.flats")}.items():
        assert score_table(model, source, f"{tmp_path}/{name}") == RowCounts(60)
        pd.testing.assert_frame_equal(by_key(pd.read_parquet(tmp_path / name)), expected, check_exact=True)


def test_files_without_optional_columns_and_with_moments_of_a_zone_get_the_answers_of_one_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each file may lack other columns, and a warning names them."""
    model, rows = save_model(tmp_path, "two", flats.trees), flats.table("two", 60, seed=4)
    (tmp_path / "csv").mkdir()
    rows[:30].drop(columns=["age", "rent"]).to_csv(tmp_path / "csv" / "a.csv", index=False)
    rows[30:].drop(columns="since").to_csv(tmp_path / "csv" / "b.csv", index=False)
    moments = pd.to_datetime(rows["since"].replace("", None)).astype("datetime64[us]")
    moments = moments.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    rows.assign(since=moments).drop(columns=["city", "age"]).to_parquet(tmp_path / "rows.parquet", index=False)
    for name, paths in {
        "csv": [tmp_path / "csv" / "a.csv", tmp_path / "csv" / "b.csv"],
        "rows.parquet": [tmp_path / "rows.parquet"],
    }.items():
        expected = scored_here(model, paths, tmp_path)
        caplog.clear()
        assert score_table(model, files(f"{tmp_path}/{name}"), f"{tmp_path}/scores/{name}") == RowCounts(len(expected))
        assert [f"{path} lacks" in "".join(caplog.messages) for path in paths] == [True] * len(paths)
        scores = by_key(pd.read_parquet(tmp_path / "scores" / name))
        pd.testing.assert_frame_equal(scores, expected, check_exact=True)


def test_each_bad_cell_is_rejected_as_on_one_machine(tmp_path: Path) -> None:
    """With the reason that one machine gives, for every kind of column."""
    model = save_model(tmp_path, "amount", linear)
    rows = flats.table("amount", 6, seed=4)
    bad = {"age": "old", "city": "x" * 1001, "married": "", "since": "31.12.2020"}
    for row, (column, text) in enumerate(bad.items(), 1):
        rows.loc[row, column] = text
    rows.to_csv(tmp_path / "rows.csv", index=False)
    counts = score_table(model, files(f"{tmp_path}/rows.csv"), f"{tmp_path}/scores", f"{tmp_path}/rejects.parquet")
    assert counts == RowCounts(2, 4)
    rejected = by_key(pd.read_parquet(tmp_path / "rejects.parquet"))
    assert rejected["key"].tolist() == [f"flat {row}" for row in range(1, 5)]
    for row, reason in enumerate(rejected["reason"], 1):
        rows[row : row + 1].to_csv(tmp_path / "one.csv", index=False)
        with pytest.raises(DataError) as error:
            score_file(load(model), tmp_path / "one.csv", tmp_path / "none.csv")
        assert str(error.value) == f"{tmp_path}/one.csv, row 1, {reason}."


def test_an_id_that_is_named_as_an_answer_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark writes no two columns of one name."""
    loaded = load(save_model(tmp_path, "amount", linear))
    renamed = replace(loaded, problem=replace(loaded.problem, id="low"))
    monkeypatch.setattr(spark_score, "load", lambda _folder: renamed)
    monkeypatch.setattr(spark_score, "session", None)
    with pytest.raises(UsageError, match=r"is of rows whose ids are in a column 'low', and Spark writes no second"):
        score_table(tmp_path / "model", table("rows"), f"{tmp_path}/scores")
