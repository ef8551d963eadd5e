"""The plots speak their readers' language: words, thousands and decimals."""

import re

import numpy as np
import pytest

from categories import figures
from categories.dataset import dataset
from categories.figures import SPLITS, number


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [(3_432, ",", "3.432"), (1_234_567.5, ",.1f", "1.234.567,5"), (0.25, ".2f", "0,25"), (7, ",", "7")],
)
def test_a_number_is_written_as_portuguese_does(value: float, form: str, expected: str) -> None:
    """A dot between thousands, a comma before decimals."""
    assert number(value, form) == expected


def test_no_plot_writes_a_decimal_point_or_an_english_split() -> None:
    """Neither at its axes nor beside its bars and points."""
    products = dataset(rows=2_000).products
    measured = {"mean": 0.8125, "sd": 0.0125}
    found = {name: {"accuracy": measured, "macro_f1": measured} for name in SPLITS}
    drawn = [
        figures.categories(products),
        figures.splits({"splits": found}),
        figures.candidates({"folds": found}),
        figures.confusion(np.full((6, 6), 1_500), products.problem.labels),
        figures.calibration(products.target, np.random.default_rng(0).dirichlet(np.ones(6), len(products))),
    ]
    for figure in drawn:
        figure.canvas.draw()
    axes = [axes for figure in drawn for axes in figure.axes]
    ticks = [tick.get_text() for each in axes for tick in (*each.get_xticklabels(), *each.get_yticklabels())]
    texts = ticks + [text.get_text() for each in axes for text in each.texts]
    assert not [text for text in texts if re.search(r"\.(?!\d{3}\b)|,\d{3}\b", text)]
    assert {*SPLITS.values()} <= {*texts}
