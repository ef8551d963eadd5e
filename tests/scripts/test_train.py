"""scripts/train.py: from a table to a model folder; every mistake is one sentence, and nothing is left half done."""

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
"""One candidate that trains in a second, and one that everyone must beat."""


class Ended(NamedTuple):
    """How a run of the script ended."""

    code: int
    output: str
    error: str


def process(*options: str | Path, cwd: Path, shell: str = "", **environment: str) -> Ended:
    """Run the script as a process, after a line of shell."""
    command = ["sh", "-c", f'{shell} exec "$@"', "sh", sys.executable, SCRIPT, *options]
    child = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=200, check=False
    )
    return Ended(child.returncode, child.stdout, child.stderr)


@pytest.fixture
def train(
    script: Callable[..., "subprocess.CompletedProcess[str]"], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ended]:
    """Run the script in this process, with intervals of few resamples."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 20)

    def run(*options: str | Path) -> Ended:
        ended = script(SCRIPT, *options)
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    return run


# It trains.

VARIED = ["--rows", "600", "--jobs", "2", "--seed", "5", "--candidates"]
VARIED += ["dummy,logistic-regression,gaussian-naive-bayes,decision-tree,xgboost-defaults-weighted"]
"""A small run with scaling, a grid, a tree, boosting, and two threads."""


class Trained(NamedTuple):
    """A finished run and the folder it made."""

    ended: Ended
    folder: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A small run."""
    cwd = tmp_path_factory.mktemp("first")
    return Trained(process(*VARIED, cwd=cwd, PYTHONHASHSEED="1"), cwd / "build" / "model")


def test_a_run_ends_with_a_model_folder(trained: Trained) -> None:
    """Its tables come to standard output, nothing else to anywhere; the default place is build/model."""
    assert (trained.ended.code, trained.ended.error) == (0, "")
    model = load(trained.folder)
    lines = trained.ended.output.splitlines()
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
    """In another process and folder: metrics, model, golden rows and card."""
    assert process(*VARIED, "--out", "other", cwd=tmp_path, PYTHONHASHSEED="2").code == 0
    for name in (MANIFEST, Booster.FILE, GOLDEN, CARD):
        assert (tmp_path / "other" / name).read_bytes() == (trained.folder / name).read_bytes(), name


def test_the_folder_names_no_place_of_this_machine(trained: Trained) -> None:
    """It may be given to anyone."""
    for name in (MANIFEST, GOLDEN, CARD):
        text = (trained.folder / name).read_text()
        assert str(trained.folder.parents[1]) not in text
        assert str(SCRIPT.parents[1]) not in text


def test_help_is_a_good_page(train: Callable[..., Ended]) -> None:
    """Every option, its default, examples and the exit codes."""
    page = train("--help")
    assert (page.code, page.error) == (0, "")
    for option in ("--data", "--rows", "--out", "--seed", "--candidates", "--jobs", "--engine", "--master", "--device"):
        assert f"\n  {option} " in page.output
    for words in ("default: build/model", "xgboost-stumps", "examples:", "exit codes:", "130 Ctrl-C"):
        assert words in page.output


# Tables of the user's own.


@pytest.fixture
def table(sample_frame: Frame) -> pd.DataFrame:
    """A labelled table in Kaggle's format, as text, so that any cell can be changed."""
    positives, negatives = (np.flatnonzero(sample_frame.target == label) for label in (1, 0))
    frame = sample_frame.take(np.concatenate([positives[:20], negatives[:130]]))
    values = pd.DataFrame(frame.features.astype(np.float64).round(4), columns=list(frame.problem.features))
    values.insert(0, "target", frame.target)
    values.insert(0, "ID_code", [f"train_{row}" for row in range(len(frame))])
    return values.astype(str)


def written(table: pd.DataFrame, path: Path) -> Path:
    """The table as csv."""
    table.to_csv(path, index=False)
    return path


def test_reordered_columns_train_the_same_model(
    table: pd.DataFrame, train: Callable[..., Ended], tmp_path: Path
) -> None:
    """Values land by name: the folders are equal to the byte, the data's checksum included."""
    for name, ordered in {"one": table, "other": table[table.columns[::-1]]}.items():
        (tmp_path / name).mkdir()
        data = written(ordered, tmp_path / name / "train.csv")
        assert train("--data", data, *QUICK, "--out", tmp_path / name / "model").code == 0
    for file in (MANIFEST, Booster.FILE, GOLDEN, CARD):
        assert (tmp_path / "one/model" / file).read_bytes() == (tmp_path / "other/model" / file).read_bytes()


