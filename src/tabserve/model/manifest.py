"""What a model folder says about itself: `manifest.json`, written and read back."""

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from tabserve.errors import ArtifactError, UsageError
from tabserve.model.decision import DECISIONS, Decision
from tabserve.problem.criterion import F1, Costs
from tabserve.problem.problem import Problem

FORMAT_VERSION = 1
"""Version of the folder's layout.

Raise it when a reader of the old version would misread the new one; teach `load` both, and keep a stored folder of the
old version with a test that loads it.
"""

MEASURED_WITH = "measured_with"
"""Under this key the metrics hold the fields of the decision that they were measured with, where it was changed."""

CRITERIA = {"F1": F1, "Costs": Costs}

TYPES = {
    "problem": dict,
    "features": list,
    "metrics": dict,
    "data": dict,
    "versions": dict,
    "files": dict,
    "decision": dict,
}

PROBLEM_TYPES = {"labels": list, "criterion": dict}

LIST = re.compile(r"\[\n\s*([-+.\deE,\s]*?)\n\s*\]")
"""A list of numbers, each on a line of its own."""

MAX_BYTES = {".ubj": 1 << 30, ".npz": 1 << 30, ".json": 1 << 26, ".md": 1 << 26}
"""How large each kind of file may be, many times what any model needs; larger ones are not read to be refused."""


@dataclass(frozen=True)
class Manifest:
    """The parts of a manifest that are not derived from others.

    Attributes:
        problem: with its features in the order the model sees them.
        decision: how raw outputs become answers.
        metrics: what the evaluation found; `MEASURED_WITH` in it, where the decision was changed since.
        data: what the model was trained on.
        versions: of the libraries that made it.
        files: sha256 of the other files, by name.
    """

    problem: Problem
    decision: Decision
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest of this format version.

        Raises:
            ArtifactError: it is missing, damaged, or of another version.
        """
        document = parsed(path, content(path))
        _check_version(path, document)
        _check_types(path, document, TYPES)
        _check_types(path, document["problem"], PROBLEM_TYPES)
        _check_versions(path, document["versions"])
        problem, decision = _problem(path, document), _decision(path, document["decision"])
        if MEASURED_WITH in document["metrics"]:
            _check_types(path, document["metrics"], {MEASURED_WITH: dict})
            _made(path, type(decision), asdict(decision) | document["metrics"][MEASURED_WITH])
        return cls(problem, decision, *(document[key] for key in ("metrics", "data", "versions", "files")))

    def write(self, path: Path) -> None:
        """Write it, the format version first.

        Raises:
            ArtifactError: the problem's criterion is none that can be read back.
        """
        document = {
            "format_version": FORMAT_VERSION,
            "problem": _described(self.problem),
            "features": self.problem.features,
            "decision": {"kind": self.decision.KIND, **asdict(self.decision)},
            "metrics": self.metrics,
            "data": self.data,
            "versions": self.versions,
            "files": self.files,
        }
        path.write_text(LIST.sub(_one_line, json.dumps(document, indent=2)) + "\n", encoding="utf-8")


def _one_line(found: "re.Match[str]") -> str:
    return f"[{' '.join(found[1].split())}]"


def content(path: Path) -> bytes:
    """A file of a model folder.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        found, most = path.stat(), MAX_BYTES[path.suffix]
        if not stat.S_ISREG(found.st_mode):
            raise ArtifactError(f"{path} is no regular file; expected a whole model folder.")
        if found.st_size > most:
            raise ArtifactError(f"{path} has {found.st_size} bytes, at most {most} expected; it belongs to no model.")
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
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path} is not JSON ({error}); it was damaged, so copy or train the model again."
        ) from error
    except (RecursionError, ValueError) as error:
        raise ArtifactError(
            f"{path} is nested too deep or holds a number of too many digits; copy or train the model again."
        ) from error
    if not isinstance(document, dict):
        raise ArtifactError(f"{path} needs one JSON object, found a {type(document).__name__}.")
    return document


def _check_version(path: Path, document: Mapping[str, Any]) -> None:
    found = document.get("format_version")
    if type(found) is not int or found != FORMAT_VERSION:
        newer = isinstance(found, int) and found > FORMAT_VERSION
        advice = "it was written by a newer tabserve, so update this one" if newer else "it is damaged, so train again"
        raise ArtifactError(f"{path} has format version {found!r:.60}, expected {FORMAT_VERSION}; {advice}.")


def _check_types(path: Path, document: Mapping[str, Any], types: Mapping[str, type]) -> None:
    for key, expected in types.items():
        if not isinstance(document.get(key), expected):
            found = type(document.get(key)).__name__
            raise ArtifactError(f"{path} needs {key!r} as a {expected.__name__}, found {found}.")


def _check_versions(path: Path, versions: Mapping[str, Any]) -> None:
    for name, version in versions.items():
        if not isinstance(version, str) or not (name + version).isprintable():
            raise ArtifactError(f"{path} has version {version!r:.60} of {name!r:.60}, expected a text of one line.")


def _described(problem: Problem) -> dict[str, Any]:
    name = type(problem.criterion).__name__
    if name not in CRITERIA:
        raise ArtifactError(f"A model folder cannot hold the criterion {name}; expected {' or '.join(CRITERIA)}.")
    described = asdict(problem)
    del described["features"]
    if problem.group is None:
        del described["group"]
    return described | {"criterion": {"name": name, **described["criterion"]}}


def _problem(path: Path, document: Mapping[str, Any]) -> Problem:
    found, criterion = dict(document["problem"]), dict(document["problem"]["criterion"])
    try:
        found["criterion"] = CRITERIA[criterion.pop("name")](**criterion)
        found["labels"] = tuple(found["labels"])
        return Problem(features=tuple(document["features"]), **found)
    except UsageError as error:
        raise ArtifactError(f"{path} does not describe a problem: {error}") from error
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} does not describe a problem: {str(error)!r:.200}; train the model again."
        ) from error


def _decision(path: Path, found: Mapping[str, Any]) -> Decision:
    kind = found.get("kind")
    if not isinstance(kind, str) or kind not in DECISIONS:
        raise ArtifactError(f"{path} has a decision of kind {kind!r:.60}, expected {' or '.join(DECISIONS)}.")
    return _made(path, DECISIONS[kind], {name: value for name, value in found.items() if name != "kind"})


def _made(path: Path, kind: type[Decision], found: Mapping[str, Any]) -> Decision:
    expected = sorted(field.name for field in fields(kind))
    if sorted(found) != expected:
        raise ArtifactError(f"{path} has a {kind.KIND} of the fields {sorted(found)!r:.200}, expected {expected}.")
    try:
        return kind(**found)
    except UsageError as error:
        raise ArtifactError(f"{path} does not describe a decision: {error}") from error
