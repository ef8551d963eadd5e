"""Boosters of two classes, of several and of amounts: each objective answers what XGBoost answers, or is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.predictors.mutations import evaluate
from tests.predictors.small_boosters import ALL, LEVELS, TASKS, Trained, encoder, table, targets, train
from tests.predictors.test_booster import to_ubjson

from tabserve.errors import ArtifactError
from tabserve.model.decision import softmax
from tabserve.predictors import ubjson, xgboost_call
from tabserve.predictors.booster import OBJECTIVES, Booster
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass
from tabserve.training import proof

ROWS = table(200, seed=5)
CLASSES = train("multi:softprob")
KINDS = pytest.mark.parametrize(("objective", "way"), ALL)

CELLS = st.sampled_from([np.nan, -1.0, -0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 31.0, 32.0, 39.0, 40.0, 1e6, 2.0**24, -1e30])
"""Values of quantities and codes: missing, known, unknown, and limits of each."""


@KINDS
def test_every_kind_of_booster_answers_what_xgboost_answers(objective: str, way: str) -> None:
    """To the bit, for many rows and for one: margins of several classes, else predictions."""
    model = train(objective, way)
    booster = model.read(model.file)
    predict_type = "margin" if booster.outputs > 1 else "value"
    for rows in (ROWS, ROWS[:1], ROWS[7:8]):
        expected = model.trees.inplace_predict(rows, predict_type=predict_type).reshape(len(rows), -1)
        assert booster.raw(rows).shape == (len(rows), booster.outputs) == expected.shape
        assert booster.raw(rows).tobytes() == expected.tobytes()


@KINDS
@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.tuples(*[CELLS] * 4), min_size=1, max_size=4))
def test_every_kind_of_booster_answers_what_its_file_says(
    objective: str, way: str, rows: list[tuple[float, ...]]
) -> None:
    """Computed without XGBoost by walking the trees, for any cells."""
    model, cells = train(objective, way), np.array(rows, np.float32)
    answers = Booster(model.trees).raw(cells)
    np.testing.assert_allclose(answers, evaluate(model.file, cells), rtol=1e-4, atol=1e-5)
    predict_type = "margin" if answers.shape[1] > 1 else "value"
    assert answers.tobytes() == model.trees.inplace_predict(cells, predict_type=predict_type).tobytes()


def test_the_margins_of_several_classes_become_the_probabilities_of_xgboost() -> None:
    """By the softmax of a decision."""
    probability = softmax(CLASSES.read(CLASSES.file).raw(ROWS).astype(np.float64))
    np.testing.assert_allclose(probability, CLASSES.trees.inplace_predict(ROWS), atol=1e-6)


@KINDS
def test_a_saved_booster_is_read_by_xgboosts_scikit_learn_wrapper(objective: str, way: str) -> None:
    """With the same answers."""
    model = train(objective, way)
    file = model.read(model.file).to_bytes()
    wrapper = xgb.XGBRegressor() if model.problem.task.AMOUNT else xgb.XGBClassifier()
    wrapper.load_model(bytearray(file))
    predictions = wrapper.predict(ROWS) if model.problem.task.AMOUNT else wrapper.predict_proba(ROWS)
    expected = model.trees.inplace_predict(ROWS)
    np.testing.assert_allclose(predictions[:, 1] if predictions.shape == (200, 2) else predictions, expected, atol=1e-6)
    assert np.array_equal(model.read(file).raw(ROWS), Booster(model.trees).raw(ROWS))


@KINDS
def test_the_trees_are_counted_in_rounds(objective: str, way: str) -> None:
    """However many trees a round has."""
    model = train(objective, way)
    assert model.read(model.file).facts == {"trees": "3"}


def test_margins_are_answered_without_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the Python wrapper."""
    expected = Booster(CLASSES.trees).raw(ROWS)
    monkeypatch.setattr(xgboost_call, "CALL", None)
    assert Booster(CLASSES.trees).raw(ROWS).tobytes() == expected.tobytes()


def test_the_call_returns_every_output() -> None:
    """Without being told their number."""
    for kind in get_args(xgboost_call.Kind):
        expected = CLASSES.trees.inplace_predict(ROWS, predict_type=kind)
        predictions = xgboost_call.predict(CLASSES.trees, ROWS, kind)
        assert predictions.shape == (200, 3)
        assert predictions.tobytes() == expected.tobytes()