def test_rows_of_a_table_are_drawn_and_named(table: pd.DataFrame, train: Callable[..., Ended], tmp_path: Path) -> None:
    """The manifest and the card say how many of which file; nothing there is synthetic."""
    data = written(table, tmp_path / "mine.csv")
    assert train("--data", data, "--rows", "100", *QUICK, "--out", tmp_path / "model").code == 0
    model = load(tmp_path / "model")
    assert (model.data["rows"], model.data["synthetic"]) == (100, False)
    assert "mine.csv" in model.data["source"]
    assert "synthetic" not in (tmp_path / "model" / CARD).read_text()


def test_real_rows_train_a_model(shared: Path, train: Callable[..., Ended], tmp_path: Path) -> None:
    """Kaggle's own format, from the first row to a folder that loads."""
    data = shared / "data/santander/real_rows_2500.csv"
    assert train("--data", data, *QUICK, "--out", tmp_path / "model").code == 0
    model = load(tmp_path / "model")
    assert (model.data["rows"], model.data["positives"]) == (2500, 255)
    assert model.metrics["holdout"]["roc_auc"]["low"] > 0.5


# Bad input.

Bad = Callable[[pd.DataFrame, Path], Path]


def cell(row: int, column: str, text: str) -> Bad:
    """Change one cell; rows are counted from 1 here."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        table.loc[row - 1, column] = text
        return written(table, folder / "train.csv")

    return write


def labels(change: Callable[[str], str]) -> Bad:
    """Change every label."""
    return lambda table, folder: written(table.assign(target=table["target"].map(change)), folder / "train.csv")


def csv(change: Callable[[bytes], bytes], name: str = "train.csv") -> Bad:
    """Change the csv's bytes."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        (folder / name).write_bytes(change(table.to_csv(index=False).encode()))
        return folder / name

    return write


