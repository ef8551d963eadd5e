"""Linear models over numbers and categories equal scikit-learn's own pipeline, and are served as they answer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tabserve.encoding.encoder import Encoder
from tabserve.model.model import load
from tabserve.operations import check, compare, drift
from tabserve.predictors.one_hot import OneHotLinear
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.stations import TrainingData, train
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training import bootstrap, one_hot_linear, proof
from tabserve.training.candidate import Candidate
from tabserve.training.one_hot_linear import LOGISTIC_GRID, RIDGE_GRID, OneHotLogistic, OneHotRidge
from tabserve.training.proof import predictor
from tabserve.training.selection import select
from tabserve.training.task_training import training_of

ROWS = 400
COLUMNS = (
    Column("income", missing=True),
    Column("age"),
    Column("flag"),
    Column("city", "category", missing=True),
    Column("street", "category"),
)
TASKS: dict[str, Task] = {
    "two": Binary(("no", "yes")),
    "three": Multiclass(("low", "mid", "high")),
    "amount": Regression("USD"),
}


def cells() -> dict[str, list[Any]]:
    """A table: a skewed number with holes, two other numbers, a category with holes, and one of many rare levels."""
    rng = np.random.default_rng(0)
    income, age = rng.lognormal(8, 2, ROWS).round(2), rng.normal(40, 10, ROWS).round(1)
    city, street = rng.integers(0, 4, ROWS), (rng.exponential(1, ROWS) * 12).astype(int)
    weight = np.log(income) / 2 - age / 20 + (city == 1) + (street < 5) + rng.normal(0, 0.5, ROWS)
    return {
        "income": [value if there else "" for value, there in zip(income, rng.random(ROWS) > 0.1, strict=True)],
        "age": age.tolist(),
        "flag": [int(row == 7) for row in range(ROWS)],
        "city": [["", "Rio", "Recife", "São Paulo"][code] for code in city],
        "street": [f"street {code}" for code in street],
        "two": np.where(weight > np.median(weight), "yes", "no").tolist(),
        "three": np.array(["low", "mid", "high"])[np.digitize(weight, np.quantile(weight, [0.3, 0.6]))].tolist(),
        "amount": np.exp(weight / 2).round(3).tolist(),
    }


def problem(name: str) -> Problem:
    """The problem of a task."""
    return Problem("homes", COLUMNS, name, TASKS[name], folds=2)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The table with the target of each task."""
    folder, table = tmp_path_factory.mktemp("homes"), cells()
    for name in TASKS:
        columns = [*problem(name).features, name]
        rows = zip(*(map(str, table[column]) for column in columns), strict=True)
        (folder / f"{name}.csv").write_text("\n".join(map(",".join, [columns, *rows])) + "\n")
    return {name: folder / f"{name}.csv" for name in TASKS}


@pytest.fixture(scope="module")
def frames(paths: dict[str, Path]) -> dict[str, Frame]:
    """The table, read for each task."""
    return {name: read(path, problem(name)) for name, path in paths.items()}


def pipeline(frame: Frame, model: BaseEstimator) -> BaseEstimator:
    """The same model in scikit-learn's own words, for the columns of the table."""
    low, high = np.nanquantile(frame.features[:, 0], [0.005, 0.995]).astype(np.float32)
    numbers = [(*np.quantile(frame.features[:, 1], [0.005, 0.995]).astype(np.float32),)]

    def number(bounds: tuple[float, float]) -> BaseEstimator:
        def with_logarithm(values: NDArray[Any]) -> NDArray[np.float64]:
            clipped = values.clip(*np.array(bounds, np.float32)).astype(np.float64)
            return np.hstack([clipped, np.sign(clipped) * np.log1p(np.abs(clipped))])

        return make_pipeline(SimpleImputer(strategy="median"), FunctionTransformer(with_logarithm), StandardScaler())

    levels = OneHotEncoder(min_frequency=10, handle_unknown="infrequent_if_exist")
    named = make_pipeline(SimpleImputer(strategy="constant", fill_value=-1), levels)
    columns = make_column_transformer(
        (make_union(number((low, high)), MissingIndicator()), [0]),
        (number(numbers[0]), [1]),
        (StandardScaler(), [2]),  # its logarithm says the same
        (named, [3]),
        (levels, [4]),
    )
    return make_pipeline(columns, model)


STRICT: dict[str, dict[str, float]] = {"two": {"C": 1e-3}, "three": {"C": 1e-3}, "amount": {"alpha": 1e3}}
"""Parameters of a model with a strong penalty, by task."""

PAIRS: dict[str, tuple[str, Any, Any]] = {
    "two classes": ("two", {"C": 0.3}, LogisticRegression(C=0.3, tol=1e-10, solver="newton-cholesky")),
    "three classes": ("three", {"C": 3.0}, LogisticRegression(C=3.0, tol=1e-10, solver="newton-cholesky")),
    "least squares": ("amount", {"alpha": 5.0}, Ridge(alpha=5.0, tol=1e-12, solver="lsqr", max_iter=10_000)),
    "a log link": (
        "amount",
        {"alpha": 5.0, "link": "log"},
        PoissonRegressor(alpha=5.0 / ROWS, tol=1e-10, solver="newton-cholesky"),
    ),
}


