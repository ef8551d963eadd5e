"""Train one peer on a csv and answer the rows of another; its Python needs nothing of this project.

`python -P bench/peer.py NAME FOLDER`: the folder has `train.csv`, `test.csv` and `job.json`, and gets `answers.csv`
(the probability of each label, or the amount) and `result.json`.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

TARGET, AMOUNT = "target", "prediction"

CALLS, CALL_SECONDS = 200, 10.0
"""One row is answered so often, but not for longer than this, nor less than thrice."""


class Job(NamedTuple):
    """What a peer is to do.

    Attributes:
        task: `binary`, `multiclass` or `regression`.
        metric: what is measured on the test rows, for peers that can rank their models by it.
        seconds: the bound of peers that search until it.
        seed: of whatever is drawn.
    """

    task: str
    metric: str
    seconds: float
    seed: int

    @property
    def classifies(self) -> bool:
        """Whether labels are predicted."""
        return self.task != "regression"


class Fitted(NamedTuple):
    """A trained peer: its labels in the order of its probabilities, and what answers rows."""

    labels: list[str]
    answer: Callable[[pd.DataFrame], Any]


Fit = Callable[[pd.DataFrame, "pd.Series[Any]", Job], Fitted]


def _of_estimator(estimator: Any, prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows) -> Fitted:  # noqa: ANN401
    """A fitted estimator of scikit-learn's kind."""
    if hasattr(estimator, "predict_proba"):
        return Fitted([*map(str, estimator.classes_)], lambda rows: estimator.predict_proba(prepare(rows)))
    return Fitted([AMOUNT], lambda rows: estimator.predict(prepare(rows)))


def linear(rows: pd.DataFrame, target: "pd.Series[Any]", job: Job) -> Fitted:
    """Scikit-learn's logistic or ridge regression over scaled numbers and one-hot categories."""
    compose, impute, models = (import_module(f"sklearn.{name}") for name in ("compose", "impute", "linear_model"))
    preprocessing, pipeline = import_module("sklearn.preprocessing"), import_module("sklearn.pipeline")
    numbers = pipeline.make_pipeline(
        impute.SimpleImputer(strategy="median", keep_empty_features=True), preprocessing.StandardScaler()
    )
    columns = compose.make_column_transformer(
        (numbers, compose.make_column_selector(dtype_include="number")),
        (preprocessing.OneHotEncoder(handle_unknown="ignore"), compose.make_column_selector(dtype_include="category")),
    )
    model = models.LogisticRegression(max_iter=1_000) if job.classifies else models.Ridge()
    return _of_estimator(pipeline.make_pipeline(columns, model).fit(rows, target))


def histogram_boosting(rows: pd.DataFrame, target: "pd.Series[Any]", job: Job) -> Fitted:
    """Scikit-learn's histogram boosting; a category of more levels than it allows is numbered."""
    many = [name for name, column in _categories(rows) if len(column.cat.categories) > 255]
    kind = "HistGradientBoostingClassifier" if job.classifies else "HistGradientBoostingRegressor"
    model = getattr(import_module("sklearn.ensemble"), kind)(random_state=job.seed)

    def number(some: pd.DataFrame) -> pd.DataFrame:
        return some.assign(**{name: some[name].cat.codes for name in many})

    return _of_estimator(model.fit(number(rows), target), number)


def lightgbm(rows: pd.DataFrame, target: "pd.Series[Any]", job: Job) -> Fitted:
    """LightGBM's estimator, which splits by pandas' categories."""
    kind = "LGBMClassifier" if job.classifies else "LGBMRegressor"
    model = getattr(import_module("lightgbm"), kind)(random_state=job.seed, verbosity=-1)
    return _of_estimator(model.fit(rows, target))


def catboost(rows: pd.DataFrame, target: "pd.Series[Any]", job: Job) -> Fitted:
    """CatBoost's estimator; it takes no missing cell in a category, so that one becomes an empty text."""
    names = [name for name, _ in _categories(rows)]
    kind = "CatBoostClassifier" if job.classifies else "CatBoostRegressor"
    model = getattr(import_module("catboost"), kind)(random_seed=job.seed, verbose=False, allow_writing_files=False)

    def fill(some: pd.DataFrame) -> pd.DataFrame:
        return some.assign(**{name: some[name].astype(object).fillna("") for name in names})

    return _of_estimator(model.fit(fill(rows), target, cat_features=names), fill)