def refusal(model: Trained, change: Callable[[dict[str, Any]], object], problem: Problem | None = None) -> str:
    """The message that refuses a model after a change of its learner."""
    document = ubjson.loads(model.file)
    change(document["learner"])
    with pytest.raises(ArtifactError) as error:
        Booster.read(Path("model.ubj"), to_ubjson(document), problem or model.problem, encoder(model.levels))
    return str(error.value)


@pytest.mark.parametrize(
    ("kind", "objective"),
    [(kind, objective) for kind in TASKS for other in TASKS if other != kind for objective in OBJECTIVES[other]],
)
def test_an_objective_of_another_task_is_refused(kind: str, objective: str) -> None:
    """The message says which objectives are expected."""
    if objective in OBJECTIVES[kind]:
        return
    message = refusal(
        train(objective), lambda _: None, Problem("other", train(objective).problem.columns, task=TASKS[kind])
    )
    assert message.startswith(
        f"model.ubj holds a model of objective {objective!r}, expected {next(iter(OBJECTIVES[kind]))!r}"
    )


def test_an_objective_without_probabilities_is_refused_with_advice() -> None:
    """XGBoost has one for classes."""
    change = lambda learner: learner["objective"].update(name="multi:softmax")  # noqa: E731
    assert refusal(CLASSES, change).endswith(
        "expected 'multi:softprob'; it answers no probabilities, so train with 'multi:softprob'."
    )


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c", "d")])
def test_another_number_of_classes_than_of_labels_is_refused(labels: tuple[str, ...]) -> None:
    """Fewer or more."""
    problem = Problem("small", CLASSES.problem.columns, task=Multiclass(labels))
    assert f"it tells other than {len(labels)} classes apart" in refusal(CLASSES, lambda _: None, problem)


def set_parameters(**values: object) -> Callable[[dict[str, Any]], object]:
    """Set parameters of a learner."""
    return lambda learner: learner["learner_model_param"].update(values)


def set_forest(**values: object) -> Callable[[dict[str, Any]], object]:
    """Set members of the part that holds the trees."""
    return lambda learner: learner["gradient_booster"]["model"].update(values)


BASE = "its base score is none of its objective"
DIVIDED = "its trees are not divided among its outputs"
NONE = "is not a model that XGBoost"


