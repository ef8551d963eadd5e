"""Candidates that cannot be fitted, measured or served are refused by name before the first fit."""

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
from tabserve.training.candidate import Candidate, choose_candidates
from tabserve.training.selection import select
from tabserve.training.stumps import AveragedStumps
from tabserve.training.temperature import choose
from tabserve.training.text_classifier import TextClassifier


class Unfit(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Fails the test if it is fitted, so that a refusal must come before."""

    def fit(self, *_: object) -> Self:
        """Fail."""
        pytest.fail("a candidate was fitted")


FIRST = Candidate("first", Unfit())


@pytest.fixture(scope="module")
def frame(sample_frame: Frame) -> Frame:
    """800 rows of 5 columns."""
    few = sample_frame.take(np.arange(800))
    problem = replace(few.problem, columns=few.problem.columns[:5], folds=2)
    return replace(few, features=few.features[:, :5], problem=problem, encoder=Encoder.learn(problem, {}))


def boosted(**options: Any) -> xgb.XGBClassifier:  # noqa: ANN401  XGBoost's own
    """A small, quick classifier."""
    return xgb.XGBClassifier(**{"n_estimators": 5, "max_depth": 2, "n_jobs": 1} | options)


def refused(frame: Frame, estimator: ClassifierMixin, grid: Mapping[str, Sequence[Any]] | None = None) -> str:
    """The message that refuses a candidate before anything is fitted."""
    with pytest.raises(UsageError) as error:
        select(frame, [FIRST, Candidate("mine", estimator, grid or {})])
    message = str(error.value)
    assert message.startswith("Candidate 'mine' ")
    assert message.endswith(".")
    assert "\n" not in message
    return message


def gradient(target: object, margin: object) -> tuple[object, object]:
    """A custom objective."""
    return margin, target


UNSERVED: dict[str, tuple[str, Any, str]] = {
    "-999 for missing": ("missing", -999.0, "takes -999.0 for a missing value"),
    "0 for missing": ("missing", 0, "takes 0 for a missing value"),
    "a linear booster": ("booster", "gblinear", "has the booster 'gblinear'"),
    "dart": ("booster", "dart", "has the booster 'dart'"),
    "margins": ("objective", "binary:logitraw", "has the objective 'binary:logitraw'"),
    "a hinge": ("objective", "binary:hinge", "has the objective 'binary:hinge'"),
    "a regression": ("objective", "reg:logistic", "has the objective 'reg:logistic'"),
    "a custom objective": ("objective", gradient, "has the objective gradient"),
    "no objective": ("objective", None, "has the objective None"),
    "early stopping": ("early_stopping_rounds", 5, "stops early"),
    "early stopping by a callback": ("callbacks", [xgb.callback.EarlyStopping(rounds=5)], "stops early"),
}


@pytest.mark.parametrize("name", UNSERVED)
def test_a_model_that_a_folder_cannot_hold_is_refused_before_the_first_fit(name: str, frame: Frame) -> None:
    """Whether the fault is in a parameter or in one value of a grid."""
    parameter, value, message = UNSERVED[name]
    assert message in refused(frame, boosted(**{parameter: value}))
    usual = boosted().get_params()[parameter]
    assert message in refused(frame, boosted(), {"max_depth": [1, 2], parameter: [usual, value]})


@pytest.mark.parametrize("kind", [xgb.XGBRegressor, xgb.XGBRanker])
def test_an_xgboost_model_that_is_no_classifier_is_refused(kind: type[xgb.XGBModel], frame: Frame) -> None:
    """Its objective is named in the message."""
    assert "has the objective" in refused(frame, kind(n_estimators=2))


@pytest.mark.parametrize("name", ["early stopping", "early stopping by a callback", "margins", "a hinge"])
def test_a_model_that_cannot_be_measured_is_refused_inside_other_estimators_too(name: str, frame: Frame) -> None:
    """In a pipeline, in a search, among the values of a search, and in nested estimators."""
    parameter, value, message = UNSERVED[name]
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
        assert message in refused(frame, estimator)
    assert message in refused(frame, make_pipeline(boosted()), {f"{step}__{parameter}": [value]})


def test_a_model_inside_another_estimator_is_compared_though_no_folder_holds_it(frame: Frame) -> None:
    """Pipelines and grid searches are never served."""
    listed = [
        Candidate("linear", make_pipeline(SimpleImputer(), boosted(booster="gblinear", max_depth=None))),
        Candidate("dart", GridSearchCV(boosted(), {"booster": ["gbtree", "dart"]}, cv=2)),
        Candidate("drawn", RandomizedSearchCV(boosted(), {"subsample": uniform(0.5, 0.5)}, n_iter=1, cv=2)),
        Candidate("regression", make_pipeline(boosted(objective="reg:logistic"))),
        Candidate("sentinel", make_pipeline(SimpleImputer(), boosted(missing=0.0))),
        Candidate("served", boosted()),
    ]
    selection = select(frame, listed)
    assert selection.winner.candidate.name == "served"
    assert list(selection.outcomes) == [candidate.name for candidate in listed]


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
def test_other_options_of_xgboost_are_served_exactly(options: dict[str, Any], frame: Frame) -> None:
    """The refitted model answers as the fitted estimator, bit for bit."""
    selection = select(frame, [Candidate("mine", boosted(**options))])
    expected = selection.winner.candidate.fit(frame).predict_proba(frame.features)[:, 1]
    assert np.array_equal(selection.refit().raw(frame.features)[:, 0], expected)


def test_a_grid_of_an_unknown_parameter_is_refused(frame: Frame) -> None:
    """The message has the unknown name."""
    message = refused(frame, AveragedStumps(), {"max_depht": [1, 2]})
    assert "has a grid of 'max_depht', which is no parameter of it" in message


@pytest.mark.parametrize(
    "estimator", [xgb.XGBClassifier, xgb.Booster(), None, "xgboost"], ids=["class", "booster", "none", "text"]
)
def test_an_object_that_is_no_unfitted_classifier_is_refused(estimator: Any, frame: Frame) -> None:  # noqa: ANN401
    """For example a class in place of an instance."""
    assert "needs an unfitted classifier, such as XGBClassifier()" in refused(frame, estimator)


@pytest.mark.parametrize("values", [3, [], "gbtree", None, iter([1, 2])], ids=["one", "no", "text", "none", "iterator"])
def test_a_grid_needs_lists_of_values(values: Any, frame: Frame) -> None:  # noqa: ANN401
    """The message names the parameter."""
    assert "needs a list of values for 'max_depth' of its grid, not " in refused(
        frame, boosted(), {"max_depth": values}
    )


def test_a_grid_needs_parameter_names(frame: Frame) -> None:
    """A list of grids, and a number as a name, are refused."""
    grids: Any = [{"max_depth": [1, 2]}]
    assert "needs values by parameter as its grid, not [{'max_depth': [1, 2]}]" in refused(frame, boosted(), grids)
    numeric: Any = {1: [1, 2]}
    assert "has a grid of 1, which is no parameter of it" in refused(frame, boosted(), numeric)


def test_a_candidate_without_probabilities_is_named(frame: Frame) -> None:
    """The error comes from its first prediction."""
    with pytest.raises(UsageError, match="Candidate 'ridge' answers no probabilities; put it into a Calibrated"):
        select(frame, [Candidate("ridge", RidgeClassifier())])


class Margins(LogisticRegression):  # type: ignore[misc]  # scikit-learn has no types
    """Answers with margins in place of probabilities."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803 (scikit-learn's name)
        """The margins of both classes."""
        margin = self.decision_function(X)
        return np.column_stack([-margin, margin])


def test_a_candidate_that_answers_with_margins_is_named(frame: Frame) -> None:
    """The message has the range of its answers."""
    with pytest.raises(UsageError, match=r"Candidate 'margins' answers -.* to .*, and probabilities from 0 to 1 are"):
        select(frame, [Candidate("margins", Margins())])


# Texts.


@pytest.fixture(scope="module")
def texts(frame: Frame) -> Frame:
    """Texts of two classes."""
    drawn = np.random.default_rng(0).choice(["azul", "caixa", "colar", "prata", "manta"], (len(frame), 3))
    titles = np.array([" ".join(row) for row in drawn], np.object_)
    target = np.array(["azul" in title for title in titles], np.int8)
    problem = replace(frame.problem, columns=(Column("title", "text"),), task=Multiclass(("0", "1")))
    return replace(frame, features=titles, target=target, problem=problem, encoder=Encoder.learn(problem, {}))


def pairs_of_letters(text: str) -> list[str]:
    """N-grams that cannot be served."""
    return [text[start : start + 2] for start in range(len(text) - 1)]


def parts_alone(text: str) -> list[str]:
    """Some of the n-grams that are served."""
    return [part for word in words(text) for part in part_grams(word)]


def test_a_custom_analyzer_is_refused_before_the_first_fit(texts: Frame) -> None:
    """If it makes n-grams that are not served; also as a value of a grid."""
    with pytest.raises(UsageError, match="Candidate 'pairs' has an analyzer of its own"):
        select(texts, [FIRST, Candidate("pairs", TextClassifier(Unfit(), pairs_of_letters))])
    grid = {"analyzer": [word_grams, pairs_of_letters]}
    with pytest.raises(UsageError, match="Candidate 'pairs' has an analyzer of its own"):
        select(texts, [FIRST, Candidate("pairs", TextClassifier(Unfit()), grid)])


@pytest.mark.parametrize("analyzer", [word_grams, parts_alone])
def test_an_analyzer_of_some_n_grams_is_served_exactly(analyzer: Any, texts: Frame) -> None:  # noqa: ANN401
    """The served margins are those of the estimator; the temperature is chosen out of fold."""
    selection = select(texts, [Candidate("words", TextClassifier(LogisticRegression(), analyzer))])
    assert selection.decision == MostProbable(choose(texts.target, selection.winner.prediction))
    margins = selection.winner.candidate.fit(texts).decision_function(texts.features)
    np.testing.assert_allclose(selection.refit().raw(texts.features), margins, atol=1e-5)


def test_every_checked_parameter_is_one_of_xgboost() -> None:
    """A check of a parameter that XGBoost has renamed would never refuse anything."""
    assert {parameter for parameter, _, _ in UNSERVED.values()} <= xgb.XGBClassifier().get_params().keys()


KNOWN = {
    name: Candidate(name, estimator)
    for name, estimator in {
        "dummy": LogisticRegression(),
        "random-forest": LogisticRegression(),
        "xgboost-stumps": boosted(),
    }.items()
}


def test_candidates_are_chosen_in_the_order_of_the_names() -> None:
    """Each name gives its candidate."""
    assert choose_candidates(KNOWN, ["xgboost-stumps", "dummy"]) == [KNOWN["xgboost-stumps"], KNOWN["dummy"]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["dummy", "xgboost-stump"], "There is no candidate 'xgboost-stump'; did you mean 'xgboost-stumps'?"),
        (["randomforest"], "There is no candidate 'randomforest'; did you mean 'random-forest'?"),
        (["42"], f"There is no candidate '42'; choose from {', '.join(KNOWN)}."),
    ],
)
def test_an_unknown_name_is_refused_with_a_close_one(names: list[str], message: str) -> None:
    """Or with all names if none is close."""
    with pytest.raises(UsageError) as error:
        choose_candidates(KNOWN, names)
    assert str(error.value) == message


@pytest.mark.parametrize("names", [["dummy"], ["dummy", "random-forest"]])
def test_at_least_one_chosen_candidate_must_be_servable(names: list[str]) -> None:
    """Otherwise there would be nothing to save."""
    with pytest.raises(UsageError, match=f"None of {', '.join(names)} ends as a model that a folder can hold"):
        choose_candidates(KNOWN, names)
