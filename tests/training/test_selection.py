"""Selection is honest: nothing is fitted or chosen on the rows that it is scored on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import pytest
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import word_grams
from tabserve.errors import DataError, UsageError
from tabserve.model.decision import threshold_of
from tabserve.predictors.booster import Booster
from tabserve.problem.columns import Column
from tabserve.problem.criterion import Costs
from tabserve.problem.task import Binary
from tabserve.table.frame import Frame
from tabserve.training import bootstrap
from tabserve.training.binary import evaluate, measures
from tabserve.training.bootstrap import Interval
from tabserve.training.selection import Candidate, Selection, select
from tabserve.training.split import fold_numbers, hold_out
from tabserve.training.stumps import AveragedStumps
from tabserve.training.text_classifier import TextClassifier
from tabserve.training.threshold import choose

Features = NDArray[np.float32]
Target = NDArray[np.int8]

STUMPS = Candidate("stumps", AveragedStumps(n_estimators=60, colsample_bytree=0.2, n_jobs=1))
SCALED = Candidate("scaled", make_pipeline(StandardScaler(), LogisticRegression()))
BAYES = Candidate("bayes", GaussianNB(), {"var_smoothing": [1e-9, 1e-2]})


@dataclass
class Log:
    """The row numbers of each call of an estimator, in order."""

    calls: list[tuple[str, frozenset[int]]] = field(default_factory=list)

    def note(self, call: str, features: Features) -> None:
        """Note a call; the first column has the row numbers."""
        self.calls.append((call, frozenset(features[:, 0].astype(int).tolist())))

    def __deepcopy__(self, _memo: Mapping[int, object]) -> "Log":
        """Return the same log, so that clones write into it."""
        return self


class Recorder(TransformerMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Notes the rows it is given; predicts `level` as a classifier, changes nothing as a transformer."""

    def __init__(self, log: Log | None = None, level: float = 0.5) -> None:
        self.log = log
        self.level = level

    def fit(self, X: Features, y: Target | None = None) -> Self:  # noqa: ARG002, N803 (scikit-learn's names)
        """Note the rows that it is fitted on."""
        self.classes_ = np.array([0, 1])
        self._note("fit", X)
        return self

    def transform(self, X: Features) -> Features:  # noqa: N803 (scikit-learn's name)
        """Note the rows that it transforms."""
        self._note("use", X)
        return X

    def predict_proba(self, X: Features) -> NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        """Note the rows that it predicts."""
        self._note("use", X)
        return np.tile([1 - self.level, self.level], (len(X), 1))

    def _note(self, call: str, features: Features) -> None:
        assert self.log is not None
        self.log.note(call, features)


@pytest.fixture
def numbered_rows(sample_frame: Frame) -> Frame:
    """1,000 rows with their number in the first column."""
    frame = sample_frame.take(np.arange(1_000))
    features = np.column_stack([np.arange(len(frame)), frame.features[:, :3]]).astype(np.float32)
    return replace(frame, features=features)


@pytest.fixture
def log() -> Log:
    """An empty log."""
    return Log()


def rows_of(fold: NDArray[np.int64], number: int) -> tuple[frozenset[int], frozenset[int]]:
    """The rows that a fold is fitted on, and the rows that it holds out."""
    inside, outside = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
    return frozenset(inside.tolist()), frozenset(outside.tolist())


def test_every_fit_uses_exactly_the_other_folds(numbered_rows: Frame, log: Log) -> None:
    """And predicts exactly the rows of its own fold."""
    selection = select(numbered_rows, [Candidate("recorder", Recorder(log))])
    expected = [rows_of(selection.fold, number) for number in range(5)]
    assert log.calls == [call for inside, outside in expected for call in (("fit", inside), ("use", outside))]


def test_preparation_is_fitted_on_the_training_rows_only(numbered_rows: Frame, log: Log) -> None:
    """A transformer in a pipeline is fitted inside the fold."""
    selection = select(numbered_rows, [Candidate("prepared", make_pipeline(Recorder(log), LogisticRegression()))])
    fitted = [rows for call, rows in log.calls if call == "fit"]
    assert fitted == [rows_of(selection.fold, number)[0] for number in range(5)]


def test_a_grid_is_chosen_inside_the_training_rows(numbered_rows: Frame, log: Log) -> None:
    """No value of a grid is compared on the rows that it is fitted on."""
    selection = select(numbered_rows, [Candidate("grid", Recorder(log), {"level": [0.2, 0.4]})])
    calls = iter(log.calls)
    for number in range(5):
        inside, outside = rows_of(selection.fold, number)
        pairs = [(next(calls), next(calls)) for _ in range(2)]
        for (_, fitted), (_, compared) in pairs:
            assert fitted | compared <= inside
            assert not fitted & compared
        assert [next(calls), next(calls)] == [("fit", inside), ("use", outside)]
    assert next(calls, None) is None


