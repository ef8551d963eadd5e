"""The model card of a model folder, in Markdown; its headings follow Mitchell et al., FAT* 2019."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tabserve.model.decision import threshold_of
from tabserve.model.model import Model
from tabserve.problem.metric import is_less_better, plain
from tabserve.problem.problem import Problem
from tabserve.reports.card_texts import LIMITS, NOTE, OBSERVED, PURPOSE, SYNTHETIC, TEMPLATE
from tabserve.reports.tables import (
    TITLES,
    Statistics,
    classes_table,
    evaluation_table,
    figure,
    ranking,
    statistics_table,
)
from tabserve.reports.task_report import report_of
from tabserve.training import baselines
from tabserve.training.split import describe_split

BAR = 40
"""Width of the longest bar, in characters."""

MAX_NAMES = 10
"""Most features that the card lists by name; of more it states the number only."""


class Words(NamedTuple):
    """The texts of a card that a case words itself.

    Attributes:
        synthetic: states that the data is synthetic; shown only where it is.
        purpose: what the model is for; `{purpose}` stands for its task's purpose, `{problem.name}` for its problem.
        limits: what it must not be used for, one point per line.
        sections: gives further sections for a model, each with its heading.
    """

    synthetic: str = SYNTHETIC
    purpose: str = PURPOSE
    limits: str = LIMITS
    sections: Callable[[Model], Sequence[str]] = lambda _: ()


GENERAL = Words()
"""The texts that are true of any model."""


def render(model: Model, words: Words = GENERAL) -> str:
    """Render the card; it depends on the model and these texts alone."""
    card = TEMPLATE.format(
        **_worded(model, words),
        **_learned_from(model),
        **_ranked(model.metrics),
        kind=model.predictor.described,
        holdout=_holdout(model.metrics),
        candidates=_candidates(model),
        decision=report_of(model.problem).decision(model, _sought(model.problem.criterion.name)),
        versions=", ".join(f"{name} {version}" for name, version in model.versions.items()),
    )
    return with_note(card, model)


def with_note(card: str, model: Model) -> str:
    """Put a note at the top of a card if the threshold was moved after the evaluation; remove any earlier note."""
    unmoved = re.sub(r"\A> \*\*The threshold was moved\*\*(?:.*\n)*?\n", "", card)
    if model.decision == model.measured_with:
        return unmoved
    return NOTE.format(measured=threshold_of(model.measured_with), chosen=threshold_of(model.decision)) + unmoved


def folds_table(kind: str, statistics: Mapping[str, Statistics], **columns: "pd.Series[str]") -> str:
    """Tabulate means and standard deviations over folds, best first, with further columns."""
    table = statistics_table(statistics).assign(**columns).loc[ranking(statistics)]
    return _table(kind, table.rename(index="`{}`".format))


def _worded(model: Model, words: Words) -> dict[str, str]:
    """The texts that a case may word itself."""
    purpose = report_of(model.problem).purpose
    return {
        "origin": words.synthetic if model.data["synthetic"] else OBSERVED,
        "purpose": words.purpose.format(purpose=purpose, problem=model.problem),
        "limits": words.limits,
        "sections": "".join(f"{section}\n\n" for section in words.sections(model)),
    }


def _learned_from(model: Model) -> dict[str, Any]:
    """The problem, the rows and how they were split."""
    data, problem, report = model.data, model.problem, report_of(model.problem)
    fold_rows, periods, copies = model.metrics["fold_rows"], data.get("periods"), data.get("copies", 0)
    return {
        "problem": problem,
        "data": data,
        "rows": report.rows(data) + _groups(model),
        "features": _features(problem),
        "split": describe_split(problem, data["rows"], fold_rows, periods, copies),
        "chosen": report.chosen,
    }


def _ranked(metrics: Mapping[str, Any]) -> dict[str, str]:
    """The candidates in the order of the measure that ranks them, and which of them is saved."""
    folds, winner = metrics["folds"], metrics["winner"]
    measure = next(iter(folds[winner]))
    means = {name: plain(measure, folds[name][measure]["mean"]) for name in ranking(folds)}
    return {
        "winner": winner,
        "saved": _saved(metrics["best"], winner, means, TITLES[measure]),
        "bars": _bars(means),
        "trees": " Trees are those that are served." if any(metrics["trees"].values()) else "",
    }


def _sought(criterion: str) -> str:
    """What a decision was chosen for, such as `least cost`."""
    return f"{'least' if is_less_better(criterion) else 'best'} {TITLES[criterion]}"


def _saved(best: str, winner: str, means: Mapping[str, float], measure: str) -> str:
    if best == winner:
        return f"Best of all, and saved here: `{winner}`."
    gap = figure(abs(means[best] - means[winner]), means[best])
    return (
        f"Best of all: `{best}`.\nBest of those that a model folder can hold, saved here: `{winner}`."
        f" Between them: {gap} in {measure}."
    )


def _features(problem: Problem) -> str:
    count = len(problem.features)
    names = ", ".join(f"`{name}`" for name in problem.features)
    return f"{count:,} feature{'s' * (count > 1)}" + (f" ({names})" if count <= MAX_NAMES else "")


def _groups(model: Model) -> str:
    return f", in {model.data['groups']:,} groups by `{model.problem.group}`" if model.problem.group else ""


def _holdout(metrics: Mapping[str, Any]) -> str:
    baselines = metrics.get("baselines", {})
    holdout = metrics["holdout"]
    titles = ["value", "95 % bootstrap interval", *(f"`{name}`" for name in baselines)]
    parts = [_table("measure", evaluation_table(holdout, baselines).set_axis(titles, axis=1))]
    if baselines:
        names = ", ".join(f"`{name}`" for name in baselines)
        parts.append(f"Beside them the same measures of {names}, fitted on the development rows, without any column.")
    if classes := metrics.get("classes"):
        parts.append(_table("class", classes_table(classes).rename(index="`{}`".format)))
    return "\n\n".join(parts)


def _candidates(model: Model) -> str:
    folds, trees = model.metrics["folds"], model.metrics["trees"]
    served = pd.Series({name: f"{np.mean(trees[name]):.0f}" if trees[name] else "–" for name in folds})
    table = folds_table("candidate", folds, **({"trees": served} if any(trees.values()) else {}))
    known = [f"`{name}`" for name in folds if name in baselines.names(model.problem)]
    parts = [table, f"Baselines, which know the target and no column: {', '.join(known)}."] if known else [table]
    if left := model.metrics.get("left_out"):
        names = ", ".join(f"`{name}` (after {progress})" for name, progress in left.items())
        parts.append(f"Left out, as the time was over before they were fitted on every fold: {names}.")
    return "\n\n".join(parts)


def _table(first: str, table: pd.DataFrame) -> str:
    """Format a table of texts in Markdown; its index is the first column."""
    rows = [[first, *table], ["---"] * (1 + table.shape[1]), *table.itertuples()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _bars(values: Mapping[str, float]) -> str:
    """Draw one bar per value, as long as its absolute value."""
    width, top = max(map(len, values)), max([1e-12, *map(abs, values.values())])
    bars = {name: "█" * round(BAR * abs(value) / top) for name, value in values.items()}
    return "\n".join(f"{name:<{width}} {bars[name]:<{BAR}} {figure(value, top)}" for name, value in values.items())
