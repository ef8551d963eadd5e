"""The stations of training, from labelled rows to a verified model folder, for any task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from tabserve.model import model as models
from tabserve.model.model import Model, check_place, versions
from tabserve.model.reference import Reference
from tabserve.predictors.predictor import Predictor
from tabserve.reports import card, tables
from tabserve.reports.card import GENERAL, Words
from tabserve.table.frame import Frame
from tabserve.training import selection
from tabserve.training.baselines import baselines
from tabserve.training.candidate import Candidate
from tabserve.training.copies import compared
from tabserve.training.selection import Selection
from tabserve.training.split import hold_out
from tabserve.training.task_training import training_of


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The split rows of a table, in memory or in an engine such as Spark.

    Attributes:
        development: the rows to select and fit on.
        holdout: the rows to evaluate on, with their features.
        golden_features: the features that golden rows are drawn from, cell by cell.
        provenance: what the manifest says about all rows.
        adapt: turns a candidate into one that the engine can fit.
        versions: of the libraries of the engine, if any.
    """

    development: Frame
    holdout: Frame
    golden_features: NDArray[Any]
    provenance: Mapping[str, Any]
    adapt: Callable[[Candidate], Candidate] = lambda candidate: candidate
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: Frame, source: str, *, synthetic: bool = False) -> Self:
        """Split rows that are in memory.

        Args:
            frame: all rows.
            source: where the rows come from, for the model card.
            synthetic: whether the rows were generated rather than observed.

        Raises:
            DataError: the rows cannot be split as the problem asks; see `hold_out`.
        """
        frame = compared(frame)
        development, holdout = hold_out(frame)
        provenance = tables.provenance(frame, source, synthetic=synthetic)
        return cls(development, holdout, development.features, provenance)

    def select(self, candidates: Sequence[Candidate], minutes: float | None = None) -> Selection:
        """Compare candidates on the development rows; see `selection.select`."""
        return selection.select(self.development, [*map(self.adapt, candidates)], minutes)

    def evaluate(self, selected: Selection, predictor: Predictor, extra: Mapping[str, Any] | None = None) -> Model:
        """Measure the winner on the hold-out.

        Args:
            selected: the selection on the development rows.
            predictor: the winner, fitted on all development rows (`Selection.refit`).
            extra: measures of the case itself, for the manifest's metrics.
        """
        decision, holdout = selected.decision, self.holdout
        answers = decision.scores(predictor.raw(holdout.features))
        training, seed = training_of(holdout.problem), holdout.problem.seed
        measured = training.evaluate(holdout.target, answers, decision, seed=seed)
        details = training.details(holdout.target, answers, seed=seed)
        details["baselines"] = baselines(self.development, holdout)
        reference = Reference.of(holdout.problem, holdout.encoder, holdout.features, decision.watched(answers))
        return Model(
            holdout.problem,
            holdout.encoder,
            predictor,
            decision,
            metrics={**tables.metrics(selected, measured), **details, **(extra or {})},
            data={**self.provenance, **reference.to_json()},
            versions={**versions(*predictor.LIBRARIES), **self.versions},
        )

    def save(self, model: Model, folder: Path, words: Words = GENERAL, report: str | None = None) -> Model:
        """Save the model with its card and, if there is one, a report; see `model.save`."""
        rows = model.predictor.examples(self.golden_features)
        return models.save(folder, model, rows, card.render(model, words), report)


def train(
    data: TrainingData,
    candidates: Sequence[Candidate],
    folder: Path,
    words: Words = GENERAL,
    minutes: float | None = None,
) -> Model:
    """Select, refit, evaluate and save; shows progress.

    Args:
        data: the split rows.
        candidates: with different names; at least one is `servable`.
        folder: the model folder to write; an earlier model is replaced, any other folder is refused.
        words: the case's own words in the model card.
        minutes: bounds the comparison of the candidates; see `selection.select`.

    Returns:
        The model as loaded from its folder.

    Raises:
        ArtifactError: the folder cannot be written; raised before the first fit.
        UsageError, DataError: see `selection.select`.
    """
    check_place(folder)
    selected = data.select(candidates, minutes)
    return data.save(data.evaluate(selected, selected.refit()), folder, words)
