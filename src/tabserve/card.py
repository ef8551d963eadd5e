"""The model card that a model folder carries, in Markdown; headings after Mitchell et al., FAT* 2019."""

from collections.abc import Mapping

import numpy as np

from tabserve.artifact import Model
from tabserve.report import TITLES

BAR = 40
"""Width of the longest bar, in characters."""


def written(model: Model) -> str:
    """The card, written from the model alone."""
    return (
        "\n\n".join([_origin(model), _use(model), _figures(model), _ladder(model), _decision(model), _versions(model)])
        + "\n"
    )


def _origin(model: Model) -> str:
    data = model.data
    synthetic = (
        "**Trained on synthetic data**: no row of it was observed; do not use this model for decisions about people."
        if data["synthetic"]
        else "Trained on the table named below, not on synthetic data."
    )
    share = data["positives"] / data["rows"]
    return (
        f"# Model card: {model.problem.name}\n\n{synthetic}\n\n"
        f"- Data: {data['source']}, {data['rows']:,} rows, {data['positives']:,} positives ({share:.2%}),"
        f" {len(model.problem.features)} features; sha256 `{data['sha256'][:16]}…`.\n"
        f"- Kind: XGBoost `binary:logistic`, {model.booster.num_boosted_rounds():,} trees; candidate"
        f" `{model.metrics['winner']}`.\n"
        f"- Split: stratified, {model.problem.holdout:.0%} hold-out opened once, {model.problem.folds} folds on the rest,"
        f" seed {model.problem.seed}."
    )


def _use(model: Model) -> str:
    return (
        "## What it is for\n\n"
        f"To rank and flag rows of the {model.problem.name} problem that come from the same source as its training data,"
        " in the same columns and units.\n\n"
        "## What it must not be used for\n\n"
        "- Rows from another population, period or unit: nothing here says how it does there.\n"
        "- Causes: a feature that moves the score need not move the outcome.\n"
        "- Decisions about a person without a human who can overrule them."
    )


def _figures(model: Model) -> str:
    rows = [
        f"| {TITLES[name]} | {found['value']:.4f} | {found['low']:.4f} to {found['high']:.4f} |"
        for name, found in model.metrics["holdout"].items()
    ]
    return "\n".join(
        ["## Figures on the hold-out\n", "| measure | value | 95 % bootstrap interval |", "|---|---|---|", *rows]
    )


def _ladder(model: Model) -> str:
    folds = model.metrics["folds"]
    names = sorted(folds, key=lambda name: -next(iter(folds[name].values()))["mean"])
    measures = list(folds[names[0]])
    head = ["candidate", *(TITLES[measure] for measure in measures), "trees"]
    rows = [
        [
            f"`{name}`",
            *(f"{folds[name][m]['mean']:.4f} ± {folds[name][m]['sd']:.4f}" for m in measures),
            _trees(model, name),
        ]
        for name in names
    ]
    table = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
    first = measures[0]
    gap = folds[model.metrics["best"]][first]["mean"] - folds[model.metrics["winner"]][first]["mean"]
    return "\n".join(
        [
            "## The candidates\n",
            f"Mean ± standard deviation over {model.problem.folds} folds; every threshold was chosen without the rows it is"
            f" scored on. Best of all: `{model.metrics['best']}`; best XGBoost, saved here: `{model.metrics['winner']}`;"
            f" gap in {TITLES[first]}: {gap:.4f}. Trees are those that are served.\n",
            "```text",
            *_bars({name: folds[name][first]["mean"] for name in names}),
            "```\n",
            *table,
        ]
    )


def _bars(values: Mapping[str, float]) -> list[str]:
    width, top = max(map(len, values)), max(max(map(abs, values.values())), 1e-12)
    return [
        f"{name:<{width}} {'█' * round(BAR * abs(value) / top):<{BAR}} {value:.4f}" for name, value in values.items()
    ]


def _trees(model: Model, name: str) -> str:
    trees = model.metrics["trees"][name]
    return f"{np.mean(trees):.0f}" if trees else "–"


def _decision(model: Model) -> str:
    negative, positive = model.problem.labels
    return (
        "## The threshold\n\n"
        f"A row is called `{positive}` when its probability is at least **{model.threshold:.4f}**, else `{negative}`. The"
        f" threshold has the best {TITLES[model.problem.criterion.name]} on the out-of-fold probabilities of the development"
        " rows; the hold-out had no part in it."
    )


def _versions(model: Model) -> str:
    return "## Made with\n\n" + ", ".join(f"{name} {version}" for name, version in model.versions.items()) + "."
