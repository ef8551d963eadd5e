"""Rows of any number in, a folder of labels and probabilities out: as `tabserve.score`, on Spark."""

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import partial, reduce
from pathlib import Path
from typing import NamedTuple

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812  as everybody calls it
from pyspark.sql.pandas.types import from_arrow_schema

from tabserve.errors import DataError, UsageError
from tabserve.model.model import load_binary
from tabserve.spark import job
from tabserve.spark.paths import check_apart, check_output, literal, written
from tabserve.spark.session import session
from tabserve.spark.source import Read
from tabserve.spark.worker import FOUND, Scorer, keep, packed, stop
from tabserve.table.frame import to_score

AS_IT_IS = {"header": True, "escape": '"', "ignoreLeadingWhiteSpace": False, "ignoreTrailingWhiteSpace": False}
"""How a csv is written whose cells are to be read again as they are."""


class Scored(NamedTuple):
    """How many rows have an answer, and how many were rejected."""

    rows: int
    rejected: int


def score_table(
    folder: Path,
    read: Read,
    out: str,
    rejects: str | None = None,
    *,
    overwrite: bool = False,
    master: str | None = None,
) -> Scored:
    """Score every row and write id, label and probability as parquet; shows progress.

    Args:
        folder: of the model, which answers with its own threshold.
        read: what `source.files` or `source.table` gives.
        out: a folder; on this machine it appears whole or not at all.
        rejects: a folder for a csv of file, id and reason of each bad row; None where a bad row ends the job.
        overwrite: whether earlier outputs are replaced.
        master: see `session`.

    Raises:
        ArtifactError: the model folder is not whole.
        UsageError: the model's rows have no ids; or there is no Java.
        DataError: a row cannot be used, or an output cannot be written.
        JobError: Spark failed.
    """
    problem, model = load_binary(folder).problem, packed(folder)
    if not problem.id:
        raise UsageError(f"{folder} is of rows without ids, which Spark keeps no order of; leave out --engine spark.")
    outputs = [out, *([rejects] if rejects else [])]
    for place in outputs:
        check_output(place, overwrite=overwrite)
        check_apart(place, [other for other in outputs if other is not place])
    with ExitStack() as opened:  # the scores appear last, and after the session has ended
        fresh = [opened.enter_context(written(place)) for place in outputs]
        spark = opened.enter_context(session(master))
        source = job.run(spark, "headers", partial(read, spark, to_score(problem)))
        for place in outputs:
            check_apart(place, source.files)
        scorer = Scorer(model, problem.id, source.read, keep if rejects else stop)
        mode = "overwrite" if overwrite else "error"
        scored = job.run(spark, "scoring", partial(_score, spark, source.frames, scorer, fresh, mode))
        for place in outputs:  # something may have come there meanwhile
            check_output(place, overwrite=overwrite)
        return scored


def _score(
    spark: SparkSession, frames: Sequence[DataFrame], scorer: Scorer, outputs: Sequence[str], mode: str
) -> Scored:
    scores, *rejects = outputs
    schema, name = from_arrow_schema(FOUND), F.col("id")
    found = reduce(DataFrame.unionAll, (each.mapInArrow(scorer, schema) for each in frames))
    # on disk, as it is few bytes a row; the rows would be scored twice otherwise
    with job.kept(found, StorageLevel.DISK_ONLY) if rejects else nullcontext():
        good = found.where("reason is null").select(name.alias(scorer.name), "label", "probability")
        bad = found.where("reason is not null").select("file", name.alias(scorer.name), "reason")
        good.write.mode(mode).parquet(scores)
        for place in rejects:
            bad.write.mode(mode).options(**AS_IT_IS).csv(place)
        counted = Scored(spark.read.parquet(literal(scores)).count(), bad.count() if rejects else 0)
    if not any(counted):
        raise DataError("There is a header and no row; a table needs at least one row below its header.")
    return counted
