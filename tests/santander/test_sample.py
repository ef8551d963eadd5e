"""The synthetic sample has the real table's published statistics within sampling error, and nobody's rows."""

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
from tabserve.table.frame import Frame, read
from tabserve.training.stumps import AveragedStumps

ROWS = 100_000

ODDS = 1_000_000
"""How rarely a correct sample may miss a whole family of statistics, one time in so many."""

QUANTILES = {"q01": 0.01, "q99": 0.99}


def bound(statistics_tested: int) -> float:
    """The largest of so many standard normal scores that a correct sample may show (Bonferroni)."""
    return float(stats.norm.isf(1 / ODDS / 2 / statistics_tested))


@pytest.fixture(scope="module")
def drawn() -> Frame:
    """A large sample."""
    return sample(ROWS, seed=0)


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    """What is known of the real columns, in the problem's order."""
    table = statistics()
    assert table.index.tolist() == list(PROBLEM.features)
    return table


def of_class(frame: Frame, label: int) -> NDArray[np.float64]:
    """The features of one class."""
    values: NDArray[np.float64] = frame.features[frame.target == label].astype(np.float64)
    return values


def largest(scores: NDArray[np.float64], published: pd.DataFrame) -> str:
    """The largest score, for a failure's message."""
    worst = int(np.abs(scores).argmax())
    return f"{published.index[worst]} is {scores[worst]:+.2f} standard errors away"


def test_the_same_rows_and_seed_give_the_same_table() -> None:
    """To the bit; another seed gives another table."""
    one, again, other = sample(500, seed=3), sample(500, seed=3), sample(500, seed=4)
    assert one.features.tobytes() == again.features.tobytes()
    assert np.array_equal(one.target, again.target)
    assert not np.array_equal(one.features, other.features)
    assert not np.array_equal(one.target, other.target)


@pytest.mark.parametrize("rows", [1, 2, 11, 1_000])
def test_a_sample_of_any_size_is_a_table(rows: int) -> None:
    """In the problem's shape; its ids say that it is synthetic."""
    frame = sample(rows)
    assert frame.problem == PROBLEM
    assert (frame.features.shape, str(frame.features.dtype)) == ((rows, 200), "float32")
    assert (frame.target.shape, str(frame.target.dtype)) == ((rows,), "int8")
    assert frame.ids.tolist() == [f"synthetic_{row}" for row in range(rows)]


