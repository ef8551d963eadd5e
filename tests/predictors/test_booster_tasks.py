"""Trees of two classes, of several and of amounts: each objective answers what XGBoost answers, or is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.predictors.mutations import meant
from tests.predictors.small_boosters import ALL, LEVELS, TASKS, Trained, encoder, table, targets, trained
from tests.predictors.test_booster import written

from tabserve.errors import ArtifactError
from tabserve.model.decision import softmax
from tabserve.predictors import ubjson, xgboost_call
from tabserve.predictors.booster import OBJECTIVES, Booster
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass
from tabserve.training import proof

ROWS = table(200, seed=5)
CLASSES = trained("multi:softprob")
KINDS = pytest.mark.parametrize(("objective", "way"), ALL)

CELLS = st.sampled_from([np.nan, -1.0, -0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 31.0, 32.0, 39.0, 40.0, 1e6, 2.0**24, -1e30])
"""What a quantity or a code can be: missing, known, unknown, or a border of either."""


@KINDS
def test_every_kind_of_trees_answers_what_xgboost_answers(objective: str, way: str) -> None:
    """To the bit, many rows or one: probabilities and amounts as they are predicted, margins of several classes."""
    model = trained(objective, way)
    found = model.read(model.file)
    asked = "margin" if found.outputs > 1 else "value"
    for rows in (ROWS, ROWS[:1], ROWS[7:8]):
        expected = model.trees.inplace_predict(rows, predict_type=asked).reshape(len(rows), -1)
        assert found.raw(rows).shape == (len(rows), found.outputs) == expected.shape
        assert found.raw(rows).tobytes() == expected.tobytes()


@KINDS
@settings(max_examples=20, deadline=None)
@given(rows=st.lists(st.tuples(*[CELLS] * 4), min_size=1, max_size=4))
def test_every_kind_of_trees_answers_what_its_file_says(
    objective: str, way: str, rows: list[tuple[float, ...]]
) -> None:
    """By a walk down the trees that knows nothing of XGBoost; whatever the cells hold."""
    model, cells = trained(objective, way), np.array(rows, np.float32)
    found = Booster(model.trees).raw(cells)
    np.testing.assert_allclose(found, meant(model.file, cells), rtol=1e-4, atol=1e-5)
    asked = "margin" if found.shape[1] > 1 else "value"
    assert found.tobytes() == model.trees.inplace_predict(cells, predict_type=asked).tobytes()


def test_the_margins_of_several_classes_become_the_probabilities_of_xgboost() -> None:
    """By a softmax, as a decision takes it."""
    probability = softmax(CLASSES.read(CLASSES.file).raw(ROWS).astype(np.float64))
    np.testing.assert_allclose(probability, CLASSES.trees.inplace_predict(ROWS), atol=1e-6)


@KINDS
def test_scikit_learns_wrapper_reads_what_is_saved(objective: str, way: str, tmp_path: Path) -> None:
    """A classifier's of classes, a regressor's of amounts; both answer alike."""
    model = trained(objective, way)
    model.read(model.file).save(tmp_path / "model.ubj")
    wrapper = xgb.XGBRegressor() if model.problem.task.AMOUNT else xgb.XGBClassifier()
    wrapper.load_model(tmp_path / "model.ubj")
    found = wrapper.predict(ROWS) if model.problem.task.AMOUNT else wrapper.predict_proba(ROWS)
    expected = model.trees.inplace_predict(ROWS)
    np.testing.assert_allclose(found[:, 1] if found.shape == (200, 2) else found, expected, atol=1e-6)
    again = model.read((tmp_path / "model.ubj").read_bytes())
    assert np.array_equal(again.raw(ROWS), Booster(model.trees).raw(ROWS))


@KINDS
def test_the_trees_are_counted_in_rounds(objective: str, way: str) -> None:
    """However many trees a round has."""
    model = trained(objective, way)
    assert model.read(model.file).facts == {"trees": "3"}


def test_another_xgboost_answers_margins_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its library is elsewhere, by its wrapper."""
    expected = Booster(CLASSES.trees).raw(ROWS)
    monkeypatch.setattr(xgboost_call, "CALL", None)
    assert Booster(CLASSES.trees).raw(ROWS).tobytes() == expected.tobytes()


