"""The case's own measures, and the texts of its model card."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from categories.dataset import Dataset, by_product, by_row, first_of_each
from tabserve.reports import tables
from tabserve.reports.card import Words, folds_table
from tabserve.training.selection import Selection, select

SPLITS = """## What another split would have said

The chosen model by {problem.folds} folds of the development rows, split in other ways. A split by row puts the same
product on both sides where it was opened more than once, and one by product its seller's others: what is recognised
then is the product and the seller.

{splits}"""


def splits(data: Dataset, selection: Selection) -> dict[str, Mapping[str, Any]]:
    """The winner's measures by folds that separate sellers, only products, and nothing; on the development rows."""
    development = data.clicks.take(np.flatnonzero(np.isin(data.clicks.ids, selection.frame.ids)))
    frames = {"by product": by_product(first_of_each(development)), "by row": by_row(development)}
    others = {name: select(frame, [selection.winner.candidate]).winner for name, frame in frames.items()}
    return {name: tables.statistics(outcome) for name, outcome in ({"by seller": selection.winner} | others).items()}


WORDS = Words(
    synthetic="""**Trained on synthetic titles**: none of them was ever a product. Learn from it, test with it; its
figures say nothing about real products.""",
    purpose="To propose a category for a product that a seller is about to list, from its title, in Portuguese.",
    limits="""- Products of another marketplace, language or set of categories: nothing here says how it does there.
- Deciding without a look: among classes that are rare, every third proposal may be wrong.""",
    sections=lambda model: [SPLITS.format(problem=model.problem, splits=folds_table("split", model.metrics["splits"]))],
)
"""The texts of the model card."""
