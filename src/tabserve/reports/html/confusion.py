"""The table of true and predicted labels as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tabserve.reports.html import drawing
from tabserve.reports.html.page import Panel
from tabserve.reports.html.spelling import count, share, short

MOST = 12
"""Most labels that a figure has room for; the others are one."""

STRONGEST = 0.75
"""Opacity of a cell that holds all rows of its line."""


def panel(target: NDArray[Any], predicted: NDArray[Any], labels: Sequence[str], how: str) -> Panel:
    """How many rows of each true label get each label.

    Args:
        target: the index of each row's true label, shape (rows,).
        predicted: the index of its predicted label, shape (rows,).
        labels: of both.
        how: says how labels are predicted, in words after `labels are predicted`.
    """
    matrix, names = pooled(counts(target, predicted, len(labels)), labels)
    height = max(2.6, 1.3 + 0.26 * len(names))
    figure = drawing.draw("confusion", height, lambda figure: _paint(figure, matrix, names))
    return Panel("True and predicted labels", _sentence(counts(target, predicted, len(labels)), labels, how), figure)


def counts(target: NDArray[Any], predicted: NDArray[Any], labels: int) -> NDArray[np.int64]:
    """The number of rows of each true and predicted label, shape (true, predicted)."""
    return np.bincount(target.astype(np.int64) * labels + predicted, minlength=labels**2).reshape(labels, labels)


def pooled(matrix: NDArray[np.int64], labels: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """The counts of the most frequent labels, in the labels' order, and of all others as one, if they are too many."""
    if len(labels) <= MOST:
        return matrix, [*labels]
    kept = np.sort(np.argsort(-matrix.sum(axis=1), kind="stable")[: MOST - 1])
    group = np.full(len(labels), len(kept))
    group[kept] = np.arange(len(kept))
    result = np.zeros((len(kept) + 1, len(kept) + 1), np.int64)
    np.add.at(result, (group[:, np.newaxis], group[np.newaxis]), matrix)
    return result, [*(labels[code] for code in kept), f"{len(labels) - len(kept)} others"]


def _paint(figure: Figure, matrix: NDArray[np.int64], names: Sequence[str]) -> None:
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    size = 9 if len(names) <= 6 else 6.5
    for row, column in np.ndindex(matrix.shape):
        color = drawing.ACCENT if row == column else drawing.WARM
        box = Rectangle(
            (column - 0.47, row - 0.46), 0.94, 0.92, color=color, alpha=STRONGEST * shares[row, column], lw=0
        )
        axes.add_patch(box)
        if matrix[row, column] or len(names) <= 6:
            axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center", size=size)
    shown = [short(name, 18 if len(names) <= 3 else 12) for name in names]
    axes.set_xticks(range(len(names)), shown)
    if len(names) * max(map(len, names)) > 40:
        axes.tick_params(axis="x", labelrotation=40, labelrotation_mode="xtick")
    axes.set_yticks(range(len(names)), [short(name, 18) for name in names])
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), xlabel="predicted", ylabel="true")
    axes.tick_params(length=0, labelcolor=drawing.INK)
    axes.spines[:].set_visible(False)


def _sentence(matrix: NDArray[np.int64], labels: Sequence[str], how: str) -> str:
    right, rows = int(np.trace(matrix)), int(matrix.sum())
    wrong = matrix - np.diag(np.diag(matrix))
    text = f"Labels are predicted {how}; {right:,} of {count(rows, 'row')} ({share(right / rows)}) get their true one."
    if not wrong.any():
        return text
    true, predicted = divmod(int(wrong.argmax()), len(labels))
    mistaken = count(int(wrong[true, predicted]), "row")
    return f"{text} The most frequent mistake: {mistaken} of “{labels[true]}” called “{labels[predicted]}”."
