"""Scoring a file answers every row once, in order; the output is written whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tabserve.errors import DataError
from tabserve.model.model import load
from tabserve.score import score_file
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import stream

SCRIPT = Path(__file__).parents[1] / "scripts" / "score.py"
ROWS = SCRIPT.with_name("rows.csv")


@pytest.fixture(scope="module")
def table(sample_frame: Frame) -> pd.DataFrame:
    """Rows to score in Kaggle's test format."""
    features = pd.DataFrame(sample_frame.features, columns=list(sample_frame.problem.features))
    return pd.concat([pd.Series(sample_frame.ids, name="ID_code"), features], axis=1)


@pytest.fixture(scope="module")
def rows(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv of these rows."""
    path = tmp_path_factory.mktemp("rows") / "test.csv"
    table.to_csv(path, index=False)
    return path


Score = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def score(script: Score) -> Score:
    """Run scripts/score.py."""
    return partial(script, SCRIPT)


def test_a_file_gets_the_models_answers_bit_for_bit(
    model_folder: Path, sample_frame: Frame, rows: Path, tmp_path: Path
) -> None:
    """Ids, labels and probabilities are in the order of the file."""
    model, out = load(model_folder), tmp_path / "scores.csv"
    assert score_file(model, rows, out) == len(sample_frame)
    written, expected = pd.read_csv(out), model.score(sample_frame.features)
    assert list(written.columns) == ["ID_code", "label", "probability"]
    assert list(written["ID_code"]) == list(sample_frame.ids)
    assert np.array_equal(written["label"], expected.label)
    assert np.array_equal(written["probability"].astype(np.float32), expected.probability)


def test_texts_are_scored(texts_folder: Path, tmp_path: Path, score: Score) -> None:
    """The output has one column per label; a text can be empty in a column that allows it."""
    table = pd.DataFrame({"product_id": ["a", "b"], "title": ["carrinho azul", "convite"], "tags": ["bebê", ""]})
    table.to_csv(tmp_path / "rows.csv", index=False)
    ended = score("--model", texts_folder, "--data", tmp_path / "rows.csv", "--out", tmp_path / "scores.csv")
    assert (ended.returncode, ended.stderr) == (0, "")
    model, written = load(texts_folder), pd.read_csv(tmp_path / "scores.csv", index_col="product_id")
    (rows,) = stream(tmp_path / "rows.csv", model.problem, model.encoder)
    expected = model.score(rows.features)
    assert written["label"].tolist() == [model.problem.labels[label] for label in expected.label]
    columns = [f"probability_{label}" for label in model.problem.labels]
    assert list(written.columns) == ["label", *columns]
    np.testing.assert_allclose(written[columns], expected.probability, rtol=1e-6)


def test_rows_of_other_columns_are_refused(texts_folder: Path, rows: Path, tmp_path: Path, score: Score) -> None:
    """The message is one sentence, and nothing is written."""
    ended = score("--model", texts_folder, "--data", rows, "--out", tmp_path / "scores.csv")
    assert ended.returncode == DataError.exit_code
    assert "title" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_every_format_gets_the_same_answers(model_folder: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    """As csv, csv.gz, zip and parquet."""
    model, few = load(model_folder), table.head(500)
    few.to_csv(tmp_path / "rows.csv", index=False)
    few.to_csv(tmp_path / "rows.csv.gz", index=False)
    few.to_csv(tmp_path / "rows.zip", index=False, compression={"method": "zip", "archive_name": "test.csv"})
    few.to_parquet(tmp_path / "rows.parquet")
    outputs = []
    for name in ("rows.csv", "rows.csv.gz", "rows.zip", "rows.parquet"):
        assert score_file(model, tmp_path / name, tmp_path / "scores.csv") == 500
        outputs.append((tmp_path / "scores.csv").read_bytes())
    assert outputs == [outputs[0]] * 4


def test_a_bad_row_at_the_end_leaves_no_file(model_folder: Path, rows: Path, tmp_path: Path) -> None:
    """The first rows were written before the error is found."""
    broken, out = tmp_path / "broken.csv", tmp_path / "out" / "scores.csv"
    out.parent.mkdir()
    broken.write_text(rows.read_text().rsplit(",", 1)[0] + ",abc\n")
    with pytest.raises(DataError, match=r"row 4000, column 'var_199': expected a number, found 'abc'"):
        score_file(load(model_folder), broken, out)
    assert not list(out.parent.iterdir())


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_file(model_folder: Path, rows: Path, tmp_path: Path) -> None:
    """For files longer than the blocks that are read ahead, three times the rows take no more memory."""
    header, body = rows.read_text().split("\n", 1)
    code = (
        "import pathlib, runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "finally: print(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    peaks, sizes = [], []
    for times in (12, 36):
        many = tmp_path / f"{times}.csv"
        many.write_text(f"{header}\n{body * times}")
        options = ["--model", str(model_folder), "--data", str(many), "--out", str(tmp_path / "scores.csv")]
        command = [sys.executable, "-c", code, str(SCRIPT), *options]
        finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        peaks.append(int(finished.stdout.split()[-1]) / 1024)
        sizes.append(many.stat().st_size / 2**20)
    more, longer = peaks[1] - peaks[0], sizes[1] - sizes[0]
    assert more < longer / 4, f"{longer:.0f} MiB more of csv took {more:.0f} MiB more of memory"


def test_the_command_prints_the_number_of_scored_rows(model_folder: Path, rows: Path, tmp_path: Path) -> None:
    """In one sentence, without a progress bar if the output is no terminal."""
    command: list[str | Path] = [
        sys.executable,
        SCRIPT,
        "--model",
        model_folder,
        "--data",
        rows,
        "--out",
        tmp_path / "scores.csv",
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout == f"Scored 4,000 rows into {tmp_path / 'scores.csv'}.\n"


@pytest.mark.parametrize(
    ("code", "replaced"),
    [
        (3, {"--data": "missing"}),
        (3, {"--out": "/dev/null/scores.csv"}),
        (4, {"--model": "missing"}),
        (2, {"--rows": "5"}),
    ],
    ids=["no such table", "a path below a file", "no such model", "no such option"],
)
def test_the_command_ends_with_one_sentence_on_bad_input(
    score: Score, code: int, replaced: dict[str, str], model_folder: Path, tmp_path: Path
) -> None:
    """There is no traceback, and the exit code tells the kind of error."""
    options = {"--model": model_folder, "--data": ROWS, "--out": tmp_path / "scores.csv"}
    options |= {name: tmp_path / value for name, value in replaced.items()}
    finished = score(*(word for option in options.items() for word in option))
    assert finished.returncode == code, finished.stderr
    assert "Traceback" not in finished.stderr
    assert not list(tmp_path.iterdir())


def wait_until_idle(pid: int, seconds: float) -> None:
    """Wait until a process uses no more processor time; fail if it still does after these seconds."""
    deadline, before, now = time.monotonic() + seconds, "", "unknown"
    while now != before:
        assert time.monotonic() < deadline, f"The process was still at work after {seconds:.0f} s."
        time.sleep(0.5)
        before, now = now, " ".join(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])


@pytest.mark.timeout(60)
def test_one_interrupt_ends_the_command_while_it_waits_for_a_pipe(
    model_folder: Path, rows: Path, tmp_path: Path
) -> None:
    """No output is left behind."""
    pipe, out = tmp_path / "pipe.csv", tmp_path / "out" / "scores.csv"
    out.parent.mkdir()
    os.mkfifo(pipe)
    command: list[str | Path] = [sys.executable, SCRIPT, "--model", model_folder, "--data", pipe, "--out", out]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            with pipe.open("wb") as writer:
                writer.write(rows.read_bytes())
                writer.flush()
                wait_until_idle(child.pid, seconds=30)
                child.send_signal(signal.SIGINT)
                stderr = child.communicate(timeout=30)[1]
        finally:
            child.kill()
    assert (child.returncode, stderr) == (130, "Interrupted; nothing was left behind.\n")
    assert not list(out.parent.iterdir())


def test_the_spark_engine_without_pyspark_is_refused(
    score: Score, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The message names the make target that installs it."""
    for name in [*sys.modules]:
        if name.startswith("tabserve.spark"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    ended = score("--engine", "spark", "--data", ROWS, "--out", tmp_path / "scores")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("This needs pyspark, which is not installed; `make setup-spark`")
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", [["--rejects", "bad"], ["--overwrite"], ["--master", "yarn"]])
def test_an_option_of_spark_is_refused_on_one_machine(option: list[str], score: Score, tmp_path: Path) -> None:
    """It would have no effect there."""
    ended = score("--data", ROWS, "--out", tmp_path / "scores.csv", *option)
    assert ended.returncode == 2
    assert f"{option[0]} needs --engine spark" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("engine", ["local", "spark"])
@pytest.mark.parametrize("option", ["--table", "--data", "--out", "--rejects", "--master"])
def test_an_empty_option_is_refused(option: str, engine: str, score: Score, tmp_path: Path) -> None:
    """A shell variable that is not set gives one; it would mean the working directory, or nothing."""
    rows = () if option == "--table" else ("--data", ROWS)
    ended = score("--engine", engine, *rows, "--out", tmp_path / "scores", option, "")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert f"argument {option}: expected" in ended.stderr
    assert not list(tmp_path.iterdir())


def test_help_shows_every_option_and_the_exit_codes(score: Score) -> None:
    """It has examples too."""
    page = score("--help").stdout
    assert all(word in page for word in ("--data", "--out", "--model", "--engine", "exit codes", "examples"))
