"""The model folder: saved whole or not at all, and verified whenever it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError, UsageError
from tabserve.model import folder as folders
from tabserve.model import golden
from tabserve.model.decision import Decision, threshold_of
from tabserve.model.folder import CARD, GOLDEN, MANIFEST, check_card, opened, placed, seal
from tabserve.model.manifest import MEASURED_WITH, Manifest, content
from tabserve.predictors.predictor import Predictor
from tabserve.problem.problem import Problem

__all__ = ["CARD", "GOLDEN", "MANIFEST", "PREDICTORS", "Model", "amend", "check_place", "load", "save", "versions"]

PREDICTORS = {"model.ubj": "tabserve.predictors.booster.Booster", "model.npz": "tabserve.predictors.linear.Linear"}
"""What reads each kind of model file; imported once it is needed, as XGBoost takes seconds."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model and all that its folder says about it.

    Attributes:
        problem: the problem it answers.
        encoder: makes features of the cells of its columns.
        predictor: features in, raw outputs out.
        decision: makes answers of these.
        metrics: what the evaluation found; no times, so that the same run gives the same bytes.
        data: what the model was trained on.
        versions: of the libraries that made it.
    """

    problem: Problem
    encoder: Encoder
    predictor: Predictor
    decision: Decision
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def measured_with(self) -> Decision:
        """The decision that the metrics were measured with; another than `decision` where that was changed since."""
        return replace(self.decision, **self.metrics.get(MEASURED_WITH, {}))

    def score(self, features: NDArray[Any]) -> Any:  # noqa: ANN401  Scores or Amounts, as the decision has it
        """Answers for rows, whose features have the form that the predictor takes."""
        return self.decision.scores(self.predictor.raw(features))


def save(folder: Path, model: Model, rows: NDArray[Any], card: str) -> Model:
    """Write a model folder beside its place, verify it there, then move it in.

    Args:
        folder: where it goes, or a link to there; an earlier model folder is replaced, anything else is left alone.
        model: what to write.
        rows: golden rows, as `Predictor.examples` draws them, answered again at every load.
        card: the model card, in Markdown.

    Returns:
        The model as loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written, or holds something that is not a model folder.
    """
    return placed(folder, {*PREDICTORS}, lambda fresh: _write(fresh, model, rows, card), load)


def amend(folder: Path, model: Model, card: str) -> Model:
    """Write what a model folder says anew, in the way of `save`; the model file and the golden rows stay as they are.

    Args:
        folder: a model folder, or a link to one.
        model: the folder's own, with another decision or other metrics.
        card: the model card, in Markdown.

    Returns:
        The model as loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written, or holds another model.
    """
    return placed(folder, {*PREDICTORS}, lambda fresh: _rewrite(folder, fresh, model, card), load)


def check_place(folder: Path) -> None:
    """Refuse a place where a model folder could not be moved in; see `folder.check_place`."""
    folders.check_place(folder, {*PREDICTORS})


def versions(*libraries: str) -> dict[str, str]:
    """Versions of Python, this package and the libraries that make a model, some of them named."""
    return folders.versions("scikit-learn", "numpy", *libraries)


def load(folder: Path) -> Model:
    """Read a model folder and verify it: format, checksums, predictor, decision and golden rows.

    Raises:
        ArtifactError: naming the file that is missing, damaged or foreign.
    """
    manifest = Manifest.read(folder / MANIFEST)
    name = _model_file(folder, manifest)
    file, rows = (opened(folder, manifest, each) for each in (name, GOLDEN))
    predictor = _kind(name).read(folder / name, file, manifest.problem, manifest.encoder)
    _check_decision(folder / MANIFEST, manifest, predictor)
    golden.check(folder / GOLDEN, rows, predictor)
    check_card(folder, manifest)
    return Model(
        manifest.problem,
        manifest.encoder,
        predictor,
        manifest.decision,
        manifest.metrics,
        manifest.data,
        manifest.versions,
    )


def load_binary(folder: Path) -> Model:
    """Read a folder as `load` does, of a model that parts two classes by a threshold.

    Raises:
        ArtifactError: as `load`; or it is of another model.
    """
    model = load(folder)
    try:
        threshold_of(model.decision)
    except UsageError as error:
        message = f"{folder} holds a model without a threshold between two labels, which this needs."
        raise ArtifactError(message) from error
    return model


def _model_file(folder: Path, manifest: Manifest) -> str:
    found = [name for name in PREDICTORS if name in manifest.files]
    if len(found) != 1:
        raise ArtifactError(f"{folder / MANIFEST} names {len(found)} model files, expected {' or '.join(PREDICTORS)}.")
    return found[0]


def _kind(name: str) -> type[Predictor]:
    module, _, kind = PREDICTORS[name].rpartition(".")
    found: type[Predictor] = getattr(import_module(module), kind)
    return found


def _check_decision(path: Path, manifest: Manifest, predictor: Predictor) -> None:
    labels, outputs, decision = len(manifest.problem.labels), predictor.outputs, manifest.decision
    if not decision.fits(manifest.problem, outputs):
        raise ArtifactError(
            f"{path} has a decision of kind {decision.KIND!r}, which makes no answers between {labels} labels of a"
            f" model with {outputs} raw outputs."
        )


def _write(folder: Path, model: Model, rows: NDArray[Any], card: str) -> None:
    folder.mkdir()
    model.predictor.save(folder / model.predictor.FILE)
    (folder / GOLDEN).write_text(golden.to_json(rows, model.predictor), encoding="utf-8")
    _seal(folder, model, card)


def _rewrite(folder: Path, fresh: Path, model: Model, card: str) -> None:
    fresh.mkdir()
    for name in (model.predictor.FILE, GOLDEN):
        (fresh / name).write_bytes(content(folder / name))
    _seal(fresh, model, card)


def _seal(folder: Path, model: Model, card: str) -> None:
    manifest = Manifest(model.problem, model.encoder, model.decision, model.metrics, model.data, model.versions)
    seal(folder, model.predictor.FILE, manifest, card)
