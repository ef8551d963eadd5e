"""Every figure can be drawn from a trained model and its data, and shows the right values."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import xgboost as xgb
from matplotlib.figure import Figure
from tests.model import small

from tabserve.model.decision import threshold_of
from tabserve.model.model import Model, load
from tabserve.predictors.booster import Booster
from tabserve.problem.criterion import Costs, f1
from tabserve.reports import figures
from tabserve.table.frame import Frame

Draw = Callable[[Model, Frame], Figure]


def trees(model: Model) -> xgb.Booster:
    """The booster of a model."""
    assert isinstance(model.predictor, Booster)
    return model.predictor.trees


FIGURES: dict[str, Draw] = {
    "class balance": lambda _, frame: figures.class_balance(frame),
    "distributions": lambda _, frame: figures.distributions(frame, ["var_0", "var_1", "var_12"]),
    "correlations": lambda _, frame: figures.correlations(frame),
    "candidates": lambda model, _: figures.candidates(model.metrics),
    "trees": lambda model, _: figures.trees(model.metrics),
    "importance": lambda model, _: figures.importance(trees(model)),
    "contributions": lambda model, frame: figures.contributions(trees(model), frame.take(np.arange(50))),
    "threshold": lambda model, frame: figures.threshold(frame.target, model.score(frame.features).probability, 0.2, f1),
    "costs": lambda model, frame: figures.threshold(
        frame.target, model.score(frame.features).probability, 0.2, Costs(1, 10)
    ),
    "precision and recall": lambda model, frame: figures.precision_recall(
        frame.target, model.score(frame.features).probability, 0.2
    ),
    "calibration": lambda model, frame: figures.calibration(frame.target, model.score(frame.features).probability),
    "confusion": lambda model, frame: figures.confusion(
        frame.target, model.score(frame.features).probability, 0.2, frame.problem.labels
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_not_blank(name: str, model_folder: Path, sample_frame: Frame) -> None:
    """It renders without a warning, in more than a few colors."""
    image = BytesIO()
    FIGURES[name](load(model_folder), sample_frame).savefig(image, format="png")
    pixels = matplotlib.image.imread(BytesIO(image.getvalue()), format="png")
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 10


def test_the_operating_point_lies_on_the_curve(model_folder: Path, sample_frame: Frame) -> None:
    """The marked precision and recall are those of the served threshold."""
    model = load(model_folder)
    probability = model.score(sample_frame.features).probability
    figure = figures.precision_recall(sample_frame.target, probability, threshold_of(model.decision))
    line, point = figure.axes[0].lines[:2]
    x, y = (float(np.asarray(values)[0]) for values in point.get_data())
    distances = np.hypot(np.asarray(line.get_xdata()) - x, np.asarray(line.get_ydata()) - y)
    assert distances.min() < 1e-9


def test_the_confusion_matrix_counts_every_row_once(model_folder: Path, sample_frame: Frame) -> None:
    """Its four counts add up to the number of rows."""
    model = load(model_folder)
    probability = model.score(sample_frame.features).probability
    figure = figures.confusion(sample_frame.target, probability, threshold_of(model.decision), ("no", "yes"))
    counts = [int(text.get_text().replace(",", "")) for text in figure.axes[0].texts]
    assert sum(counts) == len(sample_frame)


def test_the_axis_of_trees_ends_near_the_candidates() -> None:
    """Those of the committed model have 100 to 600 trees; the axis extends by less than a factor of two."""
    figure = figures.trees(load(Path(__file__).parents[2] / "deploy/model").metrics)
    low, high = figure.axes[0].get_xlim()
    assert 50 < low < 100
    assert 600 < high < 1200


def mixed_frame(model: Model) -> Frame:
    """The small table of several kinds of columns with a target."""
    problem, rows = model.problem, len(small.CODES)
    target = small.CODES.astype(float) if problem.task.AMOUNT else (small.CODES % len(problem.labels)).astype(np.int8)
    ids = np.arange(rows).astype(np.str_).astype(np.object_)
    return Frame(ids, small.cells(model.encoder), target, problem, model.encoder)


@pytest.mark.parametrize("task", small.MIXED)
def test_figures_of_tables_and_trees_accept_every_task_and_kind_of_column(task: str) -> None:
    """They show the encoder's features, of which a date has several."""
    model = small.MIXED[task](0)
    frame, names = mixed_frame(model), list(model.encoder.names)
    drawn = [figures.distributions(frame, names), figures.correlations(frame), figures.importance(trees(model))]
    drawn += [figures.class_balance(frame)] if model.problem.labels else []
    shown = figures.contributions(trees(model), frame, top=len(names))
    assert [axes.get_title() for axes in drawn[0].axes] == names
    assert {axes.get_title().partition(", ")[0] for axes in shown.axes} == {*names}
    for figure in (*drawn, shown):
        figure.savefig(BytesIO(), format="png")


def test_candidates_of_a_regression_are_drawn_by_their_criterion_only() -> None:
    """A regression has no F1 at 0.5."""
    measures = {"minus_rmse": {"mean": -1.0, "sd": 0.1}}
    figure = figures.candidates({"folds": {"mean": measures, "boosted": measures}}, "minus_rmse")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["RMSE"]
    assert np.array_equal(figure.axes[0].lines[0].get_xdata(), [1, 1])
