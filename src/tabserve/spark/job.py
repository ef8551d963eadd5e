"""Run a Spark job: show its progress, end it at Ctrl-C, and turn its failure into one sentence."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from pyspark import SparkContext, StorageLevel, inheritable_thread_target
from pyspark.sql import DataFrame, SparkSession
from tqdm import tqdm

from tabserve import errors
from tabserve.errors import DataError, JobError, TabserveError
from tabserve.spark import java
from tabserve.spark.java import JAVA_GONE, SPARK_ERRORS
from tabserve.spark.paths import display_path

POLL_SECONDS = 0.2
"""Seconds between two updates of the progress bar."""

WORKER_ERROR = re.compile(r"^(tabserve\.errors\.)?(\w+(?:\.\w+)*): (\S.*)$", re.MULTILINE)
"""The last line of a worker's traceback within the text of Spark's error: `tabserve.errors.`, class, sentence."""

UNREADABLE = re.compile(r"\[FAILED_READ_FILE\S* .*?reading file (\S+)\.(?:\s|$)")
"""Text of Spark's error when a file is not what its name says, is cut off, or was changed during the job."""

UNWRITTEN = re.compile(r"(?ms)Task failed while writing rows to (\S+)\.\s.*^Caused by: \S+FSError: [\w.]+: (.*?)$")
"""Text of Spark's error when an output cannot be written."""

DISK_FULL = "No space left on device"

JAVA_CALL = re.compile(r"An error occurred while calling ")

CAUSE = re.compile(r"^Caused by: [\w.$]+: (?!error=)(.*)$", re.MULTILINE)
"""A cause in Java's traceback. `error=2` and the like are left out: the cause above them names the program as well."""

JARGON = re.compile(r"^(: )?([\w.$]+: )?(\[[A-Z_.0-9]+\] )?| SQLSTATE: \w+.*$")
"""Java's class, Spark's error condition and the SQLSTATE around a message."""

Result = TypeVar("Result")


def run(spark: SparkSession, title: str, action: Callable[[], Result]) -> Result:
    """Call `action` in another thread, show how many Spark tasks are done, and return its result.

    This thread can be interrupted: it then cancels the job and waits until the job has ended.

    Args:
        spark: the session whose jobs are shown and cancelled.
        title: name of the progress bar.
        action: calls Spark and blocks until the result is there.

    Raises:
        TabserveError: a worker raised it.
        JobError: Spark failed for another reason.
    """
    with ThreadPoolExecutor(1) as thread, tqdm(desc=title, unit=" tasks", leave=None, disable=None) as progress:
        future: Future[Result] = thread.submit(inheritable_thread_target(spark)(action))
        try:
            while not wait([future], POLL_SECONDS).done:
                _show_progress(progress, spark.sparkContext)
            return future.result()
        except BaseException as error:
            with suppress(*SPARK_ERRORS):  # if Java is gone, so are its jobs
                spark.sparkContext.cancelAllJobs()
            if isinstance(error, SPARK_ERRORS):
                raise to_tabserve_error(error) from error
            raise


@contextmanager
def persist(rows: DataFrame, level: StorageLevel) -> Iterator[None]:
    """Keep rows with the workers, at this storage level, until the block ends."""
    rows.persist(level)
    try:
        yield
    finally:
        with suppress(*SPARK_ERRORS):  # if Java is gone, so are the rows
            rows.unpersist()


def _show_progress(progress: "tqdm[Any]", context: SparkContext) -> None:
    """Count the tasks of the stages that are at work now, and of those that were."""
    tracker = context.statusTracker()
    stages = [info for stage in tracker.getActiveStageIds() if (info := tracker.getStageInfo(stage))]
    if stages:
        progress.total = sum(stage.numTasks for stage in stages)
        progress.n = sum(stage.numCompletedTasks for stage in stages)
        progress.refresh()


def to_tabserve_error(error: Exception) -> TabserveError:
    """Translate Spark's error; a TabserveError that a worker raised comes back as it was raised."""
    ours, name, sentence = _worker_error(error)
    if ours:
        return getattr(errors, name)(sentence)  # type: ignore[no-any-return]
    if unreadable := UNREADABLE.search(str(error)):
        return DataError(f"{display_path(unreadable[1])} cannot be read as a table: {reason(error)}.")
    if unwritten := UNWRITTEN.search(str(error)):
        return DataError(f"{display_path(unwritten[1])} cannot be written: {unwritten[2]}; nothing was changed there.")
    cause = reason(error)
    full = cause.endswith(DISK_FULL)
    hint = ", where Spark keeps its own files; name another folder by SPARK_LOCAL_DIRS" if full else ""
    return JobError(f"Spark failed: {cause}{hint}; {java.log_hint()}")


def reason(error: Exception) -> str:
    """The last line of a worker's traceback, else the deepest cause of Spark's error, else its first line."""
    if isinstance(error, JAVA_GONE):
        return "its Java was killed, or has ended"
    _, name, sentence = _worker_error(error)
    lines = [JARGON.sub("", line).strip() for line in str(error).splitlines() if not JAVA_CALL.match(line)]
    first = next(filter(None, lines), "its Java answers no more")
    cause = f"{name}: {sentence}" if name else [first, *CAUSE.findall(str(error))][-1]
    return cause.strip(" .")


def _worker_error(error: Exception) -> tuple[str, str, str]:
    """Module (only that of `tabserve.errors`), class and sentence of the error that a worker raised; empty if none."""
    raised = WORKER_ERROR.findall(str(error).partition("Traceback")[2])
    return raised[-1] if raised else ("", "", "")
