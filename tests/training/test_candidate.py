"""What a candidate may be is told before its first fit, by its name; what is compared alone may be more."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pytest
import xgboost as xgb
from scipy.stats import uniform
from sklearn.base import ClassifierMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import part_grams, word_grams, words
from tabserve.errors import UsageError
from tabserve.model.decision import MostProbable
from tabserve.problem.columns import Column
from tabserve.problem.task import Multiclass
from tabserve.table.frame import Frame
from tabserve.training.candidate import Candidate, chosen
from tabserve.training.selection import select
from tabserve.training.stumps import AveragedStumps
from tabserve.training.temperature import choose
from tabserve.training.text_classifier import TextClassifier


class Unfit(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Fails where it is fitted, so that whatever is told was told before."""

    def fit(self, *_: object) -> Self:
        """Fail."""
        pytest.fail("a candidate was fitted")


FIRST = Candidate("first", Unfit())


@pytest.fixture(scope="module")
def frame(sample_frame: Frame) -> Frame:
    """A few rows of a few columns."""
    few = sample_frame.take(np.arange(800))
    problem = replace(few.problem, columns=few.problem.columns[:5], folds=2)
    return replace(few, features=few.features[:, :5], problem=problem, encoder=Encoder.learn(problem, {}))


def boosted(**options: Any) -> xgb.XGBClassifier:  # noqa: ANN401  XGBoost's own
    """A classifier that trains in a moment."""
    return xgb.XGBClassifier(**{"n_estimators": 5, "max_depth": 2, "n_jobs": 1} | options)


def refused(frame: Frame, estimator: ClassifierMixin, grid: Mapping[str, Sequence[Any]] | None = None) -> str:
    """The sentence that refuses a candidate before anything is fitted."""
    with pytest.raises(UsageError) as error:
        select(frame, [FIRST, Candidate("mine", estimator, grid or {})])
    sentence = str(error.value)
    assert sentence.startswith("Candidate 'mine' ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def gradient(target: object, margin: object) -> tuple[object, object]:
    """An objective of the user's own."""
    return margin, target


UNSERVED: dict[str, tuple[str, Any, str]] = {
    "-999 for missing": ("missing", -999.0, "takes -999.0 for a missing value"),
    "0 for missing": ("missing", 0, "takes 0 for a missing value"),
    "a linear booster": ("booster", "gblinear", "has the booster 'gblinear'"),
    "dart": ("booster", "dart", "has the booster 'dart'"),
    "margins": ("objective", "binary:logitraw", "has the objective 'binary:logitraw'"),
    "a hinge": ("objective", "binary:hinge", "has the objective 'binary:hinge'"),
    "a regression": ("objective", "reg:logistic", "has the objective 'reg:logistic'"),
    "an objective of one's own": ("objective", gradient, "has the objective gradient"),
    "no objective": ("objective", None, "has the objective None"),
    "early stopping": ("early_stopping_rounds", 5, "stops early"),
    "early stopping by a callback": ("callbacks", [xgb.callback.EarlyStopping(rounds=5)], "stops early"),
}


@pytest.mark.parametrize("name", UNSERVED)
def test_what_a_folder_cannot_hold_is_refused_before_the_first_fit(name: str, frame: Frame) -> None:
    """As a parameter, and as one value of a grid."""
    parameter, value, said = UNSERVED[name]
    assert said in refused(frame, boosted(**{parameter: value}))
    usual = boosted().get_params()[parameter]
    assert said in refused(frame, boosted(), {"max_depth": [1, 2], parameter: [usual, value]})


@pytest.mark.parametrize("kind", [xgb.XGBRegressor, xgb.XGBRanker])
def test_a_model_of_xgboost_that_is_no_classifier_is_refused(kind: type[xgb.XGBModel], frame: Frame) -> None:
    """Its objective says so."""
    assert "has the objective" in refused(frame, kind(n_estimators=2))


@pytest.mark.parametrize("name", ["early stopping", "early stopping by a callback", "margins", "a hinge"])
def test_what_cannot_be_judged_is_refused_inside_others_too(name: str, frame: Frame) -> None:
    """In a pipeline, in a search, among what that tries, and in one inside the other."""
    parameter, value, said = UNSERVED[name]
    wrong, step = boosted(**{parameter: value}), "xgbclassifier"
    grid = {parameter: [boosted().get_params()[parameter], value]}
    for estimator in (
        make_pipeline(SimpleImputer(), wrong),
        GridSearchCV(wrong, {"max_depth": [1, 2]}),
        GridSearchCV(boosted(), grid),
        GridSearchCV(boosted(), [{"max_depth": [1]}, grid]),
        RandomizedSearchCV(boosted(), grid),
        RandomizedSearchCV(boosted(), [{"subsample": uniform(0.5, 0.5)}, grid]),
        make_pipeline(SimpleImputer(), GridSearchCV(boosted(), grid)),
        GridSearchCV(make_pipeline(boosted()), {f"{step}__{parameter}": [value]}),
    ):
        assert said in refused(frame, estimator)
    assert said in refused(frame, make_pipeline(boosted()), {f"{step}__{parameter}": [value]})


def test_what_is_only_compared_may_be_what_no_folder_holds(frame: Frame) -> None:
    """Inside a pipeline or a grid search nothing is served."""
    listed = [
        Candidate("linear", make_pipeline(SimpleImputer(), boosted(booster="gblinear", max_depth=None))),
        Candidate("dart", GridSearchCV(boosted(), {"booster": ["gbtree", "dart"]}, cv=2)),
        Candidate("drawn", RandomizedSearchCV(boosted(), {"subsample": uniform(0.5, 0.5)}, n_iter=1, cv=2)),
        Candidate("regression", make_pipeline(boosted(objective="reg:logistic"))),
        Candidate("sentinel", make_pipeline(SimpleImputer(), boosted(missing=0.0))),
        Candidate("served", boosted()),
    ]
    found = select(frame, listed)
    assert found.winner.candidate.name == "served"
    assert list(found.outcomes) == [candidate.name for candidate in listed]


@pytest.mark.parametrize(
    "options",
    [
        {"missing": float("nan"), "booster": "gbtree", "objective": "binary:logistic"},
        {"missing": np.float32("nan")},
        {"base_score": 0.5, "scale_pos_weight": 9},
        {"grow_policy": "lossguide", "max_leaves": 8},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"monotone_constraints": (1, 0, 0, 0, -1)},
        {"tree_method": "exact"},
        {"enable_categorical": True, "multi_strategy": "multi_output_tree"},
    ],
    ids=str,
)
def test_whatever_else_xgboost_takes_is_served_as_it_was_judged(options: dict[str, Any], frame: Frame) -> None:
    """To the bit."""
    found = select(frame, [Candidate("mine", boosted(**options))])
    expected = found.winner.candidate.fit(frame).predict_proba(frame.features)[:, 1]
    assert np.array_equal(found.refit().raw(frame.features)[:, 0], expected)


