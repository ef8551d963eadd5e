"""A plan says what each column is for, makes a whole problem, and says what to know before training."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.plan.looking import cautions_about, column_of, plan_of, repeated

from tabserve.errors import DataError, TabserveError, UsageError
from tabserve.plan.options import Options
from tabserve.plan.plan import fit_name, make_plan
from tabserve.problem.columns import Column
from tabserve.problem.task import Binary, Multiclass
from tabserve.table.frame_reader import read
from tabserve.table.source import Source, as_source

IDS = [str(number) for number in range(60)]
DATES = [f"2020-{1 + row % 12:02}-{1 + row % 28:02}" for row in range(60)]
TITLES = [f"a title of several words {row}" for row in range(60)]


def refusal(kind: type[TabserveError], columns: dict[str, Any], **options: Any) -> str:  # noqa: ANN401  the fields of Options
    """The sentence by which a table is refused; it begins with the table's name."""
    with pytest.raises(kind) as refused:
        plan_of(columns, **options)
    assert str(refused.value).startswith("the table: ")
    return str(refused.value)


def test_a_plan_has_every_column_and_a_whole_problem() -> None:
    """In the order of the table; the problem has the features alone."""
    plan = plan_of(
        {
            "customer_id": IDS,
            "age": ["20", "", "30"],
            "plan": ["a", "b", "c"],
            "since": DATES,
            "country": ["BR"],
            "age again": ["20", "", "30"],
            "remarks": TITLES,
        }
    )
    roles = {column.name: (column.role, column.kind) for column in plan.columns}
    assert roles == {
        "y": ("target", "category"),
        "feature": ("feature", "number"),
        "customer_id": ("left out", None),
        "age": ("feature", "number"),
        "plan": ("feature", "category"),
        "since": ("feature", "date"),
        "country": ("left out", None),
        "age again": ("left out", None),
        "remarks": ("left out", None),
    }
    assert plan.problem.columns == (
        Column("feature"),
        Column("age", missing=True),
        Column("plan", "category", missing=True),
        Column("since", "date"),
    )
    assert (plan.problem.task, plan.problem.seed, plan.rows) == (Binary(("no", "yes")), 42, 60)
    assert plan.problem.ignored == ("customer_id", "country", "age again", "remarks")
    assert column_of(plan, "age again").why == "a copy of column 'age'"


def test_the_user_has_the_last_word() -> None:
    """Each option gives its columns their role."""
    columns = {"a": IDS, "b": ["1", "2"], "c": DATES, "d": ["x", "y"], "who": repeated(["p", "q", "r"])}
    plan = plan_of({**columns, "id": IDS}, number=("a",), category=("b",), drop=("c", "d"), id="id", group="who")
    assert [(column.name, column.kind) for column in plan.problem.columns] == [
        ("feature", "number"),
        ("a", "number"),
        ("b", "category"),
    ]
    assert (plan.problem.id, plan.problem.group) == ("id", "who")
    assert column_of(plan, "a").why == "as --number says"
    assert column_of(plan, "d").why == "as --drop says"


def test_the_time_is_a_feature_only_if_it_is_named_as_a_date() -> None:
    """Days since a date flatter random splits."""
    plan = plan_of({"when": DATES}, time="when")
    assert (plan.problem.time, plan.problem.features) == ("when", ("feature",))
    plan = plan_of({"when": DATES}, time="when", date=("when",))
    assert plan.problem.features == ("feature", "when")
    assert column_of(plan, "when").role == "time"


def test_texts_are_learned_from_if_nothing_else_remains() -> None:
    """The column that is never empty comes first."""
    plan = plan_of({"feature": ["same"], "title": ["", *TITLES[1:]], "summary": TITLES[::-1]})
    assert plan.problem.columns == (Column("summary", "text"), Column("title", "text", missing=True))
    assert not cautions_about(plan, "title")


def test_a_model_of_texts_has_no_other_features() -> None:
    """The others are left out, with the reason."""
    plan = plan_of({"title": TITLES}, text=("title",))
    assert plan.problem.columns == (Column("title", "text"),)
    assert "texts alone" in column_of(plan, "feature").why


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"target": "Y"}, ["--target", "'Y'", "did you mean 'y'?"]),
        ({"target": "churned"}, ["--target", "it has 'y', 'feature', 'who'"]),
        ({"group": "whom"}, ["--group", "did you mean 'who'?"]),
        ({"number": ("featur",)}, ["--number", "did you mean 'feature'?"]),
        ({"drop": ("nothing like it",)}, ["--drop", "no column of the table"]),
    ],
)
def test_a_column_that_the_table_lacks_is_refused_with_close_names(options: dict[str, Any], words: list[str]) -> None:
    """The option is named."""
    table = pa.table({"y": repeated(["no", "yes"]), "feature": repeated(["1", "2"]), "who": repeated(["p", "q"])})
    with pytest.raises(UsageError) as refused:
        make_plan(as_source(table), Options(**{"target": "y", **options}))
    for word in words:
        assert word in str(refused.value)


