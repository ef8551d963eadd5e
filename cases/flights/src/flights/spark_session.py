"""The case's Spark session: the core's, on two cores, in New York's time."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from tabserve.spark import session as core

MASTER = "local[2,4]"
"""Two workers on this machine; a task whose worker was lost is tried up to four times."""

SETTINGS = {
    "spark.sql.session.timeZone": "America/New_York",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
}
"""Times without a zone are New York's; a table of this size needs few partitions; rows come to pandas in blocks."""


@contextmanager
def session(master: str | None = MASTER) -> Iterator[SparkSession]:
    """A session with the case's settings; a Spark that is running already is used and keeps running.

    Args:
        master: Spark's master URL; None for that of `spark-submit`.

    Raises:
        UsageError: there is no Java.
        JobError: Spark does not start, or fails outside of a job.
    """
    with core.session(master) as started:
        for name, value in SETTINGS.items():
            started.conf.set(name, value)
        yield started