def flaml(rows: pd.DataFrame, target: "pd.Series[Any]", job: Job) -> Fitted:
    """FLAML's search."""
    task = "classification" if job.classifies else "regression"
    model = import_module("flaml").AutoML()
    model.fit(rows, target, task=task, metric=job.metric, time_budget=job.seconds, seed=job.seed, verbose=0)
    if job.classifies:
        return Fitted([*map(str, model.classes_)], model.predict_proba)
    return Fitted([AMOUNT], model.predict)


def autogluon(rows: pd.DataFrame, target: "pd.Series[Any]", job: Job) -> Fitted:
    """AutoGluon's medium preset, with texts as it reads them; its models are kept in memory to answer."""

    def plain(some: pd.DataFrame) -> pd.DataFrame:
        return some.astype({name: object for name, _ in _categories(some)})

    kind = import_module("autogluon.tabular").TabularPredictor
    model = kind(TARGET, problem_type=job.task, eval_metric=job.metric, path="autogluon", verbosity=0)
    model.fit(plain(rows).assign(**{TARGET: target}), time_limit=job.seconds, presets="medium_quality")
    model.persist()
    if job.classifies:
        return Fitted([*map(str, model.class_labels)], lambda some: model.predict_proba(plain(some)))
    return Fitted([AMOUNT], lambda some: model.predict(plain(some)))


FITS: Mapping[str, Fit] = {
    "linear": linear,
    "histogram boosting": histogram_boosting,
    "LightGBM": lightgbm,
    "CatBoost": catboost,
    "FLAML": flaml,
    "AutoGluon": autogluon,
}


class Package(NamedTuple):
    """The name under which a library is installed, and the module that is imported before the clock starts."""

    name: str
    module: str


PACKAGES = {
    "linear": Package("scikit-learn", "sklearn.pipeline"),
    "histogram boosting": Package("scikit-learn", "sklearn.ensemble"),
    "LightGBM": Package("lightgbm", "lightgbm"),
    "CatBoost": Package("catboost", "catboost"),
    "FLAML": Package("flaml", "flaml"),
    "AutoGluon": Package("autogluon.tabular", "autogluon.tabular"),
}
"""The package of each peer."""


def main() -> None:
    """Train the peer that the command line names, and write its answers and times."""
    name, folder = sys.argv[1:]
    job = Job(**json.loads(Path(folder, "job.json").read_text()))
    rows = typed(read(Path(folder, "train.csv")))
    target = rows.pop(TARGET)
    others = alike(read(Path(folder, "test.csv")), rows)
    import_module(PACKAGES[name].module)
    start = time.perf_counter()
    fitted = FITS[name](rows, target.astype(str if job.classifies else float), job)
    seconds = time.perf_counter() - start
    answers = np.asarray(fitted.answer(others)).reshape(len(others), -1)
    pd.DataFrame(answers, columns=fitted.labels).to_csv(Path(folder, "answers.csv"), index=False)
    result = {"seconds": seconds, "milliseconds": milliseconds(lambda: fitted.answer(others.iloc[:1]))}
    version = metadata.version(PACKAGES[name].name)
    Path(folder, "result.json").write_text(json.dumps({**result, "version": version}))


def read(csv: Path) -> pd.DataFrame:
    """Read a csv whose missing cells are empty."""
    return pd.read_csv(csv, keep_default_na=False, na_values=[""])


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Make numbers 64-bit floats, and all else categories of texts; the target stays."""
    features = frame.columns.drop(TARGET)
    numbers = frame[features].select_dtypes("number").columns
    texts = features.difference(numbers)
    categories = {name: frame[name].astype(object).map(str, na_action="ignore").astype("category") for name in texts}
    return frame.astype(dict.fromkeys(numbers, float)).assign(**categories)


def alike(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of some rows in the types of others; an unseen level becomes a missing cell."""
    texts = {name: frame[name].astype(object).map(str, na_action="ignore") for name, _ in _categories(rows)}
    return frame.assign(**texts)[rows.columns].astype(rows.dtypes.to_dict())


def milliseconds(call: Callable[[], Any]) -> float:
    """The median time of a call, after one that warms up."""
    call()
    times: list[float] = []
    while len(times) < 3 or (len(times) < CALLS and sum(times) < CALL_SECONDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1_000 * statistics.median(times)


def _categories(rows: pd.DataFrame) -> list[tuple[str, "pd.Series[Any]"]]:
    return [*rows.select_dtypes("category").items()]  # type: ignore[list-item]  # the names are texts


if __name__ == "__main__":
    main()
