"""A Spark session: the one that is already there, or one of our own for as long as a `with` block lasts."""

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
from tabserve.spark.java import FAILED

LOCAL = "local[*,4]"
"""One worker for each core of this machine; what a lost worker was doing is tried again, up to four times in all."""

NAME = "tabserve"

ON_THIS_MACHINE = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
"""Where the workers are here as well, nobody else needs to reach the driver, and its page would end with it."""

CONNECT = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_API_MODE")
"""Variables that make PySpark a client of Spark Connect, in which there is no way to much that is used here."""

EXACT = {
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
"""A column has the name that it has, a time the text that it has elsewhere, and no row is lost in silence."""


@contextmanager
def session(master: str | None = None, settings: Mapping[str, str] | None = None) -> Iterator[SparkSession]:
    """A session with settings of its own; what is running already is used, and goes on afterwards.

    Args:
        master: Spark's own name of where to work, such as `local[2,4]`, `spark://host:7077`, `yarn`; None for what
            `spark-submit` says, and `LOCAL` where it did not start this process.
        settings: further ones of Spark, for a session that is begun here.

    Raises:
        UsageError: there is no Java for it, or it would be a client of Spark Connect.
        JobError: Spark does not start, or fails outside of a job.
    """
    _refuse_connect()
    running = SparkSession.getActiveSession()
    if running:
        yield _beside(running)
        return
    context = _context(master, settings or {})
    try:
        yield SparkSession(context)
    except BrokenPipeError:  # whoever read what is printed has seen enough
        raise
    except FAILED as error:  # outside of a job, or as no master answered, whereupon Spark ends
        raise job.told(error) from error
    finally:
        with suppress(*FAILED), warnings.catch_warnings(action="ignore"):  # Java may be gone
            context.stop()


def _refuse_connect() -> None:
    for name in CONNECT:
        if os.environ.get(name, "classic") != "classic":
            raise UsageError(f"{name} asks for Spark Connect, by which this cannot work; unset it, and use --master.")


def _context(master: str | None, settings: Mapping[str, str]) -> SparkContext:
    """Spark, begun; Ctrl-C goes on to raise KeyboardInterrupt and nothing else."""
    conf = SparkConf(loadDefaults=False).setAppName(NAME)
    if master or not java.submitted():
        conf.setMaster(master or LOCAL)
    if conf.get("spark.master", "").startswith("local"):
        os.environ["PYSPARK_PYTHON"] = sys.executable
        conf.setAll([*ON_THIS_MACHINE.items()])
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf.setAll([*EXACT.items(), *settings.items()])
    gateway, earlier = java.started(conf), signal.getsignal(signal.SIGINT)
    try:
        return SparkContext(conf=conf, gateway=gateway)
    except Exception as error:
        raise JobError(f"Spark does not start: {job.reason(error)}.") from error
    finally:
        if signal.getsignal(signal.SIGINT) is not earlier:
            signal.signal(signal.SIGINT, earlier)


def _beside(running: SparkSession) -> SparkSession:
    """A session beside a running one, on the same workers, whose settings change nothing there."""
    own = running.newSession()
    for name, value in EXACT.items():
        own.conf.set(name, value)
    return own
