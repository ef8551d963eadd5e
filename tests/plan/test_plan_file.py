"""A plan is written for people, and read back as the same problem; a plan that is wrong is refused by its key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.plan.looking import plan_of, repeated

from tabserve.encoding.cells import SPACES
from tabserve.errors import DataError, TabserveError, UsageError
from tabserve.plan import plan_file
from tabserve.plan.options import Options
from tabserve.plan.plan import Plan, make_plan
from tabserve.table.source import Source, as_source

ROWS = 60

COLUMNS: dict[str, list[str]] = {
    "id": [str(row) for row in range(ROWS)],
    "age": ["20", "", "30"],
    "plan": ["a", "b", "c"],
    "since": [f"2020-{1 + row % 12:02}-{1 + row % 28:02}" for row in range(ROWS)],
    "who": ["p", "q", "r", "s"],
    "alley": ["None", "gravel"],
    "churned": ["no", "no", "yes"],
}


def write_csv(path: Path, columns: Mapping[str, list[str]], delimiter: str = ",") -> Source:
    """A csv of these columns, repeated to one length."""
    quoted = {'"' + name.replace('"', '""') + '"': repeated(cells, ROWS) for name, cells in columns.items()}
    rows = [delimiter.join(row) for row in zip(*quoted.values(), strict=True)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([delimiter.join(quoted), *rows]) + "\n", encoding="utf-8", newline="")
    return as_source(path)


@pytest.fixture
def table(tmp_path: Path) -> Source:
    """A table in a folder of its own."""
    return write_csv(tmp_path / "data" / "churn.csv", COLUMNS)


def read_again(plan: Plan, path: Path) -> Plan:
    """The plan that is made of a plan's file."""
    plan_file.write(plan, path)
    return make_plan(*plan_file.read(path))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positive": "no", "id": "id", "seed": 7, "name": "mine"},
        {"group": "who", "missing": ("None", "?"), "costs": (1, 2.5)},
        {"time": "since"},
        {"time": "since", "date": ("since",), "metric": "roc_auc"},
        {"category": ("age",), "drop": ("plan", "who")},
        {"task": "multiclass", "drop_empty_target": True},
    ],
)
def test_a_plan_read_back_makes_the_same_problem(options: dict[str, Any], table: Source, tmp_path: Path) -> None:
    """And the same file again; what was guessed is said then, for the same reasons."""
    plan = make_plan(table, Options("churned", **options))
    again = read_again(plan, tmp_path / "churn.toml")
    assert again.problem == plan.problem
    assert again.settled == plan.settled
    assert again.source.path is not None
    assert table.path is not None
    assert again.source.path.samefile(table.path)
    assert again.columns == plan.columns


def test_pooled_classes_and_amounts_are_read_back(tmp_path: Path) -> None:
    """As any target."""
    cells = {"classes": [*repeated(["a", "b"], 50), *"cdefghijkl"], "amount": [f"{row}.5" for row in range(ROWS)]}
    source = write_csv(tmp_path / "t.csv", COLUMNS | cells)
    for options in (Options("classes", other_label="rest"), Options("amount", metric="mae")):
        plan = make_plan(source, options)
        assert read_again(plan, tmp_path / "t.toml").problem == plan.problem


@pytest.mark.parametrize(
    ("others", "options"),
    [
        ({}, {}),
        ({"age": COLUMNS["age"]}, {"drop": ("age",)}),
        ({"age": COLUMNS["age"], "plan": COLUMNS["plan"]}, {"text": ("title",), "drop": ("plan",)}),
        ({"who": COLUMNS["who"]}, {"text": ("title", "who")}),
    ],
    ids=["alone", "beside one that is left out", "before others", "with a category"],
)
def test_texts_are_read_back(others: dict[str, list[str]], options: dict[str, Any], tmp_path: Path) -> None:
    """They are the only features."""
    titles = [f"a title of some words {row}" for row in range(ROWS)]
    source = write_csv(tmp_path / "t.csv", {"title": titles, "y": ["a", "b"], **others})
    plan = make_plan(source, Options("y", **options))
    again = read_again(plan, tmp_path / "t.toml")
    assert {*plan.problem.kinds} == {"text"}
    assert (again.problem, again.columns) == (plan.problem, plan.columns)


def test_a_plan_that_is_edited_gives_the_reason_of_the_edit(table: Source, tmp_path: Path) -> None:
    """What the cells suggested is no reason any more."""
    path = tmp_path / "churn.toml"
    plan_file.write(make_plan(table, Options("churned")), path)
    assert '"plan" = "category"  # 3 levels: a, b, c' in path.read_text()
    path.write_text(path.read_text().replace('"plan" = "category"', '"plan" = "left out"').replace("yes", "no"))
    again = make_plan(*plan_file.read(path))
    reasons = {column.name: column.why for column in again.columns}
    assert reasons["plan"] == "as --drop says"
    assert reasons["churned"] == "two values; positive is 'no', as --positive says, in 66.7% of the rows"


def test_the_signs_of_a_csv_are_written_down(tmp_path: Path) -> None:
    """So the table is read alike, whatever its first rows hold later."""
    source = write_csv(tmp_path / "t.csv", COLUMNS | {"price": ["1,5", "2,5", "3"]}, ";")
    plan = make_plan(source, Options("churned"))
    plan_file.write(plan, tmp_path / "t.toml")
    text = (tmp_path / "t.toml").read_text()
    assert 'delimiter = ";"' in text
    assert 'decimal = ","' in text
    assert plan_file.read(tmp_path / "t.toml")[0].dialect == plan.source.dialect


