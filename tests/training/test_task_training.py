"""The task decides how rows are split, how estimators are measured, and what is chosen out of fold."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, TweedieRegressor
from sklearn.pipeline import make_pipeline

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, UsageError
from tabserve.model.decision import Amount, MostProbable, Threshold
from tabserve.predictors.booster import OBJECTIVES
from tabserve.problem.columns import numbers
from tabserve.problem.criterion import MAE, RMSE
from tabserve.problem.problem import Problem
from tabserve.problem.task import TASKS, Binary, Multiclass, Regression, Task
from tabserve.reports.tables import evaluation_table, selection_table
from tabserve.table.frame import Frame
from tabserve.training import bootstrap
from tabserve.training.selection import Candidate, Selection, select
from tabserve.training.split import fold_numbers, hold_out, subset
from tabserve.training.task_training import TRAINING, training_of

COVERED = 0.9


def frame_of(features: NDArray[Any], target: NDArray[Any], task: Task, **options: Any) -> Frame:  # noqa: ANN401
    """A frame of these features and this target."""
    columns = numbers(*(f"column {number}" for number in range(features.shape[1])), missing=True)
    problem = Problem("drawn", columns, "target", task, **options)
    ids, encoder = np.arange(len(target)).astype(np.str_).astype(object), Encoder.learn(problem, {})
    return Frame(ids, features.astype(np.float32), target, problem, encoder)


def prices(rows: int = 1_500, seed: int = 0, task: Regression | None = None, **options: Any) -> Frame:  # noqa: ANN401
    """Positive amounts that depend on three of four columns, with errors that grow with them."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(0, 1, (rows, 4))
    amount = np.exp(1 + 2 * features[:, 0] + np.abs(features[:, 1] - 0.5) + features[:, 2])
    return frame_of(features, amount * np.exp(0.2 * rng.standard_normal(rows)), task or Regression("USD"), **options)


def boosted(**options: Any) -> xgb.XGBRegressor:  # noqa: ANN401  XGBoost's own
    """A small, quick regressor."""
    return xgb.XGBRegressor(**{"n_estimators": 60, "max_depth": 3, "learning_rate": 0.2, "n_jobs": 1} | options)


CANDIDATES = [
    Candidate("mean", DummyRegressor()),
    Candidate("linear", LinearRegression()),
    Candidate("boosted", boosted()),
]


# An amount, from end to end.


@pytest.fixture(scope="module")
def selection() -> Selection:
    """The candidates over the folds of the development rows."""
    return select(hold_out(prices()).development, CANDIDATES)


def test_the_best_candidate_for_an_amount_has_the_smallest_error(selection: Selection) -> None:
    """The booster is better than a linear model, which is better than a constant."""
    means = {name: outcome.measures.iloc[:, 0].mean() for name, outcome in selection.outcomes.items()}
    assert [*means] == sorted(means, key=lambda name: means[name]) == ["mean", "linear", "boosted"]
    assert selection.best is selection.winner is selection.outcomes["boosted"]
    assert selection.winner.measures.columns[0] == "minus_rmse"
    assert abs(selection.outcomes["mean"].measures["r2"].mean()) < 0.05
    assert [*selection_table(selection).index] == ["boosted", "linear", "mean"]


def test_the_measures_of_a_fold_use_an_interval_from_the_other_folds(selection: Selection) -> None:
    """Computed again for one fold."""
    training, frame, fold = training_of(selection.frame.problem), selection.frame, selection.fold
    prediction = selection.winner.prediction
    decision = training.choose_decision(frame.target[fold != 2], prediction[fold != 2])
    assert isinstance(decision, Amount)
    answers = decision.scores(prediction[fold == 2, np.newaxis])
    measures = training.evaluate(frame.target[fold == 2], answers, decision)
    expected = selection.winner.measures.loc[2].to_dict()
    assert {name: interval.value for name, interval in measures.items()} == pytest.approx(expected)


def test_the_refitted_winner_covers_the_hold_out_as_promised(selection: Selection) -> None:
    """Within four standard errors of the development rows and the hold-out."""
    predictor, decision, holdout = selection.refit(), selection.decision, hold_out(prices()).holdout
    assert isinstance(decision, Amount)
    answers = decision.scores(predictor.raw(holdout.features))
    own = selection.winner.candidate.fit(selection.frame).predict(holdout.features)
    assert np.array_equal(answers.prediction, own)
    measures = training_of(holdout.problem).evaluate(holdout.target, answers, decision, seed=1)
    error = math.sqrt(COVERED * (1 - COVERED) * (1 / len(holdout) + 1 / len(selection.frame)))
    assert abs(measures["coverage"].value - COVERED) < 4 * error
    assert measures["r2"].low > 0.5
    assert (
        "interval coverage" in evaluation_table({name: interval._asdict() for name, interval in measures.items()}).index
    )


