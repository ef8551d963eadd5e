"""A plan is shown as aligned text that fits a terminal, whatever the cells hold."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plan.looking import plan_of, repeated

from tabserve.plan.kinds import LIKE_AN_ID
from tabserve.plan.look import caution_lines, lines
from tabserve.plan.options import Options
from tabserve.plan.plan import make_plan
from tabserve.table.source import as_source

IDS = [str(row) for row in range(60)]


def shown(width: int = 100, target: str = "y", **columns: list[str]) -> str:
    """The text of a plan of these columns."""
    plan = plan_of(columns, target)
    return "\n".join([*lines(plan, width), *caution_lines(plan.cautions, width)])


def test_the_target_comes_first() -> None:
    """With its task, its positive class and the share of it."""
    text = shown(y=["no", "no", "yes"])
    assert text.startswith("the table: 60 rows, 2 columns\nTarget y: binary, two values; positive is 'yes', the rarer")
    assert "in 33.3% of the rows" in text
    assert "Target y: multiclass, 3 classes: a 50.0%, b 33.3%, c 16.7%" in shown(y=["a", "a", "a", "b", "b", "c"])
    assert "Target y: regression, an amount from 0 to 59" in shown(y=IDS)


def test_each_column_has_a_row() -> None:
    """Name, kind, different cells, empty ones, an example and why; those that are left out come last."""
    text = shown(120, id=IDS, age=["20", "?", "30"], plan=["a", ""])
    rows = [line.split("  ") for line in text.splitlines()]
    cells = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows if len(row) > 1}
    assert cells["column"] == ["kind", "distinct", "empty", "example", "why"]
    assert cells["age"][:4] == ["number", "3", "20", "20"]
    assert cells["age"][4] == "whole numbers from 20 to 30; '?' read as empty, in 20 of 60 cells"
    assert cells["plan"][:4] == ["category", "1", "30", "a"]
    assert cells["id"] == ["left out", "60", "0", "0", f"a different whole number in every row{LIKE_AN_ID}"]
    assert text.index("\nplan ") < text.index("\nid ")


def test_the_columns_are_aligned() -> None:
    """Each begins where its title begins; numbers end where it ends."""
    header, *rows = shown(y=["no", "yes"], age=["20"] * 3 + ["3"], city=["Rio", "São Paulo"]).splitlines()[3:]
    for title in ("kind", "example", "why"):
        start = header.index(title)
        assert all(row[start - 1] == " " and row[start] != " " for row in rows)
    end = header.index("distinct") + len("distinct")
    assert all(row[end - 1].isdigit() and row[end] == " " for row in rows)


def test_cautions_are_listed_by_their_column() -> None:
    """Broken into lines of the terminal's width."""
    text = shown(80, alley=["None", "gravel"])
    assert "\nCautions\n" in text
    assert "\n  alley: 'None' is read as a value of its own, in 30 rows; say --missing 'None'\n    if it" in text
    assert "Cautions" not in shown(y=["no", "yes"])


def columns_of_terminal(text: str) -> int:
    """Columns that a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@settings(max_examples=60)
@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    cells=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5),
    width=st.integers(20, 200),
)
def test_no_line_is_wider_than_the_terminal_or_holds_a_control_character(
    name: str, cells: list[str], width: int
) -> None:
    """Long names and cells are cut; a terminal of less than 80 columns gets lines of 80."""
    table = {"y": repeated(["no", "no", "yes"]), "feature": repeated(["1.5", "2.5", "9"])}
    plan = make_plan(as_source(pa.table(table | {f"{name} ": repeated(cells)})), Options("y"))
    for line in [*lines(plan, width), *caution_lines(plan.cautions, width)]:
        assert line.isprintable()
        assert columns_of_terminal(line) <= min(max(width, 80), 120)


def test_the_width_of_the_terminal_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between 80 and 120 columns."""
    plan = plan_of({"city": [f"{word * 9}" for word in ("a long name of a city ", "b", "c")]})
    for columns, used in (("40", 80), ("100", 100), ("300", 120)):
        monkeypatch.setenv("COLUMNS", columns)
        assert max(map(len, lines(plan))) == used