def test_a_grid_of_what_is_no_parameter_is_refused(frame: Frame) -> None:
    """With the name that was given."""
    said = refused(frame, AveragedStumps(), {"max_depht": [1, 2]})
    assert "has a grid of 'max_depht', which is no parameter of it" in said


@pytest.mark.parametrize(
    "found", [xgb.XGBClassifier, xgb.Booster(), None, "xgboost"], ids=["class", "booster", "none", "text"]
)
def test_what_is_no_unfitted_classifier_is_refused(found: Any, frame: Frame) -> None:  # noqa: ANN401
    """Such as a class in place of one of its kind."""
    assert "needs an unfitted classifier, such as XGBClassifier()" in refused(frame, found)


@pytest.mark.parametrize("values", [3, [], "gbtree", None, iter([1, 2])], ids=["one", "no", "text", "none", "iterator"])
def test_a_grid_needs_lists_of_values(values: Any, frame: Frame) -> None:  # noqa: ANN401
    """The parameter is named."""
    assert "needs a list of values for 'max_depth' of its grid, not " in refused(
        frame, boosted(), {"max_depth": values}
    )


def test_a_grid_needs_names_of_parameters(frame: Frame) -> None:
    """A list of grids, and a number for a name, are none."""
    grids: Any = [{"max_depth": [1, 2]}]
    assert "needs values by parameter as its grid, not [{'max_depth': [1, 2]}]" in refused(frame, boosted(), grids)
    numbered: Any = {1: [1, 2]}
    assert "has a grid of 1, which is no parameter of it" in refused(frame, boosted(), numbered)


def test_what_answers_no_probabilities_is_named(frame: Frame) -> None:
    """It is known only once it is asked."""
    with pytest.raises(UsageError, match="Candidate 'ridge' answers no probabilities; put it into a Calibrated"):
        select(frame, [Candidate("ridge", RidgeClassifier())])


