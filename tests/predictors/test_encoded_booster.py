"""A booster behind a table of values: the same answers however it is asked, and no file that it cannot use."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.predictors.small_boosters import LEVELS, NAMES, TASKS, encoder, table, targets

from tabserve.errors import ArtifactError
from tabserve.predictors.booster import Booster
from tabserve.predictors.encoded_booster import EncodedBooster, LevelValues
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Task

PATH = Path("encoded.npz")

COLUMNS = (1, 3)
"""The categories."""

WIDTHS = {"binary": 1, "multiclass": 3, "regression": 1}
"""Values of a level, by task."""

by_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def problem(task: Task) -> Problem:
    """A problem of the features of `small_boosters`."""
    return Problem("small", tuple(map(Column, NAMES)), task=task)


def values(width: int, columns: tuple[int, ...]) -> LevelValues:
    """Random values of the levels of these columns."""
    rows = sum(LEVELS[column] + 1 for column in columns)
    drawn = np.random.default_rng(0).normal(size=(rows, width)).astype(np.float32)
    return LevelValues(LEVELS, np.array(columns, np.int64), drawn)


@cache
def small(task: Task, columns: tuple[int, ...] = COLUMNS) -> EncodedBooster:
    """A small model; features that are not in `columns` stay as they are."""
    lookup, rows = values(WIDTHS[task.KIND], columns), table()
    types = lookup.arrange(["c" if count else "q" for count in LEVELS], "q")
    options: dict[str, Any] = {"max_depth": 3, "nthread": 1, "seed": 0}
    options["objective"] = {"binary": "binary:logistic", "multiclass": "multi:softprob"}.get(
        task.KIND, "reg:squarederror"
    )
    if len(task.labels) > 2:
        options["num_class"] = len(task.labels)
    data = xgb.DMatrix(lookup.replace(rows), targets(task, rows), feature_types=types, enable_categorical=True)
    return EncodedBooster(Booster(xgb.train(options, data, 9)), lookup)


def read(model: EncodedBooster, task: Task, **changed: NDArray[Any]) -> EncodedBooster:
    """Read a model from its file, some of whose arrays may be replaced."""
    with np.load(io.BytesIO(model.to_bytes())) as arrays:
        contents = {**arrays, **changed}
    file = io.BytesIO()
    np.savez_compressed(file, **contents)
    return EncodedBooster.read(PATH, file.getvalue(), problem(task), encoder(LEVELS))


@by_task
@pytest.mark.parametrize("columns", [(1,), (3,), COLUMNS], ids=str)
def test_a_file_holds_the_whole_model(task: Task, columns: tuple[int, ...]) -> None:
    """What is read answers as what was written, bit for bit, and writes the same bytes."""
    model = small(task, columns)
    again = EncodedBooster.read(PATH, model.to_bytes(), problem(task), encoder(LEVELS))
    assert np.array_equal(model.raw(table(50, 3)), again.raw(table(50, 3)))
    assert again.to_bytes() == model.to_bytes()
    assert again.facts == {"trees": "9", "encoded levels": str(sum(LEVELS[column] for column in columns))}
    assert again.outputs == WIDTHS[task.KIND]


CODES = st.one_of(st.integers(-2, 50).map(float), st.floats(width=32, allow_infinity=False))


@given(cells=st.lists(st.tuples(*[CODES] * len(LEVELS)), min_size=1, max_size=5), width=st.integers(1, 3))
def test_one_row_is_replaced_as_many_are(cells: list[tuple[float, ...]], width: int) -> None:
    """Of any cells; a code of no level gets the values of a missing one."""
    rows, lookup = np.array(cells, np.float32), values(width, COLUMNS)
    together = lookup.replace(rows)
    alone = np.concatenate([lookup.replace(row[np.newaxis]) for row in rows])
    assert np.array_equal(together, alone, equal_nan=True)
    assert np.array_equal(together[:, :2], rows[:, [0, 2]], equal_nan=True)
    for row, replaced in zip(rows, together, strict=True):
        first = 0
        for place, column in enumerate(COLUMNS):
            code, count = row[column], LEVELS[column]
            expected = lookup.values[first + (int(code) if 0 <= code < count else count)]
            assert np.array_equal(replaced[2 + place * width : 2 + (place + 1) * width], expected)
            first += count + 1


@by_task
def test_contributions_are_those_of_the_trees_summed_by_column(task: Task) -> None:
    """They add up to the margin, and features that are kept have XGBoost's own."""
    model, rows = small(task), table(40, 5)
    replaced = model.table.replace(rows)
    contributions, trees = model.contributions(rows), model.booster.contributions(replaced)
    assert contributions.shape == (40, model.outputs, len(LEVELS) + 1)
    assert np.array_equal(contributions[..., [0, 2, 4]], trees[..., [0, 1, -1]])
    types = model.booster.trees.feature_types
    matrix = xgb.DMatrix(replaced, feature_types=types, enable_categorical=True)
    margin = model.booster.trees.predict(matrix, output_margin=True).reshape(40, -1)
    assert np.allclose(contributions.sum(axis=2), margin, atol=1e-4)