def test_the_folds_are_the_same_for_every_candidate(numbered_rows: Frame) -> None:
    """Whatever candidates come before it."""
    logs = [Log(), Log()]
    first, second = (Candidate(f"recorder {n}", Recorder(log)) for n, log in enumerate(logs))
    selection = select(numbered_rows, [first, BAYES, second])
    assert logs[0].calls == logs[1].calls
    assert np.array_equal(selection.fold, fold_numbers(numbered_rows))


@pytest.mark.parametrize("candidate", [STUMPS, SCALED, BAYES], ids=lambda candidate: candidate.name)
def test_a_prediction_does_not_depend_on_other_rows_of_its_fold(candidate: Candidate, sample_frame: Frame) -> None:
    """If all other held-out rows are replaced by nonsense, a row gets the same probability bit for bit."""
    frame = sample_frame.take(np.arange(800))
    fold = fold_numbers(frame)
    kept = int(np.flatnonzero(fold == 2)[0])
    nonsense = (fold == 2) & (np.arange(len(frame)) != kept)
    changed = replace(frame, features=np.where(nonsense[:, np.newaxis], frame.features * -1000, frame.features))
    before, after = (select(rows, [candidate]).outcomes[candidate.name] for rows in (frame, changed))
    assert after.prediction[kept] == before.prediction[kept]
    assert (after.prediction[nonsense] != before.prediction[nonsense]).any()
    assert (after.prediction[fold != 2] != before.prediction[fold != 2]).any(), "other folds do learn from these rows"


def test_the_measures_of_a_fold_use_a_threshold_from_the_other_folds(sample_frame: Frame) -> None:
    """They equal the measures at the threshold chosen on all rows outside the fold."""
    selection = select(sample_frame.take(np.arange(2_000)), [BAYES])
    (outcome,), frame, fold = selection.outcomes.values(), selection.frame, selection.fold
    for number in range(5):
        inside = fold == number
        threshold = choose(frame.target[~inside], outcome.prediction[~inside])
        expected = measures(frame.target[inside], outcome.prediction[inside], threshold, frame.problem.criterion)
        assert outcome.measures.loc[number].to_dict() == pytest.approx(expected)


def test_two_candidates_with_the_same_name_are_refused(numbered_rows: Frame) -> None:
    """One would hide the other."""
    with pytest.raises(UsageError, match="More than one candidate is named 'bayes'"):
        select(numbered_rows, [BAYES, STUMPS, BAYES])


def test_a_candidate_that_takes_no_missing_values_is_named(numbered_rows: Frame) -> None:
    """If the table has some."""
    features = np.where(numbered_rows.features == numbered_rows.features[3, 2], np.nan, numbered_rows.features)
    with pytest.raises(UsageError, match="Candidate 'scaled' takes no missing values"):
        select(replace(numbered_rows, features=features), [SCALED])


def test_a_candidate_that_finds_no_n_gram_is_named(numbered_rows: Frame) -> None:
    """If no two texts have one in common."""
    texts = np.array([f"ŵ{row}" for row in range(len(numbered_rows))], np.object_)
    unlike = Candidate("words", TextClassifier(LogisticRegression(), word_grams))
    with pytest.raises(DataError, match="Candidate 'words' finds no n-gram in enough of the texts; leave it out"):
        select(replace(numbered_rows, features=texts), [unlike])


@pytest.mark.parametrize(
    "wrong",
    [
        Candidate("impossible", LogisticRegression(C=-1)),
        Candidate("impossible", LogisticRegression(), {"C": [-1]}),
        Candidate("impossible", LogisticRegression(), {"C": [1, -1]}),
        Candidate("impossible", GridSearchCV(LogisticRegression(), {"C": [-1]}, cv=2)),
    ],
    ids=["alone", "in a grid", "beside another in a grid", "in a grid search"],
)
def test_another_mistake_in_a_candidate_is_reported_in_the_words_of_the_library(
    wrong: Candidate, numbered_rows: Frame
) -> None:
    """In one line; it is not mistaken for missing values, and a bad value of a grid is not skipped."""
    with pytest.raises(
        UsageError, match=r"Candidate 'impossible' cannot be fitted: .*The 'C' parameter.* Got -1"
    ) as error:
        select(numbered_rows, [wrong])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        xgb.XGBClassifier(n_estimators=2.5),
        xgb.XGBClassifier(n_estimators="5"),
        AveragedStumps(seeds=0),
    ],
    ids=["a part of a tree", "a text for a number", "no seeds"],
)
def test_a_parameter_of_a_wrong_type_is_refused_with_the_name_of_the_candidate(
    wrong: ClassifierMixin, numbered_rows: Frame
) -> None:
    """Whatever error the library raises."""
    with pytest.raises(UsageError, match=r"^Candidate 'impossible' cannot be fitted: .+"):
        select(numbered_rows, [Candidate("impossible", wrong)])


