"""What a model folder says about itself: `manifest.json`, written and read back."""

import json
import re
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError, UsageError
from tabserve.model.decision import DECISIONS, Decision
from tabserve.problem.columns import Column
from tabserve.problem.criterion import CRITERIA
from tabserve.problem.problem import Problem
from tabserve.problem.task import TASKS, Task

FORMAT_VERSION = 1
"""Version of the folder's layout: raise it when a reader of the old version would misread the new one."""

MEASURED_WITH = "measured_with"
"""Under this key the metrics hold the fields of the decision that they were measured with, where it was changed."""

TYPES = {
    "problem": dict,
    "task": dict,
    "columns": list,
    "encodings": dict,
    "decision": dict,
    "metrics": dict,
    "data": dict,
    "versions": dict,
    "files": dict,
}

SHORT = re.compile(r"\[\n\s*([-+.\deE,\s]*?)\n\s*\]|\{\n\s*([^{}\[\]]{1,100}?)\n\s*\}")
"""A list of numbers, or an object of few plain members, each on a line of its own."""

MAX_BYTES = {".ubj": 1 << 30, ".npz": 1 << 30, ".json": 1 << 26, ".md": 1 << 26}
"""How large each kind of file may be, many times what any model needs; larger ones are not read to be refused."""


@dataclass(frozen=True)
class Manifest:
    """The parts of a manifest that are not derived from others.

    Attributes:
        problem: with its columns in the order the model sees them.
        encoder: makes features of their cells.
        decision: how raw outputs become answers.
        metrics: what the evaluation found; `MEASURED_WITH` in it, where the decision was changed since.
        data: what the model was trained on.
        versions: of the libraries that made it.
        files: sha256 of the other files, by name.
    """

    problem: Problem
    encoder: Encoder
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
        _check_versions(path, document["versions"])
        problem = _problem(path, document)
        decision = _made(path, "decision", document["decision"], DECISIONS)
        if MEASURED_WITH in (metrics := document["metrics"]):
            _check_types(path, metrics, {MEASURED_WITH: dict})
            _made(path, "decision", document["decision"] | _without_kind(path, metrics[MEASURED_WITH]), DECISIONS)
        encoder = _encoder(path, problem, document["encodings"])
        return cls(problem, encoder, decision, *(document[key] for key in ("metrics", "data", "versions", "files")))

    def write(self, path: Path) -> None:
        """Write it, the format version first.

        Raises:
            ArtifactError: the problem's criterion is none that can be read back.
        """
        document = {
            "format_version": FORMAT_VERSION,
            "problem": _facts(self.problem),
            "task": _task(self.problem.task),
            "columns": [_column(column) for column in self.problem.columns],
            "encodings": self.encoder.to_json(),
            "decision": {"kind": self.decision.KIND, **asdict(self.decision)},
            "metrics": self.metrics,
            "data": self.data,
            "versions": self.versions,
            "files": self.files,
        }
        path.write_text(SHORT.sub(_one_line, json.dumps(document, indent=2)) + "\n", encoding="utf-8")


def _one_line(found: "re.Match[str]") -> str:
    return found[0][0] + re.sub(r"\n\s*", " ", found[1] or found[2] or "") + found[0][-1]


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


def _facts(problem: Problem) -> dict[str, Any]:
    """The problem's own fields, without those that others hold."""
    fields = ("name", "target", "id", "group", "time", "holdout", "folds", "seed")
    return {name: getattr(problem, name) for name in fields}


def _task(task: Task) -> dict[str, Any]:
    kind = type(task.criterion).__name__
    if kind not in CRITERIA:
        raise ArtifactError(f"A model folder cannot hold the criterion {kind}; expected {' or '.join(CRITERIA)}.")
    fields = asdict(task)
    return {"kind": task.KIND, **fields, "criterion": {"kind": kind, **fields["criterion"]}}


def _column(column: Column) -> dict[str, Any]:
    """A column, without what is as it is when nobody says so."""
    usual = asdict(Column(column.name))
    return {name: value for name, value in asdict(column).items() if name in ("name", "kind") or value != usual[name]}


def _problem(path: Path, document: Mapping[str, Any]) -> Problem:
    task = dict(document["task"])
    task["criterion"] = _made(path, "criterion", task.get("criterion"), CRITERIA)
    if isinstance(labels := task.get("labels"), list):
        task["labels"] = tuple(labels)
    try:
        columns = tuple(Column(**column) for column in document["columns"])
        return Problem(columns=columns, task=_made(path, "task", task, TASKS), **document["problem"])
    except UsageError as error:
        raise ArtifactError(f"{path} does not describe a problem: {error}") from error
    except TypeError as error:
        raise ArtifactError(
            f"{path} does not describe a problem: {str(error)!r:.200}; train the model again."
        ) from error


def _encoder(path: Path, problem: Problem, encodings: Mapping[str, Any]) -> Encoder:
    try:
        return Encoder.from_json(problem, encodings)
    except UsageError as error:
        raise ArtifactError(f"{path} does not fit its columns: {error}") from error


def _without_kind(path: Path, measured_with: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of an earlier decision, whose kind is that of the present one."""
    if "kind" in measured_with:
        raise ArtifactError(f"{path} has a kind in {MEASURED_WITH!r}, expected the fields of the decision alone.")
    return measured_with


def _made(path: Path, what: str, found: object, kinds: Mapping[str, Any]) -> Any:  # noqa: ANN401  one of the kinds
    """What an object describes by its member `kind` and its fields."""
    members = dict(found) if isinstance(found, Mapping) else {}
    name = members.pop("kind", None)
    if not isinstance(name, str) or name not in kinds:
        raise ArtifactError(f"{path} has a {what} of kind {name!r:.60}, expected {' or '.join(kinds)}.")
    expected = sorted(each.name for each in fields(kinds[name]))
    if sorted(members) != expected:
        raise ArtifactError(f"{path} has a {what} of the fields {sorted(members)!r:.200}, expected {expected}.")
    try:
        return kinds[name](**members)
    except UsageError as error:
        raise ArtifactError(f"{path} does not describe a {what}: {error}") from error
