"""The report of a trained model: what was learned from, how it was chosen, how good it is, and what it learned."""

from collections.abc import Mapping, Sequence

from tabserve.model.model import Model
from tabserve.problem.metric import goodness
from tabserve.reports.html import candidates, contributions, importance, levels, mistakes
from tabserve.reports.html.holdout import HoldOut
from tabserve.reports.html.importance import Loss
from tabserve.reports.html.measure import ranking_measure
from tabserve.reports.html.page import Page, Panel, Section, Table
from tabserve.reports.html.page import render as render_page
from tabserve.reports.html.spelling import count, interval, number
from tabserve.reports.html.task_page import page_of
from tabserve.reports.task_report import report_of
from tabserve.stations import TrainingData
from tabserve.training.selection import Selection
from tabserve.training.split import describe_split

MOST_CATEGORIES = 3
"""Most categories whose levels are shown."""

MISTAKES = "Where it is most wrong"

SYNTHETIC = "This model was trained on synthetic data: not one row of it was observed."


def render(
    data: TrainingData,
    selected: Selection,
    model: Model,
    columns: Sequence[Mapping[str, str]] = (),
    cautions: Sequence[tuple[str, str]] = (),
    *,
    show_rows: bool = False,
) -> str:
    """Render the report as one HTML page that needs no other file.

    Args:
        data: the rows that the model was trained and evaluated on.
        selected: the candidates' outcomes.
        model: evaluated on the hold-out.
        columns: what the plan says of each column: its `name`, `role`, `kind`, `why`, `distinct`, `missing` and
            `example`.
        cautions: what each warning of the plan is about, and its sentence.
        show_rows: whether to show cells of single rows: the examples of columns, and the rows with the largest errors.
    """
    holdout = HoldOut(model, data.holdout)
    needed = importance.losses(holdout)
    sections = [
        _cautions(cautions),
        _columns(columns, examples=show_rows),
        _candidates(data, selected, model),
        _evaluation(holdout),
        _learned(holdout, needed),
        _levels(holdout, needed),
        _mistakes(holdout, cells=show_rows),
        _origin(model),
    ]
    return render_page(_page(holdout, [section for section in sections if section]))


def _page(holdout: HoldOut, sections: Sequence[Section]) -> Page:
    model, problem = holdout.model, holdout.model.problem
    lead = page_of(problem).purpose(problem.target, model.data)
    return Page(problem.name, lead, _facts(holdout), sections, SYNTHETIC * bool(model.data.get("synthetic")))


def _facts(holdout: HoldOut) -> list[tuple[str, str, str]]:
    """The figures at the top."""
    model, rows = holdout.model, holdout.model.data["rows"]
    name, measure = ranking_measure(model.metrics), holdout.measure
    value = measure.interval(model.metrics["holdout"][name])
    facts = [(f"{measure.title} on the hold-out", number(value.value), f"95 % interval: {interval(value)}")]
    if baselines := model.metrics.get("baselines"):
        best = max(baselines, key=lambda each: goodness(name, baselines[each][name]))
        plain = number(measure.plain(baselines[best][name]))
        facts.append((f"{measure.title} without any column", plain, f"the baseline “{best}”"))
    facts.append(("rows", f"{rows:,}", f"{len(holdout.frame):,} of them held out and opened once"))
    columns = len(model.problem.columns)
    facts.append(("columns", f"{columns:,}", f"that the model reads to tell “{model.problem.target}”"))
    return facts


def _cautions(cautions: Sequence[tuple[str, str]]) -> Section | None:
    if not cautions:
        return None
    rows = [[about, sentence] for about, sentence in cautions]
    lead = "What can make the figures below better than they will turn out, and what to do about it."
    return Section("cautions", "Cautions", lead, [Table("Cautions", ["about", "caution"], rows)])


def _columns(columns: Sequence[Mapping[str, str]], *, examples: bool) -> Section | None:
    if not columns:
        return None
    keys = ["name", "role", "kind", "distinct", "missing", *["example"] * examples, "why"]
    rows = [[str(column.get(key, "")) for key in keys] for column in columns]
    features = sum(column.get("role") == "feature" for column in columns)
    lead = f"{count(len(columns), 'column')} in the table; the model reads {features:,}."
    return Section("columns", "The columns", lead, [Table("Columns", ["column", *keys[1:]], rows)])


