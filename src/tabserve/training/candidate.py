"""Candidates for selection, and the checks that refuse an unsuitable one before the first fit."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from numbers import Real
from typing import Any

import numpy as np
import xgboost as xgb
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils.validation import has_fit_parameter

from tabserve.errors import UsageError
from tabserve.predictors.booster import KIND
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.training.inner_split import encoding_folds, inner_split
from tabserve.training.task_training import TaskTraining, training_of

Grid = Mapping[str, Sequence[Any]]
"""Values to choose from, by parameter."""


@dataclass(frozen=True)
class Candidate:
    """A named estimator that competes in a selection.

    Attributes:
        name: its name in tables and in the manifest.
        estimator: an unfitted scikit-learn classifier, or regressor for an amount, cloned for every fold.
        grid: values to choose from for some of its parameters; the choice uses the training rows of a fold only.
    """

    name: str
    estimator: BaseEstimator
    grid: Grid = field(default_factory=dict)

    @property
    def servable(self) -> bool:
        """Whether a model folder can hold the fitted estimator: it gives a predictor, or an XGBoost booster."""
        return hasattr(self.estimator, "get_predictor") or hasattr(self.estimator, "get_booster")

    def check(self, problem: Problem) -> None:
        """Refuse a candidate that cannot be measured on a problem or, if it is to be served, cannot be served.

        Raises:
            UsageError: naming the candidate and the reason.
        """
        _check_candidate(self.name, self.estimator, self.grid, training_of(problem))

    def fit(self, frame: Frame) -> BaseEstimator:
        """Choose from the grid on a part of the rows, and fit a fresh clone on all of them.

        Raises:
            DataError: the rows cannot be split to choose from the grid.
        """
        point = self._best_point(frame) if self.grid else {}
        return _fit(self._clone_with(point), frame)

    def _best_point(self, frame: Frame) -> dict[str, Any]:
        """The combination of grid values with the best score of the task."""
        training, (fitted_on, compared_on) = training_of(frame.problem), inner_split(frame)

        def score(point: Mapping[str, Any]) -> float:
            fitted = _fit(self._clone_with(point), fitted_on)
            result = training.score(compared_on.target, training.predict(fitted, compared_on.features))
            return -math.inf if math.isnan(result) else result

        return max(ParameterGrid(self.grid), key=score)

    def _clone_with(self, point: Mapping[str, Any]) -> BaseEstimator:
        """An unfitted clone with these parameters, which are cloned too if they are estimators."""
        return clone(self.estimator).set_params(**{name: clone(value, safe=False) for name, value in point.items()})


def _fit(estimator: BaseEstimator, frame: Frame) -> BaseEstimator:
    """Fit an estimator; one that has inner folds gets those that go with the frame's groups or moments."""
    folds = {"fold": encoding_folds(frame)} if has_fit_parameter(estimator, "fold") else {}
    return estimator.fit(frame.features, frame.target, **folds)