def test_the_call_itself_answers_every_output() -> None:
    """Even of a model that it knows nothing of; it never cuts off those of later rows."""
    for kind in get_args(xgboost_call.Kind):
        expected = CLASSES.trees.inplace_predict(ROWS, predict_type=kind)
        found = xgboost_call.predict(CLASSES.trees, ROWS, kind)
        assert found.shape == (200, 3)
        assert found.tobytes() == expected.tobytes()


def refused(model: Trained, change: Callable[[dict[str, Any]], object], problem: Problem | None = None) -> str:
    """The sentence that refuses a model file, given what changes its learner."""
    document = ubjson.loads(model.file)
    change(document["learner"])
    with pytest.raises(ArtifactError) as error:
        Booster.read(Path("model.ubj"), written(document), problem or model.problem, encoder(model.levels))
    return str(error.value)


@pytest.mark.parametrize(
    ("kind", "objective"),
    [(kind, objective) for kind in TASKS for other in TASKS if other != kind for objective in OBJECTIVES[other]],
)
def test_an_objective_of_another_task_is_refused(kind: str, objective: str) -> None:
    """And the sentence says which are taken."""
    if objective in OBJECTIVES[kind]:
        return
    said = refused(
        trained(objective), lambda _: None, Problem("other", trained(objective).problem.columns, task=TASKS[kind])
    )
    assert said.startswith(
        f"model.ubj holds a model of objective {objective!r}, expected {next(iter(OBJECTIVES[kind]))!r}"
    )


def test_an_objective_that_answers_labels_alone_is_refused_with_advice() -> None:
    """XGBoost has one for classes."""
    change = lambda learner: learner["objective"].update(name="multi:softmax")  # noqa: E731
    assert refused(CLASSES, change).endswith(
        "expected 'multi:softprob'; it answers no probabilities, so train with 'multi:softprob'."
    )


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c", "d")])
def test_another_number_of_classes_than_of_labels_is_refused(labels: tuple[str, ...]) -> None:
    """Fewer or more."""
    problem = Problem("small", CLASSES.problem.columns, task=Multiclass(labels))
    assert f"it tells other than {len(labels)} classes apart" in refused(CLASSES, lambda _: None, problem)


def parameter(**values: object) -> Callable[[dict[str, Any]], object]:
    """Set parameters of a learner."""
    return lambda learner: learner["learner_model_param"].update(values)


def forest(**values: object) -> Callable[[dict[str, Any]], object]:
    """Set members of what holds the trees."""
    return lambda learner: learner["gradient_booster"]["model"].update(values)


BASE = "its base score is none of its objective"
DIVIDED = "its trees are not divided among its outputs"
NONE = "is not a model that XGBoost"


