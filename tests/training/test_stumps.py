"""Stumps folded into one tree per feature are the same function, with exact SHAP values and the same gains."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone

from tabserve.encoding.encoder import Encoder
from tabserve.model.decision import Threshold
from tabserve.model.model import Model, save
from tabserve.predictors.booster import Booster
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.training.stumps import AveragedStumps, Steps, covers, fold, to_booster

Features = NDArray[np.float32]


@dataclass
class Trained:
    """A small table, and boosters of stumps trained on it."""

    features: Features
    target: NDArray[np.int8]
    boosters: list[xgb.Booster]

    def folded(self) -> xgb.Booster:
        """The folded booster, set to predict on one thread."""
        booster = fold(self.boosters, self.features)
        booster.set_param({"nthread": 1})
        return booster

    @property
    def probes(self) -> Features:
        """Rows at, just below and just above every cut, far outside the table, and with missing values."""
        trees = [booster.trees_to_dataframe() for booster in self.boosters]
        cuts = np.concatenate([tree["Split"].dropna().to_numpy(np.float32) for tree in trees])
        far = np.array([-1e6, 0, 1e6, np.nan], np.float32)
        values = np.concatenate([cuts, np.nextafter(cuts, -np.inf), np.nextafter(cuts, np.inf), far]).astype(np.float32)
        return np.repeat(values[:, np.newaxis], self.features.shape[1], axis=1)


def trained_on(features: Features, target: NDArray[np.int8], rounds: int, seeds: int) -> Trained:
    """One booster per seed, each round fitted on a sample of rows and columns."""
    options = {"max_depth": 1, "n_estimators": rounds, "learning_rate": 0.3, "subsample": 0.7, "n_jobs": 1}
    boosters = [
        xgb.XGBClassifier(**options, colsample_bytree=0.5, min_child_weight=0, random_state=seed).fit(features, target)
        for seed in range(seeds)
    ]
    return Trained(features, target, [classifier.get_booster() for classifier in boosters])


@st.composite
def trained(draw: st.DrawFn) -> Trained:
    """Tables with few or many distinct values, constant columns and gaps, whose target depends on a column."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    rows, columns, distinct = draw(st.integers(6, 60)), draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 5, 1000]))
    features = (rng.integers(distinct, size=(rows, columns)) / 8 - 1).astype(np.float32)
    features[rng.random((rows, columns)) < draw(st.sampled_from([0.0, 0.0, 0.3]))] = np.nan
    noisy = np.nan_to_num(features[:, 0], nan=2.0) + draw(st.sampled_from([0.1, 10.0])) * rng.standard_normal(rows)
    target = (noisy > np.median(noisy)).astype(np.int8)
    return trained_on(features, target, draw(st.integers(1, 12)), draw(st.integers(1, 3)))


def log_odds(booster: xgb.Booster, features: Features) -> NDArray[np.float32]:
    """The log odds of a booster, before they become a probability."""
    return np.asarray(booster.predict(xgb.DMatrix(features, nthread=1), output_margin=True))


@settings(max_examples=30)
@given(table=trained())
def test_the_fold_is_the_mean_of_the_boosters(table: Trained) -> None:
    """Its log odds are the mean of theirs everywhere, also on both sides of every cut and for missing values."""
    folded = table.folded()
    for rows in (table.features, table.probes):
        expected = np.mean([log_odds(booster, rows) for booster in table.boosters], axis=0)
        assert log_odds(folded, rows) == pytest.approx(expected, abs=1e-5)


@settings(max_examples=30)
@given(table=trained())
def test_shap_values_add_up_to_the_log_odds(table: Trained) -> None:
    """They are centred: each feature's mean over the training rows is 0, so the bias is the mean of the log odds."""
    folded = table.folded()
    contributions = folded.predict(xgb.DMatrix(table.features, nthread=1), pred_contribs=True)
    assert contributions.sum(axis=1) == pytest.approx(log_odds(folded, table.features), abs=1e-5)
    assert contributions[:, :-1].mean(axis=0) == pytest.approx(np.zeros(table.features.shape[1]), abs=1e-5)


def test_shap_values_exist_for_steps_that_no_training_row_reaches() -> None:
    """Stumps of several boosters may cut more than once between two values of the training rows."""
    table = trained_on(np.arange(6, dtype=np.float32)[:, None], np.array([0, 0, 0, 1, 1, 1], np.int8), 1, 1)
    steps = Steps(0, np.array([2.2, 2.5, 2.8], np.float32), np.array([-1.0, 1.0, 2.0, 3.0]), gain=1.0)
    folded = to_booster(table.boosters[0], [steps], covers([steps], table.features))
    rows = np.array([[2], [2.3], [2.6], [3], [np.nan]], np.float32)
    contributions = folded.predict(xgb.DMatrix(rows, nthread=1), pred_contribs=True)
    assert contributions.sum(axis=1) == pytest.approx(log_odds(folded, rows), abs=1e-5)
    assert contributions[:, 0] == pytest.approx([-2, 0, 1, 2, 2], abs=1e-5)  # half the rows have -1, half have 3


@settings(max_examples=10)
@given(table=trained())
def test_each_node_carries_the_mean_of_the_leaves_below_it(table: Trained) -> None:
    """The mean is weighted by the training rows that reach the leaves, as in XGBoost's own trees."""
    model = json.loads(table.folded().save_raw("json"))["learner"]["gradient_booster"]["model"]
    for tree in model["trees"]:
        left, right = (np.array(tree[f"{side}_children"]) for side in ("left", "right"))
        weight, cover = np.array(tree["base_weights"]), np.array(tree["sum_hessian"])
        for node in np.flatnonzero(left >= 0):
            below = [left[node], right[node]]
            assert cover[node] == pytest.approx(cover[below].sum())
            assert weight[node] == pytest.approx(np.average(weight[below], weights=cover[below]), abs=1e-5)


