"""Two models are compared on the same rows: labels, probabilities, and measures if there is a target."""

from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.model import small

from tabserve.encoding.encoder import Encoder
from tabserve.errors import DataError, UsageError
from tabserve.model.decision import Amount, MostProbable, Threshold, threshold_of
from tabserve.model.model import Model
from tabserve.operations import compare as compare_module
from tabserve.operations.changes import CHANGES, LABELS
from tabserve.operations.compare import SHOWN, Comparison, Difference, column_note, compare, lines
from tabserve.predictors.booster import Booster
from tabserve.problem.columns import numbers
from tabserve.problem.criterion import Costs
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass
from tabserve.table.frame import Rows
from tabserve.table.frame_reader import stream
from tabserve.table.source import Source
from tabserve.training import bootstrap
from tabserve.training.binary import measures
from tabserve.training.task_training import training_of

PROBLEM = Problem("small", numbers("a", "b", "c"), task=Binary(("no", "yes")), id="name")
RNG = np.random.default_rng(0)
ENCODER = Encoder.learn(PROBLEM, {})

FEATURES: NDArray[np.float32] = RNG.standard_normal((300, 3)).astype(np.float32)
TARGET = (FEATURES[:, 0] + RNG.standard_normal(300) > 1).astype(np.int8)
IDS = [f"row {number}" for number in range(300)]


def train(seed: int, threshold: float = 0.3) -> Model:
    """A model that trains in milliseconds; another seed gives another model."""
    classifier = xgb.XGBClassifier(n_estimators=8, max_depth=2, subsample=0.5, n_jobs=1, random_state=seed)
    booster = classifier.fit(FEATURES[::2], TARGET[::2]).get_booster()
    booster.feature_names = list(PROBLEM.features)
    return Model(PROBLEM, ENCODER, Booster(booster), Threshold(threshold), {}, {}, {})


OLD, NEW = train(0), train(1)

