"""A model that answers otherwise than the selected estimator is not saved, whatever the cause."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC, LinearSVC

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import word_grams, words
from tabserve.errors import UsageError
from tabserve.model.golden import TOLERANCE
from tabserve.model.model import Model, save, versions
from tabserve.problem.columns import Column
from tabserve.problem.task import Multiclass
from tabserve.table.frame import Frame
from tabserve.training import proof
from tabserve.training.selection import Candidate, Selection, select
from tabserve.training.stumps import AveragedStumps
from tabserve.training.text_classifier import TextClassifier

Features = NDArray[np.float32]


@pytest.fixture(scope="module")
def frame(sample_frame: Frame) -> Frame:
    """800 rows of 5 columns, in which -999 stands for some missing values."""
    few = sample_frame.take(np.arange(800))
    problem = replace(few.problem, columns=few.problem.columns[:5], folds=2)
    features = np.where(np.random.default_rng(0).random((800, 5)) < 0.1, np.float32(-999), few.features[:, :5])
    return replace(few, features=features, problem=problem, encoder=Encoder.learn(problem, {}))


class Wrapped(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A custom classifier: a booster, and something around it that a folder does not hold."""

    def __init__(self, around: str = "nothing", most: int = 10_000) -> None:
        self.around = around
        self.most = most

    def fit(self, X: Features, y: NDArray[np.int8]) -> Self:  # noqa: N803 (scikit-learn's name)
        """Fit a booster, perhaps on other values, on fewer columns, or of another kind."""
        self.classes_, self.rows_ = np.array([0, 1]), len(y)
        options: dict[str, Any] = {"booster": "dart"} if self.around == "another kind" else {}
        self.inner_ = xgb.XGBClassifier(n_estimators=5, max_depth=2, n_jobs=1, **options).fit(self._inputs(X), y)
        return self

    def predict_proba(self, X: Features) -> Features:  # noqa: N803 (scikit-learn's name)
        """The probabilities of both classes."""
        probability: Features = self.inner_.predict_proba(self._inputs(X))
        if self.around == "calibration" and self.rows_ > self.most:
            probability = np.column_stack([1 - probability[:, 1] ** 1.1, probability[:, 1] ** 1.1])
        return np.full_like(probability, np.nan) if self.around == "no answer" else probability

    def get_booster(self) -> xgb.Booster:
        """The booster, without what is around it."""
        return self.inner_.get_booster()

    def _inputs(self, features: Features) -> Features:
        if self.around == "a sentinel":
            return np.where(features == -999, np.float32(np.nan), features)
        return features[:, :3] if self.around == "fewer columns" else features


def save_winner(folder: Path, selection: Selection) -> Model:
    """Save the winner in a folder, as a case does."""
    predictor = selection.refit()
    frame = selection.frame
    model = Model(frame.problem, frame.encoder, predictor, selection.decision, {}, {}, versions())
    return save(folder, model, predictor.examples(frame.features), "# A card\n")


@pytest.mark.parametrize("around", ["a sentinel", "calibration"])
def test_answers_that_differ_are_refused_after_one_fit(around: str, frame: Frame) -> None:
    """The message says how many differ, and by how much."""
    with pytest.raises(
        UsageError, match=r"^Candidate 'mine' answers \d+ of 400 rows otherwise than .* off by up to 0\."
    ):
        select(frame, [Candidate("mine", Wrapped(around, most=0))])


@pytest.mark.parametrize(
    ("around", "message"),
    [("fewer columns", "no model that a folder can hold"), ("another kind", "kind 'dart', expected 'gbtree'")],
)
def test_a_booster_that_a_folder_cannot_hold_is_refused_after_one_fit(around: str, message: str, frame: Frame) -> None:
    """The message names the candidate, and no temporary folder."""
    with pytest.raises(UsageError, match=r"^Candidate 'mine' ends as no model that a folder can hold: ") as refused:
        select(frame, [Candidate("mine", Wrapped(around))])
    assert message in str(refused.value)
    assert "/" not in str(refused.value)


