"""Scoring on Spark gives the answers of one machine to the bit, whole or not at all, also when workers are lost."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark import TaskContext
from pyspark.sql import SparkSession
from tests import needs

from tabserve.destination import TABLES, check_apart
from tabserve.errors import DataError, JobError, UsageError
from tabserve.model.model import MANIFEST, load, save
from tabserve.score import score_file
from tabserve.spark import score as spark_score
from tabserve.spark.score import RowCounts, score_table
from tabserve.spark.source import Source, files, table
from tabserve.spark.worker import Scorer, load_model, model_files
from tabserve.table.columns import Columns
from tabserve.table.frame import Frame
from tabserve.table.reader import batches, column_names
from tabserve.table.source import as_source

SCRIPT = Path(__file__).parents[2] / "scripts" / "score.py"

pytestmark = pytest.mark.usefixtures("spark")

Score = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def score(script: Score) -> Score:
    """Run scripts/score.py on Spark, in the session of all tests."""
    return partial(script, SCRIPT, "--engine", "spark")


@pytest.fixture(scope="module")
def frame(sample_frame: Frame) -> pd.DataFrame:
    """Rows to score, some of them with numbers of many digits."""
    features = pd.DataFrame(sample_frame.features.astype(np.float64) / 3, columns=[*sample_frame.problem.features])
    return pd.concat([pd.Series(sample_frame.ids, name="ID_code"), features], axis=1).head(1_000)


@pytest.fixture(scope="module")
def rows(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of `frame` as two files in a folder, one of them packed, with columns in different orders."""
    folder = tmp_path_factory.mktemp("rows")
    frame[:600].to_csv(folder / "a.csv", index=False)
    frame[600:].iloc[:, ::-1].to_csv(folder / "b.csv.gz", index=False)
    return folder


