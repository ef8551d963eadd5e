"""New rows are compared with a model's reference: quiet where they are alike, loud where they are not."""

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
from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError, Drifted
from tabserve.model.model import Model, load
from tabserve.model.reference import LENGTH, STEPS, Levels, Quantiles, Reference
from tabserve.operations import drift
from tabserve.operations.drift import SCORE
from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem
from tabserve.table.frame import Frame, read
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
    """A model whose folder keeps a reference."""
    return load(model_folder)


def written(folder: Path, frame: Frame, features: NDArray[np.float32]) -> Path:
    """A csv of rows without their target."""
    table = pd.DataFrame(features, columns=list(frame.problem.features))
    table.insert(0, str(frame.problem.id), frame.ids[: len(features)])
    table.to_csv(path := folder / "new.csv", index=False)
    return path


@given(columns)
def test_every_row_lies_in_one_bin(values: NDArray[np.float32]) -> None:
    """The shares add up to 1, and are those of the rows that they were made of."""
    found = Quantiles.of(values)
    assert len(found.edges) <= 2 * (STEPS - 1)
    assert np.isfinite(found.edges).all()
    assert np.all(np.diff(found.edges) > 0)
    counts = found.counts(values)
    assert counts.sum() == len(values)
    assert found.shares == pytest.approx(counts / len(values), abs=1e-12)


@given(columns, st.permutations(range(5)))
def test_rows_compared_with_themselves_do_not_shift(values: NDArray[np.float32], order: list[int]) -> None:
    """In any order, and however often they repeat."""
    found = Quantiles.of(values)
    again = np.concatenate([values[place::5] for place in order])
    shift = drift.shift("any", found, len(values), found.counts(np.concatenate([again, again])))
    assert shift.psi == pytest.approx(0, abs=1e-9)
    assert shift.ks == pytest.approx(0, abs=1e-9)
    assert not shift.matters


@given(st.integers(0, 2**32 - 1), st.floats(-2, 2), st.floats(0.5, 2))
def test_the_statistic_is_nearly_that_of_both_samples(seed: int, mean: float, spread: float) -> None:
    """At most as large as the exact one, and less than a bin's share smaller."""
    rng = np.random.default_rng(seed)
    old, new = rng.normal(size=2_000).astype(np.float32), rng.normal(mean, spread, size=1_000).astype(np.float32)
    found = Quantiles.of(old)
    shift = drift.shift("any", found, len(old), found.counts(new))
    exact = ks_2samp(old, new).statistic
    assert exact - 1.5 / STEPS <= shift.ks <= exact + 1e-9


def shifted(old: NDArray[np.generic], new: NDArray[np.generic], tests: int = 1) -> drift.Shift:
    """How far a column lies from its reference, both as 32-bit floats."""
    before, after = old.astype(np.float32), new.astype(np.float32)
    found = Quantiles.of(before)
    return drift.shift("any", found, len(before), found.counts(after), tests)


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
"""Columns as tables have them."""


def share(values: NDArray[np.generic], value: float) -> float:
    """Of the rows that have the value, or have none where it is NaN."""
    return float(np.isclose(values.astype(np.float64), value, rtol=0, atol=0, equal_nan=True).mean())


@given(
    st.sampled_from([*KINDS]),
    st.sampled_from([0.0, 1.0, 7.0, 0.5, -999.0, 1e6, LOWEST, float("nan")]),
    st.tuples(st.floats(0, 0.78), st.floats(0.205, 1)),
    st.tuples(st.integers(500, 2_000), st.integers(500, 2_000)),
    st.integers(0, 2**32 - 1),
)
def test_a_value_that_becomes_more_or_less_frequent_is_found(
    kind: str, value: float, shares: tuple[float, float], rows: tuple[int, int], seed: int
) -> None:
    """By more than 0.2 of the rows, whichever value of whatever column, in both directions."""
    rng, (few, more) = np.random.default_rng(seed), shares
    fewer, oftener = (KINDS[kind](rng, length).astype(np.float32) for length in rows)
    fewer[: round(few * len(fewer))] = value
    oftener[: round(min(few + more, 1) * len(oftener))] = value
    assume(abs(share(oftener, value) - share(fewer, value)) > 0.2)
    assert shifted(fewer, oftener, tests=5).matters
    assert shifted(oftener, fewer, tests=5).matters