thresholds = st.sampled_from(sorted({0.0, 1.0, *OLD.score(FEATURES).probability.tolist()})) | st.floats(0, 1)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows without their target."""
    path = tmp_path_factory.mktemp("rows") / "unlabelled.csv"
    pd.DataFrame(FEATURES, IDS, PROBLEM.features).to_csv(path, index_label="name")
    return path


@pytest.fixture(scope="module")
def labelled(unlabelled: Path) -> Path:
    """The rows with their target."""
    path = unlabelled.with_name("labelled.csv")
    spelled = np.array(PROBLEM.labels)[TARGET]
    pd.read_csv(unlabelled).assign(target=spelled).to_csv(path, index=False)
    return path


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw fewer bootstrap samples, as the width of intervals is not tested."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 40)


UP, DOWN = "no becomes yes", "yes becomes no"


def with_changes(**ids: list[str]) -> Comparison:
    """A comparison on the small table with rows that change from no to yes (`up`), or back (`down`)."""
    changes = {kind: rows for kind, rows in ((UP, ids.get("up")), (DOWN, ids.get("down"))) if rows}
    counts = Counter({kind: len(rows) for kind, rows in changes.items()})
    return Comparison(LABELS, len(IDS), counts, {kind: rows[:SHOWN] for kind, rows in changes.items()})


def mirror(comparison: Comparison) -> Comparison:
    """The expected comparison of the same models in the other order."""
    other = {UP: DOWN, DOWN: UP}
    counts = Counter({other[name]: count for name, count in comparison.changed.items()})
    ids = {other[name]: ids for name, ids in comparison.ids.items()}
    return replace(comparison, changed=counts, ids=ids)


@given(thresholds)
def test_a_model_compared_with_itself_has_no_changes(unlabelled: Path, threshold: float) -> None:
    """All labels and probabilities agree."""
    model = replace(OLD, decision=Threshold(threshold))
    comparison = compare(model, model, unlabelled)
    assert comparison == with_changes()
    assert comparison.agreement == 1


@given(thresholds, thresholds)
def test_a_moved_threshold_changes_exactly_the_rows_between_both_thresholds(
    unlabelled: Path, old: float, new: float
) -> None:
    """A row changes if its probability reaches the lower threshold only."""
    comparison = compare(replace(OLD, decision=Threshold(old)), replace(OLD, decision=Threshold(new)), unlabelled)
    probability = OLD.score(FEATURES).probability.astype(np.float64)
    between = (probability >= min(old, new)) & (probability < max(old, new))
    ids = [name for name, changes in zip(IDS, between, strict=True) if changes]
    expected = with_changes(up=ids)
    assert comparison == (expected if new < old else mirror(expected))


@given(thresholds, thresholds)
def test_swapping_the_models_mirrors_the_comparison(unlabelled: Path, one: float, other: float) -> None:
    """Directions are exchanged, and distances are equal."""
    old, new = replace(OLD, decision=Threshold(one)), replace(NEW, decision=Threshold(other))
    comparison = compare(old, new, unlabelled)
    assert comparison.largest > 0
    assert compare(new, old, unlabelled) == mirror(comparison)


@pytest.mark.usefixtures("few_resamples")
def test_swapping_the_models_mirrors_the_measures(labelled: Path) -> None:
    """Old and new are exchanged, and the signs of differences and intervals change."""
    there, back = compare(OLD, NEW, labelled).measures, compare(NEW, OLD, labelled).measures
    for name, (old, new, change) in there.items():
        assert back[name][:2] == (new, old)
        assert back[name].change == pytest.approx((-change.value, -change.high, -change.low))


@pytest.mark.usefixtures("few_resamples")
def test_the_measures_are_those_of_the_evaluation(labelled: Path) -> None:
    """All measures of the task, by the new model's criterion; each difference lies in its interval."""
    costly = replace(NEW, problem=replace(PROBLEM, task=Binary(PROBLEM.labels, Costs(1, 5))))
    differences = compare(OLD, costly, labelled).measures
    assert list(differences) == list(measures(TARGET, OLD.score(FEATURES).probability, 0.5, Costs(1, 5)))
    assert next(iter(differences)) == "minus_cost"
    sides = [
        measures(TARGET, model.score(FEATURES).probability, threshold_of(model.decision), Costs(1, 5))
        for model in (OLD, costly)
    ]
    for name, (old, new, change) in differences.items():
        assert [old, new] == pytest.approx([side[name] for side in sides])
        assert change.value == new - old
        assert change.low <= change.value <= change.high


@pytest.mark.usefixtures("few_resamples")
def test_an_interval_is_that_of_the_difference_and_not_of_both_models(labelled: Path) -> None:
    """Both models score the same rows in each draw, so equal measures have an interval of width 0."""
    differences = compare(OLD, replace(OLD, decision=Threshold(0.9)), labelled).measures
    assert [*differences["roc_auc"].change] == [0, 0, 0]
    assert differences["f1"].change.high < 0


@pytest.mark.usefixtures("few_resamples")
def test_a_target_adds_measures_and_changes_nothing_else(labelled: Path, unlabelled: Path) -> None:
    """Labels and probabilities are compared as without it."""
    assert replace(compare(OLD, NEW, labelled), measures={}) == compare(OLD, NEW, unlabelled)