def test_every_baseline_is_a_candidate_for_its_task() -> None:
    """Its prediction is the same for all rows of a fold."""
    for task, target in (
        (Regression(), np.arange(60.0) ** 2),
        (Binary(), np.arange(60) % 2),
        (Multiclass(("a", "b", "c")), np.arange(60) % 3),
    ):
        frame = frame_of(np.random.default_rng(0).normal(size=(60, 2)), target, task)
        candidates = [Candidate(name, estimator) for name, estimator in training_of(frame.problem).baselines().items()]
        for outcome in select(frame, candidates).outcomes.values():
            assert np.ptp(outcome.prediction[fold_numbers(frame) == 0], axis=0).max() == 0


# The estimators that a task accepts.


@pytest.mark.parametrize("objective", OBJECTIVES[Regression.KIND])
def test_every_objective_of_an_amount_is_served_exactly(objective: str) -> None:
    """The refitted booster answers as the regressor."""
    frame = prices(400, folds=2)
    result = select(frame, [Candidate("mine", boosted(objective=objective, n_estimators=20))])
    raw = result.refit().raw(frame.features)
    assert np.array_equal(raw[:, 0], result.winner.candidate.fit(frame).predict(frame.features))
    assert np.array_equal(training_of(frame.problem).from_raw(raw), raw[:, 0].astype(np.float64))


class Inexact(xgb.XGBRegressor):
    """A regressor whose answers have a relative error."""

    error = 0.0

    def predict(self, *rows: Any, **options: Any) -> NDArray[np.float64]:  # noqa: ANN401  XGBoost's own
        """The prediction of the booster, times one plus the error."""
        return np.asarray(super().predict(*rows, **options), np.float64) * (1 + self.error)


def test_amounts_are_compared_by_their_relative_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """32-bit floats of millions lie further apart than those below 1."""
    frame = prices(400, folds=2)
    millions = replace(frame, target=frame.target * np.array(1e7))
    candidate = Candidate("mine", Inexact(n_estimators=20, n_jobs=1))
    monkeypatch.setattr(Inexact, "error", 1e-7)
    select(millions, [candidate]).refit()
    monkeypatch.setattr(Inexact, "error", 1e-5)
    with pytest.raises(UsageError, match="Candidate 'mine' answers 200 of 200 rows otherwise than the model"):
        select(millions, [candidate])


def test_a_booster_of_three_classes_is_served_exactly() -> None:
    """The served probabilities and labels are those of the refitted classifier."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 3))
    target = (features[:, 0] + 0.5 * rng.normal(size=600) > 0).astype(int) + (features[:, 1] > 0.5)
    frame = frame_of(features, target.astype(np.int8), Multiclass(("a", "b", "c")), folds=3)
    result = select(frame, [Candidate("mine", xgb.XGBClassifier(n_estimators=20, max_depth=2, n_jobs=1))])
    raw, own = result.refit().raw(frame.features), result.winner.candidate.fit(frame).predict_proba(frame.features)
    np.testing.assert_allclose(training_of(frame.problem).from_raw(raw), own, atol=1e-6)
    assert isinstance(result.decision, MostProbable)
    assert (result.decision.scores(raw).label == own.argmax(axis=1)).all()


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "needs an unfitted regressor, such as XGBRegressor(), not LogisticRegression()"),
        (make_pipeline(SimpleImputer(), DummyClassifier()), "needs an unfitted regressor, such as XGBRegressor()"),
        (xgb.XGBClassifier(), "has the objective 'binary:logistic', and 'reg:squarederror' or 'reg:absoluteerror' or"),
        (xgb.XGBRegressor, "needs an unfitted regressor, such as XGBRegressor(), not <class"),
        (boosted(objective="reg:quantileerror"), "has the objective 'reg:quantileerror', and 'reg:squarederror' or"),
        (boosted(objective="reg:logistic"), "has the objective 'reg:logistic', and 'reg:squarederror' or"),
        (
            make_pipeline(boosted(objective="rank:ndcg")),
            "which answers no amounts; use 'reg:squarederror', the default",
        ),
        (boosted(booster="dart"), "has the booster 'dart'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_estimator_that_learns_no_amount_is_refused_before_the_first_fit(estimator: Any, message: str) -> None:  # noqa: ANN401
    """The message names the candidate."""
    with pytest.raises(UsageError) as error:
        select(prices(100), [Candidate("mine", estimator)])
    assert str(error.value).startswith("Candidate 'mine' ")
    assert message in str(error.value)


@pytest.mark.parametrize("task", [Binary(), Multiclass(("a", "b"))], ids=lambda task: task.KIND)
def test_a_regressor_is_refused_for_classes(task: Task) -> None:
    """Before its first fit."""
    frame = frame_of(np.zeros((40, 1)), np.arange(40) % 2, task)
    with pytest.raises(
        UsageError, match=r"Candidate 'mine' needs an unfitted classifier, such as XGBClassifier\(\), not"
    ):
        select(frame, [Candidate("mine", LinearRegression())])


class Untagged:
    """A custom estimator without scikit-learn's tags."""

    def __init__(self, answer: float = 1.0) -> None:
        self.answer = answer

    def get_params(self, deep: bool = True) -> dict[str, float]:  # noqa: ARG002  scikit-learn's name
        """The answer."""
        return {"answer": self.answer}

    def set_params(self, **params: float) -> "Untagged":
        """Set the answer."""
        vars(self).update(params)
        return self

    def fit(self, *_: object) -> "Untagged":
        """Learn nothing."""
        return self

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """The answer, for every row."""
        return np.full(len(features), self.answer)


