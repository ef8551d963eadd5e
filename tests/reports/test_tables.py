"""Tables and metrics have the measures of folds and hold-out, and nothing that varies between runs."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tabserve.encoding.encoder import Encoder
from tabserve.model.decision import Amounts, threshold_of
from tabserve.problem.columns import numbers
from tabserve.problem.criterion import MAE, RMSE, Costs
from tabserve.reports import tables
from tabserve.table.frame import Frame
from tabserve.training import bootstrap, multiclass, regression
from tabserve.training.binary import evaluate, measures
from tabserve.training.bootstrap import Interval
from tabserve.training.selection import Candidate, Selection, select

CANDIDATES = [
    Candidate("bayes", GaussianNB(), {"var_smoothing": [1e-9, 1e-2]}),
    Candidate("scaled", make_pipeline(StandardScaler(), LogisticRegression())),
    Candidate("boosted", xgb.XGBClassifier(n_estimators=9, n_jobs=1)),
]


@pytest.fixture(scope="module")
def selection(sample_frame: Frame) -> Selection:
    """The selection among three candidates on some rows."""
    return select(sample_frame.take(np.arange(1_000)), CANDIDATES)


@pytest.fixture
def evaluation(selection: Selection, monkeypatch: pytest.MonkeyPatch) -> dict[str, Interval]:
    """The winner's measures with intervals."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)
    frame = selection.frame
    return evaluate(
        frame.target, selection.winner.prediction, threshold_of(selection.decision), frame.problem.criterion
    )


def test_every_measure_has_a_title(selection: Selection) -> None:
    """For every task and criterion."""
    frame, probability = selection.frame, selection.best.prediction
    criteria, both = (Costs(1, 1), frame.problem.criterion), np.stack([1 - probability, probability], axis=1)
    named = {name for criterion in criteria for name in measures(frame.target, probability, 0.1, criterion)}
    named |= {name for criterion in criteria for name in multiclass.measures(frame.target, both, criterion)}
    amounts = Amounts(*np.zeros((3, len(frame)), np.float32))
    named |= {name for criterion in (RMSE(), MAE()) for name in regression.measures(frame.target, amounts, criterion)}
    named |= {f"macro_{criterion.name}" for criterion in criteria}
    assert set(tables.TITLES) == named


def test_candidates_are_sorted_by_their_mean(selection: Selection) -> None:
    """Cells have mean ± standard deviation over the folds; only boosters have trees."""
    table = tables.selection_table(selection)
    means = {name: outcome.measures["f1"].mean() for name, outcome in selection.outcomes.items()}
    assert list(table.index) == sorted(means, key=lambda name: -means[name])
    auc = selection.outcomes["bayes"].measures["roc_auc"]
    assert table.loc["bayes", "ROC AUC"] == f"{auc.mean():.4f} ± {auc.std():.4f}"
    assert (table.loc["bayes", "trees"], table.loc["boosted", "trees"]) == ("–", "9")
    assert (table["fit s"].astype(float) >= 0).all()


def test_the_evaluation_table_has_measures_with_intervals(evaluation: dict[str, Interval]) -> None:
    """One row per measure."""
    table = tables.evaluation_table({name: interval._asdict() for name, interval in evaluation.items()})
    auc = evaluation["roc_auc"]
    assert list(table.loc["ROC AUC"]) == [f"{auc.value:.4f}", f"{auc.low:.4f} to {auc.high:.4f}"]
    assert len(table) == len(evaluation)


def test_the_evaluation_table_has_a_column_for_each_baseline() -> None:
    """With as many decimals as the figures of the model, a measure that is negated to rank in its plain sign."""
    error = Interval(2000.0, 1900.0, 2100.0)._asdict()
    table = tables.evaluation_table({"rmse": error}, {"mean": {"rmse": 9810.04}, "median": {"rmse": 9999.96}})
    assert table.T.to_dict("list") == {"RMSE": ["2,000.0", "1,900.0 to 2,100.0", "9,810.0", "10,000.0"]}
    cost = tables.evaluation_table(
        {"minus_cost": {"value": -0.2, "low": -0.3, "high": -0.1}}, {"none": {"minus_cost": -1}}
    )
    assert cost.loc["cost per row", "none"] == "1.0000"


@pytest.mark.parametrize(
    ("value", "size", "shown"),
    [
        (0.61449, 0.7, "0.6145"),
        (0, 0, "0.0000"),
        (14.5678, 27.4, "14.568"),
        (2199.7259, 9810.0, "2,199.7"),
        (1234567.8, 1e6, "1,234,568"),
        (0.0012345, 0.002, "0.00123"),
        (1.2e-7, 1.2e-7, "0.000000"),
        (float("nan"), float("nan"), "nan"),
    ],
)
def test_figures_have_as_many_decimals_as_their_size_needs(value: float, size: float, shown: str) -> None:
    """An amount in thousands is not shown to a hundredth of a cent."""
    assert tables.figure(value, size) == shown


def test_a_measure_is_shown_once() -> None:
    """Not its negation as well, by which amounts are ranked; a negation alone stays."""
    error, cost = Interval(2000.0, 1900.0, 2100.0), Interval(-0.65, -0.75, -0.6)
    measured = {"minus_rmse": -error, "rmse": error, "minus_cost": cost}
    table = tables.evaluation_table({name: interval._asdict() for name, interval in measured.items()})
    assert table.T.to_dict("list") == {
        "RMSE": ["2,000.0", "1,900.0 to 2,100.0"],
        "cost per row": ["0.6500", "0.6000 to 0.7500"],
    }