class Margins(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Answers margins where probabilities are expected."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 (scikit-learn's name)
        """Both classes' margins."""
        margin = self.decision_function(X)
        return np.column_stack([-margin, margin])


def test_answers_that_are_no_probabilities_are_named(frame: Frame) -> None:
    """With what they are."""
    with pytest.raises(UsageError, match=r"Candidate 'margins' answers -.* to .*, and probabilities from 0 to 1 are"):
        select(frame, [Candidate("margins", Margins())])


# Texts.


@pytest.fixture(scope="module")
def texts(frame: Frame) -> Frame:
    """Texts of two classes."""
    drawn = np.random.default_rng(0).choice(["azul", "caixa", "colar", "prata", "manta"], (len(frame), 3))
    found = np.array([" ".join(row) for row in drawn], np.object_)
    target = np.array(["azul" in text for text in found], np.int8)
    problem = replace(frame.problem, columns=(Column("title", "text"),), task=Multiclass(("0", "1")))
    return replace(frame, features=found, target=target, problem=problem, encoder=Encoder.learn(problem, {}))


def pairs_of_letters(text: str) -> list[str]:
    """N-grams that nothing serves."""
    return [text[place : place + 2] for place in range(len(text) - 1)]


def parts_alone(text: str) -> list[str]:
    """Some of those that are served."""
    return [part for word in words(text) for part in part_grams(word)]


def test_an_analyzer_of_ones_own_is_refused_before_the_first_fit(texts: Frame) -> None:
    """Where it finds other n-grams than those that are served; also as a value of a grid."""
    with pytest.raises(UsageError, match="Candidate 'pairs' has an analyzer of its own"):
        select(texts, [FIRST, Candidate("pairs", TextClassifier(Unfit(), pairs_of_letters))])
    grid = {"analyzer": [word_grams, pairs_of_letters]}
    with pytest.raises(UsageError, match="Candidate 'pairs' has an analyzer of its own"):
        select(texts, [FIRST, Candidate("pairs", TextClassifier(Unfit()), grid)])


@pytest.mark.parametrize("analyzer", [word_grams, parts_alone])
def test_some_of_the_n_grams_are_served_as_they_were_judged(analyzer: Any, texts: Frame) -> None:  # noqa: ANN401
    """Margin by margin; what makes answers of them is chosen out of fold."""
    found = select(texts, [Candidate("words", TextClassifier(LogisticRegression(), analyzer))])
    assert found.decision == MostProbable(choose(texts.target, found.winner.prediction))
    margins = found.winner.candidate.fit(texts).decision_function(texts.features)
    np.testing.assert_allclose(found.refit().raw(texts.features), margins, atol=1e-5)


def test_every_parameter_that_is_looked_at_is_one_of_xgboosts() -> None:
    """So that none is looked for under a name that it has no longer."""
    assert {parameter for parameter, _, _ in UNSERVED.values()} <= xgb.XGBClassifier().get_params().keys()


KNOWN = {
    name: Candidate(name, estimator)
    for name, estimator in {
        "dummy": LogisticRegression(),
        "random-forest": LogisticRegression(),
        "xgboost-stumps": boosted(),
    }.items()
}


def test_the_chosen_stand_in_the_order_they_were_named() -> None:
    """Each as it is known."""
    assert chosen(KNOWN, ["xgboost-stumps", "dummy"]) == [KNOWN["xgboost-stumps"], KNOWN["dummy"]]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["dummy", "xgboost-stump"], "There is no candidate 'xgboost-stump'; did you mean 'xgboost-stumps'?"),
        (["randomforest"], "There is no candidate 'randomforest'; did you mean 'random-forest'?"),
        (["42"], f"There is no candidate '42'; choose from {', '.join(KNOWN)}."),
    ],
)
def test_a_wrong_name_is_answered_with_a_close_one(names: list[str], said: str) -> None:
    """Or with all of them."""
    with pytest.raises(UsageError) as refused:
        chosen(KNOWN, names)
    assert str(refused.value) == said


@pytest.mark.parametrize("names", [["dummy"], ["dummy", "random-forest"]])
def test_at_least_one_must_be_servable(names: list[str]) -> None:
    """Or there would be nothing to save."""
    with pytest.raises(UsageError, match=f"None of {', '.join(names)} ends as a model that a folder can hold"):
        chosen(KNOWN, names)
