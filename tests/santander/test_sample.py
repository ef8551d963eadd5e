"""The synthetic sample has the real table's published statistics within sampling error."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from santander.problem import PROBLEM
from santander.sample import POSITIVE_SHARE, Shape, log_odds, sample, shapes, statistics
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training.stumps import AveragedStumps

ROWS = 100_000

ODDS = 1_000_000
"""A correct sample fails the test of a family of statistics once in so many times."""

QUANTILES = {"q01": 0.01, "q99": 0.99}


def bound(statistics_tested: int) -> float:
    """The bound on the largest of so many standard normal scores of a correct sample (Bonferroni)."""
    return float(stats.norm.isf(1 / ODDS / 2 / statistics_tested))


@pytest.fixture(scope="module")
def drawn() -> Frame:
    """A large sample."""
    return sample(ROWS, seed=0)


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    """The published statistics of the real columns, in the problem's order."""
    table = statistics()
    assert table.index.tolist() == list(PROBLEM.features)
    return table


def of_class(frame: Frame, label: int) -> NDArray[np.float64]:
    """The features of one class."""
    values: NDArray[np.float64] = frame.features[frame.target == label].astype(np.float64)
    return values


def largest(scores: NDArray[np.float64], published: pd.DataFrame) -> str:
    """Describe the largest score, for the message of a failure."""
    worst = int(np.abs(scores).argmax())
    return f"{published.index[worst]} is {scores[worst]:+.2f} standard errors away"


def test_the_same_rows_and_seed_give_the_same_table() -> None:
    """The tables are equal to the bit; another seed gives another table."""
    first, second, other = sample(500, seed=3), sample(500, seed=3), sample(500, seed=4)
    assert first.features.tobytes() == second.features.tobytes()
    assert np.array_equal(first.target, second.target)
    assert not np.array_equal(first.features, other.features)
    assert not np.array_equal(first.target, other.target)


@pytest.mark.parametrize("rows", [1, 2, 11, 1_000])
def test_a_sample_of_any_size_is_a_table(rows: int) -> None:
    """It has the problem's shape, and ids that call its rows synthetic."""
    frame = sample(rows)
    assert frame.problem == PROBLEM
    assert (frame.features.shape, str(frame.features.dtype)) == ((rows, 200), "float32")
    assert (frame.target.shape, str(frame.target.dtype)) == ((rows,), "int8")
    assert frame.ids.tolist() == [f"synthetic_{row}" for row in range(rows)]


def test_positives_have_the_real_share_and_are_shuffled(drawn: Frame) -> None:
    """The count is exact, and the counts of the two halves differ only by chance."""
    assert drawn.target.sum() == round(ROWS * POSITIVE_SHARE)
    half = drawn.target[: ROWS // 2].sum()
    error = np.sqrt(ROWS * POSITIVE_SHARE * (1 - POSITIVE_SHARE) / 4)
    assert abs(half - drawn.target.sum() / 2) < bound(1) * error


@pytest.mark.parametrize("label", [0, 1])
def test_each_class_has_its_published_mean(label: int, drawn: Frame, published: pd.DataFrame) -> None:
    """In every column, the mean differs by no more than sampling error."""
    values = of_class(drawn, label)
    error = published[f"std_{label}"].to_numpy() / np.sqrt(len(values))
    scores = (values.mean(axis=0) - published[f"mean_{label}"].to_numpy()) / error
    assert np.abs(scores).max() < bound(len(scores)), largest(scores, published)


@pytest.mark.parametrize("label", [0, 1])
def test_each_class_has_its_published_standard_deviation(label: int, drawn: Frame, published: pd.DataFrame) -> None:
    """In every column, it differs by no more than the sampling error for the column's kurtosis."""
    values, expected = of_class(drawn, label), published[f"std_{label}"].to_numpy()
    error = expected * np.sqrt((stats.kurtosis(values) + 2) / (4 * len(values)))
    scores = (values.std(axis=0, ddof=1) - expected) / error
    assert np.abs(scores).max() < bound(len(scores)), largest(scores, published)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_class_0_has_its_published_quantiles(quantile: str, drawn: Frame, published: pd.DataFrame) -> None:
    """The share of rows below each is 1 or 99 % within binomial error; rows equal to the quantile count half."""
    values, limits, share = of_class(drawn, 0), published[f"{quantile}_0"].to_numpy(), QUANTILES[quantile]
    tick = 0.5e-4  # half of the last decimal
    shares = ((values < limits - tick).mean(axis=0) + (values < limits + tick).mean(axis=0)) / 2
    scores = (shares - share) / np.sqrt(share * (1 - share) / len(values))
    assert np.abs(scores).max() < bound(len(scores)), largest(scores, published)


def test_class_1_is_near_its_published_quantiles(drawn: Frame, published: pd.DataFrame) -> None:
    """Class 1 has class 0's shape, so a few columns differ: the median gap is small, and no gap is large."""
    values, sd = of_class(drawn, 1), published["std_1"].to_numpy()
    gaps = {
        f"{name} {quantile}": abs(value - limit) / deviation
        for quantile, share in QUANTILES.items()
        for name, value, limit, deviation in zip(
            published.index, np.quantile(values, share, axis=0), published[f"{quantile}_1"], sd, strict=True
        )
    }
    worst = max(gaps, key=lambda name: gaps[name])
    message = f"median {np.median(list(gaps.values())):.3f} sd, largest {gaps[worst]:.3f} sd at {worst}"
    assert np.median(list(gaps.values())) <= 0.06, message
    assert gaps[worst] <= 0.6, message


def test_no_value_leaves_the_published_range(drawn: Frame, published: pd.DataFrame) -> None:
    """All values have four decimals, as the real ones have."""
    low, high = (published[name].to_numpy(np.float32) for name in ("min", "max"))
    assert (drawn.features >= low).all()
    assert (drawn.features <= high).all()
    assert np.array_equal(drawn.features, drawn.features.astype(np.float64).round(4).astype(np.float32))


@pytest.mark.parametrize("label", [0, 1])
def test_columns_are_uncorrelated_within_a_class(label: int, drawn: Frame) -> None:
    """The correlations of all 19,900 pairs are 0 within sampling error (Fisher's z)."""
    values = of_class(drawn, label)
    pairs = np.asarray(np.corrcoef(values, rowvar=False))[np.triu_indices(200, 1)]
    scores = np.arctanh(pairs) * np.sqrt(len(values) - 3)
    assert np.abs(scores).max() < bound(len(scores)), f"largest correlation {np.abs(pairs).max():.4f}"


def test_memory_stays_near_the_arrays_own_size() -> None:
    """The peak is below twice the size of the features."""
    sample(10)  # fits the shapes, once
    tracemalloc.start()
    features = sample(50_000).features
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * features.nbytes, f"{peak / features.nbytes:.2f} times the array"


@given(st.floats(-1.5, 1.5), st.floats(0.6, 1.6))
def test_a_shape_is_standardised_and_knows_its_density(skew: float, tail: float) -> None:
    """It has mean 0, sd 1, and the density of the change of variables, up to one constant."""
    shape, share = Shape.of(skew, tail), (np.arange(200_000) + 0.5) / 200_000
    values = shape.from_normal(stats.norm.ppf(share))
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)
    normal = np.linspace(-3, 3, 41)
    slope = (shape.from_normal(normal + 1e-5) - shape.from_normal(normal - 1e-5)) / 2e-5
    expected = stats.norm.logpdf(normal) - np.log(slope)
    offset = shape.log_density(shape.from_normal(normal)) - expected
    assert offset == pytest.approx(np.full(41, offset[0]), abs=1e-6)