def servable_candidates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates whose models a folder can hold.

    Raises:
        UsageError: there are none.
    """
    kept = [candidate for candidate in candidates if candidate.servable]
    if not kept:
        names = ", ".join(candidate.name for candidate in candidates)
        raise UsageError(f"None of {names} ends as a model that a folder can hold (of XGBoost, over numbers); add one.")
    return kept


def choose_candidates(known: Mapping[str, Candidate], names: Sequence[str]) -> list[Candidate]:
    """The candidates with these names, in this order.

    Raises:
        UsageError: a name is unknown (the message suggests a close one), or none of the candidates can be served.
    """
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}."
            raise UsageError(f"There is no candidate {name!r}; {hint}")
    candidates = [known[name] for name in names]
    servable_candidates(candidates)
    return candidates


def _check_candidate(name: str, estimator: BaseEstimator, grid: Grid, training: TaskTraining) -> None:
    """Refuse an estimator that cannot be fitted and measured on folds or, if it is to be served, cannot be served.

    An estimator inside another one, such as a pipeline or a grid search, is compared but never served.

    Raises:
        UsageError: naming the candidate and the fault, which may be in the estimator or in a value of its grid.
    """
    _check_form(name, estimator, grid, training)
    fault_of = _serving_fault if hasattr(estimator, "get_booster") else _objective_fault
    for variant in _grid_variants(name, estimator, grid):
        for model in _xgboost_models(variant):
            parameters = model.get_params()
            if fault := _fit_fault(parameters) or fault_of(parameters, training):
                raise UsageError(f"Candidate {name!r} {fault}.")
        if hasattr(variant, "serving_fault") and (fault := variant.serving_fault()):
            raise UsageError(f"Candidate {name!r} {fault}.")
    if not training.accepts(estimator):
        raise UsageError(f"Candidate {name!r} needs {training.ESTIMATOR}, not {estimator!r:.60}.")


def _check_form(name: str, estimator: object, grid: object, training: TaskTraining) -> None:
    """Refuse an object that is no unfitted estimator, or no mapping of parameters to lists of values.

    Raises:
        UsageError: naming the candidate and the object.
    """
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        raise UsageError(f"Candidate {name!r} needs {training.ESTIMATOR}, not {estimator!r:.60}.")
    if not isinstance(grid, Mapping):
        raise UsageError(f"Candidate {name!r} needs values by parameter as its grid, not {grid!r:.60}.")
    for parameter, values in grid.items():
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray) or not len(values):
            raise UsageError(
                f"Candidate {name!r} needs a list of values for {parameter!r} of its grid, not {values!r:.60}."
            )


def _grid_variants(name: str, estimator: BaseEstimator, grid: Grid) -> Iterator[BaseEstimator]:
    """The estimator, the estimator with each value of its grid, and the same for each grid search inside it."""
    yield estimator
    for parameter, values in grid.items():
        for value in values:
            yield _with_value(name, estimator, parameter, value)
    for search in (estimator, *estimator.get_params().values()):
        for searched in _search_grids(search):
            yield from _grid_variants(name, search.estimator, searched)


def _search_grids(estimator: object) -> list[dict[str, Any]]:
    """The grids of a grid search or a random search, without distributions, which list no values."""
    options: Any = getattr(estimator, "param_grid", getattr(estimator, "param_distributions", []))
    grids = [options] if isinstance(options, Mapping) else options
    return [
        {name: values for name, values in grid.items() if isinstance(values, Sequence | np.ndarray)} for grid in grids
    ]


def _with_value(name: str, estimator: BaseEstimator, parameter: str, value: object) -> BaseEstimator:
    try:
        return clone(estimator).set_params(**{parameter: value})
    except (TypeError, ValueError) as error:  # a TypeError if the name is not a string
        raise UsageError(f"Candidate {name!r} has a grid of {parameter!r}, which is no parameter of it.") from error


def _xgboost_models(estimator: BaseEstimator) -> list[Any]:
    """The XGBoost models among the estimator and its parameters."""
    inside = [value for value in estimator.get_params().values() if isinstance(value, xgb.XGBModel)]
    return [estimator, *inside] if hasattr(estimator, "get_booster") else inside


def _fit_fault(parameters: Mapping[str, Any]) -> str | None:
    """Why a model with these parameters cannot be fitted, or None."""
    stops = [isinstance(callback, xgb.callback.EarlyStopping) for callback in parameters.get("callbacks") or ()]
    if parameters.get("early_stopping_rounds") is None and not any(stops):
        return None
    return "stops early, and no rows are set aside for it to stop by; choose n_estimators by a grid instead"


def _objective_fault(parameters: Mapping[str, Any], training: TaskTraining) -> str | None:
    """Why the predictions of a model with this objective cannot be measured, or None."""
    default = training.SERVED[0]
    objective = parameters.get("objective", default)
    if objective in training.SERVED + training.COMPARED:
        return None
    return f"has the objective {_display(objective)}, which answers no {training.ANSWERS}; use {default!r}, the default"


def _serving_fault(parameters: Mapping[str, Any], training: TaskTraining) -> str | None:
    """Why a model folder cannot hold a model with these parameters, or None."""
    kind, missing = parameters.get("booster"), parameters.get("missing")
    objective = parameters.get("objective", training.SERVED[0])
    if objective not in training.SERVED:
        served = " or ".join(map(repr, training.SERVED))
        return f"has the objective {_display(objective)}, and {served} alone is served; leave the objective out"
    if kind not in (None, KIND):
        return f"has the booster {_display(kind)}, and {KIND!r} alone is served; leave the booster out"
    if missing is not None and not (isinstance(missing, Real) and math.isnan(missing)):
        return (
            f"takes {_display(missing)} for a missing value, and what is served takes NaN alone; leave `missing` out,"
            " and make such cells of the table empty"
        )
    return None


def _display(value: object) -> str:
    return getattr(value, "__name__", f"{value!r:.60}")
