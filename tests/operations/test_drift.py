"""Drift is reported if new rows differ from a model's reference, and not if they are alike."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy.stats import binom, ks_2samp
from tests.model import small

import tabserve
from santander.sample import sample
from tabserve.encoding.categories import Categories
from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError, Drifted
from tabserve.model.model import Model, load
from tabserve.model.reference import LENGTH, STEPS, Levels, Quantiles, Reference
from tabserve.operations import drift, drift_figure, new_levels
from tabserve.operations.drift import SCORE
from tabserve.operations.new_levels import NO_LEVELS
from tabserve.problem.columns import Column, numbers
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training.split import hold_out

REAL = Path("data", "santander", "real_rows_2500.csv")

COMMAND = Path(tabserve.__file__).with_name("__main__.py")

LOWEST = float(np.finfo(np.float32).min)

columns = npst.arrays(
    np.float32,
    st.integers(1, 200),
    elements=st.floats(-3, 3, width=32) | st.sampled_from([0.0, 1.0, LOWEST, float("nan")]),
)


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    """A model whose folder has a reference."""
    return load(model_folder)


def write_rows(folder: Path, frame: Frame, features: NDArray[np.float32]) -> Path:
    """Write features as a csv with ids and no target."""
    table = pd.DataFrame(features, columns=list(frame.problem.features))
    table.insert(0, str(frame.problem.id), frame.ids[: len(features)])
    table.to_csv(path := folder / "new.csv", index=False)
    return path


@given(columns)
def test_every_row_lies_in_one_bin(values: NDArray[np.float32]) -> None:
    """The shares add up to 1, and are those of the counted rows."""
    quantiles = Quantiles.of(values)
    assert len(quantiles.edges) <= 2 * (STEPS - 1)
    assert np.isfinite(quantiles.edges).all()
    assert np.all(np.diff(quantiles.edges) > 0)
    counts = quantiles.counts(values)
    assert counts.sum() == len(values)
    assert quantiles.shares == pytest.approx(counts / len(values), abs=1e-12)


@given(columns, st.permutations(range(5)))
def test_rows_compared_with_themselves_do_not_shift(values: NDArray[np.float32], order: list[int]) -> None:
    """In any order, and if all are repeated."""
    quantiles = Quantiles.of(values)
    again = np.concatenate([values[start::5] for start in order])
    shift = drift.shift("any", quantiles, len(values), quantiles.counts(np.concatenate([again, again])))
    assert shift.psi == pytest.approx(0, abs=1e-9)
    assert shift.ks == pytest.approx(0, abs=1e-9)
    assert not shift.matters


@given(st.integers(0, 2**32 - 1), st.floats(-2, 2), st.floats(0.5, 2))
def test_the_statistic_of_bins_is_close_to_the_exact_one(seed: int, mean: float, spread: float) -> None:
    """It is at most as large, and smaller by at most 1.5 times the share of a bin."""
    rng = np.random.default_rng(seed)
    old, new = rng.normal(size=2_000).astype(np.float32), rng.normal(mean, spread, size=1_000).astype(np.float32)
    quantiles = Quantiles.of(old)
    shift = drift.shift("any", quantiles, len(old), quantiles.counts(new))
    exact = ks_2samp(old, new).statistic
    assert exact - 1.5 / STEPS <= shift.ks <= exact + 1e-9


def shift_of(old: NDArray[np.generic], new: NDArray[np.generic], tests: int = 1) -> drift.Shift:
    """The shift of a column from its reference, both as 32-bit floats."""
    before, after = old.astype(np.float32), new.astype(np.float32)
    quantiles = Quantiles.of(before)
    return drift.shift("any", quantiles, len(before), quantiles.counts(after), tests)


KINDS: dict[str, Callable[[np.random.Generator, int], NDArray[np.generic]]] = {
    "normal": lambda rng, rows: rng.normal(size=rows),
    "skewed": lambda rng, rows: rng.exponential(10, rows).round(2),
    "constant": lambda _, rows: np.ones(rows),
    "a flag": lambda rng, rows: rng.integers(0, 2, rows),
    "whole numbers": lambda rng, rows: rng.integers(0, 20, rows),
    "counts": lambda rng, rows: rng.poisson(20, rows),
    "whole numbers and some between": lambda rng, rows: np.where(
        rng.random(rows) < 0.7, rng.integers(0, 19, rows), rng.uniform(0, 19, rows)
    ),
    "zeros and a rest": lambda rng, rows: np.where(rng.random(rows) < 0.6, 0, rng.exponential(size=rows)),
    "half missing": lambda rng, rows: np.where(rng.random(rows) < 0.5, np.nan, rng.normal(size=rows)),
}
"""Columns with distributions that are usual in tables."""


def share(values: NDArray[np.generic], value: float) -> float:
    """Share of the values that are equal to this one, which may be NaN."""
    return float(np.isclose(values.astype(np.float64), value, rtol=0, atol=0, equal_nan=True).mean())


@given(
    st.sampled_from([*KINDS]),
    st.sampled_from([0.0, 1.0, 7.0, 0.5, -999.0, 1e6, LOWEST, float("nan")]),
    st.tuples(st.floats(0, 0.78), st.floats(0.205, 1)),
    st.tuples(st.integers(500, 2_000), st.integers(500, 2_000)),
    st.integers(0, 2**32 - 1),
)
def test_a_value_that_becomes_more_or_less_frequent_is_detected(
    kind: str, value: float, shares: tuple[float, float], rows: tuple[int, int], seed: int
) -> None:
    """Any value of any column whose share changes by more than 0.2, in both directions."""
    rng, (few, more) = np.random.default_rng(seed), shares
    rare, frequent = (KINDS[kind](rng, length).astype(np.float32) for length in rows)
    rare[: round(few * len(rare))] = value
    frequent[: round(min(few + more, 1) * len(frequent))] = value
    assume(abs(share(frequent, value) - share(rare, value)) > 0.2)
    assert shift_of(rare, frequent, tests=5).matters
    assert shift_of(frequent, rare, tests=5).matters


DRAWN = np.random.default_rng(0)
FLAG = (DRAWN.random(2_000) < 0.97).astype(np.float32)
EVEN = (DRAWN.random(2_000) < 0.5).astype(np.float32)
AMOUNT = np.where(DRAWN.random(2_000) < 0.6, 0, DRAWN.exponential(size=2_000)).astype(np.float32)
TENS = DRAWN.choice(np.array([0, 10, 20, 30], np.float32), 2_000)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FLAG, EVEN),
        (1 - FLAG, EVEN),
        (AMOUNT, np.where(AMOUNT == 0, -999, AMOUNT)),
        (AMOUNT, np.where(AMOUNT == 0, 999, AMOUNT)),
        (AMOUNT, np.where(AMOUNT == 0, LOWEST, AMOUNT)),
        (AMOUNT, np.where(AMOUNT == 0, np.nan, AMOUNT)),
        (np.ones(2_000), np.zeros(2_000)),
        (TENS, np.maximum(TENS - 1, 0)),
        (TENS, TENS / 10),
        (100 * EVEN, EVEN),
    ],
    ids=["97 % ones to half", "3 % ones to half", "zeros to -999", "zeros to 999", "zeros to the lowest number",
         "zeros to missing", "1 to 0", "one less", "a tenth", "percent to fraction"],
)  # fmt: skip
def test_repeated_values_that_become_others_are_detected(
    before: NDArray[np.float32], after: NDArray[np.float32]
) -> None:
    """In both directions."""
    assert shift_of(before, after, tests=200).matters
    assert shift_of(after, before, tests=200).matters


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_one_distribution_rarely_shift(kind: str) -> None:
    """Whatever their sizes, at most as often as the significance level allows."""
    rng, pairs = np.random.default_rng(1), 500
    sizes = zip(rng.choice([300, 1_000, 20_000], pairs), rng.choice([5, 30, 100, 1_000], pairs), strict=True)
    shifts = sum(shift_of(KINDS[kind](rng, before), KINDS[kind](rng, after)).matters for before, after in sizes)
    assert shifts <= binom.isf(0.001, pairs, drift.SIGNIFICANCE)


@pytest.mark.parametrize("rows", [100, 150, 250])
def test_few_rows_of_many_columns_rarely_drift(rows: int) -> None:
    """Bins with few rows are not exaggerated; without that, every third table drifted."""
    draw, names, tables = np.random.default_rng(rows).normal, 200, 40
    before = [Quantiles.of(column) for column in draw(size=(names, 2_000)).astype(np.float32)]
    drifted = 0
    for _ in range(tables):
        new = draw(size=(names, rows)).astype(np.float32)
        pairs = zip(before, new, strict=True)
        drifted += any(drift.shift("", old, 2_000, old.counts(column), names).matters for old, column in pairs)
    assert drifted <= binom.isf(0.001, tables, drift.SIGNIFICANCE)


def test_few_rows_without_rare_values_do_not_shift() -> None:
    """Rare values lie between frequent integers; that ten rows lack them is no evidence."""
    rng = np.random.default_rng(4)
    before = rng.integers(0, 19, 40_000) + np.where(rng.random(40_000) < 0.001, 0.5, 0)
    for _ in range(50):
        after = rng.integers(0, 19, 10)
        shift = shift_of(before, after)
        assert not shift.matters
        assert shift.psi_p > 0.01


def test_a_column_whose_values_hardly_repeat_has_quantiles_only() -> None:
    """No value has its own bin, whose few rows would vary by chance."""
    values = np.random.default_rng(2).normal(size=5_000).round(4).astype(np.float32)
    assert np.isin(Quantiles.of(values).edges, values).all()
    assert len(Quantiles.of(values).edges) == STEPS - 1


@pytest.mark.parametrize("rows", [10, 100, 3_000])
def test_rows_of_the_same_distribution_do_not_drift(model: Model, tmp_path: Path, rows: int) -> None:
    """However few they are."""
    frame = sample(rows, seed=7)
    report = drift.drift(model, write_rows(tmp_path, frame, frame.features))
    assert (report.rows, report.drifted) == (rows, [])
    assert len(report.shifts) == len(model.problem.features) + 1


def test_shifted_columns_are_named(model: Model, tmp_path: Path) -> None:
    """No other column is; the scores are listed as well."""
    frame = sample(3_000, seed=8)
    features, names = frame.features.copy(), model.problem.features
    spread = features.std(axis=0)
    features[:, 3] += spread[3]
    features[:, 120] *= 2
    report = drift.drift(model, write_rows(tmp_path, frame, features))
    assert {shift.name for shift in report.drifted} - {SCORE} == {names[3], names[120]}
    shown = list(drift.lines(report))
    assert next(line for line in shown if "drifted" in line).split()[0] == report.drifted[0].name
    assert any(SCORE in line for line in shown)


def test_more_or_fewer_missing_values_are_a_shift() -> None:
    """From none to half of the rows, and back."""
    values = np.arange(1_000, dtype=np.float32)
    half = np.where(values % 2 == 0, np.float32("nan"), values)
    for before, after in ((values, half), (half, values)):
        quantiles = Quantiles.of(before)
        assert drift.shift("any", quantiles, 1_000, quantiles.counts(after)).matters


def test_a_column_of_missing_values_only_is_compared() -> None:
    """It has no edges; any value in it is a shift."""
    nothing = np.full(500, np.nan, np.float32)
    quantiles = Quantiles.of(nothing)
    assert not drift.shift("any", quantiles, 500, quantiles.counts(nothing)).matters
    assert drift.shift("any", quantiles, 500, quantiles.counts(np.zeros(500, np.float32))).matters


def test_the_folder_stores_the_reference(model: Model, sample_frame: Frame) -> None:
    """It is that of the hold-out, and the same after encoding and decoding."""
    kept = Reference.from_json(model.data)
    again = Reference.from_json(kept.to_json())
    assert tuple(kept.columns) == model.problem.features
    assert kept.rows == round(model.problem.holdout * len(sample_frame))
    pairs = [(kept.score, again.score), *((kept.columns[name], again.columns[name]) for name in kept.columns)]
    for distribution, other in pairs:
        assert isinstance(distribution, Quantiles)
        assert distribution.to_json() == other.to_json()
        assert np.all(np.diff(distribution.edges) > 0)


def test_a_column_can_have_the_name_of_the_scores(sample_frame: Frame) -> None:
    """The reference keeps both."""
    few = Problem("few", numbers("score", "(score)"))
    frame = replace(sample_frame, features=sample_frame.features[:, :2], problem=few)
    kept = Reference.from_json(
        Reference.of(few, Encoder.learn(few, {}), frame.features, np.full(len(frame), 0.5, np.float32)).to_json()
    )
    assert tuple(kept.columns) == few.features
    score, column = kept.score, kept.columns["score"]
    assert isinstance(score, Quantiles)
    assert isinstance(column, Quantiles)
    assert score.edges[-1] == 0.5
    assert len(column.edges) > 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("reference"),
        lambda data: data.update(reference=3),
        lambda data: data["reference"].pop("rows"),
        lambda data: data["reference"]["columns"].popitem(),
        lambda data: data["reference"].pop("score"),
        lambda data: data["reference"].update(score={"edges": ["x"], "below": [1], "missing": 0}),
        lambda data: data["reference"].update(score=[1, 2]),
        lambda data: data["reference"].update(rows=0),
        lambda data: data["reference"].update(rows=float("inf")),
        lambda data: data["reference"].update(score={"edges": [1], "below": [5], "missing": 0}),
        lambda data: data["reference"].update(score={"edges": [2, 1], "below": [0.2, 0.5], "missing": 0}),
        lambda data: data["reference"].update(score={"edges": [[1]], "below": [1], "missing": 0}),
        lambda data: data["reference"].update(score={"edges": [1, math.inf], "below": [0.5, 1], "missing": 0}),
        lambda data: data["reference"].update(score={"codes": [10**30], "frequency": [1], "missing": 0}),
    ],
)
def test_a_folder_without_a_whole_reference_is_refused(
    model: Model, tmp_path: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    """The message says what to do."""
    frame = sample(5, seed=1)
    data = {**model.data, **Reference.from_json(model.data).to_json()}
    damage(data)
    with pytest.raises(ArtifactError, match="train it again"):
        drift.drift(replace(model, data=data), write_rows(tmp_path, frame, frame.features))


def test_the_command_reports_drift_by_its_exit_code(
    script: Callable[..., Any], model_folder: Path, tmp_path: Path
) -> None:
    """0 if nothing drifted, else 6; the plot is drawn in both cases."""
    frame = sample(2_000, seed=9)
    for change, code in ((0, 0), (9, Drifted.exit_code)):
        path = write_rows(tmp_path, frame, frame.features + np.float32(change))
        finished = script(COMMAND, "drift", model_folder, "--data", path, "--out", tmp_path / "drift.svg")
        assert finished.returncode == code, finished.stderr
        assert "PSI" in finished.stdout
        assert ("distributions drifted: " in finished.stderr) == bool(code)
        assert "<svg" in (tmp_path / "drift.svg").read_text()
        (tmp_path / "drift.svg").unlink()


def test_the_committed_reference_is_that_of_the_hold_out() -> None:
    """The same rows, drawn again, give the same reference."""
    model = load(Path(__file__).parents[2] / "deploy" / "model")
    _, holdout = hold_out(replace(sample(200_000, seed=42), problem=model.problem))
    again = Reference.of(
        holdout.problem, holdout.encoder, holdout.features, model.score(holdout.features).probability
    ).to_json()
    assert again["reference"]["columns"] == model.data["reference"]["columns"]
    assert again["reference"]["rows"] == model.data["reference"]["rows"]
    score, kept = (np.array(data["reference"]["score"]["edges"]) for data in (again, model.data))
    assert score == pytest.approx(kept, abs=1e-6)


def test_real_rows_do_not_drift_from_the_committed_model(shared: Path, tmp_path: Path) -> None:
    """Although its reference is synthetic; a moved column of them drifts."""
    model, path = load(Path(__file__).parents[2] / "deploy" / "model"), shared / REAL
    assert drift.drift(model, path).drifted == []
    frame = read(path, model.problem)
    moved = frame.features + np.float32(0.5) * frame.features.std(axis=0) * (np.arange(200) == 7)
    assert [shift.name for shift in drift.drift(model, write_rows(tmp_path, frame, moved)).drifted] == ["var_7"]


# Every task and kind of column.


def with_reference(model: Model, features: NDArray[Any]) -> Model:
    """The model with a reference of these rows."""
    scores = model.decision.watched(model.score(features))
    kept = Reference.of(model.problem, model.encoder, features, scores).to_json()
    return replace(model, data={**model.data, **kept})


def write_mixed_rows(folder: Path, **columns: list[Any]) -> Path:
    """Write the small table of several kinds of columns as a csv, with these columns replaced."""
    pd.DataFrame(small.TABLE | columns).to_csv(path := folder / "mixed.csv", index=False)
    return path


@pytest.mark.parametrize("kind", small.PREDICTORS)
@pytest.mark.parametrize("task", small.MIXED)
def test_columns_of_every_kind_are_watched_for_every_task_and_predictor(task: str, kind: str, tmp_path: Path) -> None:
    """Numbers, levels, parts of dates and scores are watched; the same rows do not shift, others do."""
    original = small.PREDICTORS[kind](small.MIXED[task](0))
    model = with_reference(original, small.cells(original.encoder))
    report = drift.drift(model, write_mixed_rows(tmp_path))
    assert [shift.name for shift in report.shifts] == [*original.encoder.names, SCORE]
    assert report.drifted == []
    assert {shift.name for shift in report.shifts if np.isnan(shift.ks)} == {"city", "floor"}
    elsewhere = ["Rio" if row % 10 else "Ouro Preto" for row in range(200)]
    late = [f"20{60 + row % 30}-03-28 {row % 24:02}:30" for row in range(200)]
    names = {shift.name for shift in drift.drift(model, write_mixed_rows(tmp_path, city=elsewhere, when=late)).drifted}
    assert {"city", "when.day", "when.month"} <= names
    assert not {"age", "floor"} & names
    assert any("–" in line for line in drift.lines(report))


def test_new_levels_are_a_shift_and_named_with_their_rows(tmp_path: Path) -> None:
    """They count as missing; levels of a column that refuses them are counted too."""
    original = small.MIXED["binary"](0)
    model = with_reference(original, small.cells(original.encoder))
    cities = ["Atlantis", " Atlantis", "Lemuria", "Rio"] * 50
    report = drift.drift(model, write_mixed_rows(tmp_path, city=cities, floor=["1", "2", "3", "3"] * 49 + ["9"] * 4))
    assert "city" in {shift.name for shift in report.drifted}
    levels = {shift.name: shift.new_levels.counts for shift in report.shifts if shift.new_levels.rows}
    assert levels == {"city": {"Atlantis": 100, "Lemuria": 50}, "floor": {"9": 4}}
    shown = [*drift.lines(report)]
    assert "New levels of city: 'Atlantis' (100 rows), 'Lemuria' (50 rows)." in shown
    assert "New levels of floor: '9' (4 rows)." in shown


def test_new_levels_without_end_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first are counted one by one, the rows of all others together."""
    monkeypatch.setattr(new_levels, "MOST", 10)
    counted = NO_LEVELS
    for start in range(0, 90, 9):
        counted = counted.plus({str(level): 1 for level in range(start, start + 9)} | {"0": 2})
    assert counted.rows == 90 + 10 * 2 - 1
    assert len(counted.counts) == 10
    assert str(counted) == "'0' (20 rows), '1' (1 rows), '2' (1 rows), '3' (1 rows), '4' (1 rows), others (85 rows)"


