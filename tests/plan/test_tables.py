"""Real tables are planned as a person would plan them; skipped without the folder of shared tables."""

from pathlib import Path

import pytest
from tests.plan.looking import cautions_about, column_of

from tabserve.plan.options import Options
from tabserve.plan.plan import Plan, make_plan
from tabserve.table.frame_reader import read
from tabserve.table.source import as_source

TARGETS = {
    "ames": "Sale_Price",
    "cars": "Price",
    "churn": "churn",
    "credit": "Status",
    "deliveries": "time_to_delivery",
    "hpc": "class",
    "lending": "Class",
    "penguins": "species",
}

TASKS = {
    "ames": ("regression", ()),
    "cars": ("regression", ()),
    "churn": ("binary", ("No", "Yes")),
    "credit": ("binary", ("good", "bad")),
    "deliveries": ("regression", ()),
    "hpc": ("multiclass", ("F", "L", "M", "VF")),
    "lending": ("binary", ("good", "bad")),
    "penguins": ("multiclass", ("Adelie", "Chinstrap", "Gentoo")),
}
"""The kind of task of each table and its labels, the positive one last."""

CATEGORIES = {"ames": 40, "cars": 0, "churn": 10, "credit": 4, "deliveries": 1, "hpc": 2, "lending": 5, "penguins": 2}
"""How many categories are among the features of each table."""


def plan_of_shared(shared: Path, name: str) -> Plan:
    """The plan of a shared table."""
    path = shared / "tables" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"the shared tables are not at hand: no {path}")
    return make_plan(as_source(path), Options(TARGETS[name]))


@pytest.mark.parametrize("name", TARGETS)
def test_a_real_table_is_planned_as_a_person_would(name: str, shared: Path) -> None:
    """Every column but the target is a feature, of the kind that its cells have, and the table is read by the plan."""
    plan = plan_of_shared(shared, name)
    assert (plan.problem.task.KIND, plan.problem.labels) == TASKS[name]
    assert plan.problem.ignored == ()
    assert len(plan.problem.columns) == len(plan.columns) - 1
    assert plan.problem.kinds.count("category") == CATEGORIES[name]
    assert set(plan.problem.kinds) <= {"number", "category"}
    assert len(read(plan.source, plan.problem)) == plan.rows


def test_numbers_with_holes_may_be_missing(shared: Path) -> None:
    """The others may not."""
    problem = plan_of_shared(shared, "credit").problem
    holes = {column.name for column in problem.columns if column.missing and not column.as_text}
    assert holes == {"Income", "Assets", "Debt"}


def test_what_people_should_know_of_real_tables_is_said(shared: Path) -> None:
    """And no more than that: these tables are clean."""
    for name in ("cars", "churn", "deliveries", "hpc", "penguins"):
        assert plan_of_shared(shared, name).cautions == ()
    assert "26.5%" in column_of(plan_of_shared(shared, "churn"), "churn").why
    assert not cautions_about(plan_of_shared(shared, "lending"), "sub_grade")
