"""What was chosen on the development products, measured and put together."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from categories.dataset import Dataset, by_product, by_row, first_of_each
from tabserve.model.decision import Scores
from tabserve.reports import tables
from tabserve.table.frame import Frame
from tabserve.training import multiclass
from tabserve.training.selection import Outcome, Selection, select
from tabserve.training.task_training import training_of


def splits(data: Dataset, selection: Selection) -> dict[str, Outcome]:
    """The winner's outcome by folds of the development rows that keep apart less and less."""
    development = data.clicks.take(np.flatnonzero(np.isin(data.clicks.ids, selection.frame.ids)))
    frames = {"by product": by_product(first_of_each(development)), "by row": by_row(development)}
    others = {name: _outcome(frame, selection) for name, frame in frames.items()}
    return {"by seller": selection.winner, **others}


def _outcome(frame: Frame, selection: Selection) -> Outcome:
    return select(frame, [selection.winner.candidate]).winner


def metrics(selection: Selection, found: Mapping[str, Outcome], holdout: Frame, answers: Scores) -> dict[str, Any]:
    """What the manifest keeps.

    Args:
        selection: of the candidates.
        found: the winner's outcome by other splits.
        holdout: the products held out.
        answers: what the selection's decision makes of them.
    """
    problem, decision = holdout.problem, selection.decision
    evaluation = training_of(problem).evaluate(holdout.target, answers, decision, seed=problem.seed)
    by_label = multiclass.by_class(holdout.target, answers.probability, problem.labels)
    kept = tables.metrics(selection, evaluation)
    del kept["trees"], kept["chosen"]
    return kept | {
        "classes": by_label.to_dict(orient="index"),
        "splits": {name: tables.statistics(outcome) for name, outcome in found.items()},
    }


def provenance(data: Dataset) -> dict[str, Any]:
    """What the manifest says about the products; the checksum covers texts and categories as they were read."""
    products = data.products
    digest = hashlib.sha256("\n".join(products.features).encode())
    digest.update(products.target.tobytes())
    assert products.group is not None
    return {
        "source": data.source,
        "synthetic": data.synthetic,
        "products": len(products),
        "sellers": len(set(products.group)),
        "labels": dict(zip(products.problem.labels, np.bincount(products.target).tolist(), strict=True)),
        "sha256": digest.hexdigest(),
    }


def splits_table(found: Mapping[str, Outcome]) -> pd.DataFrame:
    """Mean ± standard deviation over folds of every measure, one row per split."""
    return pd.DataFrame(
        {
            name: {tables.TITLES[measure]: f"{v['mean']:.4f} ± {v['sd']:.4f}" for measure, v in values.items()}
            for name, values in ((name, tables.statistics(outcome)) for name, outcome in found.items())
        }
    ).T