DRAWN = np.random.default_rng(0)
FLAG = (DRAWN.random(2_000) < 0.97).astype(np.float32)
EVEN = (DRAWN.random(2_000) < 0.5).astype(np.float32)
AMOUNT = np.where(DRAWN.random(2_000) < 0.6, 0, DRAWN.exponential(size=2_000)).astype(np.float32)
TENS = DRAWN.choice(np.array([0, 10, 20, 30], np.float32), 2_000)


@pytest.mark.parametrize(
    ("one", "other"),
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
def test_values_that_repeat_and_become_others_are_found(one: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    """And the other way round."""
    assert shifted(one, other, tests=200).matters
    assert shifted(other, one, tests=200).matters


@pytest.mark.parametrize("kind", KINDS)
def test_chance_alone_is_rarely_called_a_shift(kind: str) -> None:
    """In samples of one distribution, of any sizes: no oftener than the significance says, and chance of the test."""
    rng, pairs = np.random.default_rng(1), 500
    sizes = zip(rng.choice([300, 1_000, 20_000], pairs), rng.choice([5, 30, 100, 1_000], pairs), strict=True)
    called = sum(shifted(KINDS[kind](rng, before), KINDS[kind](rng, after)).matters for before, after in sizes)
    assert called <= binom.isf(0.001, pairs, drift.SIGNIFICANCE)


@pytest.mark.parametrize("rows", [100, 150, 250])
def test_a_few_rows_of_many_columns_are_rarely_called_drifted(rows: int) -> None:
    """Bins in which chance puts few of them weigh no more than they say; it was said of every third table."""
    draw, names, tables = np.random.default_rng(rows).normal, 200, 40
    before = [Quantiles.of(column) for column in draw(size=(names, 2_000)).astype(np.float32)]
    said = 0
    for _ in range(tables):
        new = draw(size=(names, rows)).astype(np.float32)
        pairs = zip(before, new, strict=True)
        said += any(drift.shift("", old, 2_000, old.counts(column), names).matters for old, column in pairs)
    assert said <= binom.isf(0.001, tables, drift.SIGNIFICANCE)


def test_values_too_rare_to_be_met_among_few_rows_are_not_missed_there() -> None:
    """Between whole numbers that repeat often lie some that hardly ever occur; ten rows without them say nothing."""
    rng = np.random.default_rng(4)
    before = rng.integers(0, 19, 40_000) + np.where(rng.random(40_000) < 0.001, 0.5, 0)
    for _ in range(50):
        after = rng.integers(0, 19, 10)
        found = shifted(before, after)
        assert not found.matters
        assert found.psi_p > 0.01


def test_a_column_whose_values_hardly_repeat_has_quantiles_alone() -> None:
    """No value of it has a bin of its own, in which chance alone would put more or fewer rows."""
    values = np.random.default_rng(2).normal(size=5_000).round(4).astype(np.float32)
    assert np.isin(Quantiles.of(values).edges, values).all()
    assert len(Quantiles.of(values).edges) == STEPS - 1


@pytest.mark.parametrize("rows", [10, 100, 3_000])
def test_rows_of_the_same_kind_are_quiet(model: Model, tmp_path: Path, rows: int) -> None:
    """However few: what chance alone does is no drift."""
    frame = sample(rows, seed=7)
    found = drift.drift(model, written(tmp_path, frame, frame.features))
    assert (found.rows, found.drifted) == (rows, [])
    assert len(found.shifts) == len(model.problem.features) + 1


def test_shifted_columns_are_named(model: Model, tmp_path: Path) -> None:
    """And no other; the scores are looked at as well."""
    frame = sample(3_000, seed=8)
    features, names = frame.features.copy(), model.problem.features
    spread = features.std(axis=0)
    features[:, 3] += spread[3]
    features[:, 120] *= 2
    found = drift.drift(model, written(tmp_path, frame, features))
    assert {shift.name for shift in found.drifted} - {SCORE} == {names[3], names[120]}
    shown = list(drift.lines(found))
    assert next(line for line in shown if "drifted" in line).split()[0] == found.drifted[0].name
    assert any(SCORE in line for line in shown)


def test_missing_values_are_a_shift() -> None:
    """Where there were none, and where there are fewer now."""
    values = np.arange(1_000, dtype=np.float32)
    gappy = np.where(values % 2 == 0, np.float32("nan"), values)
    for before, after in ((values, gappy), (gappy, values)):
        found = Quantiles.of(before)
        assert drift.shift("any", found, 1_000, found.counts(after)).matters


def test_a_column_of_missing_values_alone_is_compared() -> None:
    """It has no edges, and no share below them."""
    nothing = np.full(500, np.nan, np.float32)
    found = Quantiles.of(nothing)
    assert not drift.shift("any", found, 500, found.counts(nothing)).matters
    assert drift.shift("any", found, 500, found.counts(np.zeros(500, np.float32))).matters


def test_the_folder_keeps_the_reference(model: Model, sample_frame: Frame) -> None:
    """Written and read back, it is the one of the hold-out."""
    kept = Reference.from_json(model.data)
    again = Reference.from_json(kept.to_json())
    assert tuple(kept.columns) == model.problem.features
    assert kept.rows == round(model.problem.holdout * len(sample_frame))
    pairs = [(kept.score, again.score), *((kept.columns[name], again.columns[name]) for name in kept.columns)]
    for found, other in pairs:
        assert isinstance(found, Quantiles)
        assert found.to_json() == other.to_json()
        assert np.all(np.diff(found.edges) > 0)


def test_a_column_may_be_called_like_the_scores(sample_frame: Frame) -> None:
    """Neither takes the other's place."""
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
    ],
)
def test_a_folder_without_a_whole_reference_is_refused(
    model: Model, tmp_path: Path, damage: Callable[[dict[str, Any]], object]
) -> None:
    """In one sentence that says what to do."""
    frame = sample(5, seed=1)
    data = {**model.data, **Reference.from_json(model.data).to_json()}
    damage(data)
    with pytest.raises(ArtifactError, match="train it again"):
        drift.drift(replace(model, data=data), written(tmp_path, frame, frame.features))