def zipped(member: str, keep: float = 1.0) -> Bad:
    """Pack the csv under a name, and keep a part of the zip."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        path = folder / "santander-customer-transaction-prediction.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, table.to_csv(index=False))
        packed = path.read_bytes()
        path.write_bytes(packed[: int(keep * len(packed))])
        return path

    return write


def with_positives(count: int) -> Bad:
    """Leave so many positives, which stand first."""

    def write(table: pd.DataFrame, folder: Path) -> Path:
        table["target"] = ["1"] * count + ["0"] * (len(table) - count)
        return written(table, folder / "train.csv")

    return write


BAD_TABLES: dict[str, tuple[Bad, str]] = {
    "file missing": (lambda _, folder: folder / "train.csv", "No such file or directory"),
    "a folder": (lambda _, folder: folder, "Is a directory"),
    "empty": (csv(lambda _: b""), "Empty CSV file"),
    "only a header": (csv(lambda text: text.splitlines(keepends=True)[0]), "has a header and no rows"),
    "not UTF-8": (
        csv(lambda text: text.replace(b"train_3", "ação".encode("latin-1"))),
        "it is not UTF-8 text; save it as UTF-8.",
    ),
    "UTF-16": (
        csv(lambda text: text.decode().encode("utf-16")),
        "it is UTF-16 text; save it as UTF-8.",
    ),
    "wrong delimiter": (csv(lambda text: text.replace(b",", b";")), "expected 202 separated by commas."),
    "truncated gz": (csv(lambda text: gzip.compress(text)[:-100], "train.csv.gz"), "ended before the end-of-stream"),
    "truncated zip": (zipped("train.csv", keep=0.7), "is not a zip file"),
    "zip without train.csv": (zipped("test.csv"), "holds no train.csv, only 'test.csv'; unpack the csv you mean."),
    "Kaggle's test.csv": (
        lambda table, folder: written(table.drop(columns="target"), folder / "test.csv"),
        "lacks 'target'; expected 202 columns, found 201.",
    ),
    "missing columns": (
        lambda table, folder: written(table.drop(columns=["var_7", "var_9"]), folder / "train.csv"),
        "lacks 'var_7', 'var_9'; expected 202 columns, found 200.",
    ),
    "duplicate column": (
        csv(lambda text: text.replace(b"var_199", b"var_198", 1)),
        "has the column 'var_198' more than once; every column needs a name of its own.",
    ),
    "extra column": (
        lambda table, folder: written(table.assign(day="1"), folder / "train.csv"),
        "has unexpected columns: 'day'; remove them, or train anew by a problem that names them.",
    ),
    "short row": (csv(lambda text: text + b"train_151,1,2\n"), ", row 151: expected 202 columns, found 3."),
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
    name: str, table: pd.DataFrame, train: Callable[..., Ended], tmp_path: Path
) -> None:
    """Exit code 3, nothing on standard output, and nothing left behind."""
    write, said = BAD_TABLES[name]
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    ended = train("--data", write(table, data), *QUICK, "--out", out)
    assert (ended.code, ended.output) == (3, "")
    assert said in ended.error
    assert ended.error.count("\n") == 1
    assert "fewer positives" in name or str(data) in ended.error
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "said"),
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
def test_a_wrong_option_is_named(options: list[str], said: str, train: Callable[..., Ended], tmp_path: Path) -> None:
    """Exit code 2, before anything is read or written."""
    ended = train("--data", tmp_path / "missing.csv", *options, "--out", tmp_path / "model")
    assert (ended.code, ended.output) == (2, "")
    assert said in ended.error
    assert "Traceback" not in ended.error
    assert list(tmp_path.iterdir()) == []


def test_spark_without_pyspark_is_one_sentence(
    train: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says what sets it up, before anything is read."""
    for name in [*sys.modules]:
        if name.startswith("tabserve.spark"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    ended = train("--engine", "spark", "--data", tmp_path / "missing.csv", "--out", tmp_path / "model")
    assert (ended.code, ended.output) == (2, "")
    assert ended.error.startswith("This needs pyspark, which is not installed; `make setup-spark`")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", ["1", "6", "20"])
def test_too_few_rows_are_counted(rows: str, train: Callable[..., Ended], tmp_path: Path) -> None:
    """Also when they are drawn from the sample."""
    ended = train("--rows", rows, *QUICK, "--out", tmp_path / "model")
    assert (ended.code, ended.output) == (3, "")
    assert "The smallest class has" in ended.error


def test_more_rows_than_fit_into_memory_are_refused_before_any_work(
    train: Callable[..., Ended], tmp_path: Path
) -> None:
    """Exit code 2, with what they need and what there is."""
    ended = train("--rows", "1000000000000", *QUICK, "--out", tmp_path / "model")
    assert (ended.code, ended.output) == (2, "")
    assert ended.error.startswith("1,000,000,000,000 rows need at least 1,490,116 GiB of memory, and this machine has")
    assert ended.error.count("\n") == 1


def test_memory_that_ends_on_the_way_is_told(tmp_path: Path) -> None:
    """Exit code 1 and a sentence; nothing is left behind."""
    ended = process("--rows", "3000000", *QUICK, "--out", "model", cwd=tmp_path, shell="ulimit -v 3000000;")
    assert (ended.code, ended.output) == (1, "")
    assert ended.error == "There is not enough memory for this; use fewer rows, or a machine with more memory.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused_before_any_work(tmp_path: Path) -> None:
    """Exit code 2: XGBoost would train on the CPU, and only warn."""
    ended = process("--device", "cuda", "--data", "missing.csv", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    assert (ended.code, ended.output) == (2, "")
    assert ended.error == ("XGBoost finds no 'cuda' device on this machine; leave out --device, to train on the CPU.\n")


def test_a_place_that_cannot_be_written_is_refused_before_any_work(train: Callable[..., Ended], tmp_path: Path) -> None:
    """Below a regular file, where not even root can write; the table is not even opened."""
    (tmp_path / "file").write_text("mine")
    ended = train("--data", tmp_path / "missing.csv", "--out", tmp_path / "file" / "model")
    said = f"{tmp_path}/file/model cannot be written: {tmp_path}/file is not a folder that can be written to.\n"
    assert ended == Ended(4, "", said)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_of_the_users_own_is_not_replaced(train: Callable[..., Ended], tmp_path: Path) -> None:
    """Whatever is in it."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    ended = train("--data", tmp_path / "missing.csv", "--out", tmp_path / "thesis")
    assert (ended.code, ended.output) == (4, "")
    assert "holds something other than a model; name another place, or remove it first." in ended.error
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "mine"


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk_keeps_the_earlier_model(model_folder: Path, tmp_path: Path) -> None:
    """One sentence after the training, exit code 4, and every byte as before."""
    shutil.copytree(model_folder, tmp_path / "model")
    before = content(tmp_path)
    unmeasured = {"COVERAGE_PROCESS_CONFIG": ""}  # coverage's own file would not fit either
    ended = process("--rows", "100", *QUICK, "--out", "model", cwd=tmp_path, shell="ulimit -f 16;", **unmeasured)
    assert (ended.code, ended.error) == (
        4,
        "model cannot be written: XGBoost could not write model.ubj, as on a full disk; nothing was changed there.\n",
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
    """What a terminal shows until the words appear; fails when they do not."""
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
    """128 and its number, and one sentence below the progress bar; an earlier model stays, and nothing new is there."""
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
