"""scripts/train.py trains a model folder from a table; an error is one sentence, and leaves everything unchanged."""

import gzip
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from tabserve.model.decision import threshold_of
from tabserve.model.model import CARD, GOLDEN, MANIFEST, load
from tabserve.predictors.booster import Booster
from tabserve.table.frame import Frame
from tabserve.training import bootstrap

SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"

QUICK = ["--candidates", "dummy,xgboost-defaults-weighted", "--jobs", "1"]
"""A candidate that trains in a second, and the constant baseline."""


class Result(NamedTuple):
    """The exit code and the outputs of a run of the script."""

    code: int
    output: str
    error: str


def process(*options: str | Path, cwd: Path, shell: str = "", **environment: str) -> Result:
    """Run the script as a process, after a command of the shell such as `ulimit`."""
    command = ["sh", "-c", f'{shell} exec "$@"', "sh", sys.executable, SCRIPT, *options]
    child = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=200, check=False
    )
    return Result(child.returncode, child.stdout, child.stderr)


@pytest.fixture
def train(
    script: Callable[..., "subprocess.CompletedProcess[str]"], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run the script in this process, with intervals of few resamples."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)

    def run(*options: str | Path) -> Result:
        result = script(SCRIPT, *options)
        return Result(result.returncode, result.stdout, result.stderr)

    return run


# Successful training.

VARIED = ["--rows", "600", "--jobs", "2", "--seed", "5", "--candidates"]
VARIED += ["dummy,logistic-regression,gaussian-naive-bayes,decision-tree,xgboost-defaults-weighted"]
"""A small run with scaling, a grid, a tree, boosting, and two threads."""


class Trained(NamedTuple):
    """The result of a run, and its model folder."""

    result: Result
    folder: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A small run of the script."""
    cwd = tmp_path_factory.mktemp("first")
    return Trained(process(*VARIED, cwd=cwd, PYTHONHASHSEED="1"), cwd / "build" / "model")


def test_a_run_ends_with_a_model_folder(trained: Trained) -> None:
    """The run prints its tables to standard output, nothing to standard error, and saves to build/model by default."""
    assert (trained.result.code, trained.result.error) == (0, "")
    model = load(trained.folder)
    lines = trained.result.output.splitlines()
    winner = "xgboost-defaults-weighted, the best that can be served,"
    assert lines[-1] == f"Saved {winner} at threshold {threshold_of(model.decision):.4f} in build/model."
    candidates = [line for line in lines if " ± " in line]
    assert (len(candidates), max(map(len, candidates)) < 115) == (5, True)
    assert lines[0].startswith("Training on 600 rows (synthetic: santander.sample(600, seed=5)); candidates: dummy, ")
    assert " ".join(lines[2].split()) == "F1 F1 at 0.5 average precision ROC AUC fit s trees"
    assert lines[-2] == "Every measure of every candidate stands in build/model/MODEL_CARD.md."
    assert len([line for line in lines if " to " in line]) == len(model.metrics["holdout"])
    assert os.listdir(trained.folder.parent) == ["model"]  # noqa: PTH208  names are all that counts
    assert (model.data["rows"], model.data["synthetic"], model.problem.seed) == (600, True, 5)


@pytest.mark.slow
def test_the_same_data_seed_and_jobs_give_the_same_bytes(trained: Trained, tmp_path: Path) -> None:
    """Another process and another folder give the same manifest, model, golden rows and card."""
    assert process(*VARIED, "--out", "other", cwd=tmp_path, PYTHONHASHSEED="2").code == 0
    for name in (MANIFEST, Booster.FILE, GOLDEN, CARD):
        assert (tmp_path / "other" / name).read_bytes() == (trained.folder / name).read_bytes(), name


def test_the_folder_holds_no_path_of_this_machine(trained: Trained) -> None:
    """The folder can be published."""
    for name in (MANIFEST, GOLDEN, CARD):
        text = (trained.folder / name).read_text()
        assert str(trained.folder.parents[1]) not in text
        assert str(SCRIPT.parents[1]) not in text


def test_help_describes_every_option(train: Callable[..., Result]) -> None:
    """The page has the options, their defaults, examples and the exit codes."""
    page = train("--help")
    assert (page.code, page.error) == (0, "")
    for option in ("--data", "--rows", "--out", "--seed", "--candidates", "--jobs", "--engine", "--master", "--device"):
        assert f"\n  {option} " in page.output
    for words in ("default: build/model", "xgboost-stumps", "examples:", "exit codes:", "130 Ctrl-C"):
        assert words in page.output


# Tables of the user.


@pytest.fixture
def table(sample_frame: Frame) -> pd.DataFrame:
    """A labelled table in Kaggle's format, its cells as text, so that a test can change any of them."""
    positives, negatives = (np.flatnonzero(sample_frame.target == label) for label in (1, 0))
    frame = sample_frame.take(np.concatenate([positives[:20], negatives[:130]]))
    values = pd.DataFrame(frame.features.astype(np.float64).round(4), columns=list(frame.problem.features))
    values.insert(0, "target", frame.target)
    values.insert(0, "ID_code", [f"train_{row}" for row in range(len(frame))])
    return values.astype(str)


def write_csv(table: pd.DataFrame, path: Path) -> Path:
    """Write the table as csv; returns the path."""
    table.to_csv(path, index=False)
    return path


def test_reordered_columns_train_the_same_model(
    table: pd.DataFrame, train: Callable[..., Result], tmp_path: Path
) -> None:
    """Columns are matched by name: the folders are equal to the byte, including the checksum of the data."""
    for name, ordered in {"one": table, "other": table[table.columns[::-1]]}.items():
        (tmp_path / name).mkdir()
        data = write_csv(ordered, tmp_path / name / "train.csv")
        assert train("--data", data, *QUICK, "--out", tmp_path / name / "model").code == 0
    for file in (MANIFEST, Booster.FILE, GOLDEN, CARD):
        assert (tmp_path / "one/model" / file).read_bytes() == (tmp_path / "other/model" / file).read_bytes()


def test_the_folder_records_the_source_of_its_rows(
    table: pd.DataFrame, train: Callable[..., Result], tmp_path: Path
) -> None:
    """The manifest has the number of rows and the file's name, and nothing says that the rows are synthetic."""
    data = write_csv(table, tmp_path / "mine.csv")
    assert train("--data", data, "--rows", "100", *QUICK, "--out", tmp_path / "model").code == 0
    model = load(tmp_path / "model")
    assert (model.data["rows"], model.data["synthetic"]) == (100, False)
    assert "mine.csv" in model.data["source"]
    assert "synthetic" not in (tmp_path / "model" / CARD).read_text()


def test_real_rows_train_a_model(shared: Path, train: Callable[..., Result], tmp_path: Path) -> None:
    """Real rows in Kaggle's format give a folder that loads, and a model better than chance."""
    data = shared / "data/santander/real_rows_2500.csv"
    assert train("--data", data, *QUICK, "--out", tmp_path / "model").code == 0
    model = load(tmp_path / "model")
    assert (model.data["rows"], model.data["positives"]) == (2500, 255)
    assert model.metrics["holdout"]["roc_auc"]["low"] > 0.5


# Bad input.

Bad = Callable[[pd.DataFrame, Path], Path]


def cell(row: int, column: str, text: str) -> Bad:
    """Change one cell; the first row is 1."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        table.loc[row - 1, column] = text
        return write_csv(table, folder / "train.csv")

    return write


def labels(change: Callable[[str], str]) -> Bad:
    """Change every label."""
    return lambda table, folder: write_csv(table.assign(target=table["target"].map(change)), folder / "train.csv")


def csv(change: Callable[[bytes], bytes], name: str = "train.csv") -> Bad:
    """Change the csv's bytes."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        (folder / name).write_bytes(change(table.to_csv(index=False).encode()))
        return folder / name

    return write


def zipped(member: str, keep: float = 1.0) -> Bad:
    """Zip the csv under a name, and keep only a share of the zip's bytes."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        path = folder / "santander-customer-transaction-prediction.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, table.to_csv(index=False))
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content))])
        return path

    return write


def with_positives(count: int) -> Bad:
    """Label the first `count` rows positive, and the others negative."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        table["target"] = ["1"] * count + ["0"] * (len(table) - count)
        return write_csv(table, folder / "train.csv")

    return write


BAD_TABLES: dict[str, tuple[Bad, str]] = {
    "file missing": (lambda _, folder: folder / "train.csv", "No such file or directory"),
    "a folder": (lambda _, folder: folder, "Is a directory"),
    "empty": (csv(lambda _: b""), "it is empty; it needs a header"),
    "only a header": (csv(lambda text: text.splitlines(keepends=True)[0]), "has a header and no rows"),
    "not UTF-8": (
        csv(lambda text: text.replace(b"train_3", "ação".encode("latin-1"))),
        "it is not UTF-8 text; save it as UTF-8.",
    ),
    "UTF-16": (
        csv(lambda text: text.decode().encode("utf-16")),
        "it is UTF-16 text; save it as UTF-8.",
    ),
    "unknown delimiter": (
        csv(lambda text: text.replace(b",", b"^")),
        "has one column, named 'ID_code^target^var_0^var_1^var_2^var_3^v'; expected 202.",
    ),
    "truncated gz": (csv(lambda text: gzip.compress(text)[:-100], "train.csv.gz"), "ended before the end-of-stream"),
    "truncated zip": (zipped("train.csv", keep=0.7), "is not a zip file"),
    "zip without train.csv": (zipped("test.csv"), "holds no train.csv, only 'test.csv'; unpack the csv you mean."),
    "Kaggle's test.csv": (
        lambda table, folder: write_csv(table.drop(columns="target"), folder / "test.csv"),
        "lacks 'target'; expected 202 columns, found 201.",
    ),
    "missing columns": (
        lambda table, folder: write_csv(table.drop(columns=["var_7", "var_9"]), folder / "train.csv"),
        "lacks 'var_7', 'var_9'; expected 202 columns, found 200.",
    ),
    "duplicate column": (
        csv(lambda text: text.replace(b"var_199", b"var_198", 1)),
        "has the column 'var_198' more than once; every column needs a name of its own.",
    ),
    "extra column": (
        lambda table, folder: write_csv(table.assign(day="1"), folder / "train.csv"),
        "has unexpected columns: 'day'; remove them, or train anew by a problem that names them.",
    ),
    "short row": (
        csv(lambda text: text + b"train_151,1,2\n"),
        ", row 151: expected 202 columns, found 3; put a cell that holds ',' in",
    ),
    "text in a number": (
        cell(140, "var_198", "twelve"),
        ", row 140, column 'var_198': expected a number, found 'twelve'.",
    ),
    "empty cell": (cell(2, "var_0", ""), ", row 2, column 'var_0': expected a number, found an empty cell."),
    "infinite": (
        cell(150, "var_199", "-inf"),
        ", row 150, column 'var_199': expected a number, found -inf, which is no finite 32-bit float.",
    ),
    "one class": (labels(lambda _: "0"), "has only '0' in column 'target'; a model needs rows of different targets."),
    "three classes": (
        cell(9, "target", "2"),
        ", row 9, column 'target': expected '0' or '1', found '2'; the column holds '0', '1', '2'.",
    ),
    "target as text": (
        labels({"0": "no", "1": "yes"}.__getitem__),
        ", row 1, column 'target': expected '0' or '1', found 'yes'; the column holds 'no', 'yes'.",
    ),
    "fewer positives than folds": (
        with_positives(4),
        "The smallest class has 4 rows; 5 folds beside a hold-out of 20% need at least 7;",
    ),
    "duplicate ID_code": (cell(2, "ID_code", "train_0"), "has the id 'train_0' 2 times; every row needs an id"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_bad_table_ends_in_one_sentence(
    name: str, table: pd.DataFrame, train: Callable[..., Result], tmp_path: Path
) -> None:
    """The exit code is 3, standard output is empty, and nothing is left behind."""
    write, sentence = BAD_TABLES[name]
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    result = train("--data", write(table, data), *QUICK, "--out", out)
    assert (result.code, result.output) == (3, "")
    assert sentence in result.error
    assert result.error.count("\n") == 1
    assert "fewer positives" in name or str(data) in result.error
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--candidates", "xgbost-stumps"], "There is no candidate 'xgbost-stumps'; did you mean 'xgboost-stumps'?"),
        (
            ["--candidates", "dummy"],
            "None of dummy ends as a model that a folder can hold (of XGBoost, over numbers); add one.",
        ),
        (["--rows", "0"], "argument --rows: expected a whole number of at least 1, not '0'"),
        (["--rows", "many"], "argument --rows: expected a whole number of at least 1, not 'many'"),
        (["--jobs", "0"], "argument --jobs: expected a whole number from 1 to 1024, not '0'"),
        (["--seed", "-1"], "argument --seed: expected a whole number from 0 to 4294967295, not '-1'"),
        (["--seed", "4294967296"], "argument --seed: expected a whole number from 0 to 4294967295, not '4294967296'"),
        (["--candidates", ","], "argument --candidates: expected names between commas, not ','"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu'"),
        (["--sede", "1"], "unrecognized arguments: --sede 1"),
        (["--engine", "dask"], "argument --engine: invalid choice: 'dask'"),
        (["--master", "yarn"], "--master needs --engine spark"),
    ],
    ids=" ".join,
)
def test_a_wrong_option_is_refused(
    options: list[str], sentence: str, train: Callable[..., Result], tmp_path: Path
) -> None:
    """The exit code is 2, and the script has read and written nothing."""
    result = train("--data", tmp_path / "missing.csv", *options, "--out", tmp_path / "model")
    assert (result.code, result.output) == (2, "")
    assert sentence in result.error
    assert "Traceback" not in result.error
    assert list(tmp_path.iterdir()) == []


def test_spark_without_pyspark_is_one_sentence(
    train: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence says how to install it, and the script has read nothing."""
    for name in [*sys.modules]:
        if name.startswith("tabserve.spark"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    result = train("--engine", "spark", "--data", tmp_path / "missing.csv", "--out", tmp_path / "model")
    assert (result.code, result.output) == (2, "")
    assert result.error.startswith("This needs pyspark, which is not installed; `make setup-spark`")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", ["1", "6", "20"])
def test_too_few_rows_are_refused(rows: str, train: Callable[..., Result], tmp_path: Path) -> None:
    """The error counts the rows of the smallest class."""
    result = train("--rows", rows, *QUICK, "--out", tmp_path / "model")
    assert (result.code, result.output) == (3, "")
    assert "The smallest class has" in result.error


def test_more_rows_than_fit_into_memory_are_refused_before_any_work(
    train: Callable[..., Result], tmp_path: Path
) -> None:
    """The exit code is 2, and the error has the memory that is needed and the memory of the machine."""
    result = train("--rows", "1000000000000", *QUICK, "--out", tmp_path / "model")
    assert (result.code, result.output) == (2, "")
    assert result.error.startswith("1,000,000,000,000 rows need at least 1,490,116 GiB of memory, and this machine has")
    assert result.error.count("\n") == 1


def test_running_out_of_memory_is_one_sentence(tmp_path: Path) -> None:
    """The exit code is 1, and nothing is left behind."""
    result = process("--rows", "3000000", *QUICK, "--out", "model", cwd=tmp_path, shell="ulimit -v 3000000;")
    assert (result.code, result.output) == (1, "")
    assert result.error == "There is not enough memory for this; use fewer rows, or a machine with more memory.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_device_is_refused_before_any_work(tmp_path: Path) -> None:
    """The exit code is 2, though XGBoost itself would only warn and train on the CPU."""
    result = process("--device", "cuda", "--data", "missing.csv", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert (result.code, result.output) == (2, "")
    assert result.error == (
        "XGBoost finds no 'cuda' device on this machine; leave out --device, to train on the CPU.\n"
    )


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    train: Callable[..., Result], tmp_path: Path
) -> None:
    """The folder is below a regular file, where not even root can write; the table is not opened."""
    (tmp_path / "file").write_text("mine")
    result = train("--data", tmp_path / "missing.csv", "--out", tmp_path / "file" / "model")
    sentence = f"{tmp_path}/file/model cannot be written: {tmp_path}/file is not a folder that can be written to.\n"
    assert result == Result(4, "", sentence)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_without_a_model_is_not_replaced(train: Callable[..., Result], tmp_path: Path) -> None:
    """The user's files in it stay."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    result = train("--data", tmp_path / "missing.csv", "--out", tmp_path / "thesis")
    assert (result.code, result.output) == (4, "")
    assert "holds something other than a model; name another place, or remove it first." in result.error
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_keeps_the_earlier_model(model_folder: Path, tmp_path: Path) -> None:
    """The script prints one sentence after the training, and the folder is unchanged."""
    shutil.copytree(model_folder, tmp_path / "model")
    before = content(tmp_path)
    unmeasured = {"COVERAGE_PROCESS_CONFIG": ""}  # coverage's data file would exceed the limit too
    result = process("--rows", "100", *QUICK, "--out", "model", cwd=tmp_path, shell="ulimit -f 16;", **unmeasured)
    assert (result.code, result.error) == (
        4,
        "model cannot be written: File too large; nothing was changed there.\n",
    )
    assert content(tmp_path) == before


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal."""
    ends = pty.openpty()
    termios.tcsetwinsize(ends[1], (24, 120))
    yield ends
    for end in ends:
        os.close(end)


def read_until(terminal: int, words: str, seconds: float) -> str:
    """Read a terminal's output until the words appear; fails if they do not in time."""
    shown, deadline = "", time.monotonic() + seconds
    while words not in shown:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"{words!r} did not appear within {seconds:.0f} s, only {shown!r}"
        shown += os.read(terminal, 4096).decode()
    return shown


@pytest.mark.parametrize(("ending", "word"), [(signal.SIGINT, "Interrupted"), (signal.SIGTERM, "Terminated")])
def test_a_signal_in_the_middle_of_training_leaves_everything_as_it_was(
    ending: signal.Signals, word: str, terminal: tuple[int, int], model_folder: Path, tmp_path: Path
) -> None:
    """One sentence follows the progress bar, an earlier model is unchanged, and no new file is left."""
    shutil.copytree(model_folder, tmp_path / "model")
    before = content(tmp_path)
    options = ["--rows", "20000", "--candidates", "xgboost-averaged-stumps", "--jobs", "1", "--out", "model"]
    with subprocess.Popen(
        [sys.executable, SCRIPT, *options], cwd=tmp_path, stdout=subprocess.PIPE, stderr=terminal[1]
    ) as child:
        try:
            read_until(terminal[0], "xgboost-averaged-stumps:   0%", seconds=120)
            child.send_signal(ending)
            shown = read_until(terminal[0], f"{word}; nothing was left behind.", seconds=120)
            assert child.wait(timeout=60) == 128 + ending
        finally:
            child.kill()
        assert child.stdout is not None
        assert child.stdout.read().startswith(b"Training on 20,000 rows")
    assert "Traceback" not in shown
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
