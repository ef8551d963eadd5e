"""Scoring and training on Spark, for tables that outgrow one machine; nothing else of this package knows of Spark."""

from tabserve.errors import UsageError

try:
    import pyspark  # noqa: F401  to say what is missing before any of the modules below does
except ModuleNotFoundError as missing:
    raise UsageError(
        f"This needs {missing.name}, which is not installed; `make setup-spark` makes .venv-spark, whose Python has it."
    ) from missing
