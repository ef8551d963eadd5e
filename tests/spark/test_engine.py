"""scripts/train.py --engine spark trains and saves as on one machine; a mistake is one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from pyspark.sql import SparkSession

from santander.sample import sample
from tabserve.client.local_server import running
from tabserve.model.decision import threshold_of
from tabserve.model.model import CARD, Model, load
from tabserve.predictors.booster import Booster
from tabserve.training import bootstrap

ROOT = Path(__file__).parents[2]

SCRIPT = ROOT / "scripts" / "train.py"

SERVING = ROOT / ".venv" / "bin" / "python"
"""Python of the serving environment, which `make setup` makes; PySpark is not installed there."""

CANDIDATE = ["--candidates", "xgboost-defaults-weighted"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def train(spark: SparkSession, script: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the script in this process and in its session; intervals take few resamples."""
    assert spark.version
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    return lambda *options: script(SCRIPT, *options)


class Pair(NamedTuple):
    """Models of the same rows, split, candidate and seed: of Spark and of one machine."""

    spark: Model
    local: Model


def trained(train: Run, folder: Path, *options: object) -> Pair:
    """Train the same model on Spark and on one machine."""
    for engine in ("spark", "local"):
        process = train(*options, *CANDIDATE, "--engine", engine, "--out", folder / engine)
        assert (process.returncode, process.stderr) == (0, "")
    return Pair(*(load(folder / engine) for engine in ("spark", "local")))


