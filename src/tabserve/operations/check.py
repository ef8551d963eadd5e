"""What `tabserve check` says of a model folder, of whichever kind its model is."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tabserve.errors import ArtifactError
from tabserve.model import artifact, text_artifact
from tabserve.model.folder import MANIFEST
from tabserve.model.manifest import Manifest
from tabserve.wording import one_line


def lines(folder: Path) -> list[str]:
    """Load and verify a model folder, as the server does at its start, and say what it holds.

    Raises:
        ArtifactError: naming the file that is missing, damaged or foreign.
    """
    files = Manifest.read(folder / MANIFEST).files
    if kind := next((name for name in KINDS if name in files), None):
        return KINDS[kind](folder)
    raise ArtifactError(f"{folder / MANIFEST} names no model file; expected {' or '.join(KINDS)}.")


def _of_numbers(folder: Path) -> list[str]:
    model = artifact.load(folder)
    missing = "values may be missing" if model.problem.allow_missing else "no value may be missing"
    moved = "" if model.threshold == model.measured_at else f", moved from {model.measured_at}"
    return [
        f"{folder} is a whole model folder: format, checksums, features and golden rows are as saved.",
        f"  problem    {model.problem.name}: {len(model.problem.features)} features, {missing}",
        f"  model      {model.booster.num_boosted_rounds()} boosting rounds",
        f"  threshold  {model.threshold}{moved}",
        f"  versions   {_listed(model.versions)}",
    ]


def _of_texts(folder: Path) -> list[str]:
    model = text_artifact.load(folder)
    return [
        f"{folder} is a whole model folder: format, checksums, weights and golden texts are as saved.",
        f"  problem    {model.problem.name}: texts of {_named(model.problem.features)}",
        f"  model      {len(model.linear.grams)} n-grams",
        f"  labels     {_named(model.problem.labels)}",
        f"  versions   {_listed(model.versions)}",
    ]


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names))


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(versions.items()))


KINDS: dict[str, Callable[[Path], list[str]]] = {artifact.MODEL: _of_numbers, text_artifact.MODEL: _of_texts}
"""What describes a folder, by the model file that its manifest names."""
