"""docs/own-candidates.md is true: its files are run on a real table, and the model is served."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import requests
import xgboost as xgb
from sklearn.datasets import load_breast_cancer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline

from tabserve.client.grpc import GrpcClient
from tabserve.client.local_server import free_ports, running
from tabserve.errors import UsageError
from tabserve.model.decision import Threshold, threshold_of
from tabserve.model.model import Model, load, save
from tabserve.problem.criterion import Costs
from tabserve.score import score_file
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame, Rows
from tabserve.table.frame_reader import read, stream
from tabserve.training import bootstrap
from tabserve.training.selection import Candidate, select
from tabserve.training.stumps import AveragedStumps
from tabserve.training.threshold import choose

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/own-candidates.md").read_text()
ID = '    id="sample",\n'
"""The line with the id column in the page's problem."""


def page_file(name: str) -> str:
    """The file of this name, as the page shows it."""
    match = re.search(rf"`{re.escape(name)}`[^`]*\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert match, f"the page shows no {name}"
    return match[1]


def section_line(section: str) -> str:
    """The line of a problem that a section shows."""
    match = re.search(rf"\n## {section}\n[^#]*```python\n(    \w+=.*\n)```", PAGE)
    assert match, f"the page shows no line of a problem in {section}"
    return match[1]


def with_line(code: str, section: str) -> str:
    """Replace a line of the code's problem by the section's line."""
    added = section_line(section)
    field = added.partition("=")[0]
    code, times = re.subn(rf"^{field}=.*\n", lambda _: added, code, flags=re.MULTILINE)
    assert times == 1
    return code


def replace_once(code: str, old: str, new: str) -> str:
    """Replace a text that occurs once."""
    assert code.count(old) == 1
    return code.replace(old, new)


def run_python(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder, on one thread."""
    threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, **threads, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run_mine(folder: Path, code: str, table: pd.DataFrame) -> tuple[object, str]:
    """Run code as mine.py on a table, in this process; its exit code and standard error."""
    table.to_csv(folder / "mine.csv", index=False)
    (folder / "mine.py").write_text(code)
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()), redirect_stderr(StringIO()) as errors:
        patch.chdir(folder)
        patch.setattr(bootstrap, "RESAMPLES", 20)
        with pytest.raises(SystemExit) as ending:
            runpy.run_path("mine.py", run_name="__main__")
    return ending.value.code, errors.getvalue()


def train_mine(folder: Path, code: str, table: pd.DataFrame) -> Model:
    """Run code as mine.py on a table, and load the saved model."""
    assert run_mine(folder, code, table) == (0, "")
    return load(folder / "build/mine")


def run_ask(folder: Path, url: str, ask: str) -> dict[str, list[float]]:
    """Run code as ask.py; the outputs that it prints."""
    (folder / "ask.py").write_text(ask)
    run = run_python(folder, "ask.py", MLSERVER_HTTP_PORT=url.rpartition(":")[2])
    assert run.returncode == 0, run.stderr
    printed = [line.split(maxsplit=1) for line in run.stdout.splitlines()]
    return {name: list(chain.from_iterable(ast.literal_eval(values))) for name, values in printed}


def rows(model: Model, path: Path) -> Rows:
    """Read all rows of a small table."""
    (batch,) = stream(path, model.problem, model.encoder)
    return batch


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's example was run unchanged."""
    folder = tmp_path_factory.mktemp("example")
    names = ("table.py", "mine.py")
    for name in names:
        (folder / name).write_text(page_file(name))
    for name in names:
        run = run_python(folder, name)
        assert (run.returncode, run.stderr) == (0, "")
        (folder / "printed").write_text(run.stdout)
    return folder


@pytest.fixture(scope="module")
def model(example: Path) -> Model:
    """The model of the example."""
    return load(example / "build/mine")


@pytest.fixture
def table(example: Path) -> pd.DataFrame:
    """The table of the example."""
    return pd.read_csv(example / "mine.csv")


def test_the_example_selects_and_saves_a_good_model(example: Path, model: Model) -> None:
    """A text target and a real table give a good model, and no other file is written."""
    assert [path.name for path in (example / "build").iterdir()] == ["mine"]
    assert model.problem.labels == ("benign", "malignant")
    assert model.data == {**model.data, "rows": 569, "positives": 212, "synthetic": False}
    assert model.metrics["winner"] == "xgboost"
    assert model.metrics["folds"]["dummy"]["roc_auc"]["mean"] == 0.5
    assert model.metrics["holdout"]["roc_auc"]["low"] > 0.9
    printed = (example / "printed").read_text()
    assert all(word in printed for word in ("`logistic-regression`", "| ROC AUC | 0.9", str(model.decision)))


@pytest.mark.parametrize(("name", "measure"), [("wines", "accuracy"), ("prices", "r2")])
def test_other_tasks_are_trained_by_an_equally_short_file(name: str, measure: str, tmp_path: Path) -> None:
    """Three labels, and an amount from columns of several kinds, are learned well."""
    (tmp_path / f"{name}.py").write_text(page_file(f"{name}.py"))
    run = run_python(tmp_path, f"{name}.py")
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    model = load(tmp_path / "build" / name)
    assert model.metrics["winner"] == "xgboost"
    assert model.metrics["holdout"][measure]["value"] > 0.85


def test_the_stations_on_the_page_exist() -> None:
    """The named stations are methods of `TrainingData`."""
    named = re.findall(r"`\w+ = data\.(\w+)\(|`data\.(\w+)\(", PAGE)
    assert {first or second for first, second in named} == {"select", "evaluate", "save"}
    assert all(hasattr(TrainingData, first or second) for first, second in named)


@pytest.mark.slow
def test_the_example_is_checked_and_served(example: Path, model: Model) -> None:
    """The page's client gets the answers of the model folder."""
    check = run_python(example, "-m", "tabserve", "check", "build/mine")
    assert check.returncode == 0, check.stderr
    with running(ROOT / "deploy", {"TABSERVE_MODEL": str(example / "build/mine")}) as server:
        outputs = run_ask(example, server.url, page_file("ask.py"))
    scores = model.score(rows(model, example / "mine.csv").features[:3])
    assert outputs["predict"] == scores.label.tolist() == [1, 1, 1]
    assert outputs["predict_proba"][1::2] == pytest.approx(scores.probability.tolist())


def test_the_client_says_that_no_server_answers(example: Path) -> None:
    """It says so in one sentence, without naming an option."""
    (example / "ask.py").write_text(page_file("ask.py"))
    (port,) = free_ports(1)
    run = run_python(example, "ask.py", MLSERVER_HTTP_PORT=str(port))
    assert run.returncode == 5
    assert run.stderr.startswith(f"No server answers at http://localhost:{port};")
    assert run.stderr.count("\n") == 1
    assert "--" not in run.stderr


def test_an_empty_cell_is_refused_unless_the_problem_allows_it(tmp_path: Path, table: pd.DataFrame) -> None:
    """The message is the page's sentence, and nothing is written."""
    table.loc[2, "mean texture"] = np.nan
    code, message = run_mine(tmp_path, page_file("mine.py"), table)
    assert code == 3
    assert message in PAGE
    assert "row 3, column 'mean texture'" in message
    assert not (tmp_path / "build").exists()


@pytest.mark.slow
def test_missing_values_are_learned_and_served_under_another_model_name(tmp_path: Path, table: pd.DataFrame) -> None:
    """With half a column missing, null over REST and NaN over gRPC get the folder's answer for NaN."""
    table.loc[::2, "worst radius"] = np.nan
    code = with_line(page_file("mine.py"), "Missing values")
    code = replace_once(code, "make_pipeline(S", "make_pipeline(SimpleImputer(), S")
    code = replace_once(code, "from sklearn.linear", "from sklearn.impute import SimpleImputer\nfrom sklearn.linear")
    model = train_mine(tmp_path, code, table)
    features = rows(model, tmp_path / "mine.csv").features[:3]
    assert np.isnan(features).any()
    serve = tmp_path / "serve"
    serve.mkdir()
    (serve / "settings.json").write_bytes((ROOT / "deploy/settings.json").read_bytes())
    (serve / "model-settings.json").write_text(PAGE.split("```json\n")[1].split("```")[0])
    with running(serve, ready="/v2/models/tumours/ready") as server:
        rest = run_ask(tmp_path, server.url, page_file("ask.py"))["predict_proba"][1::2]
        grpc = GrpcClient(server.grpc, "tumours", 30).ask(features, ["predict_proba"]).outputs["predict_proba"]
        literal = requests.post(f"{server.url}/v2/models/tumours/infer", data=b'{"inputs": [NaN]}', timeout=30)
    expected = model.score(features).probability.tolist()
    assert rest == pytest.approx(expected)
    assert grpc[:, 1].tolist() == pytest.approx(expected)
    assert 400 <= literal.status_code < 500, "JSON has no NaN"


@pytest.fixture(scope="module")
def costs(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the example was run with costs, on a table without ids."""
    folder = tmp_path_factory.mktemp("costs")
    code = with_line(replace_once(page_file("mine.py"), ID, ""), "A threshold by costs")
    code = replace_once(code, "import Binary, ", "import Binary, Costs, ")
    train_mine(folder, code, pd.read_csv(example / "mine.csv").drop(columns="sample"))
    return folder


def test_costs_move_the_threshold(costs: Path, model: Model) -> None:
    """If a missed positive is expensive, more rows are flagged; the figures are named by the criterion."""
    by_costs = load(costs / "build/mine")
    assert by_costs.problem.criterion == Costs(false_positive=1, false_negative=10)
    assert threshold_of(by_costs.decision) < threshold_of(model.decision)
    flagged, before = (trained.metrics["holdout"]["flagged"]["value"] for trained in (by_costs, model))
    assert flagged > before
    assert "f1" not in by_costs.metrics["holdout"]
    assert by_costs.metrics["holdout"]["minus_cost"]["value"] < 0
    assert "| cost per row |" in (costs / "build/mine/MODEL_CARD.md").read_text()


def test_rows_without_ids_are_numbered(costs: Path, tmp_path: Path) -> None:
    """The scores have a column `row`, from 1."""
    by_costs = load(costs / "build/mine")
    score_file(by_costs, costs / "mine.csv", tmp_path / "scores.csv")
    scores, diagnosis = pd.read_csv(tmp_path / "scores.csv"), pd.read_csv(costs / "mine.csv")["diagnosis"]
    assert by_costs.problem.id is None
    assert scores["row"].tolist() == list(range(1, 570))
    assert (scores["label"] == diagnosis).mean() > 0.8


def test_many_columns_are_taken_from_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All thirty columns are used in the file's order, from csv and parquet."""
    cells = load_breast_cancer(as_frame=True)
    table = cells.data.assign(diagnosis=np.where(cells.target, "benign", "malignant")).rename_axis("sample")
    table.to_csv(tmp_path / "mine.csv")
    table.reset_index().to_parquet(tmp_path / "mine.parquet")
    code = with_line(page_file("mine.py"), "Many columns")
    (tmp_path / "mine.py").write_text(
        replace_once(code, "from sklearn.dummy", "import pandas as pd\nfrom sklearn.dummy")
    )
    monkeypatch.chdir(tmp_path)
    problem = runpy.run_path("mine.py")["PROBLEM"]
    assert problem.features == tuple(cells.feature_names)
    assert set(pyarrow.parquet.read_schema("mine.parquet").names) - {"sample", "diagnosis"} == set(problem.features)
    frames = [read(Path(name), problem) for name in ("mine.csv", "mine.parquet")]
    assert np.array_equal(frames[0].features, frames[1].features)
    assert frames[0].features.shape == (569, 30)


# Mistakes and variations in a user's own file.

BOOSTED = xgb.XGBClassifier(n_estimators=2, max_depth=1, n_jobs=1)


@pytest.fixture(scope="module")
def gaps(sample_frame: Frame) -> Frame:
    """A few synthetic rows with missing values."""
    frame = sample_frame.take(np.arange(500))
    missing = np.random.default_rng(0).random(frame.features.shape) < 0.1
    features = np.where(missing, np.float32(np.nan), frame.features)
    columns = tuple(replace(column, missing=True) for column in frame.problem.columns)
    return replace(frame, features=features, problem=replace(frame.problem, columns=columns, folds=2))


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate("naive", GaussianNB()),
        Candidate("naive", make_pipeline(LogisticRegression()), {"logisticregression__C": [0.1, 1.0]}),
    ],
    ids=["alone", "pipeline with a grid"],
)
def test_a_candidate_that_takes_no_missing_values_is_named(candidate: Candidate, gaps: Frame) -> None:
    """The candidate is named, whichever step of its pipeline fails."""
    with pytest.raises(UsageError, match=r"Candidate 'naive' takes no missing values.*; put an imputer before it"):
        select(gaps, [Candidate("boosted", BOOSTED), candidate])


def test_candidates_that_take_missing_values_are_compared(gaps: Frame) -> None:
    """They take missing values by themselves or with an imputer that is fitted inside the fold."""
    imputed = make_pipeline(SimpleImputer(), GaussianNB())
    stumps = AveragedStumps(n_estimators=5, n_jobs=1)
    candidates = [Candidate("boosted", BOOSTED), Candidate("imputed", imputed), Candidate("stumps", stumps)]
    outcomes = select(gaps, candidates).outcomes
    assert all(np.isfinite(outcome.prediction).all() for outcome in outcomes.values())


def test_another_mistake_of_a_candidate_is_reported_in_xgboosts_words(gaps: Frame) -> None:
    """The message is one sentence with the candidate's name, and does not mention missing values."""
    with pytest.raises(UsageError, match=r"^XGBoost cannot fit candidate 'wrong': Invalid Parameter .* max_depth .*$"):
        select(gaps, [Candidate("wrong", xgb.XGBClassifier(max_depth="deep"))])


def test_a_model_that_flags_no_row_can_be_saved(tmp_path: Path, model: Model) -> None:
    """Very expensive false positives put the best threshold above probability 1."""
    target, probability = np.array([1, 0], dtype=np.int8), np.array([0.5, 1.0])
    threshold = choose(target, probability, Costs(false_positive=1000, false_negative=1))
    assert threshold > 1
    golden = np.zeros((1, len(model.problem.features)), dtype=np.float32)
    saved = save(tmp_path / "model", replace(model, decision=Threshold(threshold)), golden, "A card.\n")
    assert saved.decision == Threshold(threshold)


def test_golden_rows_with_missing_values_are_json_and_scored_again(tmp_path: Path, gaps: Frame, model: Model) -> None:
    """A missing value is null in golden.json, as JSON has no NaN."""
    width = len(model.problem.features)
    golden = gaps.features[:8, :width]
    assert np.isnan(golden).any()
    save(tmp_path / "model", model, golden, "A card.\n")

    def refused(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    document = json.loads((tmp_path / "model/golden.json").read_text(), parse_constant=refused)
    assert np.array_equal(np.array(document["features"], dtype=np.float32), golden, equal_nan=True)
    assert document["outputs"] == model.predictor.raw(golden).tolist()