def test_the_command_says_it_and_ends_with_an_exit_code(
    script: Callable[..., Any], model_folder: Path, tmp_path: Path
) -> None:
    """0 where nothing drifted, 6 where something did; the plot is drawn in both."""
    frame = sample(2_000, seed=9)
    for change, code in ((0, 0), (9, Drifted.exit_code)):
        path = written(tmp_path, frame, frame.features + np.float32(change))
        finished = script(COMMAND, "drift", model_folder, "--data", path, "--out", tmp_path / "drift.svg")
        assert finished.returncode == code, finished.stderr
        assert "PSI" in finished.stdout
        assert ("distributions drifted: " in finished.stderr) == bool(code)
        assert "<svg" in (tmp_path / "drift.svg").read_text()
        (tmp_path / "drift.svg").unlink()


def test_the_committed_reference_is_that_of_its_hold_out() -> None:
    """As the same rows, drawn again, give it."""
    model = load(Path(__file__).parents[2] / "deploy" / "model")
    _, holdout = hold_out(replace(sample(200_000, seed=42), problem=model.problem))
    again = Reference.of(
        holdout.problem, holdout.encoder, holdout.features, model.score(holdout.features).probability
    ).to_json()
    assert again["reference"]["columns"] == model.data["reference"]["columns"]
    assert again["reference"]["rows"] == model.data["reference"]["rows"]
    score, kept = (np.array(found["reference"]["score"]["edges"]) for found in (again, model.data))
    assert score == pytest.approx(kept, abs=1e-6)


def test_real_rows_are_quiet_against_the_committed_model(shared: Path, tmp_path: Path) -> None:
    """Its reference is synthetic, and they lie as it says; where they are moved, they do not."""
    model, path = load(Path(__file__).parents[2] / "deploy" / "model"), shared / REAL
    assert drift.drift(model, path).drifted == []
    frame = read(path, model.problem)
    moved = frame.features + np.float32(0.5) * frame.features.std(axis=0) * (np.arange(200) == 7)
    assert [shift.name for shift in drift.drift(model, written(tmp_path, frame, moved)).drifted] == ["var_7"]


