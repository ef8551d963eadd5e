"""Score any number of rows on Spark into a folder of answers; `tabserve.score` does one file here."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial, reduce
from pathlib import Path
from typing import NamedTuple

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812  as everybody calls it
from pyspark.sql.pandas.types import from_arrow_schema

from tabserve.destination import check_apart, ending
from tabserve.errors import DataError, UsageError
from tabserve.model.model import Model, load
from tabserve.spark import job
from tabserve.spark.paths import check_output, literal_address, output_address
from tabserve.spark.session import session
from tabserve.spark.source import OpenSource, named_column
from tabserve.spark.worker import Scorer, answer_fields, keep_rejected, model_files, raise_rejected, result_schema
from tabserve.table.conversion import scoring_columns

CSV_OPTIONS: Mapping[str, str | bool] = {
    "header": True,
    "escape": '"',
    "multiLine": True,
    "ignoreLeadingWhiteSpace": False,
    "ignoreTrailingWhiteSpace": False,
}
"""Options to write a csv, and to read it, so that every cell is read as it was written."""

FORMATS: Mapping[str, tuple[str, Mapping[str, str | bool]]] = {
    ".csv": ("csv", CSV_OPTIONS),
    ".csv.gz": ("csv", {**CSV_OPTIONS, "compression": "gzip"}),
    ".parquet": ("parquet", {}),
}
"""Spark's format and options for each of `destination.TABLES`."""


class RowCounts(NamedTuple):
    """How many rows were answered, and how many were rejected."""

    rows: int
    rejected: int = 0


def score_table(
    folder: Path,
    open_source: OpenSource,
    out: str,
    rejects: str | None = None,
    *,
    overwrite: bool = False,
    master: str | None = None,
) -> RowCounts:
    """Score every row and write its id and answer, in the columns that one machine writes; shows progress.

    Args:
        folder: the model's folder, of any task and predictor; the model answers with its own decision.
        open_source: as `source.files` or `source.table` returns it.
        out: folder of the scores, in the format that its ending names (`destination.TABLES`), else parquet; on this
            machine it appears whole or not at all.
        rejects: folder for file, id and reason of each bad row, in the format that its ending names, else csv; without
            it a bad row ends the job.
        overwrite: whether earlier outputs are replaced.
        master: as for `session`.

    Raises:
        ArtifactError: the model folder is not whole.
        UsageError: the model's rows have no ids, or ids that are named as an answer; an output has another ending; or
            there is no Java.
        DataError: a row cannot be used, or an output cannot be written.
        JobError: Spark failed.
    """
    check_apart([out, rejects], [folder])
    outputs = {out: ending(out, default=".parquet")} | ({rejects: ending(rejects, default=".csv")} if rejects else {})
    model, files = load(folder), model_files(folder)
    id_column = _id_column(folder, model)
    for path in outputs:
        check_output(path, overwrite=overwrite)
    with ExitStack() as stack:  # the scores appear last, and after the session has ended
        addresses = {stack.enter_context(output_address(path)): suffix for path, suffix in outputs.items()}
        spark = stack.enter_context(session(master))
        source = job.run(spark, "headers", partial(open_source, spark, scoring_columns(model.problem)))
        check_apart([*outputs], source.files)
        scorer = Scorer(files, id_column, source.read, keep_rejected if rejects else raise_rejected)
        mode = "overwrite" if overwrite else "error"
        counts = job.run(spark, "scoring", partial(_score, source.frames, scorer, model, addresses, mode))
        for path in outputs:  # something may have been written there during the job
            check_output(path, overwrite=overwrite)
        return counts


def _id_column(folder: Path, model: Model) -> str:
    """The name of the model's id column.

    Raises:
        UsageError: there is none, or a column of the answers has the same name, which Spark refuses.
    """
    name = model.problem.id
    if not name:
        raise UsageError(f"{folder} is of rows without ids, which Spark keeps no order of; leave out --engine spark.")
    if name in [field.name for field in answer_fields(model)]:
        raise UsageError(
            f"{folder} is of rows whose ids are in a column {name!r}, and Spark writes no second column of that name"
            " for its answers; leave out --engine spark."
        )
    return name


def _score(
    frames: Sequence[DataFrame], scorer: Scorer, model: Model, outputs: Mapping[str, str], mode: str
) -> RowCounts:
    schema, ids = from_arrow_schema(result_schema(model)), F.col("id").alias(scorer.id)
    results = reduce(DataFrame.unionAll, (frame.mapInArrow(scorer, schema) for frame in frames))
    good = results.where("reason is null").select(ids, *(named_column(field.name) for field in answer_fields(model)))
    bad = results.where("reason is not null").select("file", ids, "reason")
    # Kept on disk, a few bytes a row: otherwise both writes would score all rows.
    with job.persist(results, StorageLevel.DISK_ONLY) if len(outputs) > 1 else nullcontext():
        counts = [
            _write(rows, path, suffix, mode) for rows, (path, suffix) in zip((good, bad), outputs.items(), strict=False)
        ]
    if not any(counts):
        raise DataError("There is a header and no row; a table needs at least one row below its header.")
    return RowCounts(*counts)


def _write(rows: DataFrame, path: str, suffix: str, mode: str) -> int:
    """Write rows, and count those that were written."""
    name, options = FORMATS[suffix]
    rows.write.mode(mode).format(name).options(**options).save(path)
    return int(rows.sparkSession.read.format(name).options(**options).load(literal_address(path)).count())