def estimator(frame: Frame, **parameters: Any) -> BaseEstimator:  # noqa: ANN401  of an estimator
    """The estimator of the frame's task."""
    kind = OneHotLogistic if frame.problem.labels else OneHotRidge
    return kind(frame.encoder.types, **parameters)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_answers_are_those_of_scikit_learn_s_own_pipeline(pair: str, frames: dict[str, Frame]) -> None:
    """The fitted estimator's, and the predictor's that is served of it; for rows that training did not see too."""
    name, parameters, model = PAIRS[pair]
    frame, training = frames[name], training_of(problem(name))
    unit = frame.target.mean() if parameters.get("link") == "log" else 1.0
    own = pipeline(frame, model).fit(frame.features, frame.target / unit if unit != 1 else frame.target)
    fitted = estimator(frame, **parameters).fit(frame.features, frame.target)
    strange = frame.features.copy()
    strange[::3, 0] *= -1e6
    strange[::4, 0] = strange[::5, 3] = np.nan
    for rows in (frame.features, strange):
        expected = training.predict(own, rows) * unit
        np.testing.assert_allclose(training.predict(fitted, rows), expected, rtol=1e-6, atol=1e-6)
        served = training.from_raw(fitted.get_predictor(frame.encoder).raw(rows))
        np.testing.assert_allclose(served, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TASKS)
def test_a_rare_level_and_an_unseen_one_answer_as_a_missing_cell(name: str, frames: dict[str, Frame]) -> None:
    """A level has a weight of its own from 10 rows on."""
    frame = frames[name]
    model = estimator(frame).fit(frame.features, frame.target).get_predictor(frame.encoder)
    codes, counts = np.unique(frame.features[:, 4], return_counts=True)
    rows = np.repeat(frame.features[:1], len(codes) + 1, axis=0)
    rows[:, 4] = [*codes, np.nan]
    same = (model.raw(rows) == model.raw(rows)[-1]).all(axis=1)
    assert same.tolist() == [*(counts < 10), True]
    assert 2 < same.sum() < len(codes)


def test_levels_that_training_did_not_see_answer_as_a_missing_cell(frames: dict[str, Frame]) -> None:
    """If the encoder knows more levels than the training rows have."""
    frame = frames["two"]
    few = frame.features.copy()
    few[few[:, 3] == 2, 3] = np.nan
    model = estimator(frame).fit(few, frame.target).get_predictor(frame.encoder)
    rows = np.repeat(few[:1], 2, axis=0)
    rows[:, 3] = [2, np.nan]
    assert np.ptp(model.raw(rows)) == 0


def test_a_missing_number_answers_as_the_median_if_training_had_none(frames: dict[str, Frame]) -> None:
    """Its weight is 0."""
    frame = frames["amount"]
    model = estimator(frame).fit(frame.features, frame.target).get_predictor(frame.encoder)
    rows = np.repeat(frame.features[:1], 2, axis=0)
    rows[:, 1] = [np.median(frame.features[:, 1]), np.nan]
    assert model.raw(rows)[0] == pytest.approx(model.raw(rows)[1], rel=1e-12)


def test_a_flag_that_few_rows_have_keeps_its_weight(frames: dict[str, Frame]) -> None:
    """Though quantiles of it are all equal."""
    frame = frames["amount"]
    target = frame.target + 1000 * frame.features[:, 2]
    fitted = estimator(frame, alpha=1e-3).fit(frame.features, target)
    assert fitted.predict(frame.features)[7] == pytest.approx(target[7], rel=0.01)


@pytest.mark.parametrize("name", TASKS)
def test_columns_without_a_value_or_with_one_alone_are_learned_nothing_from(
    name: str, frames: dict[str, Frame]
) -> None:
    """As in a fold: the answers are finite, no warning is shown, and other values there change nothing."""
    frame = frames[name]
    features = frame.features.copy()
    features[:, [0, 3]], features[:, 1] = np.nan, 20.1
    model = estimator(frame).fit(features, frame.target).get_predictor(frame.encoder)
    others = features.copy()
    others[:, 0], others[:, 1], others[:, 3] = 5, -3, 1
    assert np.isfinite(model.raw(features)).all()
    np.testing.assert_allclose(model.raw(others), model.raw(features), rtol=1e-9)