def test_a_custom_estimator_needs_no_tags() -> None:
    """It is measured as any other."""
    result = select(prices(100), [Candidate("mine", Untagged(3.0))])
    assert (result.outcomes["mine"].prediction == 3.0).all()


@pytest.mark.parametrize("answer", [math.nan, math.inf, 1e39])
def test_answers_that_are_no_finite_amounts_are_refused(answer: float) -> None:
    """The message says how many there are."""
    with pytest.raises(
        UsageError, match="Candidate 'mine' answers 20 of 20 rows by no finite 32-bit float, and amounts"
    ):
        select(prices(100), [Candidate("mine", Untagged(answer))])


def test_a_target_that_an_objective_refuses_is_reported_in_the_words_of_the_library() -> None:
    """For example amounts below 0 as counts."""
    below = replace(prices(100), target=-prices(100).target)
    with pytest.raises(UsageError, match="XGBoost cannot fit candidate 'mine': label must be non-negative"):
        select(below, [Candidate("mine", boosted(objective="count:poisson"))])
    with pytest.raises(UsageError, match="Candidate 'theirs' cannot be fitted: "):
        select(below, [Candidate("theirs", TweedieRegressor(power=1))])


@pytest.mark.parametrize(("criterion", "strategy"), [(RMSE(), "mean"), (MAE(), "median")])
def test_a_grid_is_chosen_by_the_criterion_of_the_amount(criterion: RMSE | MAE, strategy: str) -> None:
    """The mean of skewed amounts has the smallest squared error, the median the smallest absolute one."""
    frame = prices(800, task=Regression(criterion=criterion))
    frame = replace(frame, target=frame.target**2)
    candidate = Candidate("constant", DummyRegressor(), {"strategy": ["mean", "median"]})
    assert select(frame, [candidate]).outcomes["constant"].grid_choices == [{"strategy": strategy}] * 5


def test_a_grid_of_several_classes_is_chosen_by_their_log_loss() -> None:
    """The shares of the classes have a smaller log loss than one class for all rows."""
    rng = np.random.default_rng(0)
    frame = frame_of(rng.normal(size=(300, 2)), rng.integers(0, 3, 300), Multiclass(("a", "b", "c")))
    candidate = Candidate("constant", DummyClassifier(), {"strategy": ["most_frequent", "prior"]})
    assert select(frame, [candidate]).outcomes["constant"].grid_choices == [{"strategy": "prior"}] * 5


# How rows are split.


def test_the_hold_out_and_folds_of_amounts_have_the_wanted_shares() -> None:
    """Every row is on one side; the seed decides on which."""
    frame = prices(1_003)
    development, holdout = hold_out(frame)
    assert len(holdout) == math.ceil(0.2 * 1_003)
    assert sorted([*development.ids, *holdout.ids]) == sorted(frame.ids)
    assert np.ptp(np.bincount(fold_numbers(development), minlength=5)) <= 1
    other = replace(frame, problem=replace(frame.problem, seed=7))
    assert set(hold_out(other).holdout.ids) != set(holdout.ids)
    assert set(hold_out(prices(1_003)).holdout.ids) == set(holdout.ids)