def test_a_cost_is_shown_as_a_cost() -> None:
    """Of the candidates, of each class, and of models beside each other; the least is the best."""
    means = {name: {"minus_cost": {"mean": -cost, "sd": 0.5}} for name, cost in (("dear", 3.0), ("cheap", 2.0))}
    assert tables.statistics_table(means)["cost per row"].to_dict() == {
        "dear": "3.0000 ± 0.5000",
        "cheap": "2.0000 ± 0.5000",
    }
    assert tables.ranking(means) == ["cheap", "dear"]
    classes = {"a": {"minus_cost": {"value": -2.0, "low": -3.0, "high": -1.0}, "rows": 9}}
    assert tables.classes_table(classes).loc["a", "cost per row"] == "2.0000 (1.0000 to 3.0000)"
    assert tables.models_table({"model": {"macro_minus_cost": -2.0}}).loc["macro cost per row", "model"] == "2.0000"


def test_the_candidates_table_describes_each_candidate() -> None:
    """Its kind, its grid, and whether a model folder can hold it."""
    assert tables.candidates_table(CANDIDATES).to_dict("index") == {
        "bayes": {
            "kind": "GaussianNB",
            "chosen inside the folds": "var_smoothing of [1e-09, 0.01]",
            "servable": False,
        },
        "scaled": {
            "kind": "LogisticRegression after StandardScaler",
            "chosen inside the folds": "–",
            "servable": False,
        },
        "boosted": {"kind": "XGBClassifier", "chosen inside the folds": "–", "servable": True},
    }


def test_the_models_table_has_one_column_per_model() -> None:
    """Measures are rows, by their titles."""
    table = tables.models_table({"this one": {"f1": 0.5, "roc_auc": 0.25}, "that one": {"f1": 1, "roc_auc": 0.75}})
    expected = pd.DataFrame({"this one": ["0.5000", "0.2500"], "that one": ["1.0000", "0.7500"]}, ["F1", "ROC AUC"])
    assert table.equals(expected)


def test_the_columns_table_describes_each_column(sample_frame: Frame) -> None:
    """It counts missing and repeated values, and measures the shift between the classes."""
    problem = replace(sample_frame.problem, columns=numbers("x", "y", missing=True))
    features = np.array([[1, 5], [1, np.nan], [3, 5], [3, 5]], dtype=np.float32)
    target = np.array([0, 0, 1, 1], np.int8)
    ids, encoder = np.arange(4).astype(np.str_).astype(np.object_), Encoder.learn(problem, {})
    table = tables.columns_table(Frame(ids, features, target, problem, encoder))
    assert table["missing"].tolist() == [0, 1]
    assert table["distinct"].tolist() == [2, 1]
    assert table["most repeated"].tolist() == [2, 3]
    assert [table.loc["x", f"mean, {label}"] for label in ("negative", "positive")] == [1, 3]
    assert table.loc["x", "shift"] == pytest.approx(2 / np.std([1, 1, 3, 3], ddof=1))


def test_metrics_are_json_and_contain_no_times(selection: Selection, evaluation: dict[str, Interval]) -> None:
    """Slower folds give the same metrics, and JSON preserves every number."""
    metrics = tables.metrics(selection, evaluation)
    slower = {name: replace(outcome, seconds=[99.0] * 5) for name, outcome in selection.outcomes.items()}
    assert tables.metrics(replace(selection, outcomes=slower), evaluation) == metrics
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_metrics_have_the_measures_of_folds_and_hold_out(selection: Selection, evaluation: dict[str, Interval]) -> None:
    """By candidate and measure, with the chosen parameters and trees."""
    metrics = tables.metrics(selection, evaluation)
    assert (metrics["winner"], metrics["best"]) == ("boosted", selection.best.candidate.name)
    bayes = selection.outcomes["bayes"]
    values = bayes.measures["f1"]
    assert metrics["folds"]["bayes"]["f1"] == {"mean": values.mean(), "sd": values.std()}
    assert metrics["chosen"]["bayes"] == list(bayes.grid_choices)
    assert metrics["trees"] == {"bayes": [], "scaled": [], "boosted": [9] * 5}
    assert metrics["fold_rows"] == [200] * 5
    assert metrics["holdout"]["f1"] == evaluation["f1"]._asdict()


def test_metrics_without_an_evaluation_have_no_hold_out(selection: Selection) -> None:
    """A notebook shows the folds before it evaluates on the hold-out."""
    assert tables.metrics(selection)["holdout"] == {}


def test_the_checksum_identifies_the_data(sample_frame: Frame) -> None:
    """Another value, label or order of rows changes it; another name of the source does not."""
    few = sample_frame.take(np.arange(100))
    facts = tables.provenance(few, "few.csv", synthetic=False)
    assert facts | {"sha256": ""} == {
        "source": "few.csv",
        "synthetic": False,
        "rows": 100,
        "positives": int(few.target.sum()),
        "sha256": "",
    }
    features, target = few.features.copy(), few.target.copy()
    features[50, 7] = np.nextafter(features[50, 7], np.float32(np.inf))
    target[50] = 1 - target[50]
    for other in (replace(few, features=features), replace(few, target=target), few.take(np.arange(99, -1, -1))):
        assert tables.provenance(other, "few.csv", synthetic=False)["sha256"] != facts["sha256"]
    assert tables.provenance(few, "other.csv", synthetic=True)["sha256"] == facts["sha256"]
