"""A Spark job: its progress is shown, Ctrl-C ends it, and what went wrong is one sentence."""

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
from tabserve.spark.java import FAILED, GONE
from tabserve.spark.paths import plain

SECONDS = 0.2
"""Between two looks at how far the tasks are."""

RAISED = re.compile(r"^(tabserve\.errors\.)?(\w+(?:\.\w+)*): (\S.*)$", re.MULTILINE)
"""The last line of a traceback, which a worker's error leaves in the text of Spark's."""

UNREADABLE = re.compile(r"\[FAILED_READ_FILE\S* .*?reading file (\S+)\.(?:\s|$)")
"""What Spark calls it when a file is not what its name says, is cut off, or changed meanwhile."""

UNWRITTEN = re.compile(r"(?ms)Task failed while writing rows to (\S+)\.\s.*^Caused by: \S+FSError: [\w.]+: (.*?)$")
"""What Spark calls it when a disk does not take what is written."""

FULL = "No space left on device"

JAVA = re.compile(r"An error occurred while calling ")

CAUSE = re.compile(r"^Caused by: [\w.$]+: (?!error=)(.*)$", re.MULTILINE)
"""The system's own, such as `error=2`, names no program; the cause above it does."""

JARGON = re.compile(r"^(: )?([\w.$]+: )?(\[[A-Z_.0-9]+\] )?| SQLSTATE: \w+.*$")
"""The name of Java's class, of Spark's condition and of SQL's."""

Result = TypeVar("Result")


def run(spark: SparkSession, what: str, action: Callable[[], Result]) -> Result:
    """Do what makes Spark work, in another thread, and show how many of its tasks are done.

    This thread stays free to be interrupted: it then ends the job and waits until that has ended.

    Args:
        spark: where the work is done.
        what: the progress bar's name.
        action: calls Spark, and blocks until it has an answer.

    Raises:
        TabserveError: as a worker raised it.
        JobError: Spark failed for another reason.
    """
    with ThreadPoolExecutor(1) as thread, tqdm(desc=what, unit=" tasks", leave=None, disable=None) as progress:
        doing: Future[Result] = thread.submit(inheritable_thread_target(spark)(action))
        try:
            while not wait([doing], SECONDS).done:
                _show(progress, spark.sparkContext)
            return doing.result()
        except BaseException as error:
            with suppress(*FAILED):  # where Java itself is gone, so are its jobs
                spark.sparkContext.cancelAllJobs()
            if isinstance(error, FAILED):
                raise told(error) from error
            raise


@contextmanager
def kept(rows: DataFrame, level: StorageLevel) -> Iterator[None]:
    """Keep rows with the workers, at this level of storage, until the block ends."""
    rows.persist(level)
    try:
        yield
    finally:
        with suppress(*FAILED):  # where Java itself is gone, so are they
            rows.unpersist()


def _show(progress: "tqdm[Any]", context: SparkContext) -> None:
    """Count the tasks of the stages that are at work now, and of those that were."""
    tracker = context.statusTracker()
    stages = [info for stage in tracker.getActiveStageIds() if (info := tracker.getStageInfo(stage))]
    if stages:
        progress.total = sum(stage.numTasks for stage in stages)
        progress.n = sum(stage.numCompletedTasks for stage in stages)
        progress.refresh()


def told(error: Exception) -> TabserveError:
    """What Spark's error says, as one of ours; where a worker raised one of ours, that."""
    ours, kind, sentence = _raised(error)
    if ours:
        return getattr(errors, kind)(sentence)  # type: ignore[no-any-return]
    if unreadable := UNREADABLE.search(str(error)):
        return DataError(f"{plain(unreadable[1])} cannot be read as a table: {reason(error)}.")
    if unwritten := UNWRITTEN.search(str(error)):
        return DataError(f"{plain(unwritten[1])} cannot be written: {unwritten[2]}; nothing was changed there.")
    said = reason(error)
    hint = ", where Spark keeps its own files; name another folder by SPARK_LOCAL_DIRS" if said.endswith(FULL) else ""
    return JobError(f"Spark failed: {said}{hint}; {java.logged()}")


def reason(error: Exception) -> str:
    """The last line of a worker's error, or the deepest cause of Spark's, or else its own first line."""
    if isinstance(error, GONE):
        return "its Java was killed, or has ended"
    _, kind, sentence = _raised(error)
    lines = [JARGON.sub("", line).strip() for line in str(error).splitlines() if not JAVA.match(line)]
    first = next(filter(None, lines), "its Java answers no more")
    said = f"{kind}: {sentence}" if kind else [first, *CAUSE.findall(str(error))][-1]
    return said.strip(" .")


def _raised(error: Exception) -> tuple[str, str, str]:
    """Of the error that a worker raised: our module's name, if it is one of ours; its class; its sentence."""
    found = RAISED.findall(str(error).partition("Traceback")[2])
    return found[-1] if found else ("", "", "")
