"""What a model folder says about itself: `manifest.json`, written and read back."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tabserve.errors import ArtifactError, UsageError
from tabserve.problem import Problem
from tabserve.threshold import F1, Costs

FORMAT_VERSION = 1
"""Version of the folder's layout.

Raise it when a reader of the old version would misread the new one; teach `load` both, and keep a stored folder of the
old version with a test that loads it.
"""

MAX_THRESHOLD = math.nextafter(1.0, 2.0)
"""Nobody is positive, not even at probability 1: what is best where a false positive costs very much."""

CRITERIA = {"F1": F1, "Costs": Costs}


TYPES = {"problem": dict, "features": list, "metrics": dict, "data": dict, "versions": dict, "files": dict}


@dataclass(frozen=True)
class Manifest:
    """The parts of a manifest that are not derived from others.

    Attributes:
        problem: with its features in the order the model sees them.
        threshold: the label is 1 where the probability reaches it; in [0, 1], or `MAX_THRESHOLD`.
        metrics: what the evaluation found.
        data: what the model was trained on.
        versions: of the libraries that made it.
        files: sha256 of the other files, by name.
    """

    problem: Problem
    threshold: float
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str]
    files: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest of this format version.

        Raises:
            ArtifactError: it is missing, damaged, or of another version.
        """
        document = parsed(path, content(path))
        _check_version(path, document)
        for key, expected in TYPES.items():
            if not isinstance(document.get(key), expected):
                found = type(document.get(key)).__name__
                raise ArtifactError(f"{path} needs {key!r} as a {expected.__name__}, found {found}.")
        problem, threshold = _problem(path, document), _threshold(path, document)
        return cls(problem, threshold, *(document[key] for key in ("metrics", "data", "versions", "files")))

    def write(self, path: Path) -> None:
        """Write it, the format version first.

        Raises:
            ArtifactError: the problem's criterion is none that can be read back.
        """
        document = {
            "format_version": FORMAT_VERSION,
            "problem": _described(self.problem),
            "features": self.problem.features,
            "threshold": self.threshold,
            "metrics": self.metrics,
            "data": self.data,
            "versions": self.versions,
            "files": self.files,
        }
        path.write_text(json.dumps(document, indent=2) + "\n")


def content(path: Path) -> bytes:
    """A file of a model folder.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}; expected a whole model folder.") from error


def parsed(path: Path, text: bytes) -> dict[str, Any]:
    """The one JSON object that a file of a model folder holds.

    Raises:
        ArtifactError: it is something else.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ArtifactError(
            f"{path} is not JSON ({error}); it was damaged, so copy or train the model again."
        ) from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} needs one JSON object, found a {type(document).__name__}.")
    return document


def _check_version(path: Path, document: Mapping[str, Any]) -> None:
    found = document.get("format_version")
    if found != FORMAT_VERSION:
        newer = isinstance(found, int) and found > FORMAT_VERSION
        advice = "it was written by a newer tabserve, so update this one" if newer else "it is damaged, so train again"
        raise ArtifactError(f"{path} has format version {found!r}, expected {FORMAT_VERSION}; {advice}.")


def _described(problem: Problem) -> dict[str, Any]:
    name = type(problem.criterion).__name__
    if name not in CRITERIA:
        raise ArtifactError(f"A model folder cannot hold the criterion {name}; expected {' or '.join(CRITERIA)}.")
    fields = asdict(problem)
    del fields["features"]
    return fields | {"criterion": {"name": name, **fields["criterion"]}}


def _problem(path: Path, document: Mapping[str, Any]) -> Problem:
    try:
        fields = dict(document["problem"])
        criterion = dict(fields.pop("criterion"))
        fields["criterion"] = CRITERIA[criterion.pop("name")](**criterion)
        fields["labels"] = tuple(fields["labels"])
        return Problem(features=tuple(document["features"]), **fields)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise ArtifactError(f"{path} does not describe a problem ({error}); train the model again.") from error


def _threshold(path: Path, document: Mapping[str, Any]) -> float:
    threshold = document.get("threshold")
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= MAX_THRESHOLD:
        raise ArtifactError(f"{path} has threshold {threshold!r}, expected a number from 0 to 1.")
    return float(threshold)
