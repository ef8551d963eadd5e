"""`manifest.json`: all that a model folder says about its model."""

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
"""Version of the folder's layout; raise it if a reader of the old version would misread the new one."""

LISTS = ("ignored", "blanks")
"""Fields of a problem that hold several texts, and are left out if they hold none."""

MEASURED_WITH = "measured_with"
"""Key of the metrics that holds the fields of the decision they were measured with, if it was changed since."""

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

OMITTED = ("metric", "other")
"""Fields of a task that are not written if they are empty."""

SHORT = re.compile(r"\[\n\s*([-+.\deE,\s]*?)\n\s*\]|\{\n\s*([^{}\[\]]{1,100}?)\n\s*\}")
"""A list of numbers, or a small object, whose items json.dumps puts on lines of their own."""

MAX_BYTES = {".ubj": 1 << 30, ".npz": 1 << 30, ".json": 1 << 26, ".md": 1 << 26, ".html": 1 << 26}
"""Largest size of each kind of file, many times what any model needs; a larger file is refused unread."""


@dataclass(frozen=True)
class Manifest:
    """The content of a manifest.

    Attributes:
        problem: what the model answers.
        encoder: makes features of the problem's columns.
        decision: makes answers of raw outputs.
        metrics: the results of the evaluation; see `MEASURED_WITH`.
        data: what is known of the training table.
        versions: of the libraries that made the model.
        files: sha256 of each other file, by name.
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
            ArtifactError: the file is missing, damaged, or of another version.
        """
        document = parsed(path, content(path))
        _check_version(path, document)
        _check_types(path, document, TYPES)
        _check_versions(path, document["versions"])
        problem = _problem(path, document)
        decision = _create(path, "decision", document["decision"], DECISIONS)
        if MEASURED_WITH in (metrics := document["metrics"]):
            _check_types(path, metrics, {MEASURED_WITH: dict})
            _create(path, "decision", document["decision"] | _without_kind(path, metrics[MEASURED_WITH]), DECISIONS)
        encoder = _encoder(path, problem, document["encodings"])
        return cls(problem, encoder, decision, *(document[key] for key in ("metrics", "data", "versions", "files")))

    def write(self, path: Path) -> None:
        """Write the file.

        Raises:
            ArtifactError: the problem's criterion is not one of `CRITERIA`, so that it could not be read back.
        """
        document = {
            "format_version": FORMAT_VERSION,
            "problem": _own_fields(self.problem),
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


def _one_line(match: "re.Match[str]") -> str:
    return match[0][0] + re.sub(r"\n\s*", " ", match[1] or match[2] or "") + match[0][-1]


def content(path: Path) -> bytes:
    """The bytes of a file of a model folder.

    Raises:
        ArtifactError: the file cannot be read, or is too large.
    """
    try:
        status, most = path.stat(), MAX_BYTES[path.suffix]
        if not stat.S_ISREG(status.st_mode):
            raise ArtifactError(f"{path} is no regular file; expected a whole model folder.")
        if status.st_size > most:
            raise ArtifactError(f"{path} has {status.st_size} bytes, at most {most} expected; it belongs to no model.")
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}; expected a whole model folder.") from error


def parsed(path: Path, text: bytes) -> dict[str, Any]:
    """The JSON object that a file of a model folder holds.

    Raises:
        ArtifactError: the file holds something else.
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
    version = document.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        advice = "it was written by a newer tabserve, so update this one" if newer else "it is damaged, so train again"
        raise ArtifactError(f"{path} has format version {version!r:.60}, expected {FORMAT_VERSION}; {advice}.")


def _check_types(path: Path, document: Mapping[str, Any], types: Mapping[str, type]) -> None:
    for key, expected in types.items():
        if not isinstance(document.get(key), expected):
            actual = type(document.get(key)).__name__
            raise ArtifactError(f"{path} needs {key!r} as a {expected.__name__}, found {actual}.")


def _check_versions(path: Path, versions: Mapping[str, Any]) -> None:
    for name, version in versions.items():
        if not isinstance(version, str) or not (name + version).isprintable():
            raise ArtifactError(f"{path} has version {version!r:.60} of {name!r:.60}, expected a text of one line.")


def _own_fields(problem: Problem) -> dict[str, Any]:
    """The problem's fields without columns and task, which the manifest holds in members of their own."""
    fields = ("name", "target", "id", "group", "time", "holdout", "folds", "seed")
    optional = [name for name in LISTS if getattr(problem, name)]
    return {name: getattr(problem, name) for name in (*fields, *optional)}


def _task(task: Task) -> dict[str, Any]:
    kind = type(task.criterion).__name__
    if kind not in CRITERIA:
        raise ArtifactError(f"A model folder cannot hold the criterion {kind}; expected {' or '.join(CRITERIA)}.")
    fields = {name: value for name, value in asdict(task).items() if value or name not in OMITTED}
    return {"kind": task.KIND, **fields, "criterion": {"kind": kind, **fields["criterion"]}}


def _column(column: Column) -> dict[str, Any]:
    """The name and kind of a column, and what differs from the defaults."""
    usual = asdict(Column(column.name))
    return {name: value for name, value in asdict(column).items() if name in ("name", "kind") or value != usual[name]}


def _problem(path: Path, document: Mapping[str, Any]) -> Problem:
    task = dict(document["task"])
    for name in OMITTED:
        if hasattr(TASKS.get(str(task.get("kind"))), name):
            task.setdefault(name, "")
    task["criterion"] = _create(path, "criterion", task.get("criterion"), CRITERIA)
    if isinstance(labels := task.get("labels"), list):
        task["labels"] = tuple(labels)
    try:
        columns = tuple(Column(**column) for column in document["columns"])
        fields = dict(document["problem"])
        fields |= {name: tuple(fields[name]) for name in LISTS if isinstance(fields.get(name), list)}
        return Problem(columns=columns, task=_create(path, "task", task, TASKS), **fields)
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
    """The fields of the earlier decision; its kind is that of the present one."""
    if "kind" in measured_with:
        raise ArtifactError(f"{path} has a kind in {MEASURED_WITH!r}, expected the fields of the decision alone.")
    return measured_with


def _create(path: Path, what: str, document: object, kinds: Mapping[str, Any]) -> Any:  # noqa: ANN401  one of the kinds
    """The value that a JSON object describes by its member `kind` and its fields."""
    members = dict(document) if isinstance(document, Mapping) else {}
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
