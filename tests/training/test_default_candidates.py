"""The default candidates can be compared, served and operated for any problem, and are good on real tables."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from tests.training.test_target_encoding import framed

from tabserve.encoding.encoder import Encoder
from tabserve.errors import UsageError
from tabserve.model.model import load
from tabserve.operations import check, compare, drift
from tabserve.predictors.encoded_booster import EncodedBooster
from tabserve.predictors.predictor import Explainable
from tabserve.problem.columns import Column, numbers
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task
from tabserve.stations import TrainingData
from tabserve.table.frame import Frame
from tabserve.table.frame_reader import read
from tabserve.training import bootstrap
from tabserve.training.candidate import Candidate, servable_candidates
from tabserve.training.default_candidates import FAST, MANY_CELLS, NATIVE_LEVELS, USUAL, default_candidates
from tabserve.training.selection import select
from tabserve.training.split import fold_numbers, hold_out, narrow_levels
from tabserve.training.target_encoding import TargetEncoded

TASKS: list[Task] = [Binary(), Multiclass(("x", "y", "z")), Multiclass(("x", "y")), Regression()]

REAL: dict[str, tuple[str, Task, str, float]] = {
    "lending": ("Class", Binary(("good", "bad")), "roc_auc", 0.72),
    "cars": ("Price", Regression(), "r2", 0.935),
}
"""Real tables with their target and task, and a measure with what the best of the candidates should exceed."""

by_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.KIND} {len(task.labels)}")


def candidates(frame: Frame, rounds: int = 3) -> list[Candidate]:
    """The default candidates of a frame, with few rounds of boosting."""
    found = default_candidates(frame.problem, frame.encoder, len(frame), jobs=1)
    return [replace(candidate, estimator=_shortened(candidate.estimator, rounds)) for candidate in found]


def _shortened(estimator: Any, rounds: int) -> Any:  # noqa: ANN401
    rounds_of = [name for name in estimator.get_params() if name.endswith("n_estimators")]
    return estimator.set_params(**dict.fromkeys(rounds_of, rounds))


@pytest.mark.parametrize(("task", "levels"), [(Binary(), 5), *((task, 40) for task in TASKS)])
def test_each_candidate_becomes_a_folder(
    task: Task, levels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is selected, saved, loaded and checked, and answers as it was measured."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 5)
    frame = narrow_levels(framed(task, 200, levels))
    data = TrainingData.of(frame, "drawn at random", synthetic=True)
    compared = candidates(data.development)
    assert [candidate.servable for candidate in compared] == [False, *[True] * (len(compared) - 1)]
    for candidate in servable_candidates(compared):
        selected = data.select([replace(candidate, grid={})])
        model = data.evaluate(selected, selected.refit())
        saved = data.save(model, tmp_path / candidate.name)
        assert any("whole model folder" in line for line in check.lines(tmp_path / candidate.name))
        answers, again = (
            model.score(data.holdout.features),
            load(tmp_path / candidate.name).score(data.holdout.features),
        )
        assert all(map(np.array_equal, answers, again))
        assert saved.predictor.described == model.predictor.described


def test_a_model_of_means_is_compared_watched_and_asked_for_contributions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file with a level that training did not see."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 5)
    lines = [f"{row * 37 % 1009},town {row % 41},{'abc'[row % 3]},{row % 41 > 20:d}" for row in range(1_000)]
    path, later = tmp_path / "table.csv", tmp_path / "later.csv"
    path.write_text("\n".join(["size,town,shop,target", *lines]))
    later.write_text("\n".join(["size,town,shop,target", *lines[:100], "3,a new town,b,1"]))
    columns = (Column("size"), Column("town", "category"), Column("shop", "category"))
    data = TrainingData.of(read(path, Problem("towns", columns, folds=2)), "drawn at random", synthetic=True)
    models = []
    for candidate in candidates(data.development, 20)[-2:]:
        selected = data.select([candidate])
        models.append(data.save(data.evaluate(selected, selected.refit()), tmp_path / candidate.name))
    assert models[0].predictor.FILE == EncodedBooster.FILE
    assert models[0].metrics["holdout"]["roc_auc"]["value"] > 0.95
    assert compare.compare(models[0], models[1], later).rows == 101
    assert any("town" in line for line in drift.lines(drift.drift(models[0], later)))
    predictor = models[0].predictor
    assert isinstance(predictor, Explainable)
    assert predictor.contributions(data.holdout.features).shape == (len(data.holdout), 1, 4)


@by_task
def test_they_are_compared_although_folds_lack_levels(task: Task) -> None:
    """Of the training rows of one fold, one category has only missing cells; the baseline is the worst or nearly."""
    frame = framed(task, 400)
    held_out = fold_numbers(frame) == 0
    features = frame.features.copy()
    features[~held_out, 1] = np.nan
    compared = narrow_levels(replace(frame, features=features))
    outcomes = select(compared, candidates(compared, 30)).outcomes
    means = {name: outcome.measures.iloc[:, 0].mean() for name, outcome in outcomes.items()}
    assert max(means, key=lambda name: means[name]) != "baseline"


@pytest.mark.parametrize("levels", [NATIVE_LEVELS, NATIVE_LEVELS + 1])
@by_task
def test_means_replace_categories_of_many_levels_alone(task: Task, levels: int) -> None:
    """XGBoost's own estimators stay as they are where it can split by every category."""
    frame = framed(task, 400, levels)
    boosted = [candidate.estimator for candidate in candidates(frame) if candidate.name.startswith("xgboost")]
    assert len(boosted) == len(USUAL)
    for estimator in boosted:
        if levels == NATIVE_LEVELS:
            assert isinstance(estimator, xgb.XGBModel)
        else:
            assert isinstance(estimator, TargetEncoded)
            assert estimator.columns == (1,)


