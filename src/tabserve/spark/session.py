"""A Spark session for a `with` block: beside one that is running, or on a Spark that starts and ends with the block."""

import os
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

from tabserve.errors import JobError, UsageError
from tabserve.spark import java, job
from tabserve.spark.java import SPARK_ERRORS

LOCAL_MASTER = "local[*,4]"
"""One worker for each core of this machine; a task whose worker was lost is tried up to four times in all."""

APP_NAME = "tabserve"

LOCAL_SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
"""Settings when the workers are on this machine too: no other machine reaches the driver, and it serves no web page."""

CONNECT_VARIABLES = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_API_MODE")
"""Variables that make PySpark a client of Spark Connect, which lacks much of what this package calls."""

EXACT_SETTINGS = {
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
"""Column names are told apart by case, a time has the text that it has on one machine, and no row is lost silently."""


@contextmanager
def session(master: str | None = None, settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """A session with its own settings; a Spark that is running already is used and keeps running.

    Args:
        master: Spark's master URL, such as `local[2,4]`, `spark://host:7077`, `yarn`; None for that of `spark-submit`,
            or for `LOCAL_MASTER` if `spark-submit` did not start this process.
        settings: further settings of Spark, if it is started here.

    Raises:
        UsageError: there is no Java, or PySpark would be a client of Spark Connect.
        JobError: Spark does not start, or fails outside of a job.
    """
    _refuse_connect()
    running = SparkSession.getActiveSession()
    if running:
        yield _new_session(running)
        return
    context = _start_context(master, settings or {})
    try:
        yield SparkSession(context)
    except BrokenPipeError:  # the reader of standard output is gone; no failure of Spark
        raise
    except SPARK_ERRORS as error:  # outside of a job, or Spark ended because no master answered
        raise job.to_tabserve_error(error) from error
    finally:
        with suppress(*SPARK_ERRORS), warnings.catch_warnings(action="ignore"):  # Java may be gone
            context.stop()


def _refuse_connect() -> None:
    for name in CONNECT_VARIABLES:
        if os.environ.get(name, "classic") != "classic":
            raise UsageError(f"{name} asks for Spark Connect, by which this cannot work; unset it, and use --master.")


def _start_context(master: str | None, settings: Mapping[str, str]) -> SparkContext:
    """Start Spark, and undo its handler of SIGINT: Ctrl-C still raises KeyboardInterrupt."""
    conf = SparkConf(loadDefaults=False).setAppName(APP_NAME)
    if master or not java.under_spark_submit():
        conf.setMaster(master or LOCAL_MASTER)
    if conf.get("spark.master", "").startswith("local"):
        os.environ["PYSPARK_PYTHON"] = sys.executable
        conf.setAll([*LOCAL_SETTINGS.items()])
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf.setAll([*EXACT_SETTINGS.items(), *settings.items()])
    gateway, earlier = java.start_gateway(conf), signal.getsignal(signal.SIGINT)
    try:
        return SparkContext(conf=conf, gateway=gateway)
    except Exception as error:
        raise JobError(f"Spark does not start: {job.reason(error)}.") from error
    finally:
        if signal.getsignal(signal.SIGINT) is not earlier:
            signal.signal(signal.SIGINT, earlier)


def _new_session(running: SparkSession) -> SparkSession:
    """A new session on the workers of a running one, whose settings stay as they are."""
    session = running.newSession()
    for name, value in EXACT_SETTINGS.items():
        session.conf.set(name, value)
    return session
