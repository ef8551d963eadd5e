"""Train on a table with columns of every kind, for each task, in one call and station by station."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from tests.serving import mixed

from tabserve import Candidate, Column, Model, Multiclass, Problem, TrainingData, load, read
from tabserve.errors import ArtifactError
from tabserve.model.model import CARD
from tabserve.model.reference import Reference
from tabserve.reports import card
from tabserve.reports.card import Words
from tabserve.stations import train
from tabserve.training import bootstrap
from tabserve.training.task_training import training_of
from tabserve.training.text_classifier import TextClassifier


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw few resamples, to be quick."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)


class Never(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Fails the test if it is fitted."""

    def fit(self, *_: object) -> "Never":
        """Fail."""
        pytest.fail("a candidate was fitted")


def table_of(folder: Path, name: str) -> Path:
    """Write a table of numbers, categories, dates and empty cells, with the target of a task."""
    path = folder / "table.csv"
    mixed.table()[[*mixed.problem(name).features, name]].to_csv(path, index=False)
    return path


def data_of(folder: Path, name: str) -> TrainingData:
    """The split rows of that table."""
    return TrainingData.of(read(table_of(folder, name), mixed.problem(name)), "drawn", synthetic=True)


def candidates_of(data: TrainingData, name: str) -> list[Candidate]:
    """A servable candidate, and the baselines."""
    options = {"enable_categorical": True, "feature_types": [*data.development.encoder.types]}
    boosted = mixed.TASKS[name][1](n_estimators=12, max_depth=3, n_jobs=1, **options)
    baselines = training_of(data.holdout.problem).baselines()
    return [Candidate("boosted", boosted), *(Candidate(*baseline) for baseline in baselines.items())]


def estimator_prediction(data: TrainingData, estimator: BaseEstimator) -> NDArray[np.float64]:
    """The prediction of an estimator for the hold-out."""
    return training_of(data.holdout.problem).predict(estimator, data.holdout.features)


def model_prediction(data: TrainingData, model: Model) -> NDArray[np.float64]:
    """The prediction of a model for the hold-out."""
    return training_of(data.holdout.problem).from_raw(model.predictor.raw(data.holdout.features))


@pytest.mark.parametrize("name", mixed.TASKS)
def test_the_folder_trained_on_a_table_of_every_kind_of_column_answers_as_the_estimator(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For every task; the folder has the measures and the card, and nothing is printed."""
    data = data_of(tmp_path, name)
    candidates = candidates_of(data, name)
    model = train(data, candidates, tmp_path / "model")
    loaded = load(tmp_path / "model")
    estimator = candidates[0].fit(data.development)
    assert model_prediction(data, loaded) == pytest.approx(estimator_prediction(data, estimator), rel=1e-5)
    assert np.isnan(data.holdout.features).any()
    assert (model.metrics["winner"], model.problem) == ("boosted", data.holdout.problem)
    assert loaded.metrics == model.metrics
    assert model.metrics["folds"].keys() == {candidate.name for candidate in candidates}
    assert (tmp_path / "model" / CARD).read_text() == card.render(loaded)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", mixed.TASKS)
def test_the_measures_are_those_of_the_hold_out(name: str, tmp_path: Path) -> None:
    """They equal those of the model's answers, and the reference for drift is of the same rows."""
    data = data_of(tmp_path, name)
    model = train(data, candidates_of(data, name), tmp_path / "model")
    answers, problem = model.score(data.holdout.features), model.problem
    measured = training_of(problem).evaluate(data.holdout.target, answers, model.decision, seed=problem.seed)
    assert model.metrics["holdout"] == {name: interval._asdict() for name, interval in measured.items()}
    reference = Reference.from_json(model.data)
    assert (reference.rows, tuple(reference.columns)) == (len(data.holdout), model.encoder.names)


TEXTS = Problem("titles", (Column("title", "text"),), "kind", Multiclass(("a", "b", "c")), group="seller", folds=2)


def titles(folder: Path) -> TrainingData:
    """The split rows of 300 titles of 20 sellers."""
    rows = [f"{'abc'[row % 3] * 3} word{row % 7},{'abc'[row % 3]},s{row % 20}" for row in range(300)]
    (folder / "titles.csv").write_text("\n".join(["title,kind,seller", *rows]))
    return TrainingData.of(read(folder / "titles.csv", TEXTS), "titles.csv")


def test_texts_are_trained_likewise_and_a_case_adds_its_own_words(tmp_path: Path) -> None:
    """The manifest has the rows, the groups, the case's own measure, and only the libraries that were used."""
    data = titles(tmp_path)
    words = Words(purpose="To sort titles.", limits="- Anything else.", sections=lambda model: [f"## {model.data}"])
    selection = data.select([Candidate("linear", TextClassifier(LinearSVC()))])
    model = data.save(data.evaluate(selection, selection.refit(), {"own": 1}), tmp_path / "model", words)
    text = (tmp_path / "model" / CARD).read_text()
    assert (model.data["rows"], model.data["groups"], model.metrics["own"]) == (300, 20, 1)
    assert "xgboost" not in model.versions
    assert [model.metrics["classes"][label]["f1"]["value"] for label in "abc"] == [1, 1, 1]
    for part in ("To sort titles.", "- Anything else.", f"## {model.data}\n\n## Made", "1 feature (`title`)"):
        assert part in text
    assert "in 20 groups by `seller`" in text
    assert "no `seller` on both sides" in text
    assert "trees" not in text.lower()


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_fit(tmp_path: Path) -> None:
    """And its files stay."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="holds something other than a model"):
        train(data_of(tmp_path, "two"), [Candidate("never", Never())], tmp_path / "mine")
    assert (tmp_path / "mine/thesis.txt").read_text() == "mine"
