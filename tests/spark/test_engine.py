"""scripts/train.py --engine spark: the same stations end with the same kind of folder; a mistake is one sentence."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.csv
import pytest
from pyspark.sql import SparkSession

from santander.sample import sample
from tabserve import artifact, evaluation
from tabserve.artifact import Model
from tabserve.cli import main as tabserve

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"

CANDIDATE = ["--candidates", "xgboost-defaults-weighted"]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def train(spark: SparkSession, script: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the script in this process and its session, with intervals of few resamples."""
    assert spark.version
    monkeypatch.setattr(evaluation, "RESAMPLES", 100)
    return lambda *options: script(SCRIPT, *options)


class Pair(NamedTuple):
    """The same rows, split, candidate and seed on Spark and on one machine."""

    spark: Model
    local: Model


def trained(train: Run, rows: int, folder: Path) -> Pair:
    """Both models of a sample."""
    for engine in ("spark", "local"):
        options = ["--rows", rows, *CANDIDATE, "--engine", engine, "--out", folder / engine]
        ended = train(*options)
        assert (ended.returncode, ended.stderr) == (0, "")
    return Pair(*(artifact.load(folder / engine) for engine in ("spark", "local")))


def test_few_rows_make_the_same_model_as_on_one_machine(
    train: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where XGBoost rounds nothing: the same folds, figures and threshold; the folder is one like any other."""
    spark, local = trained(train, 2_500, tmp_path)
    for part in ("folds", "holdout"):
        found, expected = ({**_flat(model.metrics[part])} for model in (spark, local))
        assert found == pytest.approx(expected, abs=2e-3)
    assert spark.threshold == pytest.approx(local.threshold, abs=1e-3)
    assert spark.problem == local.problem
    assert {**spark.data, **dict.fromkeys(("reference", "sha256", "engine"))} == {
        **local.data,
        **dict.fromkeys(("reference", "sha256", "engine")),
    }
    assert spark.data["engine"] == "Spark, 2 workers"
    assert spark.data["reference"]["columns"] == local.data["reference"]["columns"]
    assert f"pyspark {spark.versions['pyspark']}" in (tmp_path / "spark" / artifact.CARD).read_text()
    monkeypatch.setattr(sys, "argv", ["tabserve", "check", str(tmp_path / "spark")])
    with pytest.raises(SystemExit) as ended:
        tabserve()
    assert ended.value.code == 0
    assert capsys.readouterr().err == ""


def _flat(metrics: dict[str, object], above: str = "") -> dict[str, float]:
    """Every number with the words that lead to it."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        found |= _flat(value, f"{above} {name}") if isinstance(value, dict) else {f"{above} {name}": float(str(value))}
    return found


def test_figures_lie_within_the_intervals_of_one_machine(train: Run, tmp_path: Path) -> None:
    """On rows enough that the models differ."""
    spark, local = trained(train, 20_000, tmp_path)
    for name, interval in local.metrics["holdout"].items():
        assert interval["low"] <= spark.metrics["holdout"][name]["value"] <= interval["high"], name


def test_a_folder_needs_no_spark(train: Run, tmp_path: Path) -> None:
    """It is loaded, verified and scored with where PySpark is not."""
    assert train("--rows", 300, *CANDIDATE, "--engine", "spark", "--out", tmp_path / "model").returncode == 0
    code = f"""
import sys
sys.modules["pyspark"] = None
from pathlib import Path
from santander.sample import sample
from tabserve import artifact
print(artifact.load(Path({str(tmp_path / "model")!r})).score(sample(3).features).label)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_table_of_ones_own_is_named(train: Run, tmp_path: Path) -> None:
    """With the rows that are used of it, drawn as on one machine."""
    frame = sample(1_000, 4)
    names = ["ID_code", "target", *frame.problem.features]
    pyarrow.csv.write_csv(pa.table([frame.ids, frame.target, *frame.features.T], names), tmp_path / "mine.csv")
    options = ["--data", tmp_path / "mine.csv", "--rows", 400, *CANDIDATE, "--engine"]
    models = []
    for engine in ("spark", "local"):
        assert train(*options, engine, "--out", tmp_path / engine).returncode == 0
        models.append(artifact.load(tmp_path / engine))
    assert models[0].data["source"] == models[1].data["source"] == "mine.csv, 400 of its 1,000 rows"
    assert models[0].data["positives"] == models[1].data["positives"]
    assert models[0].data["reference"]["columns"] == models[1].data["reference"]["columns"]


# What is refused before any work.


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--candidates", "xgbost-stumps"], 2, "There is no candidate 'xgbost-stumps'; did you mean 'xgboost-stumps'?"),
        (["--candidates", "xgboost-stumps,dummy"], 2, "Spark cannot fit 'dummy', as it is no model of XGBoost"),
        (["--jobs", "3"], 2, "3 workers would fit a booster together, and Spark can run 2 tasks at a time"),
        (["--engine", "dask"], 2, "argument --engine: invalid choice: 'dask'"),
        (["--rows", "6"], 3, "The smallest class has"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_one_sentence(options: list[str], code: int, said: str, train: Run, tmp_path: Path) -> None:
    """Nothing is written."""
    ended = train("--rows", 300, "--engine", "spark", *options, "--out", tmp_path / "model")
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
