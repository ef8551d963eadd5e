"""The model card that the case's model folder carries, in Markdown; headings after Mitchell et al., FAT* 2019."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tabserve.model.model import Model
from tabserve.reports.tables import TITLES
from tabserve.training.split import described

SYNTHETIC = """**Trained on synthetic titles**: none of them was ever a product. Learn from it, test with it; its
figures say nothing about real products."""

OBSERVED = "Trained on the table named below."

TEMPLATE = """# Model card: {problem.name}

{origin}

- Data: {data[source]}; {data[products]:,} products of {data[sellers]:,} sellers; sha256 `{data[sha256]}`.
- Reads: {columns}.
- Kind: linear, over {grams:,} n-grams of words and of their parts; the candidate `{winner}`, at temperature
  {temperature:.3f}.
- Split: stratified, seed {problem.seed}, no seller on both sides; {split.held_out} held out and opened once,
  {split.folds} on the rest.

## What it is for

To propose a category for a product that a seller is about to list, from its title, in Portuguese.

## What it must not be used for

- Products of another marketplace, language or set of categories: nothing here says how it does there.
- Deciding without a look: among classes that are rare, every third proposal may be wrong.

## Figures on the hold-out

{holdout}

{classes}

## The candidates

Mean ± standard deviation over {problem.folds} folds. Best of all: `{best}`. Best that can be served, saved here:
`{winner}`.

{candidates}

## What another split would have said

The chosen model by {problem.folds} folds of the development rows, split in other ways. A split by row puts the same
product on both sides where it was opened more than once, and one by product its seller's others: what is recognised
then is the product and the seller.

{splits}

## Made with

{versions}.
"""


def written(model: Model) -> str:
    """The card, written from the model alone."""
    metrics = model.metrics
    return TEMPLATE.format(
        problem=model.problem,
        origin=SYNTHETIC if model.data["synthetic"] else OBSERVED,
        data=model.data,
        split=described(model.problem, model.data["products"], metrics["fold_rows"]),
        columns=", ".join(f"`{name}`" for name in model.problem.features),
        grams=int(model.predictor.facts["grams"]),
        temperature=asdict(model.decision)["temperature"],
        winner=metrics["winner"],
        best=metrics["best"],
        holdout=_holdout(metrics["holdout"]),
        classes=_classes(metrics["classes"]),
        candidates=_spread("candidate", metrics["folds"]),
        splits=_spread("split", metrics["splits"]),
        versions=", ".join(f"{name} {version}" for name, version in model.versions.items()),
    )


def _holdout(found: Mapping[str, Any]) -> str:
    rows = [[TITLES[name], f"{i['value']:.4f}", f"{i['low']:.4f} to {i['high']:.4f}"] for name, i in found.items()]
    return _table(["measure", "value", "95 % bootstrap interval"], rows)


def _classes(found: Mapping[str, Any]) -> str:
    rows = [
        [label, *(f"{each[name]:.3f}" for name in ("precision", "recall", "f1")), f"{each['rows']:,}"]
        for label, each in found.items()
    ]
    return _table(["category", "precision", "recall", "F1", "products"], rows)


def _spread(kind: str, found: Mapping[str, Any]) -> str:
    """One row for each thing measured over folds, the best first."""
    measures = [*next(iter(found.values()))]
    order = sorted(found, key=lambda name: -found[name][measures[0]]["mean"])
    rows = [[f"`{name}`", *(f"{m['mean']:.4f} ± {m['sd']:.4f}" for m in found[name].values())] for name in order]
    return _table([kind, *(TITLES[measure] for measure in measures)], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])