def test_batches_add_up_to_the_whole_table(unlabelled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small batches give the comparison of one."""
    whole = compare(OLD, NEW, unlabelled)

    def in_batches(source: Source, problem: Problem, encoder: Encoder) -> list[Rows]:
        (rows,) = stream(source, problem, encoder)
        cuts = range(0, len(rows), 7)
        return [Rows(rows.ids[cut : cut + 7], rows.features[cut : cut + 7]) for cut in cuts]

    monkeypatch.setattr(compare_module, "_batches", in_batches)
    comparison = compare(OLD, NEW, unlabelled)
    assert comparison.distance == pytest.approx(whole.distance)
    assert replace(comparison, distance=whole.distance) == whole


def test_the_rows_that_change_are_written(unlabelled: Path, tmp_path: Path) -> None:
    """With id, both probabilities and both labels, in the order of the table."""
    comparison = compare(OLD, NEW, unlabelled, tmp_path / "changed.csv")
    table = pd.read_csv(tmp_path / "changed.csv", index_col="name")
    old, new = OLD.score(FEATURES), NEW.score(FEATURES)
    differ = old.label != new.label
    assert 0 < len(table) == differ.sum() == comparison.changed.total()
    columns = {
        "old_label": np.array(PROBLEM.labels)[old.label],
        "new_label": np.array(PROBLEM.labels)[new.label],
        "old_probability": old.probability,
        "new_probability": new.probability,
    }
    expected = pd.DataFrame(columns, index=pd.Index(IDS, name="name"))[differ]
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_a_bad_row_leaves_no_file_behind(unlabelled: Path, tmp_path: Path) -> None:
    """The file of changes is written whole or not at all."""
    bad = tmp_path / "bad.csv"
    bad.write_text(unlabelled.read_text() + "last,1,2,\n")
    with pytest.raises(DataError, match="row 301, column 'c'"):
        compare(OLD, NEW, bad, tmp_path / "changed.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]


def test_a_missing_value_is_accepted_if_both_models_accept_it(unlabelled: Path, tmp_path: Path) -> None:
    """It is refused if one of them does not."""
    gap = tmp_path / "gap.csv"
    gap.write_text(unlabelled.read_text() + "last,1,2,\n")
    old, new = (
        replace(model, problem=replace(PROBLEM, columns=numbers("a", "b", "c", missing=True))) for model in (OLD, NEW)
    )
    assert compare(old, new, gap).rows == len(IDS) + 1
    for pair in ((old, NEW), (OLD, new)):
        with pytest.raises(DataError, match="an empty cell"):
            compare(*pair, gap)


@pytest.mark.parametrize(
    ("field", "value", "difference"),
    [
        ("target", "churn", "target"),
        ("task", Binary(("yes", "no")), "labels"),
        ("task", Multiclass(("no", "yes")), "tasks"),
        ("id", None, "id"),
    ],
    ids=["target", "labels", "tasks", "id"],
)
def test_models_for_different_problems_are_refused(field: str, value: object, difference: str, tmp_path: Path) -> None:
    """Before the table is read, in one sentence that says what differs."""
    fields: Any = {field: value}
    other = replace(NEW, problem=replace(PROBLEM, name="other", **fields))
    with pytest.raises(UsageError, match=rf"small and other: their {difference} differ; ") as refused:
        compare(OLD, other, tmp_path / "none.csv")
    assert str(refused.value).count("\n") == 0


def test_the_lines_show_counts_ids_distances_and_measures() -> None:
    """The first ids of each direction; measures only if there are some."""
    ids = {UP: ["a", "b"], DOWN: ["c"]}
    comparison = Comparison(LABELS, 1_000, Counter({UP: 7, DOWN: 1}), ids, distance=20, largest=0.5)
    shown = "\n".join(lines(comparison))
    for fact in (
        "992 of 1,000 rows (99.20%)",
        f"{UP}   7: a, b, …\n",
        f"{DOWN}   1: c\n",
        "0.02 apart on average, 0.5 at most",
    ):
        assert fact in shown
    assert "interval" not in shown
    change = Difference(0.5, 0.6, bootstrap.Interval(0.1, -0.05, 0.15))
    last = [*lines(replace(comparison, measures={"roc_auc": change}))][-1]
    assert last.split() == ["ROC", "AUC", "0.5000", "0.6000", "+0.1000", "-0.0500", "to", "+0.1500"]
    dearer = Difference(-0.5, -0.6, bootstrap.Interval(-0.1, -0.15, 0.05))
    last = [*lines(replace(comparison, measures={"minus_cost": dearer}))][-1]
    assert last.split()[3:] == ["0.5000", "0.6000", "+0.1000", "-0.0500", "to", "+0.1500"]


# Every task.


def write_mixed_table(folder: Path, task: str) -> tuple[Path, NDArray[Any]]:
    """Write the small table of several kinds of columns with a target; return its path and the target."""
    labels = small.MIXED[task](0).problem.labels
    target = small.CODES % len(labels) if labels else small.CODES.astype(float)
    spelled = np.array(labels)[target.astype(int)] if labels else target
    pd.DataFrame(small.TABLE).assign(target=spelled).to_csv(folder / "mixed.csv", index=False)
    return folder / "mixed.csv", target


def pair(task: str) -> tuple[Model, Model]:
    """A model, and one of its first tree only; intervals of amounts are narrow."""
    old = small.MIXED[task](0)
    if old.problem.task.AMOUNT:
        old = replace(old, decision=Amount((), (0.01,)))
    assert isinstance(old.predictor, Booster)
    return old, replace(old, predictor=Booster(old.predictor.trees[:1]))


@pytest.mark.parametrize("task", small.MIXED)
def test_models_of_every_task_are_compared_by_its_own_measures(task: str, tmp_path: Path, few_resamples: None) -> None:  # noqa: ARG001
    """As in the evaluation; changed rows are counted, and written with both answers."""
    old, new = pair(task)
    path, target = write_mixed_table(tmp_path, task)
    comparison = compare(old, new, path, tmp_path / "changed.csv")
    training, features = training_of(new.problem), small.cells(new.encoder)
    for side, model in enumerate((old, new)):
        expected = training.measures(target, model.score(features), model.decision)
        assert {name: measure[side] for name, measure in comparison.measures.items()} == pytest.approx(expected)
    table = pd.read_csv(tmp_path / "changed.csv")
    answers = new.decision.table(new.score(features), new.problem)
    assert [*table.columns[1:]] == [f"{side}_{name}" for name in answers for side in ("old", "new")]
    assert len(table) == comparison.changed.total() > 0
    assert any("interval" in line for line in lines(comparison))
    same = compare(old, old, path)
    assert (same.changed.total(), same.largest) == (0, 0)
    assert all(tuple(measure.change) == (0, 0, 0) for measure in same.measures.values())


def answers(model: Model, path: Path) -> Any:  # noqa: ANN401  Scores or Amounts
    """A model's answers to a table without its target, read as `tabserve score` reads it."""
    parts = [model.score(rows.features) for rows in stream(path, model.problem, model.encoder)]
    return type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))


