"""A linear model over numbers and one-hot categories: its answers, and the files from which it is read."""

import io
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tabserve.encoding.encoder import Encoder
from tabserve.errors import ArtifactError
from tabserve.predictors.one_hot import LINKS, OneHotLinear
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Binary, Multiclass, Regression, Task

COLUMNS = (
    Column("age", missing=True),
    Column("city", "category", missing=True),
    Column("income"),
    Column("plan", "category"),
)
CELLS = {"city": ["Rio", "Recife", "Olinda"], "plan": ["a", "b"]}
LEVELS = (0, 3, 0, 2)
TASKS: dict[str, Task] = {
    "logit": Binary(("no", "yes")),
    "margins": Multiclass(("low", "mid", "high")),
    "identity": Regression("USD"),
    "log": Regression("USD"),
}
OUTPUTS = {"margins": 3}


def problem(link: str) -> Problem:
    """The problem that a model with this link answers."""
    return Problem("people", COLUMNS, task=TASKS[link])


def built(link: str, seed: int = 0) -> OneHotLinear:
    """A model with random weights."""
    rng, outputs = np.random.default_rng(seed), OUTPUTS.get(link, 1)
    bounds = np.array([[-2, 0, 0, 0], [3, 0, 1e6, 0]], np.float32)
    slopes = rng.normal(size=(2, 4, outputs)) * np.array([1, 0, 1e-6, 0])[:, np.newaxis]
    absent, weights = rng.normal(size=(4, outputs)), rng.normal(size=(5, outputs))
    return OneHotLinear(link, LEVELS, bounds, slopes, absent, weights, rng.normal(size=outputs))


MODELS = {link: built(link) for link in TASKS}
FILES = {link: model.to_bytes() for link, model in MODELS.items()}


def read(file: bytes, link: str = "margins") -> OneHotLinear:
    """The model of a file."""
    encoder = Encoder.learn(problem(link), CELLS)
    assert encoder.levels == LEVELS
    return OneHotLinear.read(Path("one_hot.npz"), file, problem(link), encoder)


NUMBERS = st.floats(width=32, allow_infinity=False)
ROWS = st.lists(
    st.tuples(NUMBERS, st.sampled_from([0, 1, 2, math.nan]), NUMBERS, st.sampled_from([0, 1, math.nan])),
    min_size=1,
    max_size=20,
).map(lambda rows: np.array(rows, np.float32))


def margin(model: OneHotLinear, row: NDArray[np.float32]) -> NDArray[np.float64]:
    """The margins of a row, as the docstring of the class says, computed cell by cell."""
    total, start = model.intercept.copy(), 0
    for feature, (cell, levels) in enumerate(zip(row.tolist(), LEVELS, strict=True)):
        if math.isnan(cell):
            total += model.absent[feature]
        elif levels:
            total += model.weights[start + int(cell)]
        else:
            value = min(max(cell, float(model.bounds[0, feature])), float(model.bounds[1, feature]))
            logarithm = math.copysign(math.log1p(abs(value)), value)
            total += model.slopes[0, feature] * value + model.slopes[1, feature] * logarithm
        start += levels
    return total


EXPECTED: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "logit": lambda values: 1 / (1 + np.exp(-values)),
    "margins": lambda values: values,
    "identity": lambda values: values,
    "log": np.exp,
}