def test_the_path_of_the_table_is_relative_to_the_plan(table: Source, tmp_path: Path) -> None:
    """So both can be moved together."""
    plan = make_plan(table, Options("churned"))
    plan_file.write(plan, tmp_path / "plans" / "churn.toml")
    assert 'table = "../data/churn.csv"' in (tmp_path / "plans" / "churn.toml").read_text()
    moved = tmp_path / "moved"
    moved.mkdir()
    for folder in ("plans", "data"):
        (tmp_path / folder).rename(moved / folder)
    assert make_plan(*plan_file.read(moved / "plans" / "churn.toml")).problem == plan.problem


def test_every_column_is_listed_with_the_reason(table: Source, tmp_path: Path) -> None:
    """A line for each, in the order of the table."""
    plan_file.write(make_plan(table, Options("churned")), tmp_path / "churn.toml")
    lines = (tmp_path / "churn.toml").read_text().partition("[columns]\n")[2].splitlines()
    assert lines[:3] == [
        '"id" = "left out"  # a different whole number in every row, like an id (see --id)',
        '"age" = "number"  # whole numbers from 20 to 30',
        '"plan" = "category"  # 3 levels: a, b, c',
    ]
    assert len(lines) == len(COLUMNS)


NAMES = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0[]<"), min_size=1, max_size=8)
    .map(lambda name: name.strip(SPACES))
    .filter(bool)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    names=st.lists(NAMES, min_size=2, max_size=5, unique=True),
    missing=st.lists(st.sampled_from(["?", "NA", '"', "\\", "é", "\x7f"]), unique=True),
    positive=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1),
)
def test_odd_names_are_read_back(names: list[str], missing: list[str], positive: str, tmp_path: Path) -> None:
    """Quotes, backslashes, control characters and signs of TOML in names, spellings and labels."""
    assume(positive not in missing)
    labels = repeated([f"{positive} not", f"{positive} not", positive], ROWS)
    numbers = {name: repeated(["1.5", "2.5", str(index)], ROWS) for index, name in enumerate(names)}
    pyarrow.parquet.write_table(pa.table(numbers | {names[0]: labels}), tmp_path / "t.parquet")
    plan = make_plan(as_source(tmp_path / "t.parquet"), Options(names[0], missing=tuple(missing)))
    again = read_again(plan, tmp_path / "t.toml")
    assert (again.problem, again.settled) == (plan.problem, plan.settled)


def changed(tmp_path: Path, table: Source, before: str, after: str) -> Path:
    """A plan's file with a part of its text changed."""
    path = tmp_path / "churn.toml"
    plan_file.write(make_plan(table, Options("churned")), path)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    return path


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("seed = 42", "sead = 42", "has the unknown key 'sead'; did you mean 'seed'?"),
        ("seed = 42", "xyz = 42", "has the unknown key 'xyz'; expected 'table'"),
        ("seed = 42", 'seed = "42"', "needs a whole number as 'seed', not '42'"),
        ("seed = 42", "seed = true", "needs a whole number as 'seed', not true"),
        ("seed = 42", "seed = -1", "The seed must be a whole number from 0"),
        ("seed = 42", "seed = 42\nseed = 43", "is no plan: Cannot overwrite a value"),
        ("seed = 42", "missing = [1]", "--missing needs texts"),
        ("seed = 42", "costs = [1]", "--costs needs two numbers"),
        ('task = "binary"', 'task = "ranking"', "--task must be binary or multiclass or regression"),
        ('delimiter = ","', 'delimiter = "::"', "needs one sign between its cells"),
        ('"age" = "number"', '"age" = "integer"', "needs number or category or date or text or left out"),
        ('"age" = "number"', '"age" = 3', "for column 'age', not 3"),
        ('"age" = "number"', '"aged" = "number"', "which has no 'aged'; write it anew by --plan"),
        ('"age" = "number"', "", "whose 'age' it does not name; write it anew by --plan"),
        ('"age" = "number"', '"age" = "target"', "calls 'age', 'churned' the target, and there is at most one"),
        ('"churned" = "target"', '"churned" = "category"', "calls no column the target"),
        ('"age" = "number"', '"age" = "group"\n# ', None),
        ("table =", "# table =", "lacks the key 'table'"),
        ("[columns]", "[other]", "has the unknown key 'other'"),
        ("seed = 42", "seed =", "is no plan: Invalid value"),
    ],
)
def test_a_wrong_plan_is_refused_by_its_key(
    before: str, after: str, sentence: str | None, table: Source, tmp_path: Path
) -> None:
    """In one sentence that names the file; a right change is taken."""
    path = changed(tmp_path, table, before, after)
    if sentence is None:
        assert plan_file.read(path)[1].group == "age"
        return
    with pytest.raises(UsageError) as refused:
        plan_file.read(path)
    assert str(path) in str(refused.value)
    assert sentence in str(refused.value)
    assert str(refused.value).count("\n") == 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"\xff\xfe", "is no plan"), (None, "cannot be read: No such file"), (b"", "lacks the key 'table'")],
)
def test_a_file_that_is_no_plan_is_refused(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    """Also one that is not there."""
    path = tmp_path / "t.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TabserveError, match=sentence):
        plan_file.read(path)


def test_a_plan_of_a_table_that_is_gone_is_refused(table: Source, tmp_path: Path) -> None:
    """The table is named."""
    path = changed(tmp_path, table, "churn.csv", "gone.csv")
    with pytest.raises(DataError, match=r"gone\.csv cannot be read"):
        plan_file.read(path)


def test_a_table_in_memory_has_no_plan_file(tmp_path: Path) -> None:
    """There would be nothing to read back."""
    with pytest.raises(UsageError, match="save the table"):
        plan_file.write(plan_of({}), tmp_path / "t.toml")
    assert not [*tmp_path.iterdir()]
