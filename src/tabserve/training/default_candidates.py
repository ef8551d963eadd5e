"""The candidates that compete if the user names none: chosen by measurement on public tables, simple ones first."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import xgboost as xgb
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import word_grams
from tabserve.errors import UsageError
from tabserve.predictors.booster import SOFTPROB
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression
from tabserve.training.baselines import NAME
from tabserve.training.candidate import Candidate
from tabserve.training.one_hot_linear import LOGISTIC_GRID, RIDGE_GRID, OneHotLogistic, OneHotRidge
from tabserve.training.target_encoding import TargetEncoded, TargetEncodedClassifier, TargetEncodedRegressor
from tabserve.training.task_training import training_of
from tabserve.training.text_classifier import TextClassifier

NATIVE_LEVELS = 30
"""Most levels of a category that XGBoost splits by; means of the target replace those of more levels."""

SAMPLING = {"subsample": 0.8, "colsample_bytree": 0.5}
"""The shares of rows and columns that a tree sees."""


class Trees(NamedTuple):
    """How trees are boosted; the fields are XGBoost's parameters."""

    max_depth: int
    n_estimators: int
    learning_rate: float
    reg_lambda: float = 1.0


USUAL = (Trees(2, 600, 0.05, reg_lambda=30.0), Trees(4, 400, 0.05), Trees(6, 600, 0.025))
"""Each was the best on some tables: the shallow and penalised on few or noisy rows, the deep on many or clean ones."""

FAST = (Trees(3, 300, 0.2, reg_lambda=10.0), Trees(6, 200, 0.1))
"""For tables of `MANY_CELLS`."""

MANY_CELLS = 6_000_000
"""From so many cells, as 200,000 rows of 30 columns have, trees are `FAST`, and the linear model's grid is short; each
class beyond two counts them again."""

SHORT = {"C": [0.1, 1.0], "alpha": [1.0, 10.0]}
"""The penalties of a short grid: the more rows there are, the less a penalty changes, and the longer each fit takes."""


class Family(NamedTuple):
    """The estimators of a task.

    Attributes:
        boosted: XGBoost's.
        options: further parameters of it, for a number of labels.
        encoded: puts means of the target in front of a boosted one.
        linear: takes the types of the features.
        grid: of the linear one.
        fewest_labels: that the linear one has raw outputs of the task for.
        texts: linear models over n-grams, given the seed.
    """

    boosted: type[xgb.XGBModel]
    options: Callable[[int], dict[str, Any]]
    encoded: type[TargetEncoded]
    linear: type[OneHotLogistic | OneHotRidge]
    grid: Mapping[str, Any]
    fewest_labels: int
    texts: Callable[[int], dict[str, BaseEstimator]] = lambda _: {}


def _text_classifiers(seed: int) -> dict[str, BaseEstimator]:
    logistic = LogisticRegression(C=10, solver="saga", tol=0.01, random_state=seed)
    machine = LinearSVC(C=0.7, random_state=seed)
    return {
        "logistic-regression-words": TextClassifier(logistic, word_grams),
        "linear-svm-words": TextClassifier(machine, word_grams),
        "linear-svm-words-and-parts": TextClassifier(machine),
    }


def _logistic(_labels: int) -> dict[str, Any]:
    return {}


def _softmax(labels: int) -> dict[str, Any]:
    return {"objective": SOFTPROB, "num_class": labels}


def _squared(_labels: int) -> dict[str, Any]:
    return {"min_child_weight": 3}  # of rows; one of several classes weighs a quarter at most


FAMILIES: Mapping[str, Family] = {
    Binary.KIND: Family(
        xgb.XGBClassifier, _logistic, TargetEncodedClassifier, OneHotLogistic, LOGISTIC_GRID, fewest_labels=2
    ),
    Multiclass.KIND: Family(
        xgb.XGBClassifier, _softmax, TargetEncodedClassifier, OneHotLogistic, LOGISTIC_GRID, 3, _text_classifiers
    ),
    Regression.KIND: Family(
        xgb.XGBRegressor, _squared, TargetEncodedRegressor, OneHotRidge, RIDGE_GRID, fewest_labels=0
    ),
}


def default_candidates(
    problem: Problem, encoder: Encoder, rows: int, jobs: int | None = None, device: str = "cpu"
) -> list[Candidate]:
    """The candidates for a table, the baseline first.

    Args:
        problem: what is to be learned.
        encoder: of the development rows, so that only their levels count.
        rows: their number.
        jobs: threads of every model that has them; None for all cores.
        device: where XGBoost trains, `cpu` or `cuda`.

    Raises:
        UsageError: the columns are texts, and the task is another than to find the most probable of several labels.
    """
    baseline = next(iter(training_of(problem).baselines().values()))
    compared = _mixed(problem, encoder, rows, jobs, device) if encoder.encodings else _texts(problem)
    return [Candidate(NAME, baseline), *compared]


def _texts(problem: Problem) -> list[Candidate]:
    """The candidates for columns of texts.

    Raises:
        UsageError: there are none for the task.
    """
    texts = FAMILIES[problem.task.KIND].texts(problem.seed)
    if not texts:
        raise UsageError(
            f"The columns of problem {problem.name!r:.60} are texts, by which the task {Multiclass.KIND!r} alone is"
            f" learned, not {problem.task.KIND!r}; use that task for labels, of two as well, or columns of other kinds."
        )
    return [Candidate(name, estimator) for name, estimator in texts.items()]


def _mixed(problem: Problem, encoder: Encoder, rows: int, jobs: int | None, device: str) -> Iterator[Candidate]:
    """The candidates for columns of numbers, categories and dates."""
    family = FAMILIES[problem.task.KIND]
    many = rows * len(encoder.names) * max(1, len(problem.labels) - 1) >= MANY_CELLS
    if len(problem.labels) >= family.fewest_labels:
        grid = {name: SHORT.get(name, values) if many else values for name, values in family.grid.items()}
        yield Candidate("linear", family.linear(encoder.types), grid)
    for trees in FAST if many else USUAL:
        model = family.boosted(
            **trees._asdict(),
            **SAMPLING,
            **family.options(len(problem.labels)),
            enable_categorical=True,
            feature_types=list(encoder.types),
            random_state=problem.seed,
            n_jobs=jobs,
            device=device,
        )
        yield Candidate(f"xgboost-depth-{trees.max_depth}", _encoded(family, model, encoder))


def _encoded(family: Family, model: xgb.XGBModel, encoder: Encoder) -> BaseEstimator:
    """The model, with means of the target in place of categories of many levels if there are any."""
    many = tuple(column for column, count in enumerate(encoder.levels) if count > NATIVE_LEVELS)
    return family.encoded(model, many) if many else model
