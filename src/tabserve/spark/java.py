"""Find a Java that Spark runs on, start it, and send its log to a file."""

import atexit
import logging
import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from py4j.java_gateway import JavaGateway
from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkConf, SparkContext
from pyspark.accumulators import AccumulatorTCPServer
from pyspark.errors import PySparkException, PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.logger import PySparkLogger

from tabserve.errors import JobError, UsageError

JAVA_GONE = (Py4JNetworkError, ConnectionError)
"""Errors raised when Java no longer answers."""

SPARK_ERRORS = (PySparkException, Py4JError, *JAVA_GONE)
"""Errors raised when Spark or its Java fails."""

MIN_VERSION = 17
"""The oldest Java that PySpark 4 supports (https://spark.apache.org/docs/latest/#downloading)."""

ADVICE = f"install Java {MIN_VERSION} (Debian: openjdk-17-jre-headless), or name its folder by JAVA_HOME."

REFUSED_OPTION = re.compile(r'^Exception in thread "main" [\w.$]+: (.*?)\.?$', re.MULTILINE)
"""The line of `spark-submit`'s output that says which option it refuses."""

# Py4J and PySpark also log what they raise, with its traceback, on their own loggers and on the root.
logging.getLogger("py4j").setLevel(logging.CRITICAL)
for context in ("SQL", "DataFrame"):
    PySparkLogger.getLogger(f"{context}QueryContextLogger").setLevel(logging.CRITICAL)
logging.getLogger().addFilter(lambda record: "py4j" not in record.pathname)
# When Java is gone, the thread that receives its accumulators would print a traceback.
AccumulatorTCPServer.handle_error = lambda *_: None


@cache
def log_path() -> Path:
    """The file that receives Java's output; removed when this process ends, unless `log_hint` was called."""
    handle, name = tempfile.mkstemp(prefix="tabserve-spark-", suffix=".log")
    os.close(handle)
    atexit.register(_remove_log)
    return Path(name)


def log_hint() -> str:
    """The end of an error message: where to read more. Keeps the log file after this process ends."""
    if under_spark_submit():
        return "Spark's log says more."
    atexit.unregister(_remove_log)
    return f"{log_path()} says more."


def under_spark_submit() -> bool:
    """Whether `spark-submit` started this process; it has then started Java as well."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _remove_log() -> None:
    log_path().unlink(missing_ok=True)


def check() -> None:
    """Refuse a missing or too old Java.

    Raises:
        UsageError: there is no Java, or it is older than `MIN_VERSION`.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java")) if home else "java")
    if java is None:
        raise UsageError(f"Spark needs Java, and there is none {f'in {home}' if home else 'on the PATH'}; {ADVICE}")
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr or "nothing"  # noqa: S603
    version = re.search(r'.*version "(\d+).*', output)
    if not version or int(version[1]) < MIN_VERSION:
        line = version[0] if version else output.splitlines()[0]
        raise UsageError(f"Spark needs Java {MIN_VERSION} or newer, and {java} says {line}; {ADVICE}")


def start_gateway(conf: SparkConf) -> JavaGateway | None:
    """Start a Java that ends with this process; None if `spark-submit` or an earlier call started one.

    Java gets a process group of its own, so that Ctrl-C reaches this process first, which then ends the job.

    Raises:
        UsageError: there is no Java, or no Spark for it to start.
        JobError: Java ended before Spark was up.
    """
    if under_spark_submit() or SparkContext._gateway:  # noqa: SLF001  PySpark has no public name for it
        return None
    check()
    with log_path().open("ab") as output:
        try:
            return launch_gateway(conf, {"stdout": output, "stderr": output, "start_new_session": True})
        except OSError as error:
            raise UsageError(
                f"Spark cannot be started: {error}; unset SPARK_HOME, or let it name a whole Spark."
            ) from error
        except PySparkRuntimeError as error:
            refused = REFUSED_OPTION.search(log_path().read_text(errors="replace"))
            reason = f": {refused[1]}" if refused else ""
            raise JobError(f"Spark's Java ended before it was up{reason}; {log_hint()}") from error