@given(columns, columns)
def test_the_chi_squared_distance_is_symmetric_and_at_most_one(
    before: NDArray[np.float32], after: NDArray[np.float32]
) -> None:
    """It is 0 for the same rows, and 1 for rows in other bins."""
    quantiles = Quantiles.of(before)
    old, new = (quantiles.counts(values) / len(values) for values in (before, after))
    distance = drift.shift("any", quantiles, len(before), quantiles.counts(after)).chi2
    assert 0 <= distance <= 1 + 1e-9
    assert distance == pytest.approx(0.5 * sum((a - b) ** 2 / (a + b) for a, b in zip(old, new, strict=True) if a + b))
    assert (distance > 1 - 1e-9) == (not (old * new).any())


def test_the_figure_has_every_measure_and_the_new_levels(tmp_path: Path) -> None:
    """A column of levels has no Kolmogorov-Smirnov statistic; a name may hold any sign."""
    original = small.MIXED["multiclass"](0)
    model = with_reference(original, small.cells(original.encoder))
    report = drift.drift(model, write_mixed_rows(tmp_path, city=["Atlantis"] * 200))
    odd = drift.shift("$a_{", Quantiles.of(EVEN), 2_000, Quantiles.of(EVEN).counts(FLAG))
    figure = drift_figure.draw(report._replace(shifts=[*report.shifts, odd]))
    figure.savefig(tmp_path / "drift.svg")
    assert [axes.get_title() for axes in figure.axes] == [*drift_figure.MEASURES.values()]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "city (200 rows of new levels)" in labels
    assert len(labels) == len(report.shifts) + 1


