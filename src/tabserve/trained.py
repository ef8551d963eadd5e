"""The steps from any table to a trained model, which the command `tabserve train` and Python share."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from tabserve.errors import DataError, ServerError
from tabserve.model.model import Model
from tabserve.plan import examination
from tabserve.plan.options import Options
from tabserve.plan.plan import Plan, make_plan
from tabserve.plan.planned import Caution
from tabserve.reports import tables
from tabserve.reports.html import report
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.table.source import TableLike, as_source
from tabserve.training.candidate import Candidate
from tabserve.training.default_candidates import default_candidates
from tabserve.training.device import check_device
from tabserve.training.selection import Selection


@dataclass(frozen=True, eq=False)
class Trained:
    """A model that was selected and measured on a table, not saved yet.

    Attributes:
        plan: what was learned from the table.
        data: the split rows.
        cautions: what may make the figures lie.
        selection: the candidates over the folds.
        model: the winner, measured on the hold-out.
    """

    plan: Plan
    data: TrainingData
    cautions: tuple[Caution, ...]
    selection: Selection
    model: Model

    @property
    def evaluation(self) -> pd.DataFrame:
        """Every measure on the hold-out with its 95 % bootstrap interval, beside those of the baselines."""
        return tables.evaluation_table(self.model.metrics["holdout"], self.model.metrics["baselines"])

    def save(self, folder: Path | str | None = None, *, show_rows: bool = False) -> Model:
        """Save the model folder with its card and report.

        Args:
            folder: an earlier model is replaced, any other folder is refused; `build/<name>` by default.
            show_rows: whether the report shows cells of the rows that the model gets most wrong.

        Returns:
            The model as loaded from the folder.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        page = report.render(
            self.data,
            self.selection,
            self.model,
            columns=[column.in_words() for column in self.plan.columns],
            cautions=[(caution.about, caution.sentence) for caution in self.cautions],
            show_rows=show_rows,
        )
        return self.data.save(self.model, Path(folder or default_folder(self.plan)), report=page)

    def serve(self, folder: Path | str | None = None, *words: str) -> None:
        """Save the model folder, and serve it by a process of its own until Ctrl-C.

        Args:
            folder: as for `save`.
            *words: options of `tabserve serve`, such as `--port`, `9000`.

        Raises:
            ServerError: the server ended by itself.
        """
        folder = Path(folder or default_folder(self.plan))
        self.save(folder)
        command = [sys.executable, "-m", "tabserve", "serve", str(folder), *words]
        with subprocess.Popen(command) as server:  # noqa: S603 (our own words)
            try:
                code = server.wait()
            except KeyboardInterrupt:  # the server got the same signal, and answers what it has accepted
                code = server.wait()
        if code:
            raise ServerError(f"The server ended with exit code {code}; it has said why.")


def train(
    table: TableLike,
    target: str,
    *,
    candidates: Sequence[Candidate] = (),
    jobs: int | None = None,
    device: str = "cpu",
    minutes: float | None = None,
    strict: bool = False,
    synthetic: bool = False,
    **options: Any,  # noqa: ANN401  of `Options`
) -> Trained:
    """Select and measure a model that predicts a column of a table; shows progress.

    Args:
        table: the path of a csv or parquet file, a pandas or polars frame, or an Arrow table.
        target: the column to predict.
        candidates: to compare in place of the default ones.
        jobs: threads; one a core by default.
        device: of XGBoost, `cpu` or `cuda`.
        minutes: selection ends after so many, with the best candidate so far.
        strict: whether a caution is an error.
        synthetic: whether the rows were generated rather than observed.
        **options: the other fields of `Options`, such as `time="sold"`.

    Raises:
        UsageError, DataError: an option contradicts the table, or the table cannot be learned from.
    """
    plan = make_plan(as_source(table), Options(target, **options))
    data = load(plan, synthetic=synthetic)
    known = [*candidates] or defaults(data.development, jobs, device)
    cautions = examine(plan, data, jobs, device, strict=strict)
    return evaluate(plan, data, cautions, data.select(known, minutes))


def load(plan: Plan, *, synthetic: bool = False) -> TrainingData:
    """Read the rows of a plan's table, and split them.

    Raises:
        DataError: a row cannot be used, or the rows cannot be split.
    """
    frame = read(plan.source, plan.problem, drop_empty_target=plan.options.drop_empty_target)
    try:
        return TrainingData.of(frame, plan.source.name, synthetic=synthetic)
    except DataError as error:
        raise DataError(f"{plan.source.name}: {error}") from error


def defaults(rows: Frame, jobs: int | None = None, device: str = "cpu") -> list[Candidate]:
    """The default candidates for these rows.

    Raises:
        UsageError: there is no such device.
    """
    check_device(device)
    return default_candidates(rows.problem, rows.encoder, len(rows), jobs, device)


def examine(
    plan: Plan, data: TrainingData, jobs: int | None = None, device: str = "cpu", *, strict: bool = False
) -> tuple[Caution, ...]:
    """All that may make the figures lie: what the plan says, and what only the rows tell.

    Args:
        plan: of the table.
        data: its split rows.
        jobs: threads of the candidate that is measured by the splits that cautions advise.
        device: of that candidate.
        strict: whether a caution is an error.

    Raises:
        DataError: there is a caution, and `strict` is set.
    """
    cautions = examination.examine(plan, data.development, partial(_quick_candidate, jobs=jobs, device=device))
    if strict:
        check_strict(plan, cautions)
    return cautions


def check_strict(plan: Plan, cautions: Sequence[Caution]) -> None:
    """Refuse a table that calls for caution.

    Raises:
        DataError: there is a caution.
    """
    if cautions:
        sentences = " ".join(f"{caution.about or 'rows'}: {caution.sentence}" for caution in cautions)
        raise DataError(f"{plan.source.name} calls for caution, and --strict forbids it. {sentences}")


def evaluate(plan: Plan, data: TrainingData, cautions: tuple[Caution, ...], selected: Selection) -> Trained:
    """Refit the winner of a selection on all development rows, and measure it on the hold-out."""
    return Trained(plan, data, cautions, selected, data.evaluate(selected, selected.refit()))


def default_folder(plan: Plan) -> Path:
    """Where the model folder is saved if no other is named."""
    return Path("build", plan.problem.name)


def _quick_candidate(frame: Frame, jobs: int | None, device: str) -> Candidate:
    """The first boosted default candidate, as flattery shows in trees; or else the last one."""
    candidates = defaults(frame, jobs, device)
    boosted = (candidate for candidate in candidates if hasattr(candidate.estimator, "get_booster"))
    return next(boosted, candidates[-1])