def test_a_table_of_one_row_is_refused() -> None:
    """Rows of different targets are needed."""
    with pytest.raises(DataError, match="has one row"):
        make_plan(as_source(pa.table({"a": ["1"], "y": ["no"]})), Options("y"))


def test_a_table_without_features_is_refused_with_the_reasons() -> None:
    """Each column and why it is left out."""
    sentence = refusal(DataError, {"feature": ["same"], "id": IDS})
    assert "'feature': the same in every row" in sentence
    assert "'id': a different whole number" in sentence
    assert "the table has none but those named" in refusal(DataError, {"feature": IDS}, id="feature")


def test_a_number_column_with_a_stray_word_is_refused() -> None:
    """The row is named, and the words of all such columns are suggested at once."""
    stray = [*IDS[:57], "unknown", "unknown", "unknown"]
    other = [*IDS[:58], "not given", "not given"]
    sentence = refusal(DataError, {"age": stray, "income": other})
    assert "'age', row 58: expected a number, as in most of its rows, found 'unknown'" in sentence
    assert "--missing 'unknown' 'not given'" in sentence
    plan = plan_of({"age": stray, "income": other}, missing=("unknown", "not given"))
    assert column_of(plan, "age").kind == "number"
    assert column_of(plan, "age").missing
    assert column_of(plan_of({"age": stray}, category=("age",)), "age").kind == "category"


def test_numbers_and_texts_in_equal_parts_are_shown_with_their_rows() -> None:
    """A column of codes is no column of numbers."""
    plan = plan_of({"ticket": [*(f"A {row}" for row in range(30)), *IDS[:20], *IDS[:10]]})
    sentence = cautions_about(plan, "ticket")
    assert "texts in row 1 ('A 0'), row 2 ('A 1'), row 3 ('A 2')" in sentence
    assert "whole numbers in row 31 ('0'), row 32 ('1'), row 33 ('2')" in sentence


def test_dates_in_two_formats_are_refused() -> None:
    """Both rows are shown; a time beside dates without one is another format too."""
    days = [f"2020-{1 + row // 28:02}-{1 + row % 28:02}" for row in range(60)]
    for other in ("31/12/2020", "2020-12-31 08:30", "soon"):
        sentence = refusal(DataError, {"when": [*days[:50], other, *days[51:]]})
        assert "'when'" in sentence
        assert f"row 51, '{other}'" in sentence
        assert "--drop 'when'" in sentence


def test_one_level_in_two_spellings_is_refused_before_training() -> None:
    """As the encoder refuses it."""
    assert "one level twice" in refusal(DataError, {"flag": ["1", "1.0", "2"]}, category=("flag",))


def test_an_id_names_one_row_and_is_never_empty() -> None:
    """The option for groups is suggested."""
    assert "--group" in refusal(DataError, {"who": ["p", "q"]}, id="who")
    for role in ("id", "group"):
        assert "row 2: expected" in refusal(DataError, {"who": ["p", "", *IDS[2:]]}, **{role: "who"})


def test_a_time_is_a_date_in_every_row() -> None:
    """Numbers and holes are refused."""
    assert "expected a date" in refusal(DataError, {"when": IDS}, time="when")
    assert "row 2: expected the time of the row" in refusal(DataError, {"when": [DATES[0], ""]}, time="when")


@pytest.mark.parametrize(
    ("name", "cells", "words"),
    [
        ("customer_id", repeated(IDS[:30]), "--group 'customer_id'"),
        ("since", DATES, "--time 'since'"),
        ("price", [f"{row},000" for row in range(60)], "write it as 1234.5"),
        ("day", [f"{1 + row % 28}/{1 + row % 12}/2020" for row in range(60)], "write dates as 2020-12-31"),
        (
            "seen",
            [f"2026-01-{1 + row % 28:02} 08:30:00Z" for row in range(60)],
            "in one time zone and without naming it",
        ),
        ("level", [f"level {row % 25}" for row in range(60)], "25 levels in 60 rows"),
        ("alley", ["None", "gravel", "paved"], "--missing 'None'"),
        ("size", ["?", "small", "large"], "--missing '?'"),
        ("city", ["Rio", "rio", "São Paulo"], "differ only in case or spaces"),
        ("remarks", TITLES, "--text 'remarks'"),
        ("income [EUR]", ["1", "2"], "rename it"),
    ],
)
def test_cautions_say_what_to_do(name: str, cells: list[str], words: str) -> None:
    """Each is about its column, and none is given where the user leaves the column out."""
    assert words in cautions_about(plan_of({name: cells}), name)
    assert not cautions_about(plan_of({name: cells}, drop=(name,)), name)