def numbers(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested metrics: every number by the names that lead to it."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        flat |= numbers(value, f"{prefix} {name}") if isinstance(value, Mapping) else {f"{prefix} {name}": value}
    return flat


DIFFERENT = {"sha256": None, "engine": None, "reference": None}
"""Entries of the manifest's data that differ from those of one machine."""

CHECK_WITHOUT_SPARK = """
import sys
sys.modules["pyspark"] = None
from pathlib import Path
from tabserve.cli import main
sys.argv = ["tabserve", "check", {folder!r}]
main.main()
"""


def test_few_rows_of_a_table_make_the_same_model_as_on_one_machine(train: Run, tmp_path: Path) -> None:
    """So few rows that XGBoost rounds no value: same split, folds, measures and threshold; loading needs no Spark."""
    frame = sample(3_000, 4)
    names = ["ID_code", "target", *frame.problem.features]
    pyarrow.csv.write_csv(pa.table([frame.ids, frame.target, *frame.features.T], names), tmp_path / "mine.csv")
    spark, local = trained(train, tmp_path, "--data", tmp_path / "mine.csv", "--rows", 2_500)
    for part in ("folds", "holdout"):
        assert numbers(spark.metrics[part]) == pytest.approx(numbers(local.metrics[part]), abs=5e-3)
    assert threshold_of(spark.decision) == pytest.approx(threshold_of(local.decision), abs=5e-3)
    assert spark.problem == local.problem
    assert spark.data["reference"]["columns"] == local.data["reference"]["columns"]
    assert {**spark.data, **DIFFERENT} == {**local.data, **DIFFERENT}
    assert (spark.data["source"], spark.data["engine"]) == ("mine.csv, 2,500 of its 3,000 rows", "Spark, 2 workers")
    assert f"pyspark {spark.versions['pyspark']}" in (tmp_path / "spark" / CARD).read_text()
    command = [sys.executable, "-c", CHECK_WITHOUT_SPARK.format(folder=str(tmp_path / "spark"))]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_measures_lie_within_the_intervals_of_one_machine(train: Run, tmp_path: Path) -> None:
    """With so many rows that the two models differ; but accuracy moves with the threshold, which is chosen for F1."""
    spark, local = trained(train, tmp_path, "--rows", 20_000)
    outside = {
        name
        for name, interval in local.metrics["holdout"].items()
        if not interval["low"] <= spark.metrics["holdout"][name]["value"] <= interval["high"]
    }
    assert outside <= {"accuracy"}


def test_a_table_by_name_makes_the_model_of_its_file(spark: SparkSession, train: Run, tmp_path: Path) -> None:
    """The booster is the same to the byte; only the source of the data has another name."""
    frame = sample(2_000, 6)
    names = ["ID_code", "target", *frame.problem.features]
    pyarrow.parquet.write_table(pa.table([frame.ids, frame.target, *frame.features.T], names), tmp_path / "f.parquet")
    spark.read.parquet(f"{tmp_path}/f.parquet").createOrReplaceGlobalTempView("customers")
    for option, source in (("--data", f"{tmp_path}/f.parquet"), ("--table", "global_temp.customers")):
        process = train(option, source, *CANDIDATE, "--engine", "spark", "--out", tmp_path / option)
        assert (process.returncode, process.stderr) == (0, "")
    file, table = (load(tmp_path / option) for option in ("--data", "--table"))
    assert (tmp_path / "--data" / Booster.FILE).read_bytes() == (tmp_path / "--table" / Booster.FILE).read_bytes()
    assert table.data["source"] == "global_temp.customers, 2,000 of its 2,000 rows"
    assert {**file.data, "source": None} == {**table.data, "source": None}


@pytest.mark.skipif(not SERVING.exists(), reason="no .venv beside .venv-spark: make setup")
def test_a_model_of_spark_is_served_as_any_other(train: Run, tmp_path: Path) -> None:
    """The serving environment answers with the model's own probabilities, to the bit."""
    folder, features = tmp_path / "model", sample(100, 5).features
    process = train("--rows", 2_000, *CANDIDATE, "--engine", "spark", "--out", folder)
    assert (process.returncode, process.stderr) == (0, "")
    tensor = {"name": "rows", "shape": features.shape, "datatype": "FP32", "data": features.ravel().tolist()}
    request = json.dumps({"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}).encode()
    with (
        running(ROOT / "deploy", {"TABSERVE_MODEL": str(folder)}, (str(SERVING), "-m", "tabserve", "serve")) as server,
        urlopen(f"{server.url}/v2/models/xgboost-model/infer", request, timeout=60) as response,
    ):
        (output,) = json.load(response)["outputs"]
    positive = np.array(output["data"], np.float32).reshape(-1, 2)[:, 1]
    assert positive.tolist() == load(folder).score(features).probability.tolist()


# Mistakes that are refused before training.


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--candidates", "xgbost-stumps"], 2, "There is no candidate 'xgbost-stumps'; did you mean 'xgboost-stumps'?"),
        (["--candidates", "xgboost-stumps,dummy"], 2, "Spark cannot fit 'dummy', as it is no model of XGBoost"),
        (["--jobs", "3"], 2, "3 workers would fit a booster together, and Spark can run 2 tasks at a time"),
        (["--table", "", "--engine", "spark"], 2, "argument --table: expected printable text"),
        (["--table", "nobody.knows"], 3, "Spark knows no table 'nobody.knows'"),
        (["--data", "a.csv", "--table", "b"], 2, "argument --table: not allowed with argument --data"),
        (["--table", "b", "--engine", "local"], 2, "--table needs --engine spark"),
        (["--out", "s3a://bucket/model"], 2, "argument --out: expected a folder on this machine"),
        (["--engine", "dask"], 2, "argument --engine: invalid choice: 'dask'"),
        (["--rows", "6"], 3, "The smallest class has"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_sentence(
    options: list[str], code: int, sentence: str, train: Run, tmp_path: Path
) -> None:
    """The command prints one sentence and writes nothing."""
    process = train("--rows", 300, "--engine", "spark", "--out", tmp_path / "model", *options)
    assert (process.returncode, process.stdout) == (code, "")
    assert sentence in process.stderr
    assert "Traceback" not in process.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_column_is_one_sentence(train: Run, tmp_path: Path) -> None:
    """The sentence names the file, and nothing is written."""
    (tmp_path / "mine.csv").write_text("ID_code,target,var_0\na,1,2\n")
    process = train("--data", tmp_path / "mine.csv", "--engine", "spark", "--out", tmp_path / "model")
    assert (process.returncode, process.stdout) == (3, "")
    assert process.stderr.startswith(f"{tmp_path}/mine.csv lacks 'var_1', 'var_2'")
    assert process.stderr.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_no_model_is_not_replaced(train: Run, tmp_path: Path) -> None:
    """The folder is refused before the table is read."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    process = train("--data", tmp_path / "no.csv", "--engine", "spark", "--out", tmp_path / "thesis")
    assert (process.returncode, process.stdout) == (4, "")
    assert "holds something other than a model; name another place, or remove it first." in process.stderr
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """The command prints one sentence, exits with 130, and leaves no folder and no temporary file."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    options = ["--rows", "3000", "--engine", "spark", "--out", "model"]
    with subprocess.Popen(
        [sys.executable, SCRIPT, *options],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(scratch), "SPARK_LOCAL_DIRS": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stderr is not None
            assert child.stdout.readline().startswith("Training on 3,000 rows (synthetic")
            time.sleep(1)  # so that it is fitting
            child.send_signal(signal.SIGINT)
            assert child.wait(timeout=60) == 130
            assert child.stderr.read() == "Interrupted; nothing was left behind.\n"
        finally:
            child.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    deadline = time.monotonic() + 20  # Java removes its own files a little later
    while (left := list(scratch.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