def test_a_split_of_amounts_keeps_groups_together() -> None:
    """And its parts have about the wanted size, though groups differ in size."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(80), rng.integers(1, 40, 80)).astype(np.str_).astype(object)
    frame = replace(prices(len(group), group="seller"), group=group)
    development, holdout = hold_out(frame)
    assert development.group is not None
    assert holdout.group is not None
    assert not {*development.group} & {*holdout.group}
    assert len(holdout) / len(frame) == pytest.approx(0.2, abs=0.05)
    fold = fold_numbers(development)
    assert all(len({*fold[development.group == name]}) == 1 for name in {*development.group})
    assert np.bincount(fold) / len(fold) == pytest.approx(0.2, abs=0.05)


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
def test_too_few_amounts_for_the_folds_are_refused(grouped: bool) -> None:
    """The message is about the table, not about a class."""
    frame = prices(30 if grouped else 6, group="seller" if grouped else None)
    frame = replace(frame, group=np.array(list("abcdef") * 5, object) if grouped else None)
    noun = "groups" if grouped else "rows"
    with pytest.raises(DataError, match=f"The table has 6 {noun}; 5 folds .* need at least 7; use more {noun}"):
        hold_out(frame)
    assert hold_out(prices(7)).holdout.ids.shape == (2,)


def test_seven_amounts_are_enough_for_a_selection() -> None:
    """Folds of one or two rows have finite measures."""
    development, _ = hold_out(prices(7))
    result = select(development, [Candidate("mean", DummyRegressor())])
    assert np.isfinite(result.best.measures).all(axis=None)


def test_a_subset_is_drawn_evenly_over_the_amounts() -> None:
    """Ten rows are one of each tenth of the sorted amounts."""
    frame = prices(1_000)
    rank = np.argsort(np.argsort(frame.target))[subset(frame, 10).ids.astype(int)]
    assert sorted(rank // 100) == [*range(10)]


# All tasks.


def test_every_kind_of_task_has_its_training() -> None:
    """By the name of the kind in a manifest."""
    assert TRAINING.keys() == TASKS.keys()


def test_the_task_decides_what_is_chosen_out_of_fold() -> None:
    """A threshold, a temperature or intervals."""
    rng = np.random.default_rng(0)
    features, classes = rng.normal(size=(200, 2)), rng.integers(0, 2, 200)
    shares = np.where(classes == 1, 0.9, 0.1)
    expected: list[tuple[Task, NDArray[Any], type]] = [
        (Binary(), shares, Threshold),
        (Multiclass(("a", "b")), np.column_stack([1 - shares, shares]), MostProbable),
        (Regression(), shares, Amount),
    ]
    for task, prediction, kind in expected:
        training = training_of(frame_of(features, classes, task).problem)
        assert isinstance(training.choose_decision(classes, prediction), kind)


# Real tables.

TABLES = {"ames": "Sale_Price", "cars": "Price", "deliveries": "time_to_delivery"}


def real(folder: Path, name: str) -> Frame:
    """A table of amounts; texts are replaced by numbers of their levels, which is enough for trees."""
    table = pd.read_csv(folder / f"{name}.csv")
    target = table.pop(TABLES[name]).to_numpy(np.float64)
    columns = [
        column if pd.api.types.is_numeric_dtype(column) else pd.factorize(column, sort=True)[0]
        for _, column in table.items()
    ]
    return frame_of(np.column_stack(columns), target, Regression())


@pytest.mark.parametrize("name", TABLES)
def test_intervals_hold_real_amounts_as_promised_the_dearest_too(
    name: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a random hold-out, within four standard errors; a single width holds fewer of the dearest tenth."""
    if not (shared / "tables").is_dir():
        pytest.skip("the real tables are not at hand: no folder `shared/tables` beside the repository")
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    development, holdout = hold_out(real(shared / "tables", name))
    options = {"n_estimators": 300, "max_depth": 4, "learning_rate": 0.05, "subsample": 0.8, "colsample_bytree": 0.5}
    result = select(development, [Candidate("boosted", boosted(**options, min_child_weight=3))])
    predictor, decision = result.refit(), result.decision
    answers = decision.scores(predictor.raw(holdout.features))
    measured = training_of(holdout.problem).evaluate(holdout.target, answers, decision)
    error = math.sqrt(COVERED * (1 - COVERED) / len(holdout))
    assert abs(measured["coverage"].value - 0.91) < 4 * error
    assert measured["coverage_dearest_tenth"].value > 0.905 - 4 * error * math.sqrt(10)
    residual = np.abs(development.target - result.winner.prediction)
    single = Amount((), (float(np.quantile(residual, COVERED)),)).scores(predictor.raw(holdout.features))
    one_width = training_of(holdout.problem).evaluate(holdout.target, single, decision)
    assert one_width["coverage_dearest_tenth"].value < measured["coverage_dearest_tenth"].value
