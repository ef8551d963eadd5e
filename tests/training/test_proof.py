"""Nothing is saved that answers otherwise than the estimator that was judged, whichever way they came apart."""

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
    """A few rows of a few columns, some of whose values are one that stands for missing."""
    few = sample_frame.take(np.arange(800))
    problem = replace(few.problem, columns=few.problem.columns[:5], folds=2)
    features = np.where(np.random.default_rng(0).random((800, 5)) < 0.1, np.float32(-999), few.features[:, :5])
    return replace(few, features=features, problem=problem, encoder=Encoder.learn(problem, {}))


class Wrapped(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A user's own classifier: a booster, and something around it that no folder holds."""

    def __init__(self, around: str = "nothing", most: int = 10_000) -> None:
        self.around = around
        self.most = most

    def fit(self, X: Features, y: NDArray[np.int8]) -> Self:  # noqa: N803 (scikit-learn's name)
        """Fit a booster; it may see other values, or fewer columns, or be of another kind."""
        self.classes_, self.rows_ = np.array([0, 1]), len(y)
        options: dict[str, Any] = {"booster": "dart"} if self.around == "another kind" else {}
        self.inner_ = xgb.XGBClassifier(n_estimators=5, max_depth=2, n_jobs=1, **options).fit(self._seen(X), y)
        return self

    def predict_proba(self, X: Features) -> Features:  # noqa: N803 (scikit-learn's name)
        """Of both classes."""
        found: Features = self.inner_.predict_proba(self._seen(X))
        if self.around == "calibration" and self.rows_ > self.most:
            found = np.column_stack([1 - found[:, 1] ** 1.1, found[:, 1] ** 1.1])
        return np.full_like(found, np.nan) if self.around == "no answer" else found

    def get_booster(self) -> xgb.Booster:
        """The booster, without what is around it."""
        return self.inner_.get_booster()

    def _seen(self, features: Features) -> Features:
        if self.around == "a sentinel":
            return np.where(features == -999, np.float32(np.nan), features)
        return features[:, :3] if self.around == "fewer columns" else features


def saved(folder: Path, selection: Selection) -> Model:
    """The winner in a folder, as every case saves it."""
    predictor = selection.refit()
    frame = selection.frame
    model = Model(frame.problem, frame.encoder, predictor, selection.decision, {}, {}, versions())
    return save(folder, model, predictor.examples(frame.features), "# A card\n")


@pytest.mark.parametrize("around", ["a sentinel", "calibration"])
def test_answers_that_come_apart_are_told_after_one_fit(around: str, frame: Frame) -> None:
    """With how many of them, and by how much."""
    with pytest.raises(
        UsageError, match=r"^Candidate 'mine' answers \d+ of 400 rows otherwise than .* off by up to 0\."
    ):
        select(frame, [Candidate("mine", Wrapped(around, most=0))])


@pytest.mark.parametrize(
    ("around", "said"),
    [("fewer columns", "no model that a folder can hold"), ("another kind", "kind 'dart', expected 'gbtree'")],
)
def test_a_booster_that_no_folder_holds_is_told_after_one_fit(around: str, said: str, frame: Frame) -> None:
    """By the candidate's name; no temporary folder is spoken of."""
    with pytest.raises(UsageError, match=r"^Candidate 'mine' ends as no model that a folder can hold: ") as refused:
        select(frame, [Candidate("mine", Wrapped(around))])
    assert said in str(refused.value)
    assert "/" not in str(refused.value)


def test_what_comes_apart_in_the_last_fit_alone_is_not_saved(frame: Frame, tmp_path: Path) -> None:
    """Each fold's rows are too few for it; the refit of all is told apart, by rows of the development part."""
    selection = select(frame, [Candidate("mine", Wrapped("calibration", most=500))])
    with pytest.raises(UsageError, match=r"^Candidate 'mine' answers 800 of 800 rows otherwise") as refused:
        saved(tmp_path / "model", selection)
    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_answers_that_are_no_numbers_are_not_taken_for_the_same(frame: Frame) -> None:
    """Whatever is not seen to agree is refused."""
    fitted = Wrapped("no answer").fit(frame.features, frame.target)
    with pytest.raises(UsageError, match="answers 800 of 800 rows otherwise"):
        proof.check("mine", fitted, frame)


@pytest.mark.parametrize(
    "estimator",
    [Wrapped(), AveragedStumps(n_estimators=40, seeds=2, n_jobs=1), xgb.XGBRFClassifier(n_estimators=4, n_jobs=1)],
    ids=lambda estimator: type(estimator).__name__,
)
def test_what_is_saved_is_what_was_proven(estimator: ClassifierMixin, frame: Frame, tmp_path: Path) -> None:
    """The folder answers as the refitted estimator does, on rows with gaps as well."""
    gappy = np.where(frame.features == -999, np.float32(np.nan), frame.features)
    columns = tuple(replace(column, missing=True) for column in frame.problem.columns)
    problem = replace(frame.problem, columns=columns)
    rows = replace(frame, features=gappy, problem=problem, encoder=Encoder.learn(problem, {}))
    selection = select(rows, [Candidate("mine", estimator)])
    model = saved(tmp_path / "model", selection)
    own = selection.winner.candidate.fit(rows).predict_proba(gappy)[:, 1]
    assert model.score(gappy).probability == pytest.approx(own, abs=TOLERANCE)


def test_few_rows_are_answered_twice(sample_frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are."""
    answered = []
    monkeypatch.setattr(proof, "ROWS", 100)
    monkeypatch.setattr(proof, "check", lambda _name, _fitted, frame: answered.append(len(frame)))
    stumps = Candidate("stumps", AveragedStumps(n_estimators=5, n_jobs=1))
    select(sample_frame, [stumps, Candidate("compared", DummyClassifier())]).refit()
    assert answered == [100, 100]


# Texts.


@pytest.fixture(scope="module")
def texts(frame: Frame) -> Frame:
    """Texts of three classes, told by a word that stands anywhere in them."""
    drawn = np.random.default_rng(0).choice(["azul", "caixa", "colar", "prata", "manta"], (len(frame), 3))
    target = np.where((drawn == "azul").any(axis=1), 2, (drawn == "caixa").any(axis=1)).astype(np.int8)
    problem = replace(frame.problem, columns=(Column("title", "text"),), task=Multiclass(("a", "b", "c")))
    found = np.array([" ".join(row) for row in drawn], np.object_)
    return replace(frame, features=found, target=target, problem=problem, encoder=Encoder.learn(problem, {}))


def first_word(text: str) -> list[str]:
    """An n-gram that is served, found where the served model does not stop to look."""
    return word_grams(words(text)[0])


def test_n_grams_that_depend_on_their_place_are_told_after_one_fit(texts: Frame) -> None:
    """The served model finds them in other places as well."""
    with pytest.raises(UsageError, match=r"^Candidate 'first' answers \d+ of 400 rows otherwise"):
        select(texts, [Candidate("first", TextClassifier(LogisticRegression(), first_word))])


@pytest.mark.parametrize("inner", [SVC(kernel="rbf"), SVC(kernel="linear")], ids=["no weights", "weights of pairs"])
def test_an_estimator_that_is_not_linear_in_each_class_is_told_after_one_fit(inner: SVC, texts: Frame) -> None:
    """By the candidate's name."""
    with pytest.raises(UsageError, match=r"^Candidate 'svc' (ends as no model|answers \d+ of)"):
        select(texts, [Candidate("svc", TextClassifier(inner))])


def test_texts_are_refitted_and_proven(texts: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows that are answered twice, as numbers are."""
    selection = select(texts, [Candidate("words", TextClassifier(LinearSVC(), word_grams))])
    expected = selection.winner.candidate.fit(texts).get_linear()
    assert np.array_equal(selection.refit().raw(texts.features), expected.raw(texts.features))
    honest = TextClassifier.decision_function
    monkeypatch.setattr(TextClassifier, "decision_function", lambda self, rows: honest(self, rows) * 1.01)
    with pytest.raises(UsageError, match=r"^Candidate 'words' answers 800 of 800 rows otherwise"):
        selection.refit()
