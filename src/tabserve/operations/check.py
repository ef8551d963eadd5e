"""What `tabserve check` says of a model folder, of whichever kind its model is."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tabserve.model.decision import Decision
from tabserve.model.model import load
from tabserve.problem.problem import Problem
from tabserve.wording import one_line

SHOWN = 3
"""Names of features, of many."""


def lines(folder: Path) -> list[str]:
    """Load and verify a model folder, as the server does at its start, and say what it holds.

    Raises:
        ArtifactError: naming the file that is missing, damaged or foreign.
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
    """How many, and the first of them."""
    more = ", …" if len(problem.features) > SHOWN else ""
    missing = f"; cells may be empty in {some}" if (some := sum(problem.missing)) else ""
    return f"{len(problem.features)}: {_named(problem.features[:SHOWN])}{more}{missing}"


def _task(problem: Problem) -> str:
    return f"{problem.task.KIND}, of {_named(problem.labels)}" if problem.labels else problem.task.KIND


def _named(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names))
