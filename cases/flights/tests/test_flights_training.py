"""Training is honest in time, measures itself beside simpler predictions, and saves what it has fitted."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from flights import training
from flights.dataset import EXTRACT, HOURLY, dataset, source
from flights.problem import BEFORE, DEPARTED
from flights.table import read_table
from tabserve.model import archive
from tabserve.model.model import CARD, Model, load
from tabserve.problem.problem import Problem
from tabserve.reports import card
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training import bootstrap, folds
from tabserve.training.candidate import Candidate
from tabserve.training.selection import Selection
from tabserve.training.split import fold_numbers

CASE = Path(__file__).parents[1]
SCRIPT = CASE / "scripts" / "train.py"
COMMITTED = {"model": BEFORE, "model-departed": DEPARTED}


@pytest.fixture(scope="module")
def rows() -> Frame:
    """The extract, asked after departure, in three folds; read-only."""
    return dataset(replace(DEPARTED, folds=3)).frame


@pytest.fixture(scope="module")
def data(rows: Frame) -> TrainingData:
    """The split rows."""
    return TrainingData.of(rows, "the extract")


@pytest.fixture(scope="module")
def selection(data: TrainingData) -> Selection:
    """Few trees beside the subtraction."""
    few = xgb.XGBRegressor(n_estimators=20, learning_rate=0.3, max_depth=3, n_jobs=1, enable_categorical=True)
    types = [*data.development.encoder.types]
    trees = Candidate("trees", few.set_params(feature_types=types))
    return data.select([trees, training.candidates(data.development, 1)["subtraction"]])


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few bootstrap draws, as each measures thousands of flights."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 5)


def train(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the training command in the repository's root."""
    command = [sys.executable, str(SCRIPT), *words]
    root = CASE.parents[1]
    return subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True, timeout=240, check=False)


def test_the_hold_out_is_later_than_all_other_flights(data: TrainingData) -> None:
    """The latest days are held out, and no day is on both sides."""
    development, holdout = data.development.moment, data.holdout.moment
    assert development is not None
    assert holdout is not None
    assert development.max() < holdout.min()
    assert np.datetime64("2013-10-27") < holdout.min() < np.datetime64("2013-11-05")
    assert holdout.max() > np.datetime64("2013-12-15")


def test_each_fold_is_later_than_what_it_was_fitted_on(data: TrainingData) -> None:
    """No model knows a later day than those that it is measured on."""
    moment, fold = data.development.moment, fold_numbers(data.development)
    assert moment is not None
    for number in range(folds.count(fold)):
        assert moment[folds.training_rows(fold, number)].max() < moment[fold == number].min()


def test_the_subtraction_learns_one_number(data: TrainingData) -> None:
    """It is the mean of what flights of the development rows make up for."""
    rows, position = data.development, DEPARTED.features.index("dep_delay")
    candidate = training.candidates(rows, 1)["subtraction"]
    fitted = candidate.fit(rows)
    delay = rows.features[:, position].astype(np.float64)
    assert fitted.made_up_ == pytest.approx(np.mean(delay - rows.target))
    assert 3 < fitted.made_up_ < 9
    np.testing.assert_allclose(fitted.predict(rows.features), delay - fitted.made_up_, rtol=1e-6)
    assert not candidate.servable


def test_before_departure_there_is_nothing_to_subtract_from() -> None:
    """The candidates are those of the core, without the linear one, which lost on all flights of the year."""
    rows = TrainingData.of(dataset(BEFORE, rows=2_000).frame, "").development
    assert [*training.candidates(rows, 1)] == ["baseline", "xgboost-depth-2", "xgboost-depth-4", "xgboost-depth-6"]


@pytest.mark.usefixtures("few_draws")
def test_the_model_stands_beside_simpler_predictions(rows: Frame, data: TrainingData, selection: Selection) -> None:
    """All are measured on the hold-out, by the same measures; the departure delay tells most of the arrival delay."""
    predictor = selection.refit()
    further = training.further(data, selection, predictor, rows)
    model = data.evaluate(selection, predictor, further)
    beside = further["beside"]
    assert [*beside] == ["the model", "median", "mean", "subtraction", "the model, random split"]
    for name in ("mae", "rmse", "r2"):
        assert beside["the model"][name]["value"] == pytest.approx(model.metrics["holdout"][name]["value"], rel=1e-5)
    assert beside["mean"]["r2"]["value"] <= 0
    assert beside["median"]["mae"]["value"] < beside["mean"]["mae"]["value"]
    assert beside["subtraction"]["r2"]["value"] > 0.7
    assert beside["the model"]["roc_auc"]["value"] > 0.8
    text = card.render(model, training.words(model.problem))
    assert "after departure" in text
    assert "| subtraction |" in text
    assert "| 2013-12 | hold-out |" in text


