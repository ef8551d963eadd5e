"""One Spark session for all tests of a process; without PySpark or Java they are skipped, and say so."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from tests import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

# Short runs do not earn back what Java's second compiler and its parallel collector cost; for the commands too.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def pytest_collect_file() -> None:
    """Skip the whole folder, whose files could not even be imported."""
    if not find_spec("pyspark"):
        pytest.skip(needs.reason(["java"], "run `make test-spark`"), allow_module_level=True)
    if needs.missing(["java"]):
        pytest.skip(needs.reason(["java"]), allow_module_level=True)


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """Two workers on this machine, where a task may be tried four times."""
    from tabserve.spark import java
    from tabserve.spark.session import session

    with session("local[2,4]", {"spark.sql.shuffle.partitions": "2"}) as started:
        yield started
    java.log_path().unlink(missing_ok=True)  # a test that sees a job fail keeps it