def test_a_selection_without_a_servable_candidate_has_no_winner(numbered_rows: Frame) -> None:
    """But it has a best candidate."""
    result = select(numbered_rows, [BAYES, SCALED])
    assert result.best.candidate.name in {"bayes", "scaled"}
    with pytest.raises(UsageError, match="None of bayes, scaled ends as a model that a folder can hold"):
        result.refit()


# A planted leak. Shuffled labels cannot be learned: a candidate that ranks them has used the rows it is scored on.


def shuffled(frame: Frame) -> Frame:
    """The same rows with shuffled labels."""
    return replace(frame, target=np.random.default_rng(5).permutation(frame.target))


def in_shops(frame: Frame) -> Frame:
    """Rows with the number of their shop in the first column; a shop has three rows."""
    shop = np.random.default_rng(6).permutation(len(frame)) // 3
    features = np.column_stack([shop, frame.features[:, :5]]).astype(np.float32)
    problem = replace(frame.problem, columns=(Column("shop"), *frame.problem.columns[:5]))
    return replace(frame, features=features, problem=problem, encoder=Encoder.learn(problem, {}))


def encoded_before_the_folds(frame: Frame) -> Frame:
    """The leak: replace each shop by the share of positives among all its rows, including those to be held out."""
    shop = frame.features[:, 0].astype(int)
    share = np.bincount(shop, frame.target) / np.bincount(shop)
    return replace(frame, features=np.column_stack([share[shop], frame.features[:, 1:]]).astype(np.float32))


def ranks(selection: Selection) -> bool:
    """Whether a fold is ranked better than by chance: by 4 standard errors of the AUC under the null hypothesis.

    Source of the standard error: Mann & Whitney, Annals of Mathematical Statistics 18 (1947).
    """
    (outcome,) = selection.outcomes.values()
    positives = np.bincount(selection.fold, selection.frame.target)
    negatives = np.bincount(selection.fold) - positives
    error = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return bool((outcome.measures["roc_auc"] - 0.5 > 4 * error).any())


ENCODED = Candidate(
    "encoded inside the fold",
    make_pipeline(
        make_column_transformer((TargetEncoder(cv=StratifiedKFold(5)), [0]), remainder="passthrough"), GaussianNB()
    ),
)


@pytest.mark.parametrize("candidate", [STUMPS, SCALED, BAYES, ENCODED], ids=lambda candidate: candidate.name)
def test_shuffled_labels_cannot_be_ranked(candidate: Candidate, sample_frame: Frame) -> None:
    """The AUC of an honest candidate is 0.5, up to chance, on every fold."""
    assert not ranks(select(in_shops(shuffled(sample_frame)), [candidate]))


def test_an_encoding_before_the_folds_is_detected(sample_frame: Frame) -> None:
    """The same classifier ranks the same shuffled labels."""
    leaking = encoded_before_the_folds(in_shops(shuffled(sample_frame)))
    assert ranks(select(leaking, [Candidate("encoded before the folds", GaussianNB())]))


