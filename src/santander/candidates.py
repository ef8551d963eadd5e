"""The candidates of the Santander case, from a constant to boosted stumps, which fit this data best."""

from functools import partial

import xgboost as xgb
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from tabserve.training.candidate import Candidate
from tabserve.training.stumps import AveragedStumps

WEIGHT = 9.0
"""Weight of a positive row that makes both classes count the same at 10 % positives."""

GRID = {"logisticregression__C": [0.001, 0.1]}

WINNER = "xgboost-averaged-stumps"
"""The best candidate that can be served; the only one that is fitted by default on Spark, where fits are costly."""


def candidates(seed: int, jobs: int, device: str = "cpu") -> dict[str, Candidate]:
    """All candidates by name, simple ones first.

    Args:
        seed: random state of every model that has one.
        jobs: threads of every model that has them.
        device: where XGBoost trains, `cpu` or `cuda`.
    """
    boosted = partial(xgb.XGBClassifier, random_state=seed, n_jobs=jobs, device=device)
    stumps = partial(AveragedStumps, random_state=seed, n_jobs=jobs, device=device)
    weighted = LogisticRegression(class_weight="balanced")
    ordered = [
        Candidate("dummy", DummyClassifier(strategy="prior")),
        Candidate("logistic-regression", make_pipeline(StandardScaler(), LogisticRegression()), GRID),
        Candidate("logistic-regression-weighted", make_pipeline(StandardScaler(), weighted), GRID),
        Candidate("gaussian-naive-bayes", GaussianNB(), {"var_smoothing": [1e-9, 1e-2]}),
        Candidate(
            "decision-tree", DecisionTreeClassifier(min_samples_leaf=100, random_state=seed), {"max_depth": [3, 6]}
        ),
        Candidate(
            "random-forest",
            RandomForestClassifier(n_estimators=60, max_samples=0.1, random_state=seed, n_jobs=jobs),
            {"min_samples_leaf": [1, 10]},
        ),
        Candidate(
            "histogram-boosting",
            HistGradientBoostingClassifier(max_iter=100, learning_rate=0.2, random_state=seed),
            {"max_leaf_nodes": [4, 31]},
        ),
        Candidate("xgboost-defaults", boosted(), {"max_depth": [3, 6]}),
        Candidate("xgboost-defaults-weighted", boosted(max_depth=3, scale_pos_weight=WEIGHT)),
        Candidate(
            "xgboost-depth-2",
            boosted(max_depth=2, n_estimators=600, learning_rate=0.15, colsample_bytree=0.1, subsample=0.3),
        ),
        Candidate("xgboost-stumps", stumps(n_estimators=1000)),
        Candidate("xgboost-averaged-stumps", stumps(seeds=2, n_estimators=3000, colsample_bytree=0.02, subsample=0.2)),
    ]
    return {candidate.name: candidate for candidate in ordered}