def check_compared(old: Model, new: Model, path: Path) -> None:
    """A comparison is of the answers that each model gives alone."""
    comparison, task = compare(old, new, path), CHANGES[new.problem.task.KIND]
    before, after = answers(old, path), answers(new, path)
    kinds, distances = task.kinds(new.problem, before, after), task.distances(before, after)
    assert comparison.changed == Counter(kinds[kinds != ""].tolist())
    assert comparison.rows == len(distances)
    assert (comparison.distance, comparison.largest) == pytest.approx((distances.sum(), distances.max()))
    assert comparison.largest > 0


@pytest.mark.parametrize("kinds", [*permutations(small.PREDICTORS, 2)], ids=" to ".join)
@pytest.mark.parametrize("task", small.MIXED)
def test_models_of_different_predictors_are_compared(
    task: str,
    kinds: tuple[str, str],
    tmp_path: Path,
    few_resamples: None,  # noqa: ARG001
) -> None:
    """Of every task, in both orders; measured where there is a target."""
    old, new = (small.PREDICTORS[kind](small.MIXED[task](0)) for kind in kinds)
    path, target = write_mixed_table(tmp_path, task)
    measures, training = compare(old, new, path).measures, training_of(new.problem)
    for side, model in enumerate((old, new)):
        expected = training.measures(target, model.score(small.cells(model.encoder)), model.decision)
        assert {name: measure[side] for name, measure in measures.items()} == pytest.approx(expected)
    pd.read_csv(path, dtype=str).drop(columns="target").to_csv(path, index=False)
    check_compared(old, new, path)


