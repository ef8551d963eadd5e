"""The baselines' measures on the hold-out, to stand beside those of the model."""

import numpy as np

from tabserve.table.frame import Frame
from tabserve.training.task_training import training_of


def baselines(development: Frame, holdout: Frame) -> dict[str, dict[str, float]]:
    """All measures on the hold-out of each baseline, fitted and decided on the development rows, by name."""
    training, targets = training_of(holdout.problem), (development.target, holdout.target)
    fold = np.repeat([0, 1], [len(target) for target in targets])
    figures = {}
    for name, estimator in training.baselines().items():
        fitted = estimator.fit(np.zeros((len(development), 1)), development.target)
        prediction = training.predict(fitted, np.zeros((len(fold), 1)))
        measures = training.fold_measures(np.concatenate(targets), prediction, fold)
        figures[name] = dict(zip(measures.columns, measures.to_numpy()[1].tolist(), strict=True))
    return figures