@settings(max_examples=30)
@given(table=trained())
def test_the_total_gain_of_each_feature_is_kept(table: Trained) -> None:
    """It is the mean of the boosters' gains, so importances keep their meaning."""
    gains = [booster.get_score(importance_type="total_gain") for booster in table.boosters]
    expected = {name: np.sum([gain.get(name, 0.0) for gain in gains]) / len(gains) for name in set().union(*gains)}
    assert table.folded().get_score(importance_type="total_gain") == pytest.approx(expected, rel=1e-5)


@settings(max_examples=30)
@given(table=trained())
def test_there_is_one_balanced_tree_for_each_feature_that_stumps_use(table: Trained) -> None:
    """And one for single leaves; the depth is the logarithm of the number of steps."""
    folded = table.folded()
    used = set().union(*(booster.get_score() for booster in table.boosters))
    assert folded.num_boosted_rounds() == len(used) + 1
    for tree in folded.get_dump():
        depths = [len(line) - len(line.lstrip("\t")) for line in tree.splitlines()]
        steps = len(depths) // 2
        assert max(depths) == np.ceil(np.log2(steps + 1))


@settings(max_examples=8)
@given(table=trained())
def test_a_saved_fold_answers_the_same_bit_for_bit(table: Trained, tmp_path_factory: pytest.TempPathFactory) -> None:
    """After it is saved in a model folder and loaded again."""
    folded, names = table.folded(), [f"x{number}" for number in range(table.features.shape[1])]
    folded.feature_names = names
    problem = Problem("any", numbers(*names))
    model = Model(problem, Encoder.learn(problem, {}), Booster(folded), Threshold(0.5), {}, {}, {})
    before = model.score(table.probes)
    saved = save(tmp_path_factory.getbasetemp() / "folded", model, table.features[:3], "")
    assert np.array_equal(saved.score(table.probes), before)


def test_a_constant_table_folds_into_its_base_rate() -> None:
    """No stump finds a cut, so one leaf remains."""
    target = (np.arange(40) % 4 == 0).astype(np.int8)
    stumps = AveragedStumps(seeds=2, n_estimators=10, n_jobs=1).fit(np.ones((40, 3), np.float32), target)
    assert stumps.get_booster().num_boosted_rounds() == 1
    assert stumps.predict_proba(np.ones((1, 3), np.float32))[0, 1] == pytest.approx(0.25, abs=0.05)


def test_a_tree_deeper_than_a_stump_is_refused(sample_frame: Frame) -> None:
    """Its interactions cannot be written as one tree per feature."""
    features, target = sample_frame.features[:500], sample_frame.target[:500]
    deep = xgb.XGBClassifier(max_depth=2, n_estimators=3, n_jobs=1).fit(features, target)
    with pytest.raises(ValueError, match="only stumps can be folded"):
        fold([deep.get_booster()], features)


@pytest.fixture(scope="module")
def stumps(sample_frame: Frame) -> AveragedStumps:
    """An estimator fitted to the sample."""
    estimator = AveragedStumps(seeds=2, n_estimators=100, colsample_bytree=0.2, random_state=7, n_jobs=1)
    return estimator.fit(sample_frame.features, sample_frame.target)


def test_averaged_stumps_learn(stumps: AveragedStumps, sample_frame: Frame) -> None:
    """Training rows are ranked by class, and the probabilities of both classes add up to 1."""
    probability = stumps.predict_proba(sample_frame.features)
    assert probability.shape == (len(sample_frame), 2)
    assert probability.sum(axis=1) == pytest.approx(1)
    positive, negative = (probability[sample_frame.target == label, 1] for label in (1, 0))
    assert np.median(positive) > np.quantile(negative, 0.8)


def test_seeds_are_averaged(stumps: AveragedStumps, sample_frame: Frame) -> None:
    """The log odds of two seeds are the mean of those of each seed."""
    single = [
        clone(stumps).set_params(seeds=1, random_state=seed).fit(sample_frame.features, sample_frame.target)
        for seed in (7, 8)
    ]
    expected = np.mean([log_odds(estimator.get_booster(), sample_frame.features) for estimator in single], axis=0)
    assert log_odds(stumps.get_booster(), sample_frame.features) == pytest.approx(expected, abs=1e-5)


def test_the_same_seed_gives_the_same_bytes(stumps: AveragedStumps, sample_frame: Frame) -> None:
    """A fitted clone has the same booster; another seed gives another one."""
    again = clone(stumps).fit(sample_frame.features, sample_frame.target)
    assert again.get_booster().save_raw() == stumps.get_booster().save_raw()
    other = clone(stumps).set_params(random_state=8).fit(sample_frame.features, sample_frame.target)
    assert other.get_booster().save_raw() != stumps.get_booster().save_raw()


def test_seeds_fitted_in_parallel_give_the_same_model_as_one_after_the_other(sample_frame: Frame) -> None:
    """The same bytes, whether each seed has its own thread or all have one."""
    models = [
        AveragedStumps(seeds=2, n_estimators=20, n_jobs=jobs).fit(sample_frame.features, sample_frame.target)
        for jobs in (1, 2)
    ]
    assert models[0].get_booster().save_raw() == models[1].get_booster().save_raw()