@given(st.data())
@settings(max_examples=60)
def test_any_table_is_fitted_and_served_as_fitted(data: st.DataObject) -> None:
    """Of the largest numbers, of two rows, with any holes and levels, by either solver; nothing warns or overflows."""
    rows = data.draw(st.integers(2, 40))
    number = st.floats(width=32, allow_infinity=False) | st.sampled_from([0.0, 1.0, float("nan")])
    columns = [st.lists(number, min_size=rows, max_size=rows)] * 2
    codes = st.lists(st.sampled_from([0, 1, 2, float("nan")]), min_size=rows, max_size=rows)
    features = np.array([*map(data.draw, [*columns, codes, codes])], np.float32).T
    task, name = data.draw(st.sampled_from([(1, "two"), (2, "three"), (3, "amount")]))
    target = np.arange(rows) % (task + 1) if task < 3 else np.exp(np.arange(rows) % 7)
    frame_columns = (Column("a", missing=True), Column("b", missing=True), *(Column(c, "category", True) for c in "cd"))
    wanted = Problem("any", frame_columns, task=TASKS[name])
    encoder = Encoder.learn(wanted, {"c": ["0", "1", "2"], "d": ["0", "1", "2"]})
    if rows <= task < 3:
        return
    kinds = {"two": OneHotLogistic, "three": OneHotLogistic, "amount": OneHotRidge}
    model = kinds[name](encoder.types)
    if name == "amount" and data.draw(st.booleans()):
        model.set_params(link="log")
    frame = Frame(np.arange(rows).astype(object), features, target, wanted, encoder)
    proof.check("any", model.fit(features, target), frame)


def test_negative_amounts_are_fitted_by_least_squares(frames: dict[str, Frame]) -> None:
    """A logarithm of them there is none."""
    frame, features = frames["amount"], frames["amount"].features
    target = frame.target - 5
    by_log = estimator(frame, link="log").fit(features, target)
    assert np.array_equal(by_log.predict(features), estimator(frame).fit(features, target).predict(features))
    assert by_log.get_predictor(frame.encoder).link == "identity"


@pytest.mark.parametrize("name", TASKS)
def test_a_large_table_is_fitted_to_nearly_the_same_answers(
    name: str, frames: dict[str, Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The solver of large tables is another one; no warning is shown, even if it stops early."""
    frame, training = frames[name], training_of(problem(name))
    exact = estimator(frame).fit(frame.features, frame.target)
    monkeypatch.setattr("tabserve.training.one_hot_linear.SMALL", 0)
    nearly = estimator(frame).fit(frame.features, frame.target)
    expected = training.predict(exact, frame.features)
    np.testing.assert_allclose(training.predict(nearly, frame.features), expected, rtol=0.01, atol=0.005)


def test_many_classes_are_fitted_nearly_to_the_answers_of_newtons_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another one, whose time does not grow with the pairs of classes."""
    target = np.arange(240, dtype=np.int8) % 12
    features = (np.random.default_rng(0).normal(size=(240, 2)) + target[:, np.newaxis] / 4).astype(np.float32)
    quick = OneHotLogistic(("q", "q")).fit(features, target)
    monkeypatch.setattr(one_hot_linear, "FEW", 12)
    exact = OneHotLogistic(("q", "q")).fit(features, target)
    assert (quick.model_.solver, exact.model_.solver) == ("lbfgs", "newton-cholesky")
    np.testing.assert_allclose(quick.predict_proba(features), exact.predict_proba(features), atol=1e-3)


def test_types_of_another_number_of_features_are_refused(frames: dict[str, Frame]) -> None:
    """By a sentence that names the candidate."""
    with pytest.raises(Exception, match=r"^Candidate 'linear' cannot be fitted: "):
        select(frames["two"], [Candidate("linear", OneHotLogistic(("q", "c")))])


@pytest.mark.parametrize("name", TASKS)
def test_a_folder_holds_the_winner(
    name: str, paths: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stations train and save it, it answers as the estimator, and the operations on saved models take it."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    frame = read(paths[name], problem(name))
    data = TrainingData.of(frame, "homes.csv")
    grid = LOGISTIC_GRID if frame.problem.labels else RIDGE_GRID
    candidate = Candidate("linear", estimator(frame), grid)
    train(data, [candidate], tmp_path / "model")
    model = load(tmp_path / "model")
    assert isinstance(model.predictor, OneHotLinear)
    fitted = candidate.fit(data.development)
    training, rows = training_of(frame.problem), data.holdout.features
    np.testing.assert_allclose(
        training.from_raw(model.predictor.raw(rows)), training.predict(fitted, rows), rtol=1e-6, atol=1e-6
    )
    assert any("weights" in line for line in check.lines(tmp_path / "model"))
    assert "linear, over 3 numbers and" in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert drift.drift(model, paths[name]).drifted == []
    other = estimator(frame, **STRICT[name]).fit(frame.features, frame.target)
    stricter = replace(model, encoder=frame.encoder, predictor=other.get_predictor(frame.encoder))
    assert [*compare.lines(compare.compare(model, stricter, paths[name]))]


def test_a_fit_is_the_same_each_time(frames: dict[str, Frame]) -> None:
    """The bytes of its file, and those of a clone's."""
    frame = frames["three"]
    model = estimator(frame)
    files = {
        predictor(each.fit(frame.features, frame.target), frame.encoder).to_bytes() for each in (model, clone(model))
    }
    assert len(files) == 1
