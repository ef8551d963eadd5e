"""The stations of training, one after the other: labelled rows in, a verified model folder out, for any task."""

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
from tabserve.training.selection import Selection
from tabserve.training.split import hold_out
from tabserve.training.task_training import training_of


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The rows of a table, split, wherever they are.

    Attributes:
        development: the rows to select and fit on.
        holdout: those to evaluate on, with their features.
        cells: features of rows, of which golden rows are drawn cell by cell.
        provenance: what the manifest says of all rows.
        adapted: makes a candidate able to fit where the development rows are.
        versions: of the libraries that hold these rows, if any.
    """

    development: Frame
    holdout: Frame
    cells: NDArray[Any]
    provenance: Mapping[str, Any]
    adapted: Callable[[Candidate], Candidate] = lambda candidate: candidate
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: Frame, source: str, *, synthetic: bool = False) -> Self:
        """Rows in this machine's memory.

        Args:
            frame: all of them.
            source: where they come from, as the model card says it.
            synthetic: whether nobody observed them.

        Raises:
            DataError: they are too few to be split as the problem asks.
        """
        development, holdout = hold_out(frame)
        provenance = tables.provenance(frame, source, synthetic=synthetic)
        return cls(development, holdout, development.features, provenance)

    def select(self, candidates: Sequence[Candidate]) -> Selection:
        """Compare candidates on the development rows; see `selection.select`."""
        return selection.select(self.development, [*map(self.adapted, candidates)])

    def evaluate(self, selected: Selection, predictor: Predictor, own: Mapping[str, Any] | None = None) -> Model:
        """Measure the winner on the rows held out.

        Args:
            selected: of candidates on the development rows.
            predictor: the winner, fitted on all of these (`Selection.refit`).
            own: what a case measured besides, for the manifest's metrics.
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
            metrics={**tables.metrics(selected, measured), **details, **(own or {})},
            data={**self.provenance, **reference.to_json()},
            versions={**versions(*predictor.LIBRARIES), **self.versions},
        )

    def save(self, model: Model, folder: Path, words: Words = GENERAL) -> Model:
        """Save a model of these rows with its card; see `model.save`."""
        return models.save(folder, model, model.predictor.examples(self.cells), card.render(model, words))


def train(data: TrainingData, candidates: Sequence[Candidate], folder: Path, words: Words = GENERAL) -> Model:
    """Select, refit, evaluate and save; shows progress.

    Args:
        data: the rows.
        candidates: each with a name of its own, at least one that is `servable`.
        folder: where the model folder goes; an earlier one is replaced, anything else is left alone.
        words: those of the model card.

    Returns:
        The model as loaded from its folder.

    Raises:
        ArtifactError: the folder cannot be written; told before the first fit.
        UsageError, DataError: as `selection.select` does.
    """
    check_place(folder)
    selected = data.select(candidates)
    return data.save(data.evaluate(selected, selected.refit()), folder, words)
