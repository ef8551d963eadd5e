"""Scoring and training on Spark, for tables that outgrow one machine; only this package imports PySpark."""

from tabserve.errors import UsageError

try:
    import pyspark  # noqa: F401  a missing PySpark is reported here, before a module below imports it
except ModuleNotFoundError as missing:
    raise UsageError(
        f"This needs {missing.name}, which is not installed; `make setup-spark` makes .venv-spark, whose Python has it."
    ) from missing