@pytest.mark.parametrize("link", TASKS)
@given(rows=ROWS)
def test_an_answer_is_the_link_s_inverse_of_the_sum_of_the_terms(link: str, rows: NDArray[np.float32]) -> None:
    """For any finite numbers, any levels and any missing cells."""
    expected = np.array([EXPECTED[link](margin(MODELS[link], row)) for row in rows])
    np.testing.assert_allclose(MODELS[link].raw(rows), expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("link", TASKS)
@given(rows=ROWS)
def test_a_row_has_the_same_answer_alone_and_among_others(link: str, rows: NDArray[np.float32]) -> None:
    """To the bit, also in a batch of more than one chunk."""
    model = MODELS[link]
    alone = np.concatenate([model.raw(row[np.newaxis]) for row in rows])
    many = np.tile(rows, (300, 1))
    assert np.array_equal(model.raw(rows), alone)
    assert np.array_equal(model.raw(many), np.tile(alone, (300, 1)))


@pytest.mark.parametrize("link", TASKS)
def test_a_model_is_the_same_after_writing_and_reading(link: str) -> None:
    """Its answers to the bit, and its bytes when written again."""
    rows = np.array([[1.5, 2, 3, 0], [np.nan, np.nan, -4, 1]], np.float32)
    restored = read(FILES[link], link)
    assert np.array_equal(restored.raw(rows), MODELS[link].raw(rows))
    assert restored.to_bytes() == FILES[link]
    assert (restored.outputs, restored.facts) == (OUTPUTS.get(link, 1), MODELS[link].facts)


def test_the_model_says_how_large_it_is() -> None:
    """Two slopes of each number, and a weight of each level and of each feature's missing cells."""
    assert MODELS["logit"].facts == {"weights": str(2 * 2 + 5 + 4)}
    assert MODELS["margins"].facts == {"weights": str(3 * (2 * 2 + 5 + 4))}
    assert MODELS["logit"].described == "linear, over 2 numbers and 5 levels of 2 categories"


@pytest.mark.parametrize(("link", "smallest", "largest"), [("logit", 0, 1), ("log", 0, np.exp(88))])
def test_the_largest_margins_overflow_no_answer(link: str, smallest: float, largest: float) -> None:
    """Probabilities stay between 0 and 1, and amounts remain 32-bit floats; numpy warns of nothing."""
    row = np.zeros((1, 4), np.float32)
    for size, expected in ((-1e30, smallest), (1e30, largest)):
        model = MODELS[link]
        extreme = OneHotLinear(link, LEVELS, model.bounds, model.slopes, model.absent, model.weights, np.array([size]))
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            answer = read(extreme.to_bytes(), link).raw(row)
        assert answer == pytest.approx(expected, abs=1e-300)
        assert np.isfinite(answer.astype(np.float32)).all()


def test_no_rows_have_no_answers() -> None:
    """Of the usual shape."""
    assert MODELS["margins"].raw(np.empty((0, 4), np.float32)).shape == (0, 3)


def pack(model: str = "margins", **arrays: Any) -> bytes:  # noqa: ANN401  whatever a file may hold
    """A model file with some arrays replaced, or left out if they are None."""
    with np.load(io.BytesIO(FILES[model])) as file:
        whole = {**file, **arrays}
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in whole.items() if array is not None})
    return file.getvalue()


def text(value: bytes) -> NDArray[np.uint8]:
    """A text as an array."""
    return np.frombuffer(value, np.uint8)


