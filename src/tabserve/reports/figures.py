"""Figures of data, candidates and models; every function returns one matplotlib figure.

Functions that take a threshold or a probability are for two classes; all others take any task and any columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter
from numpy.typing import ArrayLike, NDArray
from sklearn.calibration import calibration_curve

from tabserve.problem.criterion import Counts, Criterion
from tabserve.problem.metric import goodness, plain
from tabserve.reports.tables import AT_THRESHOLD, TITLES
from tabserve.table.frame import Frame
from tabserve.training.threshold import curve

NEGATIVE, POSITIVE, ACCENT = "#4c72b0", "#c44e52", "#2f2f2f"

BINS = 60


def class_balance(frame: Frame) -> Figure:
    """Number of rows of each class."""
    figure, axes = blank(6, 1.6)
    labels = frame.problem.labels
    counts = np.bincount(frame.target, minlength=len(labels))
    bars = axes.barh(labels, counts, color=_colors(len(labels)))
    axes.bar_label(bars, [f" {count:,} ({count / len(frame):.1%})" for count in counts])
    axes.set(xlabel="rows", ylabel=frame.problem.target, xlim=(0, counts.max() * 1.25))
    return figure


def distributions(frame: Frame, features: Sequence[str]) -> Figure:
    """Histograms of each feature: one density for each class, or one for all rows of a regression.

    Args:
        frame: the rows.
        features: names of the encoder's features; levels of categories are drawn by their codes.
    """
    figure, grid = _grid(len(features), 4)
    for axes, name in zip(grid, features, strict=False):
        values = frame.features[:, frame.encoder.names.index(name)]
        low, high = np.nanquantile(values, [0.001, 0.999])
        edges = np.linspace(low, max(high, low + 1e-6), BINS).tolist()
        for label, rows, color in _by_class(frame):
            axes.hist(values[rows], edges, density=True, histtype="step", color=color, label=label)
        axes.set(title=name, yticks=[])
    grid[0].legend(title=frame.problem.target)
    return figure


def _by_class(frame: Frame) -> list[tuple[str, NDArray[np.bool_], str]]:
    """The label, row mask and color of each class; a regression has one entry for all rows."""
    labels = frame.problem.labels
    if not labels:
        return [("all rows", np.ones(len(frame), np.bool_), NEGATIVE)]
    colors = _colors(len(labels))
    return [(label, frame.target == code, colors[code]) for code, label in enumerate(labels)]


def _colors(classes: int) -> list[str]:
    """The color of each class."""
    return [NEGATIVE, POSITIVE] if classes == 2 else [f"C{code % 10}" for code in range(classes)]


def correlations(frame: Frame) -> Figure:
    """Correlations of all pairs of numeric features within the first class, beside those of independent features."""
    figure, axes = blank(6, 2.8)
    label, rows, _ = _by_class(frame)[0]
    quantities = np.array(frame.encoder.levels) == 0
    inside = pd.DataFrame(frame.features[rows][:, quantities])
    coefficients = inside.corr().to_numpy()[np.triu_indices(inside.shape[1], 1)]
    width = 1 / np.sqrt(len(inside))
    grid = np.linspace(-5 * width, 5 * width, 200)
    axes.hist(
        coefficients, BINS, density=True, color=NEGATIVE, alpha=0.6, label=f"{len(coefficients):,} pairs of features"
    )
    axes.plot(grid, np.exp(-((grid / width) ** 2) / 2) / width / np.sqrt(2 * np.pi), color=ACCENT, label="independence")
    axes.set(xlabel=f"correlation within {label}", yticks=[])
    axes.legend()
    return figure


def candidates(metrics: Mapping[str, Any], criterion: str = "f1") -> Figure:
    """Mean and standard deviation over folds of the measure that ranks; F1 at 0.5 beside a measure at a threshold.

    Args:
        metrics: as `tables.metrics` computes them and the manifest stores them.
        criterion: name of the measure that ranks.
    """
    folds = metrics["folds"]
    names = sorted(folds, key=lambda name: goodness(criterion, folds[name][criterion]["mean"]))
    figure, axes = blank(7, 0.8 + 0.32 * len(names))
    shown = [("f1_at_half", "#b0b0b0", "o")] if "f1_at_half" in folds[names[0]] and criterion in AT_THRESHOLD else []
    for measure, color, marker in (*shown, (criterion, ACCENT, "D")):
        means, spread = (
            [plain(measure, folds[name][measure]["mean"]) for name in names],
            [folds[name][measure]["sd"] for name in names],
        )
        title = f"{TITLES[measure]}{' at the cross-fitted threshold' if shown and measure == criterion else ''}"
        axes.errorbar(means, names, xerr=spread, fmt=marker, color=color, label=title, capsize=3)
    axes.grid(axis="x", alpha=0.3)
    axes.margins(y=0.6 / len(names))
    axes.set(xlabel="mean ± standard deviation over folds")
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def trees(metrics: Mapping[str, Any], measure: str = "roc_auc") -> Figure:
    """A measure against the number of served trees, for every candidate that consists of trees."""
    figure, axes = blank(6, 3)
    folds, counts = metrics["folds"], {name: trees for name, trees in metrics["trees"].items() if trees}
    for rank, name in enumerate(sorted(counts, key=lambda name: folds[name][measure]["mean"])):
        size, value = np.mean(counts[name]), folds[name][measure]
        axes.errorbar(size, plain(measure, value["mean"]), value["sd"], fmt="o", color=ACCENT, capsize=3)
        below_or_above = ("top", "bottom")[rank % 2]  # alternates, so that names of neighbours do not overlap
        axes.annotate(f"  {name}", (size, plain(measure, value["mean"])), va=below_or_above, fontsize=8)
    axes.set(xscale="log", xlabel="served trees", ylabel=TITLES[measure])
    axes.xaxis.set_major_formatter(LogFormatter())
    axes.xaxis.set_minor_formatter(LogFormatter())  # the default writes 10²
    return figure


def importance(booster: xgb.Booster, top: int = 20) -> Figure:
    """Share of the total gain of the `top` features, and of all others together."""
    gain = pd.Series(booster.get_score(importance_type="total_gain")).sort_values(ascending=False)
    gain /= gain.sum()
    shown = pd.concat([gain.head(top), pd.Series({f"{len(gain) - top} others": gain[top:].sum()})])[::-1]
    figure, axes = blank(6, 0.6 + 0.2 * len(shown))
    axes.barh(shown.index, shown, color=[NEGATIVE] * len(shown))
    axes.set(xlabel="share of the total gain")
    return figure


def contributions(booster: xgb.Booster, frame: Frame, top: int = 8) -> Figure:
    """SHAP value against the feature's own value, for the features with the largest mean absolute SHAP value.

    Lundberg & Lee, NIPS 2017; computed by XGBoost's `pred_contribs`, in log odds or, for a regression, in the target's
    unit (in its logarithm, if the objective uses that). With several classes, each feature is shown for the class on
    which it has most effect.
    """
    encoder, labels = frame.encoder, frame.problem.labels
    options = {"feature_names": booster.feature_names, "feature_types": [*encoder.types], "enable_categorical": True}
    values = booster.predict(xgb.DMatrix(frame.features, **options), pred_contribs=True)
    values = values.reshape(len(frame), -1, len(encoder.names) + 1)[:, :, :-1]  # the last is the bias
    strength = np.abs(values).mean(axis=0)
    strongest = np.argsort(-strength.max(axis=0))[:top]
    figure, grid = _grid(len(strongest), 4)
    for axes, column in zip(grid, strongest, strict=False):
        output = int(strength[:, column].argmax())
        axes.plot(frame.features[:, column], values[:, output, column], ".", markersize=2, color=NEGATIVE)
        axes.axhline(0, color=ACCENT, linewidth=0.5)
        axes.set(title=encoder.names[column] + (f", {labels[output]}" if len(strength) > 1 else ""))
    grid[0].set_ylabel("SHAP value (log odds)" if labels else "SHAP value")
    return figure


def threshold(target: NDArray[np.int8], probability: ArrayLike, chosen: float, criterion: Criterion) -> Figure:
    """The criterion at every threshold, with the chosen one and 0.5 marked."""
    figure, axes = blank(6, 3)
    thresholds, counts = curve(target, probability)
    axes.plot(thresholds, plain(criterion.name, criterion(counts)), color=NEGATIVE)
    for value, text, style in ((chosen, f"chosen: {chosen:.3f}", "-"), (0.5, "0.5", ":")):
        axes.axvline(value, color=ACCENT, linestyle=style, label=text)
    axes.set(xlabel="threshold", ylabel=TITLES[criterion.name], xlim=(0, 1))
    axes.legend()
    return figure


def precision_recall(target: NDArray[np.int8], probability: ArrayLike, chosen: float) -> Figure:
    """Precision against recall over all thresholds, with the operating point."""
    figure, axes = blank(5, 3.6)
    counts = curve(target, probability).counts
    point = Counts.at(chosen, target, np.asarray(probability, dtype=np.float64))
    axes.plot(_recall(counts), _precision(counts), color=NEGATIVE)
    axes.plot(_recall(point), _precision(point), "D", color=POSITIVE, label=f"operating point, threshold {chosen:.3f}")
    axes.axhline(target.mean(), color=ACCENT, linestyle=":", label="flagging everybody")
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()
    return figure


def calibration(target: NDArray[np.int8], probability: ArrayLike, bins: int = 15) -> Figure:
    """Observed share of positives against mean probability, in bins with equal numbers of rows."""
    figure, axes = blank(4, 3.6)
    observed, predicted = calibration_curve(target, probability, n_bins=bins, strategy="quantile")
    axes.plot([0, 1], [0, 1], color=ACCENT, linestyle=":", label="perfect")
    axes.plot(predicted, observed, "o-", color=NEGATIVE, label=f"{bins} bins of equally many rows")
    top = 1.05 * max(observed.max(), predicted.max())
    axes.set(xlabel="mean probability", ylabel="observed share of positives", xlim=(0, top), ylim=(0, top))
    axes.legend()
    return figure


def confusion(target: NDArray[np.int8], probability: ArrayLike, chosen: float, labels: tuple[str, ...]) -> Figure:
    """Counts of true against predicted labels at the threshold."""
    figure, axes = blank(3.4, 2.8)
    counts = Counts.at(chosen, target, np.asarray(probability, dtype=np.float64))
    matrix = np.array([[counts.true_negative, counts.false_positive], [counts.false_negative, counts.true_positive]])
    axes.imshow(matrix / matrix.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1.6)
    for row, column in np.ndindex(2, 2):
        axes.text(column, row, f"{matrix[row, column]:,}", ha="center", va="center")
    axes.set(xlabel="predicted", ylabel="true", xticks=[0, 1], yticks=[0, 1], xticklabels=labels, yticklabels=labels)
    return figure


def _recall(counts: Counts) -> NDArray[np.float64]:
    return np.asarray(counts.true_positive / np.maximum(counts.true_positive + counts.false_negative, 1))


def _precision(counts: Counts) -> NDArray[np.float64]:
    """Precision; 1 where no row is flagged, which is the limit for a perfect ranking."""
    flagged = counts.true_positive + counts.false_positive
    return np.asarray(np.where(flagged > 0, counts.true_positive / np.maximum(flagged, 1), 1.0))


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty plot of this size in inches."""
    figure = Figure((width, height), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _grid(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    rows = -(-count // columns)
    figure = Figure((2.2 * columns, 1.9 * rows), dpi=100, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
