"""A Spark session uses a Spark that is running already; what it lacks, and what fails, is one sentence."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from tabserve.errors import DataError, JobError, UsageError
from tabserve.spark import java, job
from tabserve.spark.session import session


def test_a_running_session_is_used_and_its_settings_stay(spark: SparkSession) -> None:
    """Only the new session tells column names apart by case, and the running one keeps running."""
    spark.conf.set("spark.sql.caseSensitive", "false")
    with session() as new:
        assert new.sparkContext is spark.sparkContext
        assert new.conf.get("spark.sql.caseSensitive") == "true"
    assert spark.conf.get("spark.sql.caseSensitive") == "false"
    assert spark.range(3).count() == 3


def test_the_driver_is_on_the_loopback_address(spark: SparkSession) -> None:
    """No other machine can reach it, and it serves no web page."""
    conf = spark.sparkContext.getConf()
    assert (conf.get("spark.driver.bindAddress"), conf.get("spark.driver.host")) == ("127.0.0.1", "127.0.0.1")
    assert spark.sparkContext.uiWebUrl is None


def test_the_result_of_a_job_is_returned(spark: SparkSession) -> None:
    """`job.run` returns what its action returns."""
    assert job.run(spark, "counting", spark.range(1_000).count) == 1_000


def test_a_workers_own_error_comes_back_as_it_was_raised(spark: SparkSession) -> None:
    """It has the same class and the same sentence, without Spark's text."""

    def refuse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            raise DataError("rows.csv, ID_code 'a': expected a number, found 'b'.")

    with pytest.raises(DataError) as error:
        job.run(spark, "refusing", spark.range(3).mapInArrow(refuse, "id long").count)
    assert str(error.value) == "rows.csv, ID_code 'a': expected a number, found 'b'."


def test_a_defect_is_one_sentence_and_a_log(spark: SparkSession) -> None:
    """The sentence names the log file."""

    def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from (batch[1 // 0 :] for batch in batches)

    with pytest.raises(JobError, match=r"^Spark failed: ZeroDivisionError: .*; \S+\.log says more\.$") as error:
        job.run(spark, "failing", spark.range(3).mapInArrow(fail, "id long").count)
    assert "\n" not in str(error.value)
    assert "ZeroDivisionError" in java.log_path().read_text()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "An error occurred while calling o1.x.\n: org.apache.spark.SparkException: \nIt went wrong.\n\tat x",
            "It went wrong",
        ),
        ("An error occurred while calling o1.x", "its Java answers no more"),
        ("[NO_SUCH] There is none. SQLSTATE: 42\n'Relation", "There is none"),
    ],
)
def test_the_reason_is_the_first_line_with_a_message(text: str, reason: str) -> None:
    """Class names, error conditions and the SQLSTATE are left out."""
    assert job.reason(Py4JError(text)) == reason


def test_the_reason_says_that_java_is_gone() -> None:
    """For each of the errors that a call to such a Java raises."""
    for error in (Py4JNetworkError("Error while sending or receiving"), ConnectionRefusedError(111, "refused")):
        assert job.reason(error) == "its Java was killed, or has ended"


def test_the_accumulator_server_prints_nothing_when_java_is_gone(
    spark: SparkSession, capfd: pytest.CaptureFixture[str]
) -> None:
    """PySpark's own handler would print a traceback."""
    server = spark.sparkContext._accumulatorServer
    assert server is not None
    server.handle_error(None, ("127.0.0.1", 1))
    assert capfd.readouterr() == ("", "")


FULL = "Caused by: org.apache.hadoop.fs.FSError: java.io.IOException: No space left on device\n\tat x"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            f": a.b.SparkException: [X] Task failed while writing rows to file:/out/.a-b/fresh. X: 58\n\tat\n{FULL}",
            DataError,
            r"^/out/\.a-b/fresh cannot be written: No space left on device; nothing was changed there\.$",
        ),
        (
            ": a.b.SparkException: Job aborted due to failure: java.io.IOException: No space left on device\n\tat x",
            JobError,
            r"No space left on device, where Spark keeps its own files; name another folder by SPARK_LOCAL_DIRS; ",
        ),
    ],
    ids=["output", "scratch"],
)
def test_the_error_of_a_full_disk_names_the_output_or_sparks_own_files(
    text: str, kind: type[Exception], message: str
) -> None:
    """The user can choose another disk for either."""
    with pytest.raises(kind, match=message):
        raise job.to_tabserve_error(Py4JError(text))


def test_the_reason_names_the_program_that_is_missing() -> None:
    """The deepest cause is the system's, which does not name the program."""
    missing = 'java.io.IOException: Cannot run program "python9": error=2, No such file'
    text = (
        f"An error occurred\n: x.Y: Aborted.\nCaused by: {missing}\n\tat x\nCaused by: java.io.IOException: error=2, No"
    )
    assert job.reason(Py4JError(text)) == 'Cannot run program "python9": error=2, No such file'


def test_a_missing_java_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence says what to install."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"needs Java, and there is none on the PATH; install Java 17"):
        java.check()


def test_a_java_home_without_java_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence names the folder."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=rf"there is none in {tmp_path}; install Java 17"):
        java.check()


@pytest.mark.parametrize("name", ["SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_API_MODE"])
def test_spark_connect_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable that asks for it."""
    monkeypatch.setenv(name, "connect")
    with pytest.raises(UsageError, match=f"^{name} asks for Spark Connect, by which this cannot work"), session():
        pytest.fail("the block must not start")


def test_a_missing_spark_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence names the missing file."""
    monkeypatch.setattr(SparkContext, "_gateway", None)
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    with pytest.raises(
        UsageError, match=rf"^Spark cannot be started: .*{tmp_path}/./bin/spark-submit'; unset SPARK_HOME"
    ):
        java.start_gateway(SparkConf(loadDefaults=False))


@pytest.fixture
def new_context(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `session` take the tests' Spark for one that it has started; it is not stopped."""
    monkeypatch.setattr(SparkSession, "getActiveSession", lambda: None)
    monkeypatch.setattr("tabserve.spark.session._start_context", lambda *_: spark.sparkContext)
    monkeypatch.setattr(SparkContext, "stop", lambda _: None)


@pytest.mark.usefixtures("new_context")
def test_a_failure_outside_of_a_job_is_one_sentence() -> None:
    """As when Java is gone between two jobs, or has ended because no master answered."""
    with pytest.raises(JobError, match=r"^Spark failed: .*; \S+\.log says more\.$") as error, session() as new:
        new.sparkContext._jsc.nothing()
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("new_context")
def test_a_broken_pipe_is_no_failure_of_spark() -> None:
    """It is raised as it is when the reader of standard output is gone."""
    with pytest.raises(BrokenPipeError), session():
        raise BrokenPipeError


def test_an_old_java_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sentence names the Java that is too old."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    old.chmod(0o755)
    with pytest.raises(UsageError, match=r"needs Java 17 or newer, and .*/java says openjdk version \"11"):
        java.check()