def test_the_interval_is_measured_in_each_month(data: TrainingData, selection: Selection) -> None:
    """Each flight that a fold or the hold-out measures counts once, and the months add up to the whole coverage."""
    predictor = selection.refit()
    months = training.coverage_by_month(selection, data.holdout, predictor)
    measured = np.isin(selection.fold, folds.measured_folds(selection.fold)).sum()
    assert months.loc[(slice(None), "folds"), "rows"].sum() == measured
    held_out = months.loc[(slice(None), "hold-out"), :]
    assert held_out["rows"].sum() == len(data.holdout)
    coverage = float(np.average(held_out["coverage"], weights=held_out["rows"]))
    whole = data.evaluate(selection, predictor).metrics["holdout"]["coverage"]["value"]
    assert coverage == pytest.approx(whole)


@pytest.mark.slow
def test_both_folders_are_trained_saved_and_packed(tmp_path: Path) -> None:
    """Each is verified when it is read; the .zip and the .pkl hold the same files."""
    options = ("--candidates", "baseline,xgboost-depth-2", "--rows", "6000", "--out", str(tmp_path / "model"))
    ended = train(*options)
    assert ended.returncode == 0, ended.stderr
    for name, problem in COMMITTED.items():
        model = load(tmp_path / name)
        assert model.problem == problem
        for ending in ("zip", "pkl"):
            archive.unpack((tmp_path / f"{name}.{ending}").read_bytes(), tmp_path / ending / name)
            assert load(tmp_path / ending / name).metrics == model.metrics


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data", "no-such.csv"], 3, "no-such.csv cannot be read as a table: No such file or directory."),
        (["--weather", str(EXTRACT)], 3, "lacks 'temp'"),
        (["--candidates", "oracle"], 2, "There is no candidate 'oracle'; choose from baseline, "),
        (["--candidates", "baseline", "--asked", "before"], 2, "None of baseline ends as a model"),
        (["--asked", "never"], 2, "argument --asked: expected before or departed, not 'never'"),
        (["--out", "cases/categories"], 4, "cases/categories holds something other than a model"),
        (["--master", "local[2]"], 2, "--master needs --engine spark"),
    ],
)
def test_training_that_cannot_run_ends_with_one_sentence(
    words: list[str], code: int, message: str, tmp_path: Path
) -> None:
    """The exit code tells the kind of mistake, and nothing is left behind."""
    ended = train(*([] if "--out" in words else ["--out", str(tmp_path / "model")]), *words)
    assert ended.returncode == code, ended.stderr
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not any(tmp_path.iterdir())


@pytest.fixture(scope="module", params=COMMITTED)
def committed(request: pytest.FixtureRequest) -> tuple[Path, Model, Problem]:
    """A committed folder, its model and the problem that it is for."""
    folder = CASE / "deploy" / request.param
    return folder, load(folder), COMMITTED[request.param]


def test_the_committed_model_is_of_the_extract(committed: tuple[Path, Model, Problem]) -> None:
    """The extract, read again, has the manifest's checksum and number of rows; the folder is small."""
    folder, model, problem = committed
    frame, origin = dataset(problem)
    assert model.problem == problem
    assert TrainingData.of(frame, origin).provenance == {
        name: model.data[name]
        for name in model.data
        if name in {"source", "synthetic", "rows", "amounts", "periods", "sha256"}
    }
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_000_000
    assert (folder / CARD).read_text() == card.render(model, training.words(problem))


def test_the_committed_model_answers_as_it_was_measured(committed: tuple[Path, Model, Problem]) -> None:
    """What is served has the error that the card states, on the same flights."""
    _, model, problem = committed
    frame = read(read_table(EXTRACT, HOURLY).rows, problem, model.encoder.tolerant())
    moment = frame.moment
    assert moment is not None
    holdout = frame.take(np.flatnonzero(moment >= np.datetime64(model.data["periods"]["holdout"][0])))
    answers = model.decision.scores(model.predictor.raw(holdout.features))
    error = float(np.sqrt(np.mean((answers.prediction - holdout.target) ** 2)))  # type: ignore[union-attr]
    assert error == pytest.approx(model.metrics["holdout"]["rmse"]["value"], rel=1e-5)


def test_the_source_states_what_was_left_out(rows: Frame) -> None:
    """The card says how many flights had no arrival delay, and how many were drawn."""
    derived = read_table(EXTRACT, HOURLY)
    assert source(EXTRACT, HOURLY, derived, rows, len(rows)) == (
        "flights_extract.parquet without 589 that were cancelled or diverted, with the weather of weather.parquet"
    )
    few = rows.take(np.arange(10))
    assert ", 10 of its 22,017 flights, without 589" in source(EXTRACT, HOURLY, derived, few, len(rows))
