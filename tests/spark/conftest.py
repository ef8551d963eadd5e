"""One Spark session for all tests of a process; without PySpark or Java they are skipped with the reason."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from tests import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

# Java's second compiler and its parallel collector cost more than they save in short runs; the commands inherit this.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def pytest_collect_file() -> None:
    """Skip the whole folder: its files cannot be imported without PySpark."""
    if not find_spec("pyspark"):
        pytest.skip(needs.reason(["java"], "run `make test-spark`"), allow_module_level=True)
    if needs.missing(["java"]):
        pytest.skip(needs.reason(["java"]), allow_module_level=True)


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """Two workers on this machine; a task is tried four times at most."""
    from tabserve.spark import java
    from tabserve.spark.session import session

    with session("local[2,4]", {"spark.sql.shuffle.partitions": "2"}) as started:
        yield started
    java.log_path().unlink(missing_ok=True)  # a failed job keeps its log