@pytest.mark.parametrize(
    ("objective", "change", "said"),
    [
        ("multi:softprob", parameter(num_class="2"), "it tells other than 3 classes apart"),
        ("multi:softprob", parameter(num_class="03"), "it tells other than 3 classes apart"),
        ("multi:softprob", parameter(num_target="3"), "it tells other than 3 classes apart"),
        (
            "multi:softprob",
            lambda learner: learner["objective"]["softmax_multiclass_param"].update(num_class="0"),
            "its objective tells another number of classes apart",
        ),
        ("multi:softprob", lambda learner: learner["objective"].pop("softmax_multiclass_param"), NONE),
        ("multi:softprob", parameter(base_score="[5E-1,5E-1]"), BASE),
        ("multi:softprob", parameter(base_score="[0,1E39,0]"), BASE),
        ("multi:softprob", forest(tree_info=[0, 1, 2, 0, 1, 2, 0, 2, 1]), DIVIDED),
        ("multi:softprob", forest(tree_info=[0, 1, 2, 0, 1, 2, 0, 1, 3]), DIVIDED),
        ("multi:softprob", forest(tree_info=[0, 1, 2, 0, 1, 2, 0, 1]), DIVIDED),
        ("multi:softprob", forest(iteration_indptr=[0, 2, 6, 9]), DIVIDED),
        ("multi:softprob", forest(iteration_indptr=[0, 3, 3, 9]), "its boosting rounds do not divide its trees"),
        ("binary:logistic", parameter(num_class="3"), "it answers more than one question"),
        ("binary:logistic", parameter(base_score="[0E0]"), BASE),
        ("binary:logistic", parameter(base_score="[1E0]"), BASE),
        ("binary:logistic", parameter(base_score="[5E-1,5E-1]"), BASE),
        ("binary:logistic", parameter(base_score="[" * 100_000), NONE),
        ("binary:logistic", parameter(base_score="[nan]"), NONE),
        ("binary:logistic", parameter(base_score="[5_0E-2]"), NONE),
        ("binary:logistic", parameter(num_feature="0_4"), "its number of features is not written as a number"),
        ("reg:squarederror", parameter(base_score="[1E38]"), BASE),
        *(
            (objective, parameter(base_score="[-1E0]"), BASE)
            for objective in ("reg:gamma", "reg:tweedie", "count:poisson")
        ),
        *(
            (objective, parameter(base_score="[0E0]"), BASE)
            for objective in ("reg:gamma", "reg:tweedie", "count:poisson")
        ),
    ],
)
def test_parameters_that_do_not_belong_together_are_refused(
    objective: str, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """XGBoost would read beyond its numbers, divide by zero, overflow the stack, or answer NaN."""
    assert said in refused(trained(objective), change)


@pytest.mark.parametrize("value", [np.nan, np.inf, -3e38])
def test_leaves_that_sum_up_to_no_number_are_refused(value: float) -> None:
    """One leaf is enough."""

    def change(learner: dict[str, Any]) -> None:
        tree = learner["gradient_booster"]["model"]["trees"][1]
        leaves = tree["left_children"] == -1
        tree["split_conditions"] = np.where(leaves, np.float32(value), tree["split_conditions"]).astype(">f4")

    assert "its leaves are not finite, or sum up to more" in refused(trained("reg:squarederror"), change)


def test_a_flag_is_0_or_1() -> None:
    """XGBoost takes every other number for 0, and a reader would take it for 1."""

    def change(learner: dict[str, Any]) -> None:
        tree = learner["gradient_booster"]["model"]["trees"][0]
        tree["default_left"] = np.where(tree["default_left"], 255, 0).astype("u1")

    assert "a flag of a node is neither 0 nor 1" in refused(trained("binary:logistic"), change)


@pytest.mark.parametrize("place", ["version", "attributes", "tree_info", "feature_types"])
def test_bytes_in_place_of_numbers_are_refused(place: str) -> None:
    """XGBoost writes them for texts of a frame alone, and can end the process at others."""

    def change(learner: dict[str, Any]) -> None:
        holder = learner["gradient_booster"]["model"] if place == "tree_info" else learner
        holder[place] = np.zeros(0, ">i1")

    assert refused(trained("binary:logistic"), change)


@pytest.mark.parametrize("options", [{}, {"early_stopping_rounds": 2}], ids=str)
def test_what_is_served_of_an_estimator_of_several_classes(options: dict[str, Any]) -> None:
    """Its own booster, of its best rounds where the training was stopped early."""
    rows, problem = table(), CLASSES.problem
    target = targets(problem.task, rows).astype(int)
    noise = np.random.default_rng(0).permutation(target)
    fitted = xgb.XGBClassifier(n_estimators=30, max_depth=3, n_jobs=1, **options)
    fitted.fit(rows, target, eval_set=[(rows, noise)], verbose=False)
    served = proof.predictor(fitted, encoder((0,) * rows.shape[1]))
    rounds = fitted.best_iteration + 1 if options else 30
    assert served.facts == {"trees": str(rounds)}
    np.testing.assert_allclose(softmax(served.raw(ROWS).astype(np.float64)), fitted.predict_proba(ROWS), atol=1e-6)


def test_example_rows_hold_codes_where_the_table_does() -> None:
    """Cell by cell from the table, and as JSON reads them."""
    model = trained("multi:softprob", "sets of categories")
    booster = model.read(model.file)
    rows = booster.examples(ROWS, rows=50)
    cells = [[None if np.isnan(cell) else cell for cell in row] for row in rows.tolist()]
    assert np.array_equal(booster.from_json(cells), rows, equal_nan=True)
    for column, count in enumerate(LEVELS):
        codes = rows[:, column][~np.isnan(rows[:, column])]
        assert np.isin(codes, ROWS[:, column]).all()
        assert not count or np.isin(codes, np.arange(count)).all()
