"""What stands beside the measures on the hold-out: those of the baselines, and those of each class."""

from typing import Any

import numpy as np

from tabserve.table.frame import Frame
from tabserve.training.task_training import training_of


def beside(development: Frame, holdout: Frame, answers: Any) -> dict[str, Any]:  # noqa: ANN401  as the decision has them
    """What the manifest keeps of them, beside `tables.metrics`.

    Args:
        development: the rows that taught and decided.
        holdout: the rows that had no part in anything.
        answers: the model's, for the latter.
    """
    problem = holdout.problem
    classes = training_of(problem).by_class(holdout.target, answers, seed=problem.seed)
    return {
        "baselines": baselines(development, holdout),
        "classes": {label: {name: found._asdict() for name, found in each.items()} for label, each in classes.items()},
    }


def baselines(development: Frame, holdout: Frame) -> dict[str, dict[str, float]]:
    """Every measure of each baseline on the hold-out, fitted and decided on the development rows; by its name."""
    training, targets = training_of(holdout.problem), (development.target, holdout.target)
    fold = np.repeat([0, 1], [len(target) for target in targets])
    found = {}
    for name, estimator in training.baselines().items():
        fitted = estimator.fit(np.zeros((len(development), 1)), development.target)
        prediction = training.prediction(fitted, np.zeros((len(fold), 1)))
        measures = training.measures(np.concatenate(targets), prediction, fold)
        found[name] = dict(zip(measures.columns, measures.to_numpy()[1].tolist(), strict=True))
    return found
