"""Plots for the notebook, labelled in Portuguese."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tabserve.reports.figures import blank
from tabserve.table.frame import Frame

GREY, BLUE, RED = "#b0b0b0", "#4878a8", "#c44e52"

MEASURES = {"accuracy": "acurácia", "macro_f1": "F1 macro"}

SPLITS = {"by seller": "por vendedor", "by product": "por produto", "by row": "por linha"}


def number(value: float, form: str = ",") -> str:
    """Format a number in Portuguese: a dot between thousands, a comma before decimals."""
    return format(value, form).translate(str.maketrans(",.", ".,"))


def categories(frame: Frame) -> Figure:
    """Plot the number of products in each category."""
    figure, axes = blank(6, 2.6)
    counts = np.bincount(frame.target, minlength=len(frame.problem.labels))
    bars = axes.barh(frame.problem.labels[::-1], counts[::-1], color=BLUE)
    shares = [f"{number(count)} ({number(100 * count / len(frame), '.1f')} %)" for count in counts[::-1].tolist()]
    axes.bar_label(bars, shares, padding=3)
    axes.set(xlabel="produtos", xlim=(0, 1.3 * counts.max()))
    axes.xaxis.set_major_formatter(lambda value, _: number(value, ",.0f"))
    return figure


def products_of_sellers(frame: Frame) -> Figure:
    """Plot the distribution of products a seller."""
    assert frame.group is not None
    figure, axes = blank(6, 2.6)
    _, sizes = np.unique(frame.group.astype(np.str_), return_counts=True)
    axes.hist(sizes, np.geomspace(1, sizes.max() + 1, 30).tolist(), color=BLUE)
    axes.set(xlabel="produtos de um vendedor", ylabel="vendedores", xscale="log", yscale="log")
    return figure


def candidates(metrics: Mapping[str, Any]) -> Figure:
    """Plot mean and standard deviation over folds of accuracy and macro F1 for every candidate."""
    return _spread(metrics["folds"])


def splits(metrics: Mapping[str, Any]) -> Figure:
    """Plot mean and standard deviation of the chosen model by each split."""
    return _spread({SPLITS[name]: measures for name, measures in metrics["splits"].items()})


def confusion(matrix: NDArray[np.int64], labels: Sequence[str]) -> Figure:
    """Plot a confusion matrix of product counts, shape (true, predicted)."""
    figure, axes = blank(6.4, 4.6)
    axes.imshow(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1.4)
    for row, column in np.ndindex(*matrix.shape):
        axes.text(column, row, number(int(matrix[row, column])), ha="center", va="center")
    ticks = range(len(labels))
    axes.set(xlabel="prevista", ylabel="verdadeira", xticks=ticks, yticks=ticks, yticklabels=labels)
    axes.set_xticklabels(labels, rotation=30, ha="right")
    return figure


def calibration(target: NDArray[np.int8], probability: NDArray[np.float64], bins: int = 10) -> Figure:
    """Plot the share of right answers against the predicted probability, in bins of equally many products."""
    figure, axes = blank(4.2, 3.6)
    order = np.argsort(probability.max(axis=1))
    parts = np.array_split(order, bins)
    confidence = [probability[part].max(axis=1).mean() for part in parts]
    accuracy = [(probability[part].argmax(axis=1) == target[part]).mean() for part in parts]
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="perfeita")
    axes.plot(confidence, accuracy, "o-", color=BLUE, label=f"{bins} grupos de igual tamanho")
    axes.set(xlabel="probabilidade da resposta", ylabel="respostas certas", xlim=(0.2, 1.02), ylim=(0.2, 1.02))
    axes.xaxis.set_major_formatter(_tick)
    axes.yaxis.set_major_formatter(_tick)
    axes.legend()
    return figure


def _spread(statistics: Mapping[str, Any]) -> Figure:
    """Plot one line for each name, the best by the last measure on top."""
    *_, decisive = MEASURES
    names = sorted(statistics, key=lambda name: statistics[name][decisive]["mean"])
    figure, axes = blank(7, 0.9 + 0.34 * len(names))
    for (measure, title), color in zip(MEASURES.items(), (BLUE, RED), strict=True):
        means, spread = ([statistics[name][measure][key] for name in names] for key in ("mean", "sd"))
        axes.errorbar(means, names, xerr=spread, fmt="o", color=color, label=title, capsize=3)
    axes.grid(axis="x", alpha=0.3)
    axes.margins(y=0.6 / len(names))
    axes.set(xlabel="média ± desvio padrão sobre os folds")
    axes.xaxis.set_major_formatter(_tick)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _tick(value: float, _: float) -> str:
    return number(value, ".2f")