def test_each_model_reads_the_columns_that_it_needs(tmp_path: Path, few_resamples: None) -> None:  # noqa: ARG001
    """Also where one is over texts and the other over numbers, the group of one is nothing to the other."""
    texts, problem = small.words(), Problem("sizes", numbers("size"), "kind", small.THINGS.task, "number")
    titles, labels = (np.array(words)[small.CODES % 3] for words in (("caixa", "colar", "manta"), small.THINGS.labels))
    table = pd.DataFrame({"number": range(200), "title": titles, "seller": "s", "size": small.CODES, "kind": labels})
    options = {"objective": "multi:softprob", "num_class": 3, "nthread": 1}
    trees = xgb.train(options, xgb.DMatrix(small.CODES[:, np.newaxis], small.CODES % 3), 9)
    sizes = Model(problem, Encoder.learn(problem, {}), Booster(trees), MostProbable(), {}, {}, {})
    table.to_csv(tmp_path / "both.csv", index=False)
    measures = compare(texts, sizes, tmp_path / "both.csv").measures
    assert (measures["accuracy"].old, measures["accuracy"].new) == (1, 1)
    table.to_csv(tmp_path / "both.csv", index=False, columns=["number", "title", "size"])
    assert compare(sizes, texts, tmp_path / "both.csv").agreement == 1
    assert "seller" not in column_note(texts.problem, sizes.problem)
    assert "'title'" in column_note(texts.problem, sizes.problem)


def test_levels_blanks_and_ignored_columns_are_each_models_own(tmp_path: Path) -> None:
    """A level that one model does not know, or that is an empty cell to it, is missing to it alone."""
    old = small.MIXED["binary"](0)
    problem = replace(old.problem, blanks=("?", "Rio"), ignored=("note",))
    encoder = Encoder.learn(problem, small.TABLE | {"city": ["?", "Recife", "Ouro Preto", "São Paulo"] * 50})
    new = small.PREDICTORS["one_hot.npz"](replace(old, problem=problem, encoder=encoder))
    cities = ["Rio", "?", "Recife", "Ouro Preto"] * 50
    table = pd.DataFrame(small.TABLE | {"city": cities}).assign(note="a")
    table.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError, match="unexpected columns: 'note'"):
        list(stream(tmp_path / "rows.csv", old.problem, old.encoder))
    comparison = compare(old, new, tmp_path / "rows.csv")
    assert comparison.rows == 200
    table.drop(columns="note").to_csv(tmp_path / "rows.csv", index=False)
    check_compared(old, new, tmp_path / "rows.csv")
    assert compare(old, new, tmp_path / "rows.csv") == comparison
    assert column_note(old.problem, new.problem) == ""


def test_a_level_that_one_model_refuses_is_refused(tmp_path: Path) -> None:
    """As the model itself refuses it; the sentence names the row."""
    old, new = pair("multiclass")
    pd.DataFrame(small.TABLE | {"floor": ["1"] * 199 + ["9"]}).to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(DataError, match="row 200, column 'floor': expected one of '1', '2', '3', found '9'"):
        compare(old, new, tmp_path / "rows.csv")


def test_amounts_outside_the_old_interval_are_counted_by_their_side(tmp_path: Path) -> None:
    """Above or below it."""
    old, new = pair("regression")
    path, _ = write_mixed_table(tmp_path, "regression")
    comparison = compare(old, new, path)
    before, after = (model.score(small.cells(model.encoder)).prediction.astype(np.float64) for model in (old, new))
    assert comparison.changed["above the old interval"] == (after > before + 0.01).sum() > 0
    assert comparison.changed["below the old interval"] == (after < before - 0.01).sum() > 0
    assert comparison.largest == pytest.approx(np.abs(after - before).max(), abs=1e-6)


def test_texts_are_compared_with_and_without_the_group_column(tmp_path: Path, few_resamples: None) -> None:  # noqa: ARG001
    """Compared rows are not split, so they need no group; the training table has one."""
    old, new = small.words(0), small.words(3)
    table = pd.DataFrame({"number": range(60), "title": ["colar", "caixa", "manta de colar"] * 20})
    table["kind"] = ["colar", "caixa", "manta"] * 20
    for columns in (table, table.assign(seller="s")):
        columns.to_csv(tmp_path / "titles.csv", index=False)
        comparison = compare(old, new, tmp_path / "titles.csv")
        assert comparison.rows == 60
        assert "macro_f1" in comparison.measures
