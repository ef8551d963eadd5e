"""The model card that a model folder carries, in Markdown; headings after Mitchell et al., FAT* 2019."""

import re
from collections.abc import Mapping

import numpy as np

from tabserve.model.decision import threshold_of
from tabserve.model.model import Model
from tabserve.reports.tables import TITLES
from tabserve.reports.task_report import report_of
from tabserve.training.split import described
from tabserve.training.task_training import training_of

BAR = 40
"""Width of the longest bar, in characters."""

SYNTHETIC = """**Trained on synthetic data**: not one row of it was observed. Learn from it, test with it; do not decide
about people with it."""

OBSERVED = "Trained on the table named below."

NOTE = """> **The threshold was moved** after the evaluation, from {measured} to {chosen}: a row is
> now called positive when its probability is at least {chosen}. What is said below about the threshold, and
> every figure that needs one (F1 or cost, precision, recall, flagged share), was true at {measured}.

"""

TEMPLATE = """# Model card: {problem.name}

{origin}

- Data: {data[source]}; {data[rows]:,} rows, {rows}, {features} features; sha256
  `{data[sha256]}`.
- Kind: {kind}; the candidate `{winner}`.
- Split: {split.how}; {split.held_out} held out and opened once, {split.folds} on the
  rest.

## What it is for

To {purpose} of the {problem.name} problem that come from the same source as its training data, in the same
columns and units.

## What it must not be used for

- Rows from another population, period or unit: nothing here says how it does there.
- Causes: a feature that moves the score need not move the outcome.
- Decisions about a person without a human who can overrule them.

## Figures on the hold-out

{holdout}

## The candidates

Mean ± standard deviation over {problem.folds} folds; no {chosen} saw the rows it is scored on. Best of all: `{best}`.
{served}, saved here: `{winner}`. Between them: {gap:.4f} in {measure}. Trees are those that are served.

```text
{bars}
```

{candidates}

{decision}

## Made with

{versions}.
"""


def written(model: Model) -> str:
    """The card, written from the model alone."""
    folds, best, winner = (model.metrics[key] for key in ("folds", "best", "winner"))
    report = report_of(model.problem)
    measure = report.measure
    means = {
        name: folds[name][measure]["mean"] for name in sorted(folds, key=lambda name: -folds[name][measure]["mean"])
    }
    card = TEMPLATE.format(
        problem=model.problem,
        origin=SYNTHETIC if model.data["synthetic"] else OBSERVED,
        data=model.data,
        split=described(model.problem, model.data["rows"], model.metrics["fold_rows"], model.data.get("periods")),
        rows=report.rows(model.data),
        features=len(model.problem.features),
        kind=report.kind.format(facts=_facts(model)),
        purpose=report.purpose,
        chosen=report.chosen,
        served=report.served,
        winner=winner,
        best=best,
        gap=means[best] - means[winner],
        measure=TITLES[measure],
        decision=report.decision(model, TITLES[measure]),
        holdout=_holdout(model),
        bars=_bars(means),
        candidates=_candidates(model, list(means)),
        versions=", ".join(f"{name} {version}" for name, version in model.versions.items()),
    )
    return noted(card, model)


def noted(card: str, model: Model) -> str:
    """A card that says first whether the model's threshold was moved, in the place of what it said of that before."""
    unmoved = re.sub(r"\A> \*\*The threshold was moved\*\*(?:.*\n)*?\n", "", card)
    if model.decision == model.measured_with:
        return unmoved
    return NOTE.format(measured=threshold_of(model.measured_with), chosen=threshold_of(model.decision)) + unmoved


def _facts(model: Model) -> str:
    return ", ".join(f"{int(value):,} {name}" for name, value in model.predictor.facts.items())


def _holdout(model: Model) -> str:
    baselines = model.metrics.get("baselines", {})
    rows = [
        [TITLES[name], *_interval(found), *(f"{each[name]:.4f}" for each in baselines.values())]
        for name, found in model.metrics["holdout"].items()
    ]
    tables = [_table(["measure", "value", "95 % bootstrap interval", *(f"`{name}`" for name in baselines)], rows)]
    if baselines:
        names = ", ".join(f"`{name}`" for name in baselines)
        tables.append(f"Beside them the same measures of {names}, fitted on the development rows, without any column.")
    return "\n\n".join([*tables, *_classes(model)])


def _interval(found: Mapping[str, float]) -> list[str]:
    return [f"{found['value']:.4f}", f"{found['low']:.4f} to {found['high']:.4f}"]


def _classes(model: Model) -> list[str]:
    """The figures of each of several classes, in a table."""
    classes = model.metrics.get("classes", {})
    rows = [[f"`{label}`", *(" (".join(_interval(i)) + ")" for i in each.values())] for label, each in classes.items()]
    return [_table(["class", "precision", "recall", "F1"], rows)] if classes else []


def _candidates(model: Model, names: list[str]) -> str:
    folds, trees = model.metrics["folds"], model.metrics["trees"]
    served = {name: f"{np.mean(trees[name]):.0f}" if trees[name] else "–" for name in names}
    rows = [[f"`{n}`", *(f"{m['mean']:.4f} ± {m['sd']:.4f}" for m in folds[n].values()), served[n]] for n in names]
    table = _table(["candidate", *(TITLES[measure] for measure in folds[names[0]]), "trees"], rows)
    known = [f"`{name}`" for name in training_of(model.problem).baselines() if name in folds]
    return f"{table}\n\nBaselines, which know the target and no column: {', '.join(known)}." if known else table


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def _bars(values: Mapping[str, float]) -> str:
    """One bar per value; a criterion that is a cost is negative, and its bar is its size."""
    width, top = max(map(len, values)), max([1e-12, *map(abs, values.values())])
    bars = {name: "█" * round(BAR * abs(value) / top) for name, value in values.items()}
    return "\n".join(f"{name:<{width}} {bars[name]:<{BAR}} {value:.4f}" for name, value in values.items())