# Every task, and every kind of column.


def with_reference(model: Model, features: NDArray[Any]) -> Model:
    """A model whose folder keeps a reference of these rows."""
    scores = model.decision.watched(model.score(features))
    kept = Reference.of(model.problem, model.encoder, features, scores).to_json()
    return replace(model, data={**model.data, **kept})


def mixed_rows(folder: Path, **columns: list[Any]) -> Path:
    """A csv of the small table of several kinds of columns, some of them changed."""
    pd.DataFrame(small.CELLS | columns).to_csv(path := folder / "mixed.csv", index=False)
    return path


@pytest.mark.parametrize("task", small.MIXED)
def test_columns_of_every_kind_are_watched_for_every_task(task: str, tmp_path: Path) -> None:
    """Numbers, levels, parts of dates, and what the decision watches; the same rows do not shift, others do."""
    made = small.MIXED[task](0)
    model = with_reference(made, small.cells(made.encoder))
    found = drift.drift(model, mixed_rows(tmp_path))
    assert [shift.name for shift in found.shifts] == [*made.encoder.names, SCORE]
    assert found.drifted == []
    assert {shift.name for shift in found.shifts if np.isnan(shift.ks)} == {"city", "floor"}
    elsewhere = ["Rio" if row % 10 else "Ouro Preto" for row in range(200)]
    late = [f"20{60 + row % 30}-03-28 {row % 24:02}:30" for row in range(200)]
    names = {shift.name for shift in drift.drift(model, mixed_rows(tmp_path, city=elsewhere, when=late)).drifted}
    assert {"city", "when.day", "when.month"} <= names
    assert not {"age", "floor"} & names
    assert any("–" in line for line in drift.lines(found))


def test_levels_that_the_model_does_not_know_are_a_shift(tmp_path: Path) -> None:
    """As cells that are missing are."""
    made = small.MIXED["binary"](0)
    model = with_reference(made, small.cells(made.encoder))
    found = drift.drift(model, mixed_rows(tmp_path, city=["Atlantis"] * 200))
    assert "city" in {shift.name for shift in found.drifted}


def test_the_time_of_the_split_is_not_watched(tmp_path: Path) -> None:
    """Later rows are later."""
    made = small.MIXED["regression"](0)
    made = replace(made, problem=replace(made.problem, time="when"))
    model = with_reference(made, small.cells(made.encoder))
    found = drift.drift(model, mixed_rows(tmp_path, when=["2099-01-01 00:30"] * 200))
    assert [shift.name for shift in found.shifts] == ["age", "city", "floor", SCORE]


def test_texts_are_watched_by_their_length(tmp_path: Path) -> None:
    """And by the probability of the label that they get."""
    made = small.words()
    titles = np.array(["colar", "caixa", "manta de colar"] * 100, np.object_)
    model = with_reference(made, titles)

    def drifted(some: NDArray[np.object_]) -> set[str]:
        rows = pd.DataFrame({"number": range(len(some)), "title": some})
        rows.to_csv(tmp_path / "titles.csv", index=False)
        return {shift.name for shift in drift.drift(model, tmp_path / "titles.csv").drifted}

    assert drifted(titles) == set()
    assert LENGTH in drifted(titles + " de linho muito fina")


@given(st.integers(1, 30), st.integers(1, 400), st.integers(0, 999))
def test_every_code_lies_in_one_bin(levels: int, rows: int, seed: int) -> None:
    """The shares add up to 1, and are those of the rows; written and read back, they are the same."""
    rng = np.random.default_rng(seed)
    codes = (levels * rng.random(rows) ** 3).astype(np.int64).astype(np.float32)
    codes[rng.random(rows) < 0.2] = np.nan
    found = Levels.of(codes)
    counts = found.counts(codes)
    assert counts.sum() == rows
    assert found.shares == pytest.approx(counts / rows, abs=1e-3)
    again = Levels.from_json(**found.to_json())
    assert again.shares == pytest.approx(found.shares, abs=1e-3)
    shift = drift.shift("any", again, rows, again.counts(codes))
    assert not shift.matters
