"""Where the table lies and who fits: this machine's memory and threads, or Spark's workers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from santander.dataset import dataset, sample_file, source
from santander.problem import PROBLEM
from tabserve.model import model
from tabserve.reports import tables
from tabserve.table.frame import Frame
from tabserve.training.selection import Candidate
from tabserve.training.split import hold_out, subset

HOLDOUT_ROWS = 200_000
"""Rows of the hold-out that leave Spark to be measured on, at most: 160 MB of Santander's."""


class Ground(NamedTuple):
    """What an engine gives the stations of training.

    Attributes:
        development: the rows to select and fit on.
        holdout: those to evaluate on, with their features.
        candidates: able to fit on the development rows.
        cells: whose cells golden rows are drawn from, shape (rows, features).
        data: what the manifest says of all rows.
        versions: of the libraries that make the model.
    """

    development: Frame
    holdout: Frame
    candidates: Sequence[Candidate]
    cells: NDArray[np.float32]
    data: Mapping[str, Any]
    versions: Mapping[str, str]


@contextmanager
def local(path: Path | None, rows: int | None, seed: int, candidates: Sequence[Candidate]) -> Iterator[Ground]:
    """The table in this machine's memory; the arguments are those of `dataset`, and the errors."""
    frame, described, synthetic = dataset(path, rows, seed)
    development, holdout = hold_out(frame)
    data = tables.provenance(frame, described, synthetic=synthetic)
    yield Ground(development, holdout, candidates, development.features, data, model.versions("xgboost"))


@contextmanager
def spark(
    place: str | None,
    rows: int | None,
    seed: int,
    candidates: Sequence[Candidate],
    *,
    table: str | None = None,
    workers: int | None = None,
    master: str | None = None,
) -> Iterator[Ground]:
    """The table in Spark, for as long as the block lasts.

    Of its rows come here: numbers, targets and probabilities, and of `HOLDOUT_ROWS` of the hold-out, drawn stratified,
    the features as well.

    Args:
        place: of files, as for `source.files`; None for a table, or for the synthetic sample.
        rows: how many to use, drawn stratified; all when None.
        seed: of the sample, and of every split.
        candidates: of XGBoost.
        table: that Spark knows by this name, in place of files.
        workers: that fit a booster together; as many as Spark can run when None.
        master: as for `session`.

    Raises:
        UsageError: Spark cannot fit a candidate, or cannot run so many workers, or PySpark or Java is missing.
        DataError: naming the file and what of it cannot be used.
        JobError: Spark failed.
    """
    from tabserve.spark import (  # noqa: PLC0415  only where PySpark is
        estimator,
        session,
        training_table,
    )
    from tabserve.spark import source as sources  # noqa: PLC0415

    problem, given = replace(PROBLEM, seed=seed), table or place
    estimator.check(candidates, problem)
    with ExitStack() as opened:
        name = given or opened.enter_context(sample_file(rows, seed))
        read = sources.table(name) if table else sources.files(name)
        running = opened.enter_context(session.session(master))
        parts = estimator.worker_count(running, workers)
        found = opened.enter_context(training_table.load_table(running, read, problem, parts))
        kept = subset(found.frame, rows or len(found.frame))
        development, holdout = hold_out(kept)
        measured = found.with_features(subset(holdout, HOLDOUT_ROWS))
        data = tables.provenance(kept, source(given, kept, len(found.frame)), synthetic=given is None)
        data |= {"sha256": found.checksum(kept.features), "engine": f"Spark, {parts} workers"}
        fitting = [estimator.distribute(candidate, found) for candidate in candidates]
        versions = model.versions("xgboost") | {"pyspark": running.version}
        yield Ground(development, measured, fitting, measured.features, data, versions)