def test_a_model_that_differs_in_the_last_fit_only_is_not_saved(frame: Frame, tmp_path: Path) -> None:
    """The difference appears only with all development rows, so the refit finds it."""
    selection = select(frame, [Candidate("mine", Wrapped("calibration", most=500))])
    with pytest.raises(UsageError, match=r"^Candidate 'mine' answers 800 of 800 rows otherwise") as refused:
        save_winner(tmp_path / "model", selection)
    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_answers_that_are_not_numbers_are_refused(frame: Frame) -> None:
    """NaN counts as a difference."""
    fitted = Wrapped("no answer").fit(frame.features, frame.target)
    with pytest.raises(UsageError, match="answers 800 of 800 rows otherwise"):
        proof.check("mine", fitted, frame)


@pytest.mark.parametrize(
    "estimator",
    [Wrapped(), AveragedStumps(n_estimators=40, seeds=2, n_jobs=1), xgb.XGBRFClassifier(n_estimators=4, n_jobs=1)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_the_saved_model_answers_as_the_refitted_estimator(
    estimator: ClassifierMixin, frame: Frame, tmp_path: Path
) -> None:
    """On rows with missing values too."""
    gappy = np.where(frame.features == -999, np.float32(np.nan), frame.features)
    columns = tuple(replace(column, missing=True) for column in frame.problem.columns)
    problem = replace(frame.problem, columns=columns)
    rows = replace(frame, features=gappy, problem=problem, encoder=Encoder.learn(problem, {}))
    selection = select(rows, [Candidate("mine", estimator)])
    model = save_winner(tmp_path / "model", selection)
    own = selection.winner.candidate.fit(rows).predict_proba(gappy)[:, 1]
    assert model.score(gappy).probability == pytest.approx(own, abs=TOLERANCE)


def test_a_limited_number_of_rows_is_compared(sample_frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once per selection and once per refit, of servable candidates only."""
    compared = []
    monkeypatch.setattr(proof, "ROWS", 100)
    monkeypatch.setattr(proof, "check", lambda _name, _fitted, frame: compared.append(len(frame)))
    stumps = Candidate("stumps", AveragedStumps(n_estimators=5, n_jobs=1))
    select(sample_frame, [stumps, Candidate("compared", DummyClassifier())]).refit()
    assert compared == [100, 100]


# Texts.


@pytest.fixture(scope="module")
def texts(frame: Frame) -> Frame:
    """Texts of three classes, which depend on a word anywhere in the text."""
    drawn = np.random.default_rng(0).choice(["azul", "caixa", "colar", "prata", "manta"], (len(frame), 3))
    target = np.where((drawn == "azul").any(axis=1), 2, (drawn == "caixa").any(axis=1)).astype(np.int8)
    problem = replace(frame.problem, columns=(Column("title", "text"),), task=Multiclass(("a", "b", "c")))
    titles = np.array([" ".join(row) for row in drawn], np.object_)
    return replace(frame, features=titles, target=target, problem=problem, encoder=Encoder.learn(problem, {}))


def first_word(text: str) -> list[str]:
    """The n-grams of the first word only."""
    return word_grams(words(text)[0])


def test_n_grams_that_depend_on_their_position_are_refused_after_one_fit(texts: Frame) -> None:
    """The served model finds them in the other words too."""
    with pytest.raises(UsageError, match=r"^Candidate 'first' answers \d+ of 400 rows otherwise"):
        select(texts, [Candidate("first", TextClassifier(LogisticRegression(), first_word))])


@pytest.mark.parametrize("inner", [SVC(kernel="rbf"), SVC(kernel="linear")], ids=["no weights", "weights of pairs"])
def test_an_estimator_that_is_not_linear_in_each_class_is_refused_after_one_fit(inner: SVC, texts: Frame) -> None:
    """The message names the candidate."""
    with pytest.raises(UsageError, match=r"^Candidate 'svc' (ends as no model|answers \d+ of)"):
        select(texts, [Candidate("svc", TextClassifier(inner))])


def test_the_refit_of_a_text_classifier_is_checked(texts: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refit whose margins differ from the served ones is refused."""
    selection = select(texts, [Candidate("words", TextClassifier(LinearSVC(), word_grams))])
    expected = selection.winner.candidate.fit(texts).get_predictor()
    assert np.array_equal(selection.refit().raw(texts.features), expected.raw(texts.features))
    original = TextClassifier.decision_function
    monkeypatch.setattr(TextClassifier, "decision_function", lambda self, rows: original(self, rows) * 1.01)
    with pytest.raises(UsageError, match=r"^Candidate 'words' answers 800 of 800 rows otherwise"):
        selection.refit()
