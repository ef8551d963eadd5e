"""The report stands alone, says what is true, hides what it should, and is the same at every run."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.reports.html.parsed import check
from tests.reports.html.small_run import KINDS, ROWS, Run, amounts, cells, train

from tabserve.problem.criterion import Costs
from tabserve.problem.task import Binary, Multiclass, Regression
from tabserve.reports.html import candidates, mistakes, report
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.html.task_page import page_of

EXAMPLE = "a cell of one row"
PLAN = [
    {"name": "city", "role": "feature", "kind": "category", "why": "few", "distinct": "4", "example": EXAMPLE},
    {"name": "id <b>", "role": "left out", "kind": "text", "why": "an id", "distinct": "400", "missing": "0"},
]
CAUTIONS = [("city", "It is “nearly” an id; leave it out & see <i>."), ("", "No column in particular.")]


@pytest.fixture(scope="module")
def html(run: Run) -> str:
    """The report of a small model of each task, without cells."""
    return report.render(*run, PLAN, CAUTIONS)


def test_a_report_stands_alone_and_escapes_all_texts(html: str) -> None:
    """Names, labels, levels, cautions and the plan may hold markup."""
    page = check(html)
    for text in (
        "target <script>alert(1)</script>",
        "small & <i>odd</i>",
        "東京 & <b>",
        "a small <u>table</u>",
        "id <b>",
    ):
        assert text in page.text
    assert "leave it out & see <i>." in page.text
    assert "Ouro Preto $x$" in page.text


def test_the_same_run_renders_the_same_page(run: Run, html: str) -> None:
    """The report holds no date, no time and no random id."""
    assert report.render(*run, PLAN, CAUTIONS) == html


def test_the_report_has_the_figures_of_the_hold_out_and_of_the_baselines(run: Run, html: str) -> None:
    """They are those of the manifest."""
    text = check(html).text
    measured = run.model.metrics["holdout"]
    name = next(each for each in ("roc_auc", "accuracy", "r2") if each in measured)
    assert f"\n{measured[name]['value']:#.3g}\n" in text
    assert all(f"\n{baseline}\n" in text for baseline in run.model.metrics["baselines"])
    assert "minus" not in text


def test_the_column_that_decides_is_named_first(html: str) -> None:
    """It is the one that the model needs most, and moves predictions most."""
    text = check(html).text
    assert re.search(r"Shuffling “size” \([^)]*\), “\w+”", text)
    assert re.search(r"SHAP values of \d+ rows, “size”", text)


def test_cells_of_single_rows_are_shown_only_on_demand(run: Run, html: str) -> None:
    """Ids and answers of the rows with the largest errors are always shown; the plan's examples are not."""
    hidden, page = check(html).text, check(report.render(*run, PLAN, show_rows=True))
    shown = page.text
    assert EXAMPLE not in hidden
    assert EXAMPLE in shown
    moments = re.compile(r"2024-\d\d-\d\d \d\d:00")
    assert not moments.search(hidden)
    assert len(moments.findall(shown)) == len(mistakes.worst(holdout(run))) > 0
    assert "cautions" not in page.ids
    assert {"columns", "candidates", "holdout", "learned", "levels", "mistakes", "origin"} <= {*page.ids}


def holdout(run: Run) -> HoldOut:
    """The hold-out of a run."""
    return HoldOut(run.model, run.data.holdout)


def test_the_folds_have_every_measure_of_the_hold_out(run: Run) -> None:
    """In the same order."""
    folds, measured = candidates.table(run.model), candidates.holdout_table(run.model)
    assert [row[0] for row in folds.rows] == [row[0] for row in measured.rows]
    assert folds.marked == {run.model.metrics["winner"]} <= {*folds.head}