def test_positives_have_the_real_share_and_stand_anywhere(drawn: Frame) -> None:
    """The count is exact, and the two halves differ by chance alone."""
    assert drawn.target.sum() == round(ROWS * POSITIVE_SHARE)
    half = drawn.target[: ROWS // 2].sum()
    error = np.sqrt(ROWS * POSITIVE_SHARE * (1 - POSITIVE_SHARE) / 4)
    assert abs(half - drawn.target.sum() / 2) < bound(1) * error


@pytest.mark.parametrize("label", [0, 1])
def test_each_class_has_its_published_mean(label: int, drawn: Frame, published: pd.DataFrame) -> None:
    """In every column, within sampling error."""
    values = of_class(drawn, label)
    error = published[f"std_{label}"].to_numpy() / np.sqrt(len(values))
    scores = (values.mean(axis=0) - published[f"mean_{label}"].to_numpy()) / error
    assert np.abs(scores).max() < bound(len(scores)), largest(scores, published)


@pytest.mark.parametrize("label", [0, 1])
def test_each_class_has_its_published_standard_deviation(label: int, drawn: Frame, published: pd.DataFrame) -> None:
    """In every column, within the sampling error that the column's kurtosis gives."""
    values, expected = of_class(drawn, label), published[f"std_{label}"].to_numpy()
    error = expected * np.sqrt((stats.kurtosis(values) + 2) / (4 * len(values)))
    scores = (values.std(axis=0, ddof=1) - expected) / error
    assert np.abs(scores).max() < bound(len(scores)), largest(scores, published)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_class_0_has_its_published_quantiles(quantile: str, drawn: Frame, published: pd.DataFrame) -> None:
    """The share of rows below each is 1 or 99 % within binomial error; equal rows count half."""
    values, limits, share = of_class(drawn, 0), published[f"{quantile}_0"].to_numpy(), QUANTILES[quantile]
    tick = 0.5e-4  # half of the last decimal
    found = ((values < limits - tick).mean(axis=0) + (values < limits + tick).mean(axis=0)) / 2
    scores = (found - share) / np.sqrt(share * (1 - share) / len(values))
    assert np.abs(scores).max() < bound(len(scores)), largest(scores, published)


def test_class_1_comes_near_its_published_quantiles(drawn: Frame, published: pd.DataFrame) -> None:
    """It shares class 0's shape, so a few columns miss: the median gap is small and no gap is large."""
    values, sd = of_class(drawn, 1), published["std_1"].to_numpy()
    gaps = {
        f"{name} {quantile}": abs(found - limit) / deviation
        for quantile, share in QUANTILES.items()
        for name, found, limit, deviation in zip(
            published.index, np.quantile(values, share, axis=0), published[f"{quantile}_1"], sd, strict=True
        )
    }
    worst = max(gaps, key=lambda name: gaps[name])
    said = f"median {np.median(list(gaps.values())):.3f} sd, largest {gaps[worst]:.3f} sd at {worst}"
    assert np.median(list(gaps.values())) <= 0.06, said
    assert gaps[worst] <= 0.6, said


def test_no_value_leaves_the_published_range(drawn: Frame, published: pd.DataFrame) -> None:
    """And all have four decimals, as the real ones."""
    low, high = (published[name].to_numpy(np.float32) for name in ("min", "max"))
    assert (drawn.features >= low).all()
    assert (drawn.features <= high).all()
    assert np.array_equal(drawn.features, drawn.features.astype(np.float64).round(4).astype(np.float32))


@pytest.mark.parametrize("label", [0, 1])
def test_columns_are_uncorrelated_within_a_class(label: int, drawn: Frame) -> None:
    """All 19,900 pairs, within sampling error (Fisher's z)."""
    values = of_class(drawn, label)
    pairs = np.asarray(np.corrcoef(values, rowvar=False))[np.triu_indices(200, 1)]
    scores = np.arctanh(pairs) * np.sqrt(len(values) - 3)
    assert np.abs(scores).max() < bound(len(scores)), f"largest correlation {np.abs(pairs).max():.4f}"


def test_memory_stays_near_the_arrays_own_size() -> None:
    """The peak is below twice what the features take."""
    sample(10)  # fits the shapes, once
    tracemalloc.start()
    features = sample(50_000).features
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * features.nbytes, f"{peak / features.nbytes:.2f} times the array"


@given(st.floats(-1.5, 1.5), st.floats(0.6, 1.6))
def test_a_shape_is_standardised_and_knows_its_density(skew: float, tail: float) -> None:
    """Mean 0, sd 1, and the density that the change of variables gives, up to one constant."""
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
        found = shape.from_normal(stats.norm.ppf(list(QUANTILES.values()))) * row["std_0"] + row["mean_0"]
        assert found == pytest.approx([row["q01_0"], row["q99_0"]], abs=1e-4 * row["std_0"]), name


# The sample's own optimum.


@pytest.fixture(scope="module")
def unseen() -> Frame:
    """Rows that no model below was trained on."""
    return sample(20_000, seed=11)


def test_the_log_odds_are_calibrated(unseen: Frame) -> None:
    """In ten groups from unlikely to likely, as many rows are positive as they say, within binomial error."""
    probability = 1 / (1 + np.exp(-log_odds(unseen.features)))
    for group in np.array_split(np.argsort(probability), 10):
        expected, found = probability[group], unseen.target[group]
        error = np.sqrt((expected * (1 - expected)).sum())
        assert abs(found.sum() - expected.sum()) < bound(10) * error


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
    """They are the best that anyone can do with this sample."""
    taught = sample(20_000, seed=12)
    trained = model.fit(taught.features, taught.target).predict_proba(unseen.features)[:, 1]
    best = roc_auc_score(unseen.target, log_odds(unseen.features))
    assert 0.75 < roc_auc_score(unseen.target, trained) < best


# The real rows, where they are at hand.


def test_the_statistics_are_the_published_ones(shared: Path, published: pd.DataFrame) -> None:
    """Copied without a change."""
    source = pd.read_csv(shared / "data/santander/feature_statistics_200k.csv", index_col="feature")
    assert published.equals(source.loc[list(PROBLEM.features)])


def test_what_is_learnt_from_the_sample_ranks_real_rows(shared: Path) -> None:
    """A model trained on synthetic rows alone, and the log odds without any training."""
    real, taught = read(shared / "data/santander/real_rows_2500.csv", PROBLEM), sample(50_000, seed=13)
    trained = GaussianNB().fit(taught.features, taught.target).predict_proba(real.features)[:, 1]
    assert roc_auc_score(real.target, trained) > 0.86
    assert roc_auc_score(real.target, log_odds(real.features)) > 0.86