class Memory(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Remembers the label of every row in `labels` or in its training rows, by the number in its first column."""

    def __init__(self, labels: Mapping[int, int] | None = None) -> None:
        self.labels = labels

    def fit(self, X: Features, y: Target) -> Self:  # noqa: N803 (scikit-learn's name)
        """Remember the labels."""
        self.classes_ = np.array([0, 1])
        self.known_ = dict(zip(X[:, 0].astype(int).tolist(), y.tolist(), strict=True)) | dict(self.labels or {})
        return self

    def predict_proba(self, X: Features) -> NDArray[np.float64]:  # noqa: N803 (scikit-learn's name)
        """The remembered label, and one half for other rows."""
        positive = np.array([self.known_.get(row, 0.5) for row in X[:, 0].astype(int).tolist()])
        return np.column_stack([1 - positive, positive])


def test_memorising_rows_helps_only_if_they_include_the_held_out_rows(numbered_rows: Frame) -> None:
    """Memorising training rows does not help on held-out ones; memorising all rows is detected."""
    frame = shuffled(numbered_rows)
    labels = dict(enumerate(frame.target.tolist()))
    assert not ranks(select(frame, [Candidate("remembers", Memory())]))
    assert ranks(select(frame, [Candidate("knows all rows", Memory(labels))]))


def test_the_hold_out_distinguishes_learning_from_chance_and_shows_a_leak(
    sample_frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For shuffled labels the interval of the winner's AUC has 0.5 inside, unless their encoding leaks."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    honest = in_shops(shuffled(sample_frame))
    frames = {"true": sample_frame, "shuffled": honest, "leaking": encoded_before_the_folds(honest)}
    auc = {name: auc_on_hold_out(frame) for name, frame in frames.items()}
    assert auc["shuffled"].low < 0.5 < auc["shuffled"].high
    assert min(auc["true"].low, auc["leaking"].low) > 0.5


def auc_on_hold_out(frame: Frame) -> Interval:
    """Select, refit and evaluate as a case does."""
    development, holdout = hold_out(frame)
    selection = select(development, [STUMPS])
    probability = selection.refit().raw(holdout.features)[:, 0]
    return evaluate(holdout.target, probability, threshold_of(selection.decision), frame.problem.criterion)["roc_auc"]


# The results of a selection.


@pytest.fixture(scope="module")
def selection(sample_frame: Frame) -> Selection:
    """Three candidates over the folds of some rows."""
    booster = xgb.XGBClassifier(n_estimators=7, max_depth=2, n_jobs=1)
    return select(sample_frame.take(np.arange(2_000)), [BAYES, STUMPS, Candidate("boosted", booster)])


def test_the_best_candidate_has_the_largest_mean_of_the_criterion(selection: Selection) -> None:
    """Of all candidates, and the winner of those that can be served."""
    means = {name: outcome.measures["f1"].mean() for name, outcome in selection.outcomes.items()}
    assert selection.best.candidate.name == max(means, key=lambda name: means[name])
    assert selection.winner.candidate.name == max(["stumps", "boosted"], key=lambda name: means[name])
    assert list(selection.outcomes) == ["bayes", "stumps", "boosted"], "in the order of the candidates"


def test_the_criterion_of_the_problem_decides_which_candidate_is_best(sample_frame: Frame) -> None:
    """Costs in place of F1."""
    costs = replace(sample_frame.problem, task=Binary(criterion=Costs(1, 5)))
    frame = replace(sample_frame, problem=costs).take(np.arange(1_000))
    result = select(frame, [BAYES, Candidate("hopeless", Recorder(Log()))])
    assert result.best.candidate.name == "bayes"
    assert result.best.measures.columns[0] == "minus_cost"


def test_the_threshold_is_the_best_of_all_out_of_fold_rows(selection: Selection) -> None:
    """It is chosen on the winner's predictions."""
    expected = choose(selection.frame.target, selection.winner.prediction, selection.frame.problem.criterion)
    assert threshold_of(selection.decision) == expected


def test_the_winner_is_refitted_on_every_development_row(selection: Selection) -> None:
    """It answers as the candidate fitted on the whole frame, bit for bit, and has the names of the features."""
    predictor, features = selection.refit(), selection.frame.features
    expected = selection.winner.candidate.fit(selection.frame).predict_proba(features)[:, 1]
    assert np.array_equal(predictor.raw(features)[:, 0], expected)
    assert isinstance(predictor, Booster)
    assert predictor.trees.feature_names == list(selection.frame.problem.features)


def test_an_outcome_has_the_grid_choices_trees_and_seconds_of_each_fold(selection: Selection) -> None:
    """One entry per fold; no trees if the estimator is no booster."""
    bayes, stumps, boosted = selection.outcomes.values()
    assert all(choice["var_smoothing"] in BAYES.grid["var_smoothing"] for choice in bayes.grid_choices)
    assert [len(outcome.grid_choices) for outcome in (bayes, stumps)] == [5, 5]
    assert boosted.trees == [7] * 5
    assert all(1 < trees <= 201 for trees in stumps.trees)
    assert bayes.trees == []
    assert all(seconds > 0 for outcome in (bayes, stumps, boosted) for seconds in outcome.seconds)


def test_a_selection_is_reproducible_bit_for_bit(sample_frame: Frame) -> None:
    """The same rows and candidates give the same measures and probabilities, also on several threads."""
    forest = Candidate("forest", RandomForestClassifier(50, max_depth=5, random_state=0, n_jobs=2))
    frame = sample_frame.take(np.arange(1_000))
    first, again = (select(frame, [BAYES, SCALED, STUMPS, forest]).outcomes for _ in range(2))
    for name, outcome in first.items():
        assert np.array_equal(again[name].prediction, outcome.prediction), name
        assert again[name].measures.equals(outcome.measures), name


def test_the_estimator_of_a_candidate_stays_unfitted(sample_frame: Frame) -> None:
    """Every fit is of a clone, so candidates can be used again."""
    candidate = Candidate("bayes", GaussianNB())
    select(sample_frame.take(np.arange(500)), [candidate])
    assert not hasattr(candidate.estimator, "classes_")