@pytest.fixture(scope="module")
def expected(frame: pd.DataFrame, model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The scores that one machine writes."""
    folder = tmp_path_factory.mktemp("expected")
    frame.to_csv(folder / "rows.csv", index=False)
    score_file(load(model_folder), folder / "rows.csv", folder / "scores.csv")
    return pd.read_csv(folder / "scores.csv", dtype={"label": "object", "probability": "float32"})


def broken(folder: Path, frame: pd.DataFrame) -> Path:
    """A csv whose second and third row are bad."""
    few = frame.head(5).astype({"var_7": object})
    few.loc[1, "var_7"], few.loc[2, "var_9"] = "seven", np.inf
    few.to_csv(folder / "broken.csv", index=False)
    return folder / "broken.csv"


def scores_in(folder: Path) -> pd.DataFrame:
    """The scores in a folder, in the order in which one machine writes them."""
    scores = pd.read_parquet(folder)
    return scores.sort_values("ID_code", key=lambda ids: ids.str.split("_").str[-1].astype(int), ignore_index=True)


def test_files_get_the_answers_of_one_machine_to_the_bit(
    model_folder: Path, rows: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    """Every row once, with the types of the answers."""
    out = tmp_path / "scores"
    assert score_table(model_folder, files(str(rows)), str(out)) == RowCounts(1_000, 0)
    pd.testing.assert_frame_equal(scores_in(out), expected, check_exact=True)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_parquet_and_a_table_get_the_answers_of_one_machine_to_the_bit(
    dtype: str, spark: SparkSession, model_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Whatever the width of their floats."""
    cells = frame.head(200).astype(dict.fromkeys(frame.columns[1:], dtype))
    cells.to_parquet(tmp_path / "rows.parquet")
    score_file(load(model_folder), tmp_path / "rows.parquet", tmp_path / "scores.csv")
    expected = pd.read_csv(tmp_path / "scores.csv", dtype={"label": "object", "probability": "float32"})
    spark.read.parquet(f"{tmp_path}/rows.parquet").createOrReplaceGlobalTempView("customers")
    for name, source in {"file": files(f"{tmp_path}/rows.parquet"), "table": table("global_temp.customers")}.items():
        assert score_table(model_folder, source, f"{tmp_path}/{name}") == RowCounts(200, 0)
        pd.testing.assert_frame_equal(scores_in(tmp_path / name), expected, check_exact=True)


@pytest.mark.parametrize("suffix", TABLES)
def test_scores_of_every_format_are_read_back(
    suffix: str, model_folder: Path, frame: pd.DataFrame, expected: pd.DataFrame, tmp_path: Path
) -> None:
    """The project's reader reads scores to the bit, and ids of scores and rejects, without spaces around them."""
    ids = [" left", "right ", 'a"b', "a,b", "a\nb", "#", "\\", "NA"]
    few = frame.head(len(ids)).assign(ID_code=ids)
    few.loc[7, "var_3"] = np.inf
    few.to_parquet(tmp_path / "rows.parquet")
    out, rejects = f"{tmp_path}/scores{suffix}", f"{tmp_path}/rejects{suffix}"
    assert score_table(model_folder, files(f"{tmp_path}/rows.parquet"), out, rejects) == RowCounts(7, 1)
    parts = sorted(Path(out).glob("part-*"))
    assert all(part.name.endswith(suffix) for part in parts)
    columns = Columns(["label", "probability"], ["ID_code"])
    scores = pa.Table.from_batches(
        [batch for part in parts for batch in batches(as_source(part), columns, lambda read: read)]
    )
    assert dict(
        zip(scores["ID_code"].to_pylist(), scores["probability"].cast(pa.float32()).to_pylist(), strict=True)
    ) == dict(zip(map(str.strip, ids[:7]), expected["probability"].astype(float)[:7], strict=True))
    assert len(files(out)(SparkSession.builder.getOrCreate(), columns).files) == len(parts)
    bad_parts = [part for part in Path(rejects).glob("part-*") if column_names(as_source(part))]
    id_column = Columns([], ["ID_code"], ["file", "reason"])
    rejected = [batch for part in bad_parts for batch in batches(as_source(part), id_column, list)]
    assert [cell.as_py() for (column,) in rejected for cell in column] == ["NA"]


@pytest.mark.parametrize("which", ["--out", "--rejects"])
def test_an_unknown_ending_of_an_output_is_refused_before_any_work(
    which: str, monkeypatch: pytest.MonkeyPatch, score: Score, tmp_path: Path
) -> None:
    """The sentence names the endings that one machine writes too."""
    monkeypatch.setattr(spark_score, "session", None)
    outputs = {"--out": tmp_path / "scores", "--rejects": tmp_path / "rejects"} | {which: tmp_path / "new.zip"}
    words = [word for option in outputs.items() for word in option]
    process = score("--model", tmp_path / "model", "--table", "rows", *words)
    expected = "expected a name that ends in .csv, .csv.gz or .parquet, which says what is written.\n"
    assert (process.returncode, process.stderr) == (2, f"{tmp_path}/new.zip cannot be written: {expected}")


def test_a_worker_loads_the_model_once(spark: SparkSession, model_folder: Path) -> None:
    """Once for all its tasks."""
    files = model_files(model_folder)

    def load(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            load_model(files)
            columns = [batch.column(0)[:1], pa.array([os.getpid()]), pa.array([load_model.cache_info().misses])]
            yield pa.record_batch(columns, ["id", "process", "loads"])

    tasks = spark.range(0, 8, 1, 8).mapInArrow(load, "id long, process long, loads long").toPandas()
    assert len(tasks) == 8
    assert tasks.groupby("process")["loads"].nunique().max() == 1


def test_a_worker_gets_the_files_of_a_model_and_no_others(model_folder: Path, tmp_path: Path) -> None:
    """Whatever other files the manifest names."""
    folder = shutil.copytree(model_folder, tmp_path / "model")
    (tmp_path / "secret").write_text("secret")
    (folder / "notes").write_text("notes")
    manifest = json.loads((folder / MANIFEST).read_text())
    strangers = {"../secret": "", str(tmp_path / "secret"): "", "notes": ""}
    (folder / MANIFEST).write_text(json.dumps(manifest | {"files": manifest["files"] | strangers}))
    assert {name for name, _ in model_files(folder)} == {path.name for path in model_folder.iterdir()}


def test_a_lost_worker_is_survived(
    monkeypatch: pytest.MonkeyPatch, model_folder: Path, rows: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    """Each task's first worker is killed after it returned some rows; every row is still written once."""

    def mortal(*arguments: object) -> Scorer:
        scorer = Scorer(*arguments)  # type: ignore[arg-type]

        def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            context = TaskContext.get()
            assert context is not None
            for scored in scorer(batches):
                yield scored
                if context.attemptNumber() == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        work.id = scorer.id  # type: ignore[attr-defined]
        return work  # type: ignore[return-value]

    monkeypatch.setattr(spark_score, "Scorer", mortal)
    assert score_table(model_folder, files(str(rows)), f"{tmp_path}/scores") == RowCounts(1_000, 0)
    pd.testing.assert_frame_equal(scores_in(tmp_path / "scores"), expected, check_exact=True)


def test_a_bad_row_ends_the_job_and_leaves_nothing(
    score: Score, model_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """One sentence names file, id and column."""
    path = broken(tmp_path, frame)
    process = score("--model", model_folder, "--data", path, "--out", tmp_path / "scores")
    sentence = f"{path}, ID_code {frame['ID_code'][1]!r}, column 'var_7': expected a number, found 'seven'.\n"
    assert (process.returncode, process.stdout, process.stderr) == (DataError.exit_code, "", sentence)
    assert list(tmp_path.iterdir()) == [path]


def test_bad_rows_go_to_the_folder_of_rejects(
    score: Score, model_folder: Path, frame: pd.DataFrame, expected: pd.DataFrame, tmp_path: Path
) -> None:
    """With file, id and reason; the other rows are scored."""
    path, out, rejects = broken(tmp_path, frame), tmp_path / "scores", tmp_path / "rejects"
    process = score("--model", model_folder, "--data", path, "--out", out, "--rejects", rejects)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == f"Scored 3 rows into {out}. 2 bad rows are listed in {rejects}.\n"
    pd.testing.assert_frame_equal(scores_in(out), expected.take([0, 3, 4]).reset_index(drop=True), check_exact=True)
    rejected = pd.concat([pd.read_csv(part) for part in rejects.glob("part-*.csv")])
    ids, infinite = list(frame["ID_code"][1:3]), "found inf, which is no finite 32-bit float"
    assert rejected.to_numpy().tolist() == [
        [str(path), ids[0], "column 'var_7': expected a number, found 'seven'"],
        [str(path), ids[1], f"column 'var_9': expected a number, {infinite}"],
    ]


def test_the_ids_of_rejected_rows_are_written_as_they_are(
    score: Score, model_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Whatever characters they hold."""
    ids = [" left", "right ", "\t", 'a"b', "a,b", "a\nb", "#", "\\"]
    frame.head(len(ids)).assign(ID_code=ids, var_3=np.inf).to_parquet(tmp_path / "rows.parquet")
    words = ("--data", tmp_path / "rows.parquet", "--out", tmp_path / "scores", "--rejects", tmp_path / "rejects")
    assert score("--model", model_folder, *words).returncode == 0
    parts = (tmp_path / "rejects").glob("part-*.csv")
    rejected = pd.concat([pd.read_csv(part, keep_default_na=False) for part in parts])
    assert rejected["ID_code"].tolist() == ids


def test_rows_that_replaced_others_are_read_anew(model_folder: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    """Also by the same session, which caches none of the earlier rows."""
    for count in (2, 5):
        frame.head(count).to_csv(tmp_path / "rows.csv", index=False)
        outputs = f"{tmp_path}/scores", f"{tmp_path}/rejects"
        read = files(f"{tmp_path}/rows.csv")
        assert score_table(model_folder, read, *outputs, overwrite=True) == RowCounts(count, 0)


@pytest.mark.parametrize("name", ["customer.id", "a`b", "file", "reason"])
def test_the_column_of_ids_may_have_any_name(
    name: str, model_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Also one that an output has beside it."""
    loaded = load(model_folder)
    renamed = replace(loaded, problem=replace(loaded.problem, id=name))
    save(tmp_path / "model", renamed, loaded.predictor.examples(frame.iloc[:, 1:].to_numpy(np.float32)), "# A card\n")
    few = frame.head(3).rename(columns={"ID_code": name})
    few.loc[1, "var_3"] = np.inf
    few.to_csv(tmp_path / "rows.csv", index=False)
    outputs = f"{tmp_path}/scores", f"{tmp_path}/rejects"
    assert score_table(tmp_path / "model", files(f"{tmp_path}/rows.csv"), *outputs) == RowCounts(2, 1)
    assert sorted(pd.read_parquet(tmp_path / "scores")[name]) == [few[name][0], few[name][2]]


def test_a_header_alone_is_refused(model_folder: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    """Nothing is written."""
    frame.head(0).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError, match="a table needs at least one row below its header"):
        score_table(model_folder, files(f"{tmp_path}/rows.csv"), f"{tmp_path}/scores")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("which", ["out", "rejects"])
def test_an_output_that_exists_is_refused_before_any_work(
    which: str, monkeypatch: pytest.MonkeyPatch, score: Score, model_folder: Path, tmp_path: Path
) -> None:
    """It is left as it is."""
    monkeypatch.setattr(spark_score, "session", None)  # starting a session would fail
    (tmp_path / which).mkdir()
    (tmp_path / which / "mine").touch()
    options = ("--out", tmp_path / "out", "--rejects", tmp_path / "rejects")
    for overwrite, reason in (((), "exists; name another"), (("--overwrite",), "something other than an earlier")):
        process = score("--model", model_folder, "--table", "rows", *options, *overwrite)
        assert process.returncode == DataError.exit_code
        assert process.stderr.startswith(f"{tmp_path / which} ")
        assert reason in process.stderr
    assert [path.name for path in tmp_path.rglob("*")] == [which, "mine"]


def test_a_missing_file_of_rows_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, score: Score, model_folder: Path, tmp_path: Path
) -> None:
    """The user does not wait for Spark to start."""
    monkeypatch.setattr(spark_score, "session", None)
    process = score("--model", model_folder, "--data", tmp_path / "no.csv", "--out", tmp_path / "scores")
    assert process.returncode == DataError.exit_code
    assert "no.csv cannot be read as a table: there is no such file or folder" in process.stderr
    assert not [*tmp_path.iterdir()]


def test_a_folder_made_during_the_job_is_not_replaced(model_folder: Path, rows: Path, tmp_path: Path) -> None:
    """The job fails and leaves none of its outputs."""

    def read(spark: SparkSession, columns: Columns) -> Source:
        (tmp_path / "scores").mkdir()
        (tmp_path / "scores" / "mine").touch()
        return files(str(rows))(spark, columns)

    with pytest.raises(DataError, match=f"^{tmp_path}/scores exists; name another place"):
        score_table(model_folder, read, f"{tmp_path}/scores", f"{tmp_path}/rejects")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "scores"]


def test_a_model_that_is_removed_during_the_job_changes_no_answer(
    model_folder: Path, rows: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    """The model that was loaded first answers."""
    shutil.copytree(model_folder, tmp_path / "model")

    def read(spark: SparkSession, columns: Columns) -> Source:
        shutil.rmtree(tmp_path / "model")
        return files(str(rows))(spark, columns)

    assert score_table(tmp_path / "model", read, f"{tmp_path}/scores") == RowCounts(1_000, 0)
    pd.testing.assert_frame_equal(scores_in(tmp_path / "scores"), expected, check_exact=True)


def test_overwrite_replaces_an_earlier_output(
    score: Score, model_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Nothing of the earlier output remains."""
    out = tmp_path / "scores"
    for count in (2, 5):
        frame.head(count).to_parquet(tmp_path / "rows.parquet")
        process = score("--model", model_folder, "--data", tmp_path / "rows.parquet", "--out", out, "--overwrite")
        assert process.returncode == 0, process.stderr
        assert len(scores_in(out)) == count
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.parquet", "scores"]


@pytest.mark.parametrize(("out", "rejects"), [("a", "a"), ("a", "a/bad"), ("a/good", "a"), ("a", "b/../a/bad")])
def test_an_output_within_another_is_refused(out: str, rejects: str, model_folder: Path, tmp_path: Path) -> None:
    """One would replace the other."""
    with pytest.raises(DataError, match="which is written as well; name another place"):
        score_table(model_folder, table("rows"), f"{tmp_path}/{out}", f"{tmp_path}/{rejects}")


@pytest.mark.parametrize(
    ("output", "file", "apart"),
    [
        ("s3a://bucket/rows", "s3a://bucket/rows/a.csv", False),
        ("s3a://bucket/rows/", "s3a://bucket/rows/a.csv", False),
        ("s3a://bucket/row", "s3a://bucket/rows/a.csv", True),
        ("s3a://other/rows", "s3a://bucket/rows/a.csv", True),
        ("/bucket/rows", "s3a://bucket/rows/a.csv", True),
        ("file:///rows", "/rows/a.csv", False),
    ],
)
def test_an_address_that_holds_the_rows_is_refused_as_output(output: str, file: str, apart: bool) -> None:
    """Spark would remove the rows before it reads them."""
    with nullcontext() if apart else pytest.raises(DataError, match=f"it holds {file}, which is read as well"):
        check_apart([output], [file])


def test_rows_are_never_replaced_by_their_scores(
    spark: SparkSession, model_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Not even with overwrite, though Spark wrote the rows as well."""
    spark.createDataFrame(frame.head(2)).write.parquet(f"{tmp_path}/rows")
    before = sorted((tmp_path / "rows").iterdir())
    with pytest.raises(DataError, match=r"rows cannot be written: it holds .*\.parquet, which is read as well"):
        score_table(model_folder, files(f"{tmp_path}/rows"), f"{tmp_path}/rows", overwrite=True)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


def test_a_tables_files_are_never_replaced_by_their_scores(
    spark: SparkSession, model_folder: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    """Spark lists the files of a table, of which only the name is given."""
    spark.createDataFrame(frame.head(2)).write.parquet(f"{tmp_path}/rows")
    spark.read.parquet(f"{tmp_path}/rows").createOrReplaceGlobalTempView("rows")
    with pytest.raises(DataError, match=r"rows cannot be written: it holds .*\.parquet, which is read as well"):
        score_table(model_folder, table("global_temp.rows"), f"{tmp_path}/rows", overwrite=True)
    assert sorted(pd.read_parquet(tmp_path / "rows").columns) == sorted(frame.columns)


def test_rows_without_ids_are_refused(monkeypatch: pytest.MonkeyPatch, model_folder: Path) -> None:
    """Spark keeps no order by which the rows could be numbered."""
    loaded = load(model_folder)
    nameless = replace(loaded, problem=replace(loaded.problem, id=None))
    monkeypatch.setattr(spark_score, "load", lambda _folder: nameless)
    with pytest.raises(UsageError, match="is of rows without ids, which Spark keeps no order of"):
        score_table(model_folder, table("rows"), "scores")


def start_command(
    rows: Path, model_folder: Path, out: Path, master: str = "local[2,4]", prefix: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Start the command in a process of its own; `prefix` is the command that starts it, if any."""
    words = [*prefix, sys.executable, SCRIPT, "--engine", "spark", "--master", master, "--model", model_folder]
    words += ["--data", rows, "--out", out]
    return subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_is_quiet(model_folder: Path, rows: Path, tmp_path: Path) -> None:
    """It prints one sentence, and without a terminal neither Spark's log nor a progress bar."""
    with start_command(rows, model_folder, tmp_path / "scores") as child:
        printed = child.communicate(timeout=240)
    assert (child.returncode, *printed) == (0, f"Scored 1,000 rows into {tmp_path / 'scores'}.\n", "")


@pytest.mark.parametrize(
    ("master", "message"),
    [
        (
            "nonsense",
            "Spark's Java ended before it was up: Master must either be yarn or start with spark, k8s, or local;",
        ),
        ("local[0]", "Spark does not start: Asked to run locally with 0 threads."),
    ],
)
def test_a_wrong_master_is_one_sentence(
    master: str, message: str, rows: Path, model_folder: Path, tmp_path: Path
) -> None:
    """The sentence says why, and nothing is left."""
    with start_command(rows, model_folder, tmp_path / "scores", master) as child:
        stdout, stderr = child.communicate(timeout=120)
    assert (child.returncode, stdout) == (JobError.exit_code, "")
    assert stderr.startswith(message)
    assert stderr.count("\n") == 1
    for log in re.findall(r"(\S+\.log) says more", stderr):
        Path(log).unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_for_the_output_is_one_sentence(
    model_folder: Path, rows: Path, tmp_path: Path
) -> None:
    """The sentence names the output, and nothing that was written is left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    unshare = ["unshare", "--map-root-user", "--mount"]
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)]
    if not needs.succeeds([*unshare, *mount]):
        pytest.skip("this machine cannot mount a disk for the test")
    script = f'{shlex.join(mount)}; "$@"; code=$?; ls -A {disk}; exit $code'
    with start_command(rows, model_folder, disk / "scores", prefix=[*unshare, "sh", "-c", script, "sh"]) as child:
        printed = child.communicate(timeout=240)
    sentence = f"{disk}/scores cannot be written: No space left on device; nothing was changed there.\n"
    assert (child.returncode, *printed) == (DataError.exit_code, "", sentence)


@pytest.fixture
def working(model_folder: Path, rows: Path, tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The command in a process of its own, whose job has begun to write."""
    header, body = (rows / "a.csv").read_text().split("\n", 1)
    (tmp_path / "rows.csv").write_text(f"{header}\n{body * 40}")
    with start_command(tmp_path / "rows.csv", model_folder, tmp_path / "below" / "scores") as child:
        deadline = time.monotonic() + 200
        while not [*tmp_path.glob("below/.scores-*/fresh/_temporary")]:
            assert time.monotonic() < deadline, "The job did not begin to write within 200 s."
            assert child.poll() is None, child.communicate()
            time.sleep(0.02)
        yield child
        child.kill()


@pytest.mark.parametrize(
    ("number", "code", "event"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_an_interrupted_job_leaves_nothing(
    number: int, code: int, event: str, working: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    """No file that was written before, and no process that goes on writing."""
    working.send_signal(number)
    printed = working.communicate(timeout=60)
    assert (working.returncode, *printed) == (code, "", f"{event}; nothing was left behind.\n")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["rows.csv"]


def test_a_killed_java_is_one_sentence_and_leaves_nothing(working: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """As when the system runs out of memory."""
    (java,) = Path(f"/proc/{working.pid}/task/{working.pid}/children").read_text().split()
    os.kill(int(java), signal.SIGKILL)
    stdout, stderr = working.communicate(timeout=60)
    assert (working.returncode, stdout) == (JobError.exit_code, "")
    reason = "its Java (?:was killed, or has ended|answers no more)"  # depends on the call that was interrupted
    sentence = re.fullmatch(rf"Spark failed: {reason}; (\S+\.log) says more\.\n", stderr)
    assert sentence, stderr
    Path(sentence[1]).unlink()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["rows.csv"]