MARGINS = MODELS["margins"]
NO_MODEL = "is not a model of numbers and categories"
BROKEN: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", NO_MODEL),
    "no zip": (lambda: b"PK\x03\x04 nothing", NO_MODEL),
    "cut short": (lambda: FILES["margins"][:-30], NO_MODEL),
    "an array missing": (lambda: pack(absent=None), NO_MODEL),
    "a pickled array": (lambda: pack(intercept=np.array([{}, 1, 2], object)), NO_MODEL),
    "weights of float32": (lambda: pack(weights=np.zeros((5, 3), np.float32)), "its weights are <f4"),
    "weights of one dimension": (lambda: pack(weights=np.zeros(15)), "of 1 dimensions"),
    "a link in no UTF-8": (lambda: pack(link=text(b"\xff")), NO_MODEL),
    "a link of another task": (lambda: pack(link=text(b"logit")), "of link 'logit', expected 'margins'"),
    "an unknown link": (lambda: pack(link=text(b"x" * 900)), "expected 'margins'"),
    "another number of classes": (lambda: pack("logit", link=text(b"margins")), "4 features with 5 levels for 3"),
    "fewer levels": (lambda: pack(weights=np.zeros((4, 3))), "4 features with 5 levels for 3 outputs"),
    "another number of features": (lambda: pack(absent=np.zeros((5, 3))), "4 features with 5 levels"),
    "slopes of no logarithm": (lambda: pack(slopes=np.zeros((1, 4, 3))), "4 features with 5 levels"),
    "bounds of one side": (lambda: pack(bounds=np.zeros((1, 4), np.float32)), "4 features with 5 levels"),
    "an intercept too many": (lambda: pack(intercept=np.zeros(4)), "4 features with 5 levels"),
    "a weight that is NaN": (lambda: pack(weights=np.full((5, 3), np.nan)), "not finite"),
    "a bound that is infinite": (lambda: pack(bounds=np.full((2, 4), np.inf, np.float32)), "not finite"),
    "bounds that are swapped": (lambda: pack(bounds=MARGINS.bounds[::-1]), "bounds that are swapped"),
    "bounds of a category": (lambda: pack(bounds=np.ones((2, 4), np.float32)), "bounds of a category"),
    "weights too large": (lambda: pack(absent=np.full((4, 3), 1e308)), "answers overflow"),
    "slopes too large": (lambda: pack(slopes=np.full((2, 4, 3), -1e307)), "answers overflow"),
}


@pytest.mark.parametrize("model", BROKEN)
def test_a_file_that_is_no_model_is_refused(model: str) -> None:
    """In one sentence that names the file; nothing is unpickled."""
    make, message = BROKEN[model]
    with pytest.raises(ArtifactError) as refused:
        read(make())
    assert str(refused.value).startswith("one_hot.npz ")
    assert message in str(refused.value)


@pytest.mark.parametrize("link", TASKS)
@pytest.mark.parametrize("other", TASKS)
def test_a_model_answers_only_a_problem_of_its_link(link: str, other: str) -> None:
    """Amounts may have either link of theirs."""
    if other in LINKS[TASKS[link].KIND]:
        assert read(FILES[other], link).link == other
    else:
        with pytest.raises(ArtifactError, match=f"holds a model of link '{other}'"):
            read(FILES[other], link)


@given(st.data())
def test_a_damaged_file_is_refused_or_read(data: st.DataObject) -> None:
    """No other exception is raised, whichever bytes are damaged."""
    model = bytearray(FILES["margins"])
    for index in data.draw(st.lists(st.integers(0, len(model) - 1), min_size=1, max_size=3)):
        model[index] = data.draw(st.integers(0, 255))
    with suppress(ArtifactError):
        read(bytes(model))


def test_rows_of_json_are_features() -> None:
    """None stands for a missing cell."""
    rows = MARGINS.from_json([[1.5, None, -2, 1], [None, 2, 0, None]])
    assert np.array_equal(rows, np.array([[1.5, np.nan, -2, 1], [np.nan, 2, 0, np.nan]], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    "row",
    [
        [1, 2, 3],
        [1, 2, 3, 0, 0],
        [1, 3, 0, 0],
        [1, -1, 0, 0],
        [1, 0.5, 0, 0],
        [1, 1e9, 0, 0],
        [1e39, 0, 0, 0],
        ["x"] * 4,
    ],
)
def test_rows_of_json_that_no_encoder_makes_are_refused(row: list[Any]) -> None:
    """Such as codes without a level, which would get the weights of another feature."""
    with pytest.raises(ValueError, match=r"are expected|could not convert"):
        MARGINS.from_json([row])


def test_examples_are_drawn_cell_by_cell() -> None:
    """Each cell is one of its column; the seed decides."""
    features = np.arange(400, dtype=np.float32).reshape(100, 4)
    drawn = MARGINS.examples(features)
    assert drawn.shape == (8, 4)
    assert (drawn % 4 == np.arange(4)).all()
    assert len({*(drawn[0] // 4)}) > 1
    assert np.array_equal(drawn, MARGINS.examples(features))
    assert not np.array_equal(drawn, MARGINS.examples(features, seed=1))
