"""Measure the baselines on the hold-out, to compare the model with them."""

import numpy as np

from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.training.task_training import training_of

NAME = "baseline"
"""The name of the first baseline among the default candidates."""


def names(problem: Problem) -> set[str]:
    """The names of candidates that are baselines."""
    return {NAME, *training_of(problem).baselines()}


def baselines(development: Frame, holdout: Frame) -> dict[str, dict[str, float]]:
    """Fit each baseline and choose its decision on the development rows, and measure it on the hold-out.

    Returns:
        Every measure, by its name, of every baseline, by its name.
    """
    training, targets = training_of(holdout.problem), (development.target, holdout.target)
    fold = np.repeat([0, 1], [len(target) for target in targets])
    figures = {}
    for name, estimator in training.baselines().items():
        fitted = estimator.fit(np.zeros((len(development), 1)), development.target)
        prediction = training.predict(fitted, np.zeros((len(fold), 1)))
        measures = training.fold_measures(np.concatenate(targets), prediction, fold)
        figures[name] = dict(zip(measures.columns, measures.to_numpy()[1].tolist(), strict=True))
    return figures