def test_numbers_are_to_be_written_with_the_decimal_sign_of_the_table(tmp_path: Path) -> None:
    """Whether a column is left out, named, or the target."""
    rows = [f"{row},5;2.{100 + row},01;{'no' if row % 2 else 'yes'}" for row in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["weight;price;y", *rows, ""]))
    source = as_source(tmp_path / "t.csv")
    assert "'2.100,01'" in cautions_about(plan := make_plan(source, Options("y")), "price")
    assert "write it as 1234,5 to use it" in cautions_about(plan, "price")
    for options in (Options("y", number=("price",)), Options("price")):
        with pytest.raises(DataError, match=r"row 1: expected .*, found '2\.100,01'; .*") as refused:
            make_plan(source, options)
        assert "1234,5" in str(refused.value)


def test_moments_of_a_time_zone_are_dates_in_utc() -> None:
    """The reason says so, and nothing cautions about the zone."""
    moments = pa.array(range(0, 60 * 10_000, 10_000), pa.timestamp("s", "Asia/Tokyo"))
    plan = plan_of({"seen": moments.to_pylist()})
    seen = column_of(plan, "seen")
    assert (seen.kind, seen.profile.example) == ("date", "1970-01-01 00:00:00.000000")
    assert seen.why == "dates with a time such as 1970-01-01 00:00:00.000000, in UTC"
    assert "zone" not in cautions_about(plan, "seen")


def test_an_id_that_repeats_is_cautioned_about_once() -> None:
    """That its values are many follows from its being an id."""
    plan = plan_of({"customer_id": repeated(IDS[:30])})
    assert [caution.about for caution in plan.cautions].count("customer_id") == 1


def test_a_class_of_few_rows_is_cautioned_about() -> None:
    """Its figures are uncertain."""
    plan = plan_of({"y": [*repeated(["a", "b"]), *repeated(["c"], 8)]})
    assert "'c' stands in 8 rows only" in cautions_about(plan, "y")


def test_groups_of_one_row_are_cautioned_about() -> None:
    """They part nothing."""
    assert "leave out --group" in cautions_about(plan_of({"who": IDS}, group="who"), "who")
    assert not cautions_about(plan_of({"who": ["p", "q", "r"]}, group="who"), "who")


def test_an_ordinary_table_needs_no_caution() -> None:
    """Numbers, categories and holes are what tables hold."""
    plan = plan_of({"age": ["20", "", "30"], "plan": ["a", "b", ""], "y": repeated(["no", "yes"], 120)})
    assert plan.cautions == ()


def test_whole_numbers_that_differ_in_every_row_are_asked_about() -> None:
    """They may name rows that are not named like an id."""
    amounts = [str(row * row * 7919 % 1_000_003) for row in range(1, 501)]
    assert "--id" in cautions_about(plan_of({"amount": amounts}), "amount")


@pytest.mark.parametrize(
    ("path", "name"),
    [("churn.csv", "churn"), ("data/my table (1).csv.gz", "my-table-1"), ("é.csv", "model"), ("a.b.parquet", "a")],
)
def test_a_problem_is_named_after_its_file(path: str, name: str) -> None:
    """By characters that fit a path."""
    assert fit_name(Source(Path(path))) == name


def test_rows_without_an_amount_do_not_count() -> None:
    """Neither empty ones nor marks."""
    plan = plan_of({"y": [*IDS, "?", ""]}, drop_empty_target=True)
    assert plan.rows == 60


def test_a_table_in_memory_makes_a_model() -> None:
    """Unless the user names it."""
    assert plan_of({}).problem.name == "model"
    assert plan_of({}, name="churn").problem.name == "churn"


def test_a_planned_table_can_be_read(tmp_path: Path) -> None:
    """The problem reads the file that it was planned for, with holes, pooled classes and columns that are left out."""
    path = tmp_path / "goods.csv"
    rows = [
        f"{row};{row % 7},5;{'abc'[row % 3] if row % 9 else ''};2020-01-{1 + row % 28:02};{'xyz'[row % 3]}"
        for row in range(90)
    ]
    rare = [f"{90 + row};?;a;2020-01-01;rare {row}" for row in range(8)]
    path.write_text("\n".join(["id;weight;kind;day;class", *rows, *rare]))
    plan = make_plan(as_source(path), Options("class", other_label="rest"))
    assert plan.problem.task == Multiclass(("rest", "x", "y", "z"), other="rest")
    assert plan.problem.missing == (True, True, False)
    frame = read(plan.source, plan.problem)
    assert len(frame) == plan.rows == 98
    assert (frame.target == 0).sum() == 8
