"""Random folds flatter where rows come in groups, or change in time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from xgboost import XGBRegressor

from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Regression
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training.candidate import Candidate
from tabserve.training.flattery import flattery

TREES = Candidate("trees", XGBRegressor(n_estimators=30, max_depth=6, n_jobs=1))


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    """Rows of fifty sellers; a feature tells the seller, and each seller has a price of its own."""
    rng = np.random.default_rng(0)
    seller = np.arange(1_000) % 50
    day = pd.date_range("2025-01-01", periods=1_000).strftime("%Y-%m-%d")
    price = rng.permutation(50)[seller] + rng.normal(0, 0.1, 1_000)
    path = tmp_path_factory.mktemp("sellers") / "sellers.csv"
    table = pd.DataFrame({"code": seller, "seller": seller, "day": day, "price": price})
    table.to_csv(path, index=False)
    return read(path, Problem("sellers", numbers("code"), "price", Regression(), group="seller", ignored=("day",)))


def ungrouped(frame: Frame) -> Frame:
    """The same rows of a problem without groups."""
    return replace(frame, problem=replace(frame.problem, group=None), group=None)


def test_folds_by_group_show_what_random_folds_hide(frame: Frame) -> None:
    """A new seller's price cannot be known."""
    compared = flattery(ungrouped(frame), frame, lambda _: TREES)
    assert compared is not None
    assert (compared.candidate, compared.measure) == ("trees", "minus_rmse")
    assert compared.random > -1
    assert compared.honest < -10


def test_groups_that_make_no_folds_are_no_error(frame: Frame) -> None:
    """Fewer groups than folds give no figures."""
    few = replace(frame, group=np.array(["a", "b"], object)[np.arange(len(frame)) % 2])
    assert flattery(ungrouped(frame), few, lambda _: TREES) is None
