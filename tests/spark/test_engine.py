"""scripts/train.py --engine spark: the same stations end with the same kind of folder; a mistake is one sentence."""

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
"""Of the environment that serves, which `make setup` makes; it knows nothing of Spark."""

CANDIDATE = ["--candidates", "xgboost-defaults-weighted"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def train(spark: SparkSession, script: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the script in this process and its session, with intervals of few resamples."""
    assert spark.version
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    return lambda *options: script(SCRIPT, *options)


class Pair(NamedTuple):
    """The same rows, split, candidate and seed on Spark and on one machine."""

    spark: Model
    local: Model


def trained(train: Run, folder: Path, *options: object) -> Pair:
    """Both models."""
    for engine in ("spark", "local"):
        ended = train(*options, *CANDIDATE, "--engine", engine, "--out", folder / engine)
        assert (ended.returncode, ended.stderr) == (0, "")
    return Pair(*(load(folder / engine) for engine in ("spark", "local")))


def numbers(metrics: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """Every number, by the words that lead to it."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        found |= numbers(value, f"{above} {name}") if isinstance(value, Mapping) else {f"{above} {name}": value}
    return found


OWN = {"sha256": None, "engine": None, "reference": None}
"""What is said of the data otherwise than on one machine."""

ALONE = """
import sys
sys.modules["pyspark"] = None
from pathlib import Path
from tabserve.cli import main
sys.argv = ["tabserve", "check", {folder!r}]
main.main()
"""


def test_few_rows_of_a_table_make_the_same_model_as_on_one_machine(train: Run, tmp_path: Path) -> None:
    """Where XGBoost rounds nothing: the same split, folds, figures and threshold; the folder needs no Spark."""
    frame = sample(3_000, 4)
    names = ["ID_code", "target", *frame.problem.features]
    pyarrow.csv.write_csv(pa.table([frame.ids, frame.target, *frame.features.T], names), tmp_path / "mine.csv")
    spark, local = trained(train, tmp_path, "--data", tmp_path / "mine.csv", "--rows", 2_500)
    for part in ("folds", "holdout"):
        assert numbers(spark.metrics[part]) == pytest.approx(numbers(local.metrics[part]), abs=5e-3)
    assert threshold_of(spark.decision) == pytest.approx(threshold_of(local.decision), abs=5e-3)
    assert spark.problem == local.problem
    assert spark.data["reference"]["columns"] == local.data["reference"]["columns"]
    assert {**spark.data, **OWN} == {**local.data, **OWN}
    assert (spark.data["source"], spark.data["engine"]) == ("mine.csv, 2,500 of its 3,000 rows", "Spark, 2 workers")
    assert f"pyspark {spark.versions['pyspark']}" in (tmp_path / "spark" / CARD).read_text()
    alone = [sys.executable, "-c", ALONE.format(folder=str(tmp_path / "spark"))]
    checked = subprocess.run(alone, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_figures_lie_within_the_intervals_of_one_machine(train: Run, tmp_path: Path) -> None:
    """On rows of the sample enough that the models differ."""
    spark, local = trained(train, tmp_path, "--rows", 20_000)
    for name, interval in local.metrics["holdout"].items():
        assert interval["low"] <= spark.metrics["holdout"][name]["value"] <= interval["high"], name


def test_a_table_by_name_makes_the_model_of_its_file(spark: SparkSession, train: Run, tmp_path: Path) -> None:
    """To the byte, but for what is said of where the rows come from."""
    frame = sample(2_000, 6)
    names = ["ID_code", "target", *frame.problem.features]
    pyarrow.parquet.write_table(pa.table([frame.ids, frame.target, *frame.features.T], names), tmp_path / "f.parquet")
    spark.read.parquet(f"{tmp_path}/f.parquet").createOrReplaceGlobalTempView("customers")
    for option, place in (("--data", f"{tmp_path}/f.parquet"), ("--table", "global_temp.customers")):
        ended = train(option, place, *CANDIDATE, "--engine", "spark", "--out", tmp_path / option)
        assert (ended.returncode, ended.stderr) == (0, "")
    file, table = (load(tmp_path / option) for option in ("--data", "--table"))
    assert (tmp_path / "--data" / Booster.FILE).read_bytes() == (tmp_path / "--table" / Booster.FILE).read_bytes()
    assert table.data["source"] == "global_temp.customers, 2,000 of its 2,000 rows"
    assert {**file.data, "source": None} == {**table.data, "source": None}


@pytest.mark.skipif(not SERVING.exists(), reason="no .venv beside .venv-spark: make setup")
def test_a_model_of_spark_is_served_as_any_other(train: Run, tmp_path: Path) -> None:
    """By the environment that serves, and with the model's own probabilities to the bit."""
    folder, features = tmp_path / "model", sample(100, 5).features
    ended = train("--rows", 2_000, *CANDIDATE, "--engine", "spark", "--out", folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    tensor = {"name": "rows", "shape": features.shape, "datatype": "FP32", "data": features.ravel().tolist()}
    asked = json.dumps({"inputs": [tensor], "outputs": [{"name": "predict_proba"}]}).encode()
    with (
        running(ROOT / "deploy", {"TABSERVE_MODEL": str(folder)}, (str(SERVING), "-m", "tabserve", "serve")) as server,
        urlopen(f"{server.url}/v2/models/xgboost-model/infer", asked, timeout=60) as response,
    ):
        (answered,) = json.load(response)["outputs"]
    positive = np.array(answered["data"], np.float32).reshape(-1, 2)[:, 1]
    assert positive.tolist() == load(folder).score(features).probability.tolist()


# What is refused before any work.


@pytest.mark.parametrize(
    ("options", "code", "said"),
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
def test_a_wrong_option_is_one_sentence(options: list[str], code: int, said: str, train: Run, tmp_path: Path) -> None:
    """Nothing is written."""
    ended = train("--rows", 300, "--engine", "spark", "--out", tmp_path / "model", *options)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_column_is_one_sentence(train: Run, tmp_path: Path) -> None:
    """It names the file, and nothing is written."""
    (tmp_path / "mine.csv").write_text("ID_code,target,var_0\na,1,2\n")
    ended = train("--data", tmp_path / "mine.csv", "--engine", "spark", "--out", tmp_path / "model")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"{tmp_path}/mine.csv lacks 'var_1', 'var_2'")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "model").exists()


def test_a_folder_of_the_users_own_is_not_replaced(train: Run, tmp_path: Path) -> None:
    """And nothing is read first."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    ended = train("--data", tmp_path / "no.csv", "--engine", "spark", "--out", tmp_path / "thesis")
    assert (ended.returncode, ended.stdout) == (4, "")
    assert "holds something other than a model; name another place, or remove it first." in ended.stderr
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """One sentence, exit code 130; no folder, no process and no temporary file."""
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
            time.sleep(1)  # by now it fits
            child.send_signal(signal.SIGINT)
            assert child.wait(timeout=60) == 130
            assert child.stderr.read() == "Interrupted; nothing was left behind.\n"
        finally:
            child.kill()
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    deadline = time.monotonic() + 20  # Java removes its own a little later
    while (left := list(scratch.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
