"""Java, which Spark runs in: found, of a version that Spark takes, and started where nobody has to read its log."""

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

GONE = (Py4JNetworkError, ConnectionError)
"""What is raised where Java answers no more."""

FAILED = (PySparkException, Py4JError, *GONE)
"""What a failure of Spark's is raised as, or of its Java."""

OLDEST = 17
"""What PySpark 4 asks for (https://spark.apache.org/docs/latest/#downloading)."""

ADVICE = f"install Java {OLDEST} (Debian: openjdk-17-jre-headless), or name its folder by JAVA_HOME."

REFUSED = re.compile(r'^Exception in thread "main" [\w.$]+: (.*?)\.?$', re.MULTILINE)
"""How `spark-submit` says in its output what it does not take."""

# Py4J logs what it raises as well, with its traceback, by its own loggers and by the root; so does PySpark.
logging.getLogger("py4j").setLevel(logging.CRITICAL)
for context in ("SQL", "DataFrame"):
    PySparkLogger.getLogger(f"{context}QueryContextLogger").setLevel(logging.CRITICAL)
logging.getLogger().addFilter(lambda record: "py4j" not in record.pathname)
# Of a Java that is gone the thread that waits for its counts would print a traceback.
AccumulatorTCPServer.handle_error = lambda *_: None


@cache
def log() -> Path:
    """The file that Java's output goes to; it goes with this process, unless `logged` was asked for."""
    handle, name = tempfile.mkstemp(prefix="tabserve-spark-", suffix=".log")
    os.close(handle)
    atexit.register(_remove_log)
    return Path(name)


def logged() -> str:
    """The end of a sentence that says where to read more, once this process has ended."""
    if submitted():
        return "Spark's log says more."
    atexit.unregister(_remove_log)
    return f"{log()} says more."


def submitted() -> bool:
    """Whether `spark-submit` started this process, and Java before it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _remove_log() -> None:
    log().unlink(missing_ok=True)


def check() -> None:
    """Refuse to go on without a Java that Spark starts on.

    Raises:
        UsageError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(str(Path(home, "bin", "java")) if home else "java")
    if java is None:
        raise UsageError(f"Spark needs Java, and there is none {f'in {home}' if home else 'on the PATH'}; {ADVICE}")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr or "nothing"  # noqa: S603
    found = re.search(r'.*version "(\d+).*', said)
    if not found or int(found[1]) < OLDEST:
        version = found[0] if found else said.splitlines()[0]
        raise UsageError(f"Spark needs Java {OLDEST} or newer, and {java} says {version}; {ADVICE}")


def started(conf: SparkConf) -> JavaGateway | None:
    """A way to a Java of our own, which ends with this process; None where `spark-submit` or an earlier call has one.

    It gets a group of its own, so that Ctrl-C does not reach what it starts before this process has ended the job.

    Raises:
        UsageError: there is none, or no Spark for it.
        JobError: it ended before Spark was up.
    """
    if submitted() or SparkContext._gateway:  # noqa: SLF001  there is no other word for it
        return None
    check()
    with log().open("ab") as output:
        try:
            return launch_gateway(conf, {"stdout": output, "stderr": output, "start_new_session": True})
        except OSError as error:
            raise UsageError(
                f"Spark cannot be started: {error}; unset SPARK_HOME, or let it name a whole Spark."
            ) from error
        except PySparkRuntimeError as error:
            said = "".join(f": {each}" for each in REFUSED.findall(log().read_text(errors="replace"))[:1])
            raise JobError(f"Spark's Java ended before it was up{said}; {logged()}") from error