def test_only_rows_with_wrong_answers_are_listed(run: Run) -> None:
    """The worst come first, and no other row is worse than the last."""
    rows, whole = mistakes.worst(holdout(run)), holdout(run)
    page = page_of(run.model.problem)
    wrong, error = page.wrong(whole.target, whole.answers), page.error(whole.target, whole.answers)
    assert wrong[rows].all()
    assert len(rows) == min(mistakes.ROWS, wrong.sum())
    assert [*error[rows]] == sorted(error[wrong], reverse=True)[: len(rows)]


def few_mistakes(wrong: int) -> Run:
    """A column gives the label of all but a few rows of the hold-out."""
    table = cells()
    run = train(Binary(("no", "yes")), table, (np.array([len(cell) for cell in table["city"]]) > 5).astype(np.int8))
    target = run.data.holdout.target.copy()
    target[:wrong] = 1 - target[:wrong]
    data = replace(run.data, holdout=replace(run.data.holdout, target=target))
    return Run(data, run.selected, data.evaluate(run.selected, run.selected.refit()))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (0, "0 of 80 rows held out got a wrong answer. There is none to look at."),
        (1, "1 of 80 rows held out got a wrong answer. Wrong labels"),
    ],
)
def test_few_mistakes_are_counted(wrong: int, sentence: str) -> None:
    """Rows that are right do not fill the list, and none is listed if all are right."""
    run = few_mistakes(wrong)
    assert len(mistakes.worst(holdout(run))) == wrong
    text = check(report.render(*run)).text
    assert sentence in text
    assert ("Rows with the largest errors" in text) == (wrong > 0)


def constant() -> Run:
    """A booster that cannot split answers every row alike."""
    table = cells()
    return train(Binary(("no", "yes")), table, (amounts(table) > 8).astype(np.int8), min_child_weight=1e6)


def constant_amount() -> Run:
    """Likewise for an amount, which is itself the same in every row."""
    return train(Regression(), cells(), np.full(ROWS, 7.0), min_child_weight=1e6)


def one_feature() -> Run:
    """A single column of two values."""
    flag = [str(row % 2) for row in range(ROWS)]
    return train(Binary(("no", "yes")), {"flag": flag}, np.arange(ROWS).astype(np.int8) % 2, {"flag": "category"})


def many_levels() -> Run:
    """A category of a thousand levels, most of one row."""
    levels = [f"level {row % 1_000}" for row in range(1_200)]
    target = np.random.default_rng(0).gamma(1, 1000, 1_200)
    return train(Regression("EUR"), {"level": levels}, target, {"level": "category"})


def missing_everywhere() -> Run:
    """Most cells of every column are empty, and all of one are in nearly every row."""
    table = cells()
    holes = {name: [cell if row % 9 == 0 else None for row, cell in enumerate(table[name])] for name in table}
    return train(Multiclass(("a", "b", "c")), holes, np.digitize(amounts(table), [0, 9]).astype(np.int8))


def rare_class() -> Run:
    """Many classes with long names; the last has few rows."""
    labels = tuple(f"a class with a long name, number {number}" for number in range(15))
    target = np.minimum(np.arange(900) % 15 + (np.arange(900) % 7 > 0) * (np.arange(900) % 15 == 14) * -3, 14)
    return train(Multiclass(labels), cells(900), target.astype(np.int8), KINDS)


def rare_levels() -> Run:
    """Three rows of each of a few levels, among one that is in all others."""
    table = cells() | {"city": ["rare 1"] * 3 + ["rare 2"] * 3 + ["(missing)"] * 200 + [""] * (ROWS - 206)}
    return train(Binary(("no", "yes"), Costs(1, 10)), table, (np.arange(ROWS) % 5 == 0).astype(np.int8))


@pytest.mark.parametrize(
    "odd", [constant, constant_amount, one_feature, many_levels, missing_everywhere, rare_class, rare_levels]
)
def test_odd_tables_have_reports_too(odd: Callable[[], Run]) -> None:
    """A report needs no split, no spread, and no frequent level."""
    run = odd()
    text = check(report.render(*run, PLAN, CAUTIONS, show_rows=True)).text
    assert ("Rows with the largest errors" in text) == (len(mistakes.worst(holdout(run))) > 0)
