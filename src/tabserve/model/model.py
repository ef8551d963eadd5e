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
from tabserve.model.folder import CARD, GOLDEN, MANIFEST, REPORT, check_card, read_verified, seal, write_verified
from tabserve.model.manifest import MEASURED_WITH, Manifest, content
from tabserve.predictors.predictor import Predictor
from tabserve.problem.problem import Problem

__all__ = [
    "CARD",
    "GOLDEN",
    "MANIFEST",
    "PREDICTORS",
    "REPORT",
    "Model",
    "amend",
    "check_place",
    "load",
    "save",
    "versions",
]

PREDICTORS = {
    "model.ubj": "tabserve.predictors.booster.Booster",
    "encoded.npz": "tabserve.predictors.encoded_booster.EncodedBooster",
    "one_hot.npz": "tabserve.predictors.one_hot.OneHotLinear",
    "model.npz": "tabserve.predictors.linear.Linear",
}
"""The predictor that reads each kind of model file; imported when needed, as XGBoost takes seconds."""


@dataclass(frozen=True, eq=False)
class Model:
    """A model and all that its folder says about it.

    Attributes:
        problem: what it answers.
        encoder: makes features of the cells of its columns.
        predictor: makes raw outputs of features.
        decision: makes answers of raw outputs.
        metrics: the results of the evaluation, without times, so that the same run writes the same bytes.
        data: what is known of the training table.
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
        """The decision that the metrics were measured with; `decision` may have been changed since."""
        return replace(self.decision, **self.metrics.get(MEASURED_WITH, {}))

    def score(self, features: NDArray[Any]) -> Any:  # noqa: ANN401  Scores or Amounts, as the decision has it
        """The answers for rows, given their features."""
        return self.decision.scores(self.predictor.raw(features))


def save(folder: Path, model: Model, rows: NDArray[Any], card: str, report: str | None = None) -> Model:
    """Write a model folder under a temporary name, verify it, then rename it to its own.

    Args:
        folder: its path, or a link to it; an earlier model folder is replaced, anything else is left alone.
        model: what to write.
        rows: golden rows, as `Predictor.examples` draws them; every load compares their raw outputs.
        card: the model card, in Markdown.
        report: a page about the training, in HTML; None for none.

    Returns:
        The model as loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written, or holds something that is not a model folder.
    """
    return write_verified(folder, {*PREDICTORS}, lambda fresh: _write(fresh, model, rows, card, report), load)


def amend(folder: Path, model: Model, card: str) -> Model:
    """Replace the manifest and the card of a model folder as `save` does; model file, golden rows and report stay.

    Args:
        folder: a model folder, or a link to one.
        model: the folder's model with another decision or other metrics.
        card: the model card, in Markdown.

    Returns:
        The model as loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written, or holds another model.
    """
    return write_verified(folder, {*PREDICTORS}, lambda fresh: _rewrite(folder, fresh, model, card), load)


def check_place(folder: Path) -> None:
    """Refuse a path that no model folder could be written to; see `folder.check_place`."""
    folders.check_place(folder, {*PREDICTORS})


def versions(*libraries: str) -> dict[str, str]:
    """Versions of Python, tabserve, scikit-learn, numpy and the given libraries."""
    return folders.versions("scikit-learn", "numpy", *libraries)


def load(folder: Path) -> Model:
    """Read a model folder and verify it: format, checksums, predictor, decision and golden rows.

    Raises:
        ArtifactError: a file is missing, damaged or of another model; the message names it.
    """
    manifest = Manifest.read(folder / MANIFEST)
    name = _model_file(folder, manifest)
    file, rows = (read_verified(folder, manifest, each) for each in (name, GOLDEN))
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
    """Load a model folder whose decision is a threshold between two classes.

    Raises:
        ArtifactError: as for `load`, or the decision is another.
    """
    model = load(folder)
    try:
        threshold_of(model.decision)
    except UsageError as error:
        message = f"{folder} holds a model without a threshold between two labels, which this needs."
        raise ArtifactError(message) from error
    return model


def _model_file(folder: Path, manifest: Manifest) -> str:
    names = [name for name in PREDICTORS if name in manifest.files]
    if len(names) != 1:
        raise ArtifactError(f"{folder / MANIFEST} names {len(names)} model files, expected {' or '.join(PREDICTORS)}.")
    return names[0]


def _kind(name: str) -> type[Predictor]:
    module, _, kind = PREDICTORS[name].rpartition(".")
    predictor: type[Predictor] = getattr(import_module(module), kind)
    return predictor


def _check_decision(path: Path, manifest: Manifest, predictor: Predictor) -> None:
    labels, outputs, decision = len(manifest.problem.labels), predictor.outputs, manifest.decision
    if not decision.fits(manifest.problem, outputs):
        raise ArtifactError(
            f"{path} has a decision of kind {decision.KIND!r}, which makes no answers between {labels} labels of a"
            f" model with {outputs} raw outputs."
        )


def _write(folder: Path, model: Model, rows: NDArray[Any], card: str, report: str | None) -> None:
    folder.mkdir()
    if report is not None:
        (folder / REPORT).write_text(report, encoding="utf-8")
    (folder / model.predictor.FILE).write_bytes(model.predictor.to_bytes())
    (folder / GOLDEN).write_text(golden.to_json(rows, model.predictor), encoding="utf-8")
    _seal(folder, model, card)


def _rewrite(folder: Path, fresh: Path, model: Model, card: str) -> None:
    fresh.mkdir()
    for name in (model.predictor.FILE, GOLDEN, *([REPORT] if (folder / REPORT).exists() else [])):
        (fresh / name).write_bytes(content(folder / name))
    _seal(fresh, model, card)


def _seal(folder: Path, model: Model, card: str) -> None:
    manifest = Manifest(model.problem, model.encoder, model.decision, model.metrics, model.data, model.versions)
    seal(folder, model.predictor.FILE, manifest, card)