def test_a_category_without_levels_is_watched_as_a_category() -> None:
    """Its distribution is one of levels, and its unseen levels are counted from the start."""
    problem = Problem("empty", (Column("town", "category", missing=True),))
    encoder = Encoder(problem.columns, (Categories((), missing=True),))
    reference = Reference.of(problem, encoder, np.full((9, 1), np.nan, np.float32), np.zeros(9, np.float32))
    assert isinstance(reference.columns["town"], Levels)
    assert encoder.categories == ["town"]


def test_the_time_of_the_split_is_not_watched(tmp_path: Path) -> None:
    """It always differs in later rows."""
    original = small.MIXED["regression"](0)
    original = replace(original, problem=replace(original.problem, time="when"))
    model = with_reference(original, small.cells(original.encoder))
    report = drift.drift(model, write_mixed_rows(tmp_path, when=["2099-01-01 00:30"] * 200))
    assert [shift.name for shift in report.shifts] == ["age", "city", "floor", SCORE]


def test_the_length_of_texts_is_watched(tmp_path: Path) -> None:
    """Longer texts drift; the same texts do not."""
    original = small.words()
    titles = np.array(["colar", "caixa", "manta de colar"] * 100, np.object_)
    model = with_reference(original, titles)

    def drifted(texts: NDArray[np.object_]) -> set[str]:
        rows = pd.DataFrame({"number": range(len(texts)), "title": texts})
        rows.to_csv(tmp_path / "titles.csv", index=False)
        return {shift.name for shift in drift.drift(model, tmp_path / "titles.csv").drifted}

    assert drifted(titles) == set()
    assert LENGTH in drifted(titles + " de linho muito fina")


@given(st.integers(1, 30), st.integers(1, 400), st.integers(0, 999))
def test_every_code_lies_in_one_bin(levels: int, rows: int, seed: int) -> None:
    """The shares add up to 1 and are those of the rows; they are the same after encoding and decoding."""
    rng = np.random.default_rng(seed)
    codes = (levels * rng.random(rows) ** 3).astype(np.int64).astype(np.float32)
    codes[rng.random(rows) < 0.2] = np.nan
    distribution = Levels.of(codes)
    counts = distribution.counts(codes)
    assert counts.sum() == rows
    assert distribution.shares == pytest.approx(counts / rows, abs=1e-3)
    again = Levels.from_json(**distribution.to_json())
    assert again.shares == pytest.approx(distribution.shares, abs=1e-3)
    shift = drift.shift("any", again, rows, again.counts(codes))
    assert not shift.matters