def test_large_tables_get_fewer_rounds() -> None:
    """Rows, columns and classes count alike; a small table of many classes is large as well."""

    def rounds(rows: int, task: Task) -> list[int]:
        frame = framed(task, 60, 5)
        found = default_candidates(frame.problem, frame.encoder, rows)
        return [candidate.estimator.n_estimators for candidate in found if candidate.name.startswith("xgboost")]

    usual, fast = ([trees.n_estimators for trees in settings] for settings in (USUAL, FAST))
    assert rounds(MANY_CELLS // 3 - 1, Binary()) == usual
    assert rounds(MANY_CELLS // 3, Binary()) == fast
    assert rounds(MANY_CELLS // 3 - 1, Multiclass(("x", "y", "z"))) == fast
    assert sum(fast) < sum(usual) / 2


@pytest.mark.parametrize("task", TASKS)
def test_the_linear_models_grid_is_half_as_long_for_many_cells(task: Task) -> None:
    """Of penalties that are not the extremes; the links stay."""
    problem = Problem("drawn", numbers("a", "b", "c"), task=task)
    short, usual = (
        {each.name: each for each in default_candidates(problem, Encoder.learn(problem, {}), rows)}.get("linear")
        for rows in (MANY_CELLS, MANY_CELLS // 9)
    )
    if short is None or usual is None:
        assert short is usual  # there is no linear model of the task
        return
    penalties, *_ = usual.grid
    assert [*short.grid[penalties]] == [*usual.grid[penalties][1:-1]]
    assert {**short.grid, penalties: usual.grid[penalties]} == usual.grid


def texts(task: Task) -> Frame:
    """Titles of one word that tells the target, among others."""
    problem = Problem("titles", (Column("title", "text"),), task=task, folds=2)
    drawn = np.random.default_rng(0).choice(["colar", "caixa", "manta", "azul"], (120, 3))
    target = (drawn == "colar").any(axis=1).astype(float if task.AMOUNT else np.int8)
    titles = np.array([" ".join(row) for row in drawn], np.object_)
    return Frame(np.arange(120).astype(np.str_).astype(np.object_), titles, target, problem, Encoder.learn(problem, {}))


def test_texts_are_told_apart_by_linear_models() -> None:
    """All but the baseline can be served."""
    frame = texts(Multiclass(("other", "necklace")))
    selection = select(frame, candidates(frame))
    assert selection.winner.measures["accuracy"].mean() > 0.95
    assert [outcome.candidate.servable for outcome in selection.outcomes.values()] == [False, True, True, True]
    selection.refit()


@pytest.mark.parametrize("task", [Binary(), Regression()], ids=lambda task: task.KIND)
def test_texts_of_another_task_are_refused(task: Task) -> None:
    """The sentence says what would do."""
    with pytest.raises(UsageError, match=f"'multiclass' alone is learned, not '{task.KIND}'; use that task for labels"):
        candidates(texts(task))


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_tables_are_learned_well(name: str, shared: Path) -> None:
    """The best candidate is better out of fold than any library's defaults, which reach less than `least`."""
    (target, task, measure, least), path = REAL[name], shared / "tables" / f"{name}.csv"
    if not path.is_file():
        pytest.skip("the real tables are not at hand: no folder `shared/tables` beside the repository")
    frame = hold_out(read(path, _problem(path, target, task))).development
    found = select(frame, default_candidates(frame.problem, frame.encoder, len(frame), jobs=1)).outcomes
    assert max(outcome.measures[measure].mean() for outcome in found.values()) > least


def _problem(path: Path, target: str, task: Task) -> Problem:
    """Columns without a letter are numbers, and all others categories."""
    header, *lines = path.read_text().splitlines()
    cells = {
        name: column for name, *column in zip(header.split(","), *(line.split(",") for line in lines), strict=True)
    }
    columns = (
        Column(name, "category" if any(map(str.isalpha, "".join(column))) else "number", missing=True)
        for name, column in cells.items()
        if name != target
    )
    return Problem(name=path.stem, columns=tuple(columns), target=target, task=task)
