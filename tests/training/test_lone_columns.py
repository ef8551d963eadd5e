"""What a column explains by itself: all of the target if it gives it away, and nothing if it is noise."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabserve.encoding.encoder import Encoder
from tabserve.problem.columns import Column, Kind
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training import lone_columns
from tabserve.training.lone_columns import MIN_ROWS, explained_shares

ROWS = 400

TASKS: list[Task] = [Binary(("no", "yes")), Multiclass(("low", "middle", "high")), Regression()]


def table(task: Task, rows: int = ROWS) -> pd.DataFrame:
    """Rows whose target is known to a number, a category and a date, and unknown to a column of noise."""
    rng = np.random.default_rng(0)
    code = rng.integers(len(task.labels) or 5, size=rows)
    target = np.array(task.labels, object)[code] if task.labels else code * 10.0
    return pd.DataFrame(
        {
            "number": code + rng.uniform(0, 0.5, rows),
            "category": np.array(["a", "b", "c", "d", "e"])[code],
            "date": pd.to_datetime("2026-01-01") + pd.to_timedelta(code * 30, unit="D"),
            "noise": rng.normal(size=rows),
            "target": target,
        }
    )


def frame(folder: Path, task: Task, rows: int = ROWS) -> Frame:
    """The rows of the table, encoded."""
    path = folder / "table.parquet"
    table(task, rows).astype({"date": "datetime64[s]"}).to_parquet(path)
    kinds = (Column("number"), Column("category", "category"), Column("date", "date"), Column("noise"))
    return read(path, Problem("drawn", kinds, task=task))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.KIND)
def test_a_column_of_any_kind_that_knows_the_target_explains_it(task: Task, tmp_path: Path) -> None:
    """All three explain nearly everything, and the noise nothing."""
    shares = explained_shares(frame(tmp_path, task))
    assert [*shares] == ["number", "category", "date", "noise"]
    assert min(shares[name] for name in ("number", "category", "date")) > 0.95
    assert shares["noise"] < 0.1


def test_only_a_column_that_explains_something_is_worth_a_booster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As there may be thousands of others."""
    rows = frame(tmp_path, TASKS[2])
    monkeypatch.setattr(lone_columns, "_share_by_booster", lambda *_: 2.0)
    shares = explained_shares(rows)
    assert [name for name, share in shares.items() if share == 2] == ["number", "category", "date"]
    assert shares["noise"] < 0.05


@pytest.mark.parametrize("kind", ["number", "category"])
def test_rare_values_and_missing_cells_may_give_the_target_away(kind: Kind) -> None:
    """A missing cell in one row of ten, and a hundred values of twelve rows each."""
    rng = np.random.default_rng(0)
    code = rng.permutation(np.arange(1_200) % 100)
    features = np.where(code < 10, np.nan, code).astype(np.float32)[:, np.newaxis]
    problem = Problem("drawn", (Column("x", kind, missing=kind == "number"),), task=Regression())
    encoder = Encoder.learn(problem, {"x": [*map(str, range(100))]})
    target = np.where(code < 10, 5, rng.normal(size=100)[code])
    ids = np.arange(1_200).astype(str).astype(object)
    assert explained_shares(Frame(ids, features, target, problem, encoder))["x"] > 0.9


def test_a_few_rows_tell_nothing(tmp_path: Path) -> None:
    """A column of a few rows may explain the target by chance."""
    assert explained_shares(frame(tmp_path, TASKS[0], MIN_ROWS - 1)) == {}


def test_columns_of_text_have_no_share(tmp_path: Path) -> None:
    """Their features are the texts themselves."""
    path = tmp_path / "texts.csv"
    pd.DataFrame({"text": ["yes or no"] * ROWS, "target": ["no", "yes"] * (ROWS // 2)}).to_csv(path, index=False)
    texts = read(path, Problem("texts", (Column("text", "text"),), task=TASKS[0]))
    assert explained_shares(texts) == {}