def test_rows_of_another_width_are_refused() -> None:
    """Golden rows have the encoder's number of features."""
    model = small(TASKS["binary"])
    assert model.from_json([[1.0, None, 2.0, 3.0]]).shape == (1, 4)
    with pytest.raises(ValueError, match="rows of 4 numbers"):
        model.from_json([[1.0, 2.0]])


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a column of quantities": ({"columns": np.array([0, 3])}, "other features than categories"),
    "a column that does not exist": ({"columns": np.array([1, 4])}, "other features than categories"),
    "a negative column": ({"columns": np.array([-3, 3])}, "other features than categories"),
    "a column twice": ({"columns": np.array([1, 1])}, "one of them twice"),
    "columns that descend": ({"columns": np.array([3, 1])}, "one of them twice"),
    "no column": ({"columns": np.zeros(0, np.int64)}, "other features than categories"),
    "columns of another type": ({"columns": np.array([1.0, 3.0])}, "its columns are"),
    "a level too few": ({"values": np.zeros((46, 1), np.float32)}, "46 levels, expected 47"),
    "a level too many": ({"values": np.zeros((48, 1), np.float32)}, "48 levels, expected 47"),
    "no values": ({"values": np.zeros((47, 0), np.float32)}, "holds 0 values"),
    "three values for two labels": ({"values": np.zeros((47, 3), np.float32)}, "holds 3 values"),
    "two values for trees of one": ({"values": np.zeros((47, 2), np.float32)}, "model of 4 features"),
    "an infinite value": ({"values": np.full((47, 1), np.inf, np.float32)}, "not finite"),
    "a missing value": ({"values": np.full((47, 1), np.nan, np.float32)}, "not finite"),
    "a booster of nothing": ({"booster": np.zeros(0, np.uint8)}, "not a model that XGBoost"),
    "a booster of zeros": ({"booster": np.zeros(1000, np.uint8)}, "not a model that XGBoost"),
    "a booster of texts": ({"booster": np.array(["a"])}, "its booster are"),
}


@pytest.mark.parametrize(("changed", "message"), BAD.values(), ids=BAD)
def test_arrays_that_do_not_fit_are_refused(changed: dict[str, Any], message: str) -> None:
    """The message says what is wrong, and names the file."""
    task = TASKS["binary"]
    with pytest.raises(ArtifactError, match=message) as error:
        read(small(task), task, **changed)
    assert str(error.value).startswith("encoded.npz ")


def test_a_booster_that_splits_a_value_by_categories_is_refused() -> None:
    """The trees are checked by their own features: that a category of the encoder is one no more."""
    task, rows = TASKS["binary"], np.abs(np.floor(table()))
    matrix = xgb.DMatrix(rows, targets(task, rows), feature_types=["q", "q", "c", "c"], enable_categorical=True)
    trees = xgb.train({"objective": "binary:logistic", "max_cat_to_onehot": 1}, matrix, 5)
    booster = np.frombuffer(Booster(trees).to_bytes(), np.uint8)
    with pytest.raises(ArtifactError, match="takes other features for categories"):
        read(small(task), task, booster=booster)


@by_task
@limits(max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_answers(task: Task, data: st.DataObject) -> None:
    """No byte that changes in a stored array crashes the process."""
    model = small(task)
    name = data.draw(st.sampled_from(["booster", "columns", "values"]))
    array = {"booster": np.frombuffer(model.booster.to_bytes(), np.uint8), **vars(model.table)}[name].copy()
    bytes_ = array.view(np.uint8).ravel()
    for _ in range(data.draw(st.integers(1, 3))):
        bytes_[data.draw(st.integers(0, len(bytes_) - 1))] = data.draw(st.integers(0, 255))
    try:
        damaged = read(model, task, **{name: array})
    except ArtifactError:
        return
    assert damaged.raw(table(20, 9)).shape == (20, model.outputs)


def test_a_file_that_is_no_archive_is_refused() -> None:
    """The message says what it should be."""
    with pytest.raises(ArtifactError, match=r"^encoded.npz is not a model of a booster with values of levels"):
        EncodedBooster.read(PATH, b"PK no archive", problem(TASKS["binary"]), encoder(LEVELS))


def test_a_file_of_an_encoder_with_other_levels_is_refused() -> None:
    """Codes would mean other levels."""
    model = small(TASKS["binary"])
    with pytest.raises(ArtifactError, match="expected 48 levels"):
        EncodedBooster.read(PATH, model.to_bytes(), problem(TASKS["binary"]), encoder((0, 6, 0, 40)))
