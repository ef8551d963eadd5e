"""Any table becomes a trained model by one call: a file, or a frame of pandas, polars or Arrow."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tabserve import load, score_file, train
from tabserve.client.client import wait
from tabserve.client.local_server import free_ports
from tabserve.client.rest import RestClient
from tabserve.errors import DataError, UsageError
from tabserve.model.model import REPORT
from tabserve.plan.options import Options
from tabserve.plan.plan import make_plan
from tabserve.table.source import as_source
from tabserve.trained import Trained, examine
from tabserve.trained import load as load_rows
from tabserve.training import bootstrap, default_candidates
from tabserve.training.default_candidates import Trees

ROWS = 300


def customers(rows: int = ROWS) -> pd.DataFrame:
    """Synthetic customers: numbers with holes, a category, a date, an id, a constant, and whether they left."""
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


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Let the bootstrap draw less often, and the default candidates have few trees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 10)
        patch.setattr(default_candidates, "USUAL", (Trees(2, 10, 0.3),))
        patch.setattr(default_candidates, "LOGISTIC_GRID", {})
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as a csv."""
    path = tmp_path_factory.mktemp("table") / "customers.csv"
    customers().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def by_file(path: Path) -> Trained:
    """A model of that file."""
    return train(path, "left")


def to_polars(frame: pd.DataFrame) -> Any:  # noqa: ANN401  of polars, which is no dependency
    """The frame in polars, where it is installed."""
    return pytest.importorskip("polars").from_pandas(frame)


def to_arrow(frame: pd.DataFrame) -> pa.Table:
    """The frame in Arrow."""
    return pa.Table.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("convert", [pd.DataFrame, to_arrow, to_polars], ids=["pandas", "arrow", "polars"])
def test_a_frame_is_trained_on_as_its_file_is(convert: Callable[[pd.DataFrame], Any], by_file: Trained) -> None:
    """The same rows, columns and figures, whatever holds the table."""
    by_frame = train(convert(customers()), "left")
    assert by_frame.plan.problem.columns == by_file.plan.problem.columns
    assert by_frame.data.provenance["sha256"] == by_file.data.provenance["sha256"]
    assert by_frame.model.metrics == by_file.model.metrics


def test_a_saved_model_scores_files_with_all_columns_of_the_table(by_file: Trained, path: Path, tmp_path: Path) -> None:
    """Columns that were left out may stand in later files, and the folder holds card and report."""
    model = by_file.save(tmp_path / "model")
    assert model.problem.ignored == ("customer", "currency")
    assert load(tmp_path / "model").metrics == by_file.model.metrics
    assert "<html" in (tmp_path / "model" / REPORT).read_text()
    assert score_file(model, path, tmp_path / "scores.csv") == ROWS
    assert pd.read_csv(tmp_path / "scores.csv")["probability"].between(0, 1).all()


def test_the_evaluation_is_a_table_of_measures(path: Path) -> None:
    """Each measure of the hold-out has its interval and the baseline's figure; the one that ranked comes first."""
    evaluation = train(path, "left", metric="roc_auc").evaluation
    assert evaluation.index[0] == "ROC AUC"
    assert [*evaluation] == ["hold-out", "95 % interval", "prior"]


def test_each_task_is_found_out() -> None:
    """Two values, a few, and an amount; every folder is saved and loaded."""
    table = customers().assign(plan=lambda table: np.array(["a", "b", "c"])[table["months"] // 20])
    tasks = {name: train(table, name).model for name in ("left", "plan", "charge") if name != "charge"}
    tasks["charge"] = train(table, "charge", drop_empty_target=True).model
    assert [model.problem.task.KIND for model in tasks.values()] == ["binary", "multiclass", "regression"]


def test_a_caution_is_an_error_if_strict(path: Path) -> None:
    """The date asks for a split by time; named as the time, nothing is left to be cautious of."""
    with pytest.raises(DataError, match=r"customers\.csv calls for caution, .* joined: random splits mix"):
        train(path, "left", strict=True)
    assert train(path, "left", strict=True, time="joined").cautions == ()


def test_a_column_that_gives_the_target_away_is_named() -> None:
    """So are copies of rows, and figures by folds forward in time beside those by random folds."""
    table = customers().assign(code=lambda table: (table["left"] == "yes") * 10 + table["months"] / 100)
    cautions = {caution.about: caution.sentence for caution in train(pd.concat([table, table[:9]]), "left").cautions}
    assert "alone; say --drop" in cautions["code"]
    assert "are copies of others" in cautions[""]
    assert "by random folds, " in cautions["joined"]


def test_an_id_that_repeats_is_shown_with_both_figures() -> None:
    """Though it is a category of many levels by random folds, and no feature by folds that keep groups together."""
    rng = np.random.default_rng(1)
    member = rng.choice([f"M{number}" for number in range(40)], ROWS)
    cautions = {
        caution.about: caution.sentence for caution in train(customers().assign(member_id=member), "left").cautions
    }
    assert "by random folds, " in cautions["member_id"]


def test_an_id_that_repeats_is_named_where_no_default_candidate_shows_figures() -> None:
    """As none learns an amount from texts, though a candidate of the user's may."""
    words = pd.Series(["a lamp of blue glass", "two chairs of dark oak", "a desk", "one small red rug"])
    columns = {"text": words.repeat(75) + [f" {row}" for row in range(ROWS)], "price": range(ROWS)}
    table = pd.DataFrame({"seller_id": np.arange(ROWS) // 3, **columns})
    plan = make_plan(as_source(table), Options("price", text=("text",)))
    (caution,) = examine(plan, load_rows(plan))
    assert "--group 'seller_id'" in caution.sentence
    assert "random folds" not in caution.sentence


def test_the_same_table_makes_the_same_folder(by_file: Trained, path: Path, tmp_path: Path) -> None:
    """Every file, to the byte."""
    for name, trained in (("first", by_file), ("second", train(path, "left"))):
        trained.save(tmp_path / name)
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("first", "second")]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "lefd"}, UsageError, "did you mean 'left'"),
        ({"target": "left", "group": "seller"}, UsageError, "--group names 'seller'"),
        ({"target": "left", "metric": "rmse"}, UsageError, "'rmse' does not fit a binary task"),
        ({"target": "currency"}, DataError, "'BRL' in every row"),
        ({"target": "left", "device": "cuda"}, UsageError, "cuda"),
        ({"target": "charge"}, DataError, "--drop-empty-target"),
    ],
)
def test_a_mistake_is_told_before_any_fit(
    options: dict[str, Any], error: type[Exception], message: str, path: Path
) -> None:
    """In one sentence that says what to do."""
    with pytest.raises(error, match=message):
        train(path, **options)


@pytest.mark.slow
def test_a_trained_model_serves_until_ctrl_c(path: Path, tmp_path: Path) -> None:
    """`serve` saves the folder and serves it; Ctrl-C ends server and program."""
    http, grpc, metrics = map(str, free_ports(3))
    words = ("--host", "127.0.0.1", "--port", http, "--grpc-port", grpc, "--metrics-port", metrics)
    code = f"import tabserve; tabserve.train({str(path)!r}, 'left').serve({str(tmp_path / 'served')!r}, *{words!r})"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
        try:
            wait(RestClient(f"http://127.0.0.1:{http}", "served", timeout=5).ready, "The model", 240)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
