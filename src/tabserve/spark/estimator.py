"""A candidate's own estimator, fitted by `xgboost.spark` where the rows are; its parameters stay the candidate's."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from xgboost.spark import SparkXGBClassifier

from tabserve.errors import JobError, UsageError
from tabserve.problem.problem import Problem
from tabserve.spark import java, job
from tabserve.spark.training_table import FEATURES, TARGET, Labelled
from tabserve.training.selection import Candidate
from tabserve.training.stumps import AveragedStumps, step_functions, written

SPARKS_OWN = {"n_jobs", "objective", "enable_categorical"}
"""Parameters of XGBoost's classifier that `xgboost.spark` does not take: it sets them itself."""

ATTEMPTS = 4
"""As often as Spark tries other tasks; those of a booster are in a barrier stage, which it does not try again."""

LOST = "failed barrier ResultStage"
"""What Spark's error says when a worker of a barrier stage was lost."""

Fitted = TypeVar("Fitted")

logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)  # each fit would tell its beginning, end and parameters


class Distributed(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of boosters whose rows are in Spark: it is given their numbers in place of their features."""

    def __init__(self, estimator: ClassifierMixin, table: Labelled) -> None:
        """Take the estimator that is fitted, and the table that the numbers are of; workers are its partitions."""
        self.estimator = estimator
        self.table = table

    def fit(self, X: NDArray[np.int64], y: NDArray[np.int8]) -> Self:  # noqa: ARG002, N803 (scikit-learn's names)
        """Fit on the rows of these numbers, shape (rows,); their targets are in Spark as well."""
        rows = self.table.at(X)
        stumps = isinstance(self.estimator, AveragedStumps)
        members = self.estimator.members() if stumps else [self.estimator]
        boosters = [_booster(member, rows) for member in members]
        self.classes_ = np.array([0, 1])
        self.booster_ = self._folded(boosters, X) if stumps else boosters[0]
        return self

    def predict_proba(self, X: NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: N803 (scikit-learn's name)
        """Probabilities of both classes for the rows of these numbers, float32 of shape (rows, 2)."""
        positive = self.table.score(self.booster_, X)
        return np.column_stack([1 - positive, positive])

    def opened(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """The features of the rows of these numbers, which come here."""
        return self.table.features(numbers)

    def get_booster(self) -> xgb.Booster:
        """The booster, under the name that XGBoost's own classifier uses."""
        return self.booster_

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The estimator's own, so that a grid means here what it means there."""
        return self.estimator.get_params(deep)  # type: ignore[no-any-return]

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401 (of any type, as scikit-learn has it)
        """Set the estimator's own."""
        self.estimator.set_params(**params)
        return self

    def __sklearn_clone__(self) -> "Distributed":
        """An unfitted one over the same table."""
        return Distributed(clone(self.estimator), self.table)

    def _folded(self, boosters: list[xgb.Booster], numbers: NDArray[np.int64]) -> xgb.Booster:
        functions = step_functions(boosters)
        return written(boosters[0], functions, self.table.covers(functions, numbers))


def check(candidates: Sequence[Candidate], problem: Problem) -> None:
    """Refuse what Spark cannot fit, or what no engine's folder can hold.

    Raises:
        UsageError: naming the first candidate that is none of XGBoost's, or may not be one.
    """
    for candidate in candidates:
        candidate.check(problem)
        if not isinstance(candidate.estimator, AveragedStumps | xgb.XGBClassifier):
            raise UsageError(
                f"Spark cannot fit {candidate.name!r}, as it is no model of XGBoost; compare it on one machine, on a"
                " sample of the rows."
            )


def distributed(candidate: Candidate, table: Labelled) -> Candidate:
    """The same candidate, fitted where the table's rows are.

    Raises:
        UsageError: as `check`.
    """
    check([candidate], table.frame.problem)
    return replace(candidate, estimator=Distributed(candidate.estimator, table))


def workers(spark: SparkSession, wanted: int | None) -> int:
    """How many fit one booster together: so many, or all that Spark can run at a time.

    Raises:
        UsageError: more are wanted than can run at a time, so that they would wait for each other for ever.
    """
    context = spark.sparkContext._jsc.sc()  # noqa: SLF001  what Spark asks itself before a barrier stage
    slots: int = context.maxNumConcurrentTasks(context.resourceProfileManager().resourceProfileFromId(0))
    if wanted and wanted > slots:
        raise UsageError(
            f"{wanted} workers would fit a booster together, and Spark can run {slots} tasks at a time; ask for fewer"
            " by --jobs, or give Spark more cores."
        )
    return wanted or slots


def _booster(member: xgb.XGBClassifier, rows: DataFrame) -> xgb.Booster:
    """One booster; whoever is asked for it twice gives the same."""
    parameters = {name: value for name, value in member.get_params().items() if value is not None}
    classifier = SparkXGBClassifier(
        features_col=FEATURES,
        label_col=TARGET,
        num_workers=rows.rdd.getNumPartitions(),
        launch_tracker_on_driver=False,  # it would not be there for a second attempt
        verbose=False,
        **{name: value for name, value in parameters.items() if name not in SPARKS_OWN},
    )
    fitted = job.run(rows.sparkSession, "fitting", partial(_survived, partial(classifier.fit, rows)))
    booster: xgb.Booster = fitted.get_booster()
    return booster


def _survived(fit: Callable[[], Fitted]) -> Fitted:
    """What a fit ends with when it is tried again after each loss of a worker, `ATTEMPTS` times in all.

    Raises:
        JobError: a worker was lost each time.
    """
    for _ in range(ATTEMPTS):
        try:
            return fit()
        except Py4JJavaError as error:
            if LOST not in str(error):
                raise
    raise JobError(
        f"A worker was lost each of the {ATTEMPTS} times that a booster was fitted, as where memory is too small; give"
        f" each more of it, or use more workers; {java.logged()}"
    )
