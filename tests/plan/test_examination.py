"""What only the rows tell: columns that give the target away, copies, and figures by the advised splits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from xgboost import XGBRegressor

from tabserve.plan.examination import examine
from tabserve.plan.options import Options
from tabserve.plan.plan import make_plan
from tabserve.plan.planned import Caution
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.table.source import as_source
from tabserve.training.candidate import Candidate
from tabserve.training.split import hold_out

ROWS = 300


def table() -> pd.DataFrame:
    """Sales of thirty sellers on two days each; each seller has a price of its own."""
    rng = np.random.default_rng(0)
    seller, day = np.arange(ROWS) % 30, np.datetime64("2025-01-01") + np.arange(ROWS)
    return pd.DataFrame(
        {
            "seller_id": seller + 1_000,
            "size": rng.normal(size=ROWS),
            "sold": np.datetime_as_string(day),
            "paid": np.datetime_as_string(day + 1),
            "price": rng.permutation(30)[seller] + rng.normal(0, 0.1, ROWS),
        }
    )


def cautions(frame: pd.DataFrame) -> dict[str, list[Caution]]:
    """All cautions about a table, by column."""
    plan = make_plan(as_source(frame), Options("price"))
    development = hold_out(read(plan.source, plan.problem)).development
    found: dict[str, list[Caution]] = {}
    for caution in examine(plan, development, trees):
        found.setdefault(caution.about, []).append(caution)
    return found


def trees(rows: Frame) -> Candidate:
    """A few trees for these rows."""
    types = list(rows.encoder.types)
    model = XGBRegressor(n_estimators=30, max_depth=6, n_jobs=1, feature_types=types, enable_categorical=True)
    return Candidate("trees", model)


def figures(caution: Caution) -> tuple[float, float]:
    """What the candidate reaches by random folds, and by those that the caution advises."""
    words = caution.sentence.split(" reaches rmse ")[1].split()
    return float(words[0]), float(words[4])


def test_figures_stand_beside_the_first_advice_of_each_split() -> None:
    """An unknown seller's price cannot be known, which random folds hide; a second date gets the advice alone."""
    found = cautions(table())
    random, by_seller = figures(found["seller_id"][0])
    assert random < 2 < by_seller
    assert "by such folds" in found["sold"][0].sentence
    assert "say --time" in found["paid"][0].sentence
    assert "by such folds" not in found["paid"][0].sentence


def test_a_split_that_cannot_be_made_gives_no_figures() -> None:
    """A date with an empty cell cannot be the time; the advice stays."""
    frame = table().drop(columns=["paid", "seller_id"])
    frame.loc[3, "sold"] = None
    (caution,) = cautions(frame)["sold"]
    assert "say --time" in caution.sentence
    assert "by such folds" not in caution.sentence


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_copies_are_told_if_there_are_many(share: float) -> None:
    """A few may be chance."""
    frame = table().drop(columns=["paid", "sold", "seller_id"])
    found = cautions(pd.concat([frame, frame[: int(share * ROWS)]]))
    assert ("" in found) == (share > 0)


def test_a_column_that_gives_the_target_away_is_named(tmp_path: Path) -> None:
    """With its own share."""
    frame = table().assign(tax=lambda frame: frame["price"] * 0.19)
    frame.to_csv(tmp_path / "t.csv", index=False)
    (caution,) = [each for each in cautions(frame)["tax"] if "explains" in each.sentence]
    assert caution.sentence.startswith("explains 9")
