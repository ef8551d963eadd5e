"""The plots are in Portuguese: words, thousands and decimals."""

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
    """Thousands are separated by dots, decimals by a comma."""
    assert number(value, form) == expected


def test_no_plot_writes_a_decimal_point_or_an_english_split() -> None:
    """Axes, bars and points of all plots have Portuguese numbers and names."""
    products = dataset(rows=2_000).products
    measured = {"mean": 0.8125, "sd": 0.0125}
    statistics = {name: {"accuracy": measured, "macro_f1": measured} for name in SPLITS}
    plots = [
        figures.categories(products),
        figures.splits({"splits": statistics}),
        figures.candidates({"folds": statistics}),
        figures.confusion(np.full((6, 6), 1_500), products.problem.labels),
        figures.calibration(products.target, np.random.default_rng(0).dirichlet(np.ones(6), len(products))),
    ]
    for figure in plots:
        figure.canvas.draw()
    axes = [axes for figure in plots for axes in figure.axes]
    ticks = [tick.get_text() for panel in axes for tick in (*panel.get_xticklabels(), *panel.get_yticklabels())]
    texts = ticks + [text.get_text() for panel in axes for text in panel.texts]
    assert not [text for text in texts if re.search(r"\.(?!\d{3}\b)|,\d{3}\b", text)]
    assert {*SPLITS.values()} <= {*texts}
