"""Rows of any number in, a folder of labels and probabilities out: as `tabserve.score`, on Spark."""

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
from tabserve.model.model import load_binary
from tabserve.spark import job
from tabserve.spark.paths import check_output, literal, written
from tabserve.spark.session import session
from tabserve.spark.source import Read
from tabserve.spark.worker import FOUND, Scorer, keep, packed, stop
from tabserve.table.frame import to_score

AS_IT_IS: Mapping[str, str | bool] = {
    "header": True,
    "escape": '"',
    "multiLine": True,
    "ignoreLeadingWhiteSpace": False,
    "ignoreTrailingWhiteSpace": False,
}
"""How a csv is written whose cells are to be read again as they are, and how it is read."""

FORMATS: Mapping[str, tuple[str, Mapping[str, str | bool]]] = {
    ".csv": ("csv", AS_IT_IS),
    ".csv.gz": ("csv", {**AS_IT_IS, "compression": "gzip"}),
    ".parquet": ("parquet", {}),
}
"""What Spark calls each of `destination.TABLES`, and with which options."""


class Scored(NamedTuple):
    """How many rows have an answer, and how many were rejected."""

    rows: int
    rejected: int = 0


def score_table(
    folder: Path,
    read: Read,
    out: str,
    rejects: str | None = None,
    *,
    overwrite: bool = False,
    master: str | None = None,
) -> Scored:
    """Score every row and write id, label and probability; shows progress.

    Args:
        folder: of the model, which answers with its own threshold.
        read: what `source.files` or `source.table` gives.
        out: a folder of parquet, or of what its ending says, of `destination.TABLES`; on this machine it appears whole
            or not at all.
        rejects: a folder of csv, or of what its ending says, for file, id and reason of each bad row; None where a bad
            row ends the job.
        overwrite: whether earlier outputs are replaced.
        master: see `session`.

    Raises:
        ArtifactError: the model folder is not whole.
        UsageError: the model's rows have no ids; an output has another ending; or there is no Java.
        DataError: a row cannot be used, or an output cannot be written.
        JobError: Spark failed.
    """
    check_apart([out, rejects], [folder])
    outputs = {out: ending(out, default=".parquet")} | ({rejects: ending(rejects, default=".csv")} if rejects else {})
    problem, model = load_binary(folder).problem, packed(folder)
    if not problem.id:
        raise UsageError(f"{folder} is of rows without ids, which Spark keeps no order of; leave out --engine spark.")
    for place in outputs:
        check_output(place, overwrite=overwrite)
    with ExitStack() as opened:  # the scores appear last, and after the session has ended
        fresh = {opened.enter_context(written(place)): found for place, found in outputs.items()}
        spark = opened.enter_context(session(master))
        source = job.run(spark, "headers", partial(read, spark, to_score(problem)))
        check_apart([*outputs], source.files)
        scorer = Scorer(model, problem.id, source.read, keep if rejects else stop)
        mode = "overwrite" if overwrite else "error"
        scored = job.run(spark, "scoring", partial(_score, source.frames, scorer, fresh, mode))
        for place in outputs:  # something may have come there meanwhile
            check_output(place, overwrite=overwrite)
        return scored


def _score(frames: Sequence[DataFrame], scorer: Scorer, outputs: Mapping[str, str], mode: str) -> Scored:
    schema, name = from_arrow_schema(FOUND), F.col("id")
    found = reduce(DataFrame.unionAll, (each.mapInArrow(scorer, schema) for each in frames))
    good = found.where("reason is null").select(name.alias(scorer.name), "label", "probability")
    bad = found.where("reason is not null").select("file", name.alias(scorer.name), "reason")
    # on disk, as it is few bytes a row; the rows would be scored twice otherwise
    with job.kept(found, StorageLevel.DISK_ONLY) if len(outputs) > 1 else nullcontext():
        counted = [
            _written(rows, place, kind, mode) for rows, (place, kind) in zip((good, bad), outputs.items(), strict=False)
        ]
    if not any(counted):
        raise DataError("There is a header and no row; a table needs at least one row below its header.")
    return Scored(*counted)


def _written(rows: DataFrame, place: str, ending: str, mode: str) -> int:
    """Write rows, and count those that are there."""
    kind, options = FORMATS[ending]
    rows.write.mode(mode).format(kind).options(**options).save(place)
    return int(rows.sparkSession.read.format(kind).options(**options).load(literal(place)).count())
