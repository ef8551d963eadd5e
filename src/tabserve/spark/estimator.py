"""Fit a candidate's own estimator, with its own parameters, by `xgboost.spark` on rows that stay in Spark."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone, is_regressor
from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

from tabserve.errors import JobError, UsageError
from tabserve.problem.problem import Problem
from tabserve.spark import java, job
from tabserve.spark.training_rows import FEATURES, TARGET
from tabserve.spark.training_table import Numbers, TrainingTable
from tabserve.training.selection import Candidate
from tabserve.training.stumps import AveragedStumps, step_functions, to_booster


class Fitting(NamedTuple):
    """How `xgboost.spark` fits an estimator of XGBoost.

    Attributes:
        kind: fits it.
        set_by_spark: parameters that this sets itself and refuses to take.
    """

    kind: type[Any]
    set_by_spark: set[str]


FITTINGS: Mapping[type[xgb.XGBModel], Fitting] = {
    xgb.XGBClassifier: Fitting(SparkXGBClassifier, {"n_jobs", "enable_categorical", "objective"}),
    xgb.XGBRegressor: Fitting(SparkXGBRegressor, {"n_jobs", "enable_categorical"}),
}

ATTEMPTS = 4
"""Times that a booster is fitted at most; a fit is a barrier stage, which Spark does not retry as it does tasks."""

LOST_WORKER = "failed barrier ResultStage"
"""Text of Spark's error when a worker of a barrier stage is lost."""

Model = TypeVar("Model")

logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)  # each fit would log its start, end and parameters


class DistributedEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator whose training rows are in Spark: `X` holds row numbers in place of features."""

    def __init__(self, estimator: BaseEstimator, table: TrainingTable) -> None:
        """Fit `estimator` on rows of `table`; each partition of the table is one worker."""
        self.estimator = estimator
        self.table = table

    def fit(self, X: Numbers, y: NDArray[Any]) -> Self:  # noqa: ARG002, N803 (scikit-learn's names)
        """Fit on the rows numbered `X`, shape (rows,); their targets are in Spark too, so `y` is not used."""
        rows = self.table.select_rows(X)
        stumps = isinstance(self.estimator, AveragedStumps)
        members = self.estimator.members() if stumps else [self.estimator]
        boosters = [_fit_booster(member, rows) for member in members]
        self.booster_ = self._fold(boosters, X) if stumps else boosters[0]
        return self

    def fetch_features(self, numbers: Numbers) -> NDArray[np.float32]:
        """Copy the features of the rows with these numbers from the workers, float32 of shape (rows, features)."""
        return self.table.fetch_features(numbers)

    def get_booster(self) -> xgb.Booster:
        """The fitted booster; the method has the name that XGBoost's classifier uses."""
        return self.booster_

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of the wrapped estimator, so that a grid names them as on one machine."""
        return self.estimator.get_params(deep)  # type: ignore[no-any-return]

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401 (of any type, as scikit-learn has it)
        """Set parameters of the wrapped estimator."""
        self.estimator.set_params(**params)
        return self

    def __sklearn_clone__(self) -> "DistributedEstimator":
        """An unfitted copy over the same table."""
        return type(self)(clone(self.estimator), self.table)

    def _fold(self, boosters: list[xgb.Booster], numbers: Numbers) -> xgb.Booster:
        functions = step_functions(boosters)
        return to_booster(boosters[0], functions, self.table.covers(functions, numbers))


class DistributedClassifier(ClassifierMixin, DistributedEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A classifier of XGBoost, or averaged stumps, fitted on Spark."""

    @property
    def classes_(self) -> NDArray[np.int64]:
        """The indices of the labels."""
        return np.arange(len(self.table.problem.labels))

    def predict_proba(self, X: Numbers) -> NDArray[np.float32]:  # noqa: N803 (scikit-learn's name)
        """Probabilities of all classes for the rows numbered `X`, float32 of shape (rows, classes)."""
        answers = self.table.score(self.booster_, X)
        return answers if answers.ndim > 1 else np.column_stack([1 - answers, answers])


class DistributedRegressor(RegressorMixin, DistributedEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A regressor of XGBoost, fitted on Spark."""

    def predict(self, X: Numbers) -> NDArray[np.float32]:  # noqa: N803 (scikit-learn's name)
        """The amounts of the rows numbered `X`, float32 of shape (rows,)."""
        return self.table.score(self.booster_, X)


def check(candidates: Sequence[Candidate], problem: Problem) -> None:
    """Refuse candidates that Spark cannot fit, or that a model folder cannot hold.

    Raises:
        UsageError: naming the first such candidate.
    """
    for candidate in candidates:
        candidate.check(problem)
        if not isinstance(candidate.estimator, (AveragedStumps, *FITTINGS)):
            raise UsageError(
                f"Spark cannot fit {candidate.name!r}, as it is no model of XGBoost but a"
                f" {type(candidate.estimator).__name__}; compare it on one machine, on a sample of the rows."
            )


def distribute(candidate: Candidate, table: TrainingTable) -> Candidate:
    """The same candidate, fitted by the workers that hold the table's rows.

    Raises:
        UsageError: as for `check`.
    """
    check([candidate], table.problem)
    distributed = DistributedRegressor if is_regressor(candidate.estimator) else DistributedClassifier
    return replace(candidate, estimator=distributed(candidate.estimator, table))


def worker_count(spark: SparkSession, requested: int | None) -> int:
    """Number of workers that fit one booster together: as requested, or as many tasks as Spark runs at a time.

    Raises:
        UsageError: Spark cannot run so many at a time, and they would wait for each other for ever.
    """
    context = spark.sparkContext._jsc.sc()  # noqa: SLF001  Spark makes the same call before a barrier stage
    slots: int = context.maxNumConcurrentTasks(context.resourceProfileManager().resourceProfileFromId(0))
    if requested and requested > slots:
        raise UsageError(
            f"{requested} workers would fit a booster together, and Spark can run {slots} tasks at a time; ask for"
            " fewer by --jobs, or give Spark more cores."
        )
    return requested or slots


def _fit_booster(member: xgb.XGBModel, rows: DataFrame) -> xgb.Booster:
    """Fit one booster; deterministic."""
    parameters = {name: value for name, value in member.get_params().items() if value is not None}
    fitting = next(fitting for kind, fitting in FITTINGS.items() if isinstance(member, kind))
    estimator = fitting.kind(
        features_col=FEATURES,
        label_col=TARGET,
        num_workers=rows.rdd.getNumPartitions(),
        launch_tracker_on_driver=False,  # one on the driver is gone before a second attempt
        verbose=False,
        **{name: value for name, value in parameters.items() if name not in fitting.set_by_spark},
    )
    model = job.run(rows.sparkSession, "fitting", partial(_retry_lost_workers, partial(estimator.fit, rows)))
    booster: xgb.Booster = model.get_booster()
    return booster


def _retry_lost_workers(fit: Callable[[], Model]) -> Model:
    """Call `fit` again each time a worker is lost, `ATTEMPTS` times in all.

    Raises:
        JobError: a worker was lost each time.
    """
    for _ in range(ATTEMPTS):
        try:
            return fit()
        except Py4JJavaError as error:
            if LOST_WORKER not in str(error):
                raise
    raise JobError(
        f"A worker was lost each of the {ATTEMPTS} times that a booster was fitted, as where memory is too small; give"
        f" each more of it, or use more workers; {java.log_hint()}"
    )