def test_every_fitted_shape_has_class_0s_quantiles(published: pd.DataFrame) -> None:
    """The fit converged in every column."""
    for name, shape in zip(published.index, shapes(), strict=True):
        row = published.loc[name]
        quantiles = shape.from_normal(stats.norm.ppf(list(QUANTILES.values()))) * row["std_0"] + row["mean_0"]
        assert quantiles == pytest.approx([row["q01_0"], row["q99_0"]], abs=1e-4 * row["std_0"]), name


# The log odds, the best ranking of the sample.


@pytest.fixture(scope="module")
def unseen() -> Frame:
    """Rows that no model below was trained on."""
    return sample(20_000, seed=11)


def test_the_log_odds_are_calibrated(unseen: Frame) -> None:
    """In ten groups by probability, as many rows are positive as the log odds predict, within binomial error."""
    probability = 1 / (1 + np.exp(-log_odds(unseen.features)))
    for group in np.array_split(np.argsort(probability), 10):
        expected, target = probability[group], unseen.target[group]
        error = np.sqrt((expected * (1 - expected)).sum())
        assert abs(target.sum() - expected.sum()) < bound(10) * error


@pytest.mark.parametrize(
    "model",
    [
        GaussianNB(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        AveragedStumps(n_estimators=300, n_jobs=1),
    ],
    ids=["naive Bayes", "logistic regression", "stumps"],
)
def test_no_trained_model_ranks_the_sample_better_than_its_log_odds(
    model: GaussianNB | LogisticRegression | AveragedStumps, unseen: Frame
) -> None:
    """The log odds are the optimum, because they are those of the sample's own distribution."""
    training = sample(20_000, seed=12)
    scores = model.fit(training.features, training.target).predict_proba(unseen.features)[:, 1]
    best = roc_auc_score(unseen.target, log_odds(unseen.features))
    assert 0.75 < roc_auc_score(unseen.target, scores) < best


# The real rows, if they are there.


def test_the_statistics_are_the_published_ones(shared: Path, published: pd.DataFrame) -> None:
    """The file is an unchanged copy of the source."""
    source = pd.read_csv(shared / "data/santander/feature_statistics_200k.csv", index_col="feature")
    assert published.equals(source.loc[list(PROBLEM.features)])


def test_a_model_trained_on_the_sample_ranks_real_rows(shared: Path) -> None:
    """A model trained only on synthetic rows ranks real rows well, and so do the log odds without training."""
    real, training = read(shared / "data/santander/real_rows_2500.csv", PROBLEM), sample(50_000, seed=13)
    scores = GaussianNB().fit(training.features, training.target).predict_proba(real.features)[:, 1]
    assert roc_auc_score(real.target, scores) > 0.86
    assert roc_auc_score(real.target, log_odds(real.features)) > 0.86