@pytest.mark.parametrize(
    ("objective", "change", "message"),
    [
        ("multi:softprob", set_parameters(num_class="2"), "it tells other than 3 classes apart"),
        ("multi:softprob", set_parameters(num_class="03"), "it tells other than 3 classes apart"),
        ("multi:softprob", set_parameters(num_target="3"), "it tells other than 3 classes apart"),
        (
            "multi:softprob",
            lambda learner: learner["objective"]["softmax_multiclass_param"].update(num_class="0"),
            "its objective tells another number of classes apart",
        ),
        ("multi:softprob", lambda learner: learner["objective"].pop("softmax_multiclass_param"), NONE),
        ("multi:softprob", set_parameters(base_score="[5E-1,5E-1]"), BASE),
        ("multi:softprob", set_parameters(base_score="[0,1E39,0]"), BASE),
        ("multi:softprob", set_forest(tree_info=[0, 1, 2, 0, 1, 2, 0, 2, 1]), DIVIDED),
        ("multi:softprob", set_forest(tree_info=[0, 1, 2, 0, 1, 2, 0, 1, 3]), DIVIDED),
        ("multi:softprob", set_forest(tree_info=[0, 1, 2, 0, 1, 2, 0, 1]), DIVIDED),
        ("multi:softprob", set_forest(iteration_indptr=[0, 2, 6, 9]), DIVIDED),
        ("multi:softprob", set_forest(iteration_indptr=[0, 3, 3, 9]), "its boosting rounds do not divide its trees"),
        ("binary:logistic", set_parameters(num_class="3"), "it answers more than one question"),
        ("binary:logistic", set_parameters(base_score="[0E0]"), BASE),
        ("binary:logistic", set_parameters(base_score="[1E0]"), BASE),
        ("binary:logistic", set_parameters(base_score="[5E-1,5E-1]"), BASE),
        ("binary:logistic", set_parameters(base_score="[" * 100_000), NONE),
        ("binary:logistic", set_parameters(base_score="[nan]"), NONE),
        ("binary:logistic", set_parameters(base_score="[5_0E-2]"), NONE),
        ("binary:logistic", set_parameters(num_feature="0_4"), "its number of features is not written as a number"),
        ("reg:squarederror", set_parameters(base_score="[1E38]"), BASE),
        *(
            (objective, set_parameters(base_score="[-1E0]"), BASE)
            for objective in ("reg:gamma", "reg:tweedie", "count:poisson")
        ),
        *(
            (objective, set_parameters(base_score="[0E0]"), BASE)
            for objective in ("reg:gamma", "reg:tweedie", "count:poisson")
        ),
    ],
)
def test_inconsistent_parameters_are_refused(
    objective: str, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    """XGBoost would read beyond its arrays, divide by zero, overflow the stack, or answer NaN."""
    assert message in refusal(train(objective), change)


@pytest.mark.parametrize("value", [np.nan, np.inf, -3e38])
def test_leaves_without_a_finite_sum_are_refused(value: float) -> None:
    """One such leaf is enough."""

    def change(learner: dict[str, Any]) -> None:
        tree = learner["gradient_booster"]["model"]["trees"][1]
        leaves = tree["left_children"] == -1
        tree["split_conditions"] = np.where(leaves, np.float32(value), tree["split_conditions"]).astype(">f4")

    assert "its leaves are not finite, or sum up to more" in refusal(train("reg:squarederror"), change)


def test_a_flag_must_be_0_or_1() -> None:
    """XGBoost takes every other number for 0, and other readers take it for 1."""

    def change(learner: dict[str, Any]) -> None:
        tree = learner["gradient_booster"]["model"]["trees"][0]
        tree["default_left"] = np.where(tree["default_left"], 255, 0).astype("u1")

    assert "a flag of a node is neither 0 nor 1" in refusal(train("binary:logistic"), change)


@pytest.mark.parametrize("name", ["version", "attributes", "tree_info", "feature_types"])
def test_bytes_in_place_of_numbers_are_refused(name: str) -> None:
    """XGBoost writes byte arrays only for texts of a frame, and others can crash it."""

    def change(learner: dict[str, Any]) -> None:
        holder = learner["gradient_booster"]["model"] if name == "tree_info" else learner
        holder[name] = np.zeros(0, ">i1")

    assert refusal(train("binary:logistic"), change)


@pytest.mark.parametrize("options", [{}, {"early_stopping_rounds": 2}], ids=str)
def test_the_served_booster_of_an_estimator_of_several_classes_is_its_own(options: dict[str, Any]) -> None:
    """With its best rounds only, if training was stopped early."""
    rows, problem = table(), CLASSES.problem
    target = targets(problem.task, rows).astype(int)
    noise = np.random.default_rng(0).permutation(target)
    fitted = xgb.XGBClassifier(n_estimators=30, max_depth=3, n_jobs=1, **options)
    fitted.fit(rows, target, eval_set=[(rows, noise)], verbose=False)
    served = proof.predictor(fitted, encoder((0,) * rows.shape[1]))
    rounds = fitted.best_iteration + 1 if options else 30
    assert served.facts == {"trees": str(rounds)}
    np.testing.assert_allclose(softmax(served.raw(ROWS).astype(np.float64)), fitted.predict_proba(ROWS), atol=1e-6)


def test_example_rows_have_codes_in_columns_of_categories() -> None:
    """Each cell comes from its column, and survives JSON."""
    model = train("multi:softprob", "sets of categories")
    booster = model.read(model.file)
    rows = booster.examples(ROWS, rows=50)
    cells = [[None if np.isnan(cell) else cell for cell in row] for row in rows.tolist()]
    assert np.array_equal(booster.from_json(cells), rows, equal_nan=True)
    for column, count in enumerate(LEVELS):
        codes = rows[:, column][~np.isnan(rows[:, column])]
        assert np.isin(codes, ROWS[:, column]).all()
        assert not count or np.isin(codes, np.arange(count)).all()
