"""Any table becomes a trained model by one call: a file, or a frame of pandas, polars or Arrow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.dummy import DummyClassifier
from xgboost import XGBClassifier

from tabserve import Candidate, train
from tabserve.training import bootstrap

ROWS = 400


def customers(rows: int = ROWS) -> pd.DataFrame:
    """Synthetic customers: numbers with a hole, a category, a date, an id, a constant, and whether they left."""
    rng = np.random.default_rng(0)
    months, contract = rng.integers(1, 60, rows), rng.choice(["monthly", "yearly"], rows)
    left = rng.random(rows) < 1 / (1 + np.exp(months / 10 - 2 - (contract == "monthly")))
    return pd.DataFrame(
        {
            "customer": [f"C{row:04}" for row in range(rows)],
            "months": months,
            "charge": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(70, 20, rows).round(2)),
            "contract": contract,
            "joined": np.datetime_as_string(np.datetime64("2025-01-01") + rng.integers(0, 300, rows)),
            "currency": "BRL",
            "left": np.where(left, "yes", "no"),
        }
    )


def candidates() -> list[Candidate]:
    """A baseline and a few trees, which take no time."""
    trees = XGBClassifier(n_estimators=10, max_depth=2, enable_categorical=True, n_jobs=1)
    return [Candidate("baseline", DummyClassifier()), Candidate("trees", trees)]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bootstrap draw less often."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 10)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as a csv."""
    path = tmp_path_factory.mktemp("customers") / "customers.csv"
    customers().to_csv(path, index=False)
    return path


def to_polars(frame: pd.DataFrame) -> Any:  # noqa: ANN401  polars is installed for tests where it is wanted
    """The frame of polars."""
    return pytest.importorskip("polars").from_pandas(frame)


@pytest.mark.parametrize(
    "convert",
    [lambda frame: frame, lambda frame: pa.Table.from_pandas(frame, preserve_index=False), to_polars],
    ids=["pandas", "arrow", "polars"],
)
def test_a_frame_is_trained_on_as_its_file_is(convert: Callable[[pd.DataFrame], Any], path: Path) -> None:
    """The same rows, columns and figures, whatever holds the table."""
    by_file = train(path, "left", candidates=numbers_only(candidates()), drop=("joined", "contract"))
    by_frame = train(convert(customers()), "left", candidates=candidates(), drop=("joined", "contract"))
    assert by_frame.plan.problem.columns == by_file.plan.problem.columns
    assert by_frame.data.provenance["sha256"] == by_file.data.provenance["sha256"]
    assert by_frame.model.metrics["holdout"] == by_file.model.metrics["holdout"]


def numbers_only(candidates: list[Candidate]) -> list[Candidate]:
    """As they are: without categories, trees need no types of features."""
    return candidates
