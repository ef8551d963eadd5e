"""The model card of a model folder, in Markdown; its headings follow Mitchell et al., FAT* 2019."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tabserve.model.decision import threshold_of
from tabserve.model.model import Model
from tabserve.problem.problem import Problem
from tabserve.reports.tables import (
    TITLES,
    Statistics,
    classes_table,
    evaluation_table,
    figure,
    ranking,
    statistics_table,
    without_twins,
)
from tabserve.reports.task_report import report_of
from tabserve.training.split import describe_split
from tabserve.training.task_training import training_of

BAR = 40
"""Width of the longest bar, in characters."""

MAX_NAMES = 10
"""Most features that the card lists by name; of more it states the number only."""

SYNTHETIC = """**Trained on synthetic data**: not one row of it was observed. Learn from it, test with it; do not decide
about people with it."""

OBSERVED = "Trained on the table named below."

PURPOSE = """To {purpose} of the {problem.name} problem that come from the same source as its training data, in the same
columns and units."""

LIMITS = """- Rows from another population, period or unit: nothing here says how it does there.
- Causes: a feature that moves the score need not move the outcome.
- Decisions about a person without a human who can overrule them."""

NOTE = """> **The threshold was moved** after the evaluation, from {measured} to {chosen}: a row is
> now called positive when its probability is at least {chosen}. What is said below about the threshold, and
> every figure that needs one (F1, cost, accuracy, precision, recall, flagged share), was true at {measured}.

"""

TEMPLATE = """# Model card: {problem.name}

{origin}

- Data: {data[source]}; {data[rows]:,} rows, {rows}, {features}; sha256
  `{data[sha256]}`.
- Kind: {kind}; the candidate `{winner}`.
- Split: {split.how}; {split.held_out} held out and opened once, {split.folds} on the
  rest.

## What it is for

{purpose}

## What it must not be used for

{limits}

## Figures on the hold-out

{holdout}

## The candidates

Mean ± standard deviation over {problem.folds} folds; no {chosen} saw the rows it is scored on. Best of all: `{best}`.
Best of those that a model folder can hold, saved here: `{winner}`. Between them: {gap} in {measure}.{trees}

```text
{bars}
```

{candidates}

{decision}

{sections}## Made with

{versions}.
"""


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
    metrics, problem, report = model.metrics, model.problem, report_of(model.problem)
    folds, best, winner = (metrics[key] for key in ("folds", "best", "winner"))
    measure = next(iter(folds[winner]))
    means = {name: folds[name][measure]["mean"] for name in ranking(folds)}
    card = TEMPLATE.format(
        problem=problem,
        origin=words.synthetic if model.data["synthetic"] else OBSERVED,
        data=model.data,
        split=describe_split(
            problem,
            model.data["rows"],
            metrics["fold_rows"],
            model.data.get("periods"),
            model.data.get("copies", 0),
        ),
        rows=report.rows(model.data) + _groups(model),
        features=_features(problem),
        kind=model.predictor.described,
        purpose=words.purpose.format(purpose=report.purpose, problem=problem),
        limits=words.limits,
        chosen=report.chosen,
        winner=winner,
        best=best,
        gap=figure(abs(means[best] - means[winner]), means[best]),
        measure=TITLES[measure].removeprefix("minus "),
        trees=" Trees are those that are served." if any(metrics["trees"].values()) else "",
        decision=report.decision(model, TITLES[problem.criterion.name]),
        holdout=_holdout(metrics),
        bars=_bars(means),
        candidates=_candidates(model),
        sections="".join(f"{section}\n\n" for section in words.sections(model)),
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
    return markdown_table(kind, table.rename(index="`{}`".format))


def _features(problem: Problem) -> str:
    count = len(problem.features)
    names = ", ".join(f"`{name}`" for name in problem.features)
    return f"{count:,} feature{'s' * (count > 1)}" + (f" ({names})" if count <= MAX_NAMES else "")


def _groups(model: Model) -> str:
    return f", in {model.data['groups']:,} groups by `{model.problem.group}`" if model.problem.group else ""


def _holdout(metrics: Mapping[str, Any]) -> str:
    baselines = metrics.get("baselines", {})
    holdout = metrics["holdout"]
    measures = without_twins(holdout)
    table = evaluation_table(holdout).set_axis(["value", "95 % bootstrap interval"], axis=1)
    parts = [
        markdown_table(
            "measure",
            table.assign(
                **{
                    f"`{name}`": [figure(values[measure], holdout[measure]["value"]) for measure in measures]
                    for name, values in baselines.items()
                }
            ),
        )
    ]
    if baselines:
        names = ", ".join(f"`{name}`" for name in baselines)
        parts.append(f"Beside them the same measures of {names}, fitted on the development rows, without any column.")
    if classes := metrics.get("classes"):
        parts.append(markdown_table("class", classes_table(classes).rename(index="`{}`".format)))
    return "\n\n".join(parts)


def _candidates(model: Model) -> str:
    folds, trees = model.metrics["folds"], model.metrics["trees"]
    served = pd.Series({name: f"{np.mean(trees[name]):.0f}" if trees[name] else "–" for name in folds})
    table = folds_table("candidate", folds, **({"trees": served} if any(trees.values()) else {}))
    known = [f"`{name}`" for name in training_of(model.problem).baselines() if name in folds]
    parts = [table, f"Baselines, which know the target and no column: {', '.join(known)}."] if known else [table]
    if left := model.metrics.get("left_out"):
        names = ", ".join(f"`{name}` (after {progress})" for name, progress in left.items())
        parts.append(f"Left out, as the time was over before they were fitted on every fold: {names}.")
    return "\n\n".join(parts)


def markdown_table(first: str, table: pd.DataFrame) -> str:
    """Format a table of texts in Markdown; its index is the first column."""
    rows = [[first, *table], ["---"] * (1 + table.shape[1]), *table.itertuples()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _bars(values: Mapping[str, float]) -> str:
    """Draw one bar per value, as long as its absolute value: costs and errors that rank are negative."""
    width, top = max(map(len, values)), max([1e-12, *map(abs, values.values())])
    bars = {name: "█" * round(BAR * abs(value) / top) for name, value in values.items()}
    return "\n".join(f"{name:<{width}} {bars[name]:<{BAR}} {figure(value, top)}" for name, value in values.items())