def _candidates(data: TrainingData, selected: Selection, model: Model) -> Section:
    rows, fold_rows = model.data["rows"], model.metrics["fold_rows"]
    split = describe_split(data.holdout.problem, rows, fold_rows, model.data.get("periods"))
    how, chosen = split.how.replace("`", ""), report_of(model.problem).chosen
    lead = (
        f"Split: {how}; {split.held_out} held out, {split.folds} on the rest. A candidate is measured in each fold on"
        f" rows that it was not fitted on; its {chosen} is chosen on the other folds."
    )
    blocks: list[Panel | Table] = [candidates.panel(selected, model), candidates.table(model)]
    return Section("candidates", "How the model was chosen", lead, blocks)


def _evaluation(holdout: HoldOut) -> Section:
    page = page_of(holdout.model.problem)
    rows = count(len(holdout.frame), "row")
    lead = f"Measured once, on {rows} that had no part in fitting or choosing. Baselines know the target and no column."
    blocks: list[Panel | Table] = [
        candidates.holdout_table(holdout.model),
        *page.panels(holdout),
        *page.tables(holdout),
    ]
    return Section("holdout", "How good it is", lead, blocks)


def _learned(holdout: HoldOut, needed: Sequence[Loss]) -> Section | None:
    if not needed:
        return None
    explained = contributions.explain(holdout)
    panels = [importance.panel(holdout, [*needed])]
    if explained:
        panels += contributions.panels(holdout, explained)
    lead = "What the model makes of the columns. A column that moves a prediction need not move the outcome."
    return Section("learned", "What it learned", lead, panels)


def _levels(holdout: HoldOut, needed: Sequence[Loss]) -> Section | None:
    """The levels of the categories that the model needs most."""
    categories = [loss.column for loss in needed if loss.column in {*holdout.frame.encoder.categories}]
    cells = holdout.frame.encoder.decode(holdout.frame.features) if categories else {}
    groups = {name: found for name in categories[:MOST_CATEGORIES] if (found := levels.group(cells[name]))}
    if not groups:
        return None
    lead = (
        "The categories that the model needs most. Levels of fewer than"
        f" {levels.FEWEST_ROWS} rows of the hold-out are pooled."
    )
    blocks: list[Panel | Table] = []
    for name, found in groups.items():
        blocks += [levels.panel(holdout, name, found), levels.table(holdout, name, found)]
    return Section("levels", "How it does by level", lead, blocks)


def _mistakes(holdout: HoldOut, *, cells: bool) -> Section:
    worst, rows = mistakes.worst(holdout), count(len(holdout.frame), "row")
    few = f"{len(worst):,} of {rows} held out got a wrong answer. " * (len(worst) < mistakes.ROWS)
    if not len(worst):
        return Section("mistakes", MISTAKES, f"{few}There is none to look at.")
    hidden = "" if cells else " Cells are not shown, as this page may be passed on."
    lead = f"{few}Wrong labels in the table, rare cases, or something that no column tells: look here first.{hidden}"
    show = mistakes.table_with_cells if cells else mistakes.table
    return Section("mistakes", MISTAKES, lead, [show(holdout, worst)])


def _origin(model: Model) -> Section:
    rows = [
        ["data", str(model.data["source"])],
        ["sha256 of the data", str(model.data["sha256"])],
        ["target", model.problem.target],
        ["rows", f"{model.data['rows']:,}, {report_of(model.problem).rows(model.data)}".replace("`", "")],
        ["kind", model.predictor.described.replace("`", "")],
        ["candidate", str(model.metrics["winner"])],
        ["seed", str(model.problem.seed)],
        ["made with", ", ".join(f"{name} {version}" for name, version in model.versions.items())],
    ]
    return Section("origin", "Where it comes from", "", [Table("Origin", ["what", "value"], rows)])
