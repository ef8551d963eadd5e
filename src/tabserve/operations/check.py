"""The report of `tabserve check` on a model folder with any kind of model."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tabserve.model.decision import Decision
from tabserve.model.model import load
from tabserve.problem.problem import Problem
from tabserve.wording import one_line

SHOWN = 3
"""Most feature names that are printed."""


def lines(folder: Path) -> list[str]:
    """Load and verify a model folder, as the server does when it starts, and describe its content.

    Raises:
        ArtifactError: a file is missing, damaged or of another model; the message names it.
    """
    model = load(folder)
    problem, measured_with = model.problem, model.measured_with
    decision = _fields(model.decision)
    if measured_with != model.decision:
        decision += f", moved from {_fields(measured_with)}"
    return [
        f"{folder} is a whole model folder: format, checksums, weights and golden rows are as saved.",
        f"  problem    {one_line(problem.name)}",
        f"  columns    {_columns(problem)}",
        f"  task       {_task(problem)}",
        f"  model      {', '.join(f'{value} {name}' for name, value in model.predictor.facts.items())}",
        f"  decision   {decision}",
        f"  versions   {', '.join(f'{name} {number}' for name, number in sorted(model.versions.items()))}",
    ]


def _fields(decision: Decision) -> str:
    return ", ".join(f"{name} {value}" for name, value in asdict(decision).items())


def _columns(problem: Problem) -> str:
    """The number of features and the first names."""
    more = ", …" if len(problem.features) > SHOWN else ""
    missing = f"; cells may be empty in {some}" if (some := sum(problem.missing)) else ""
    return f"{len(problem.features)}: {_join(problem.features[:SHOWN])}{more}{missing}"


def _task(problem: Problem) -> str:
    return f"{problem.task.KIND}, of {_join(problem.labels)}" if problem.labels else problem.task.KIND


def _join(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names))
