"""Golden rows: a folder whose model answers them otherwise than when it was saved is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.model.small import (
    CARD_TEXT,
    PROBLEM,
    Build,
    Damage,
    put_content,
    refusal,
    remove,
    save_small,
    swap,
    trees,
    truncate,
    with_checksums,
    words,
)

from tabserve.encoding.encoder import Encoder
from tabserve.model.golden import TOLERANCE
from tabserve.model.model import GOLDEN, load, save
from tabserve.problem.columns import Column

HUGE = 10**400
"""What JSON can write, Python can read, and no float can hold."""

NO_ROWS = "does not hold rows for this model, with their raw outputs."
OTHERWISE = "differently than when it was saved: off by"


def answered(features: object, outputs: object) -> Damage:
    """Other golden rows."""
    return put_content(GOLDEN, {"features": features, "outputs": outputs})


EITHER: dict[str, tuple[Damage, str]] = {
    "missing": (remove(GOLDEN), "cannot be read: No such file or directory"),
    "truncated": (truncate(GOLDEN), "does not have the checksum in manifest.json"),
    "swapped": (swap(GOLDEN), "does not have the checksum in manifest.json"),
    "swapped and signed": (with_checksums(swap(GOLDEN)), OTHERWISE),
    "truncated and signed": (with_checksums(truncate(GOLDEN)), "is not JSON"),
    "a list": (put_content(GOLDEN, [1, 2]), "needs one JSON object, found a list"),
    "without anything": (put_content(GOLDEN, {}), NO_ROWS),
    "without rows": (answered([], []), NO_ROWS),
    "without features": (put_content(GOLDEN, {"outputs": [[0.5]]}), NO_ROWS),
    "of features that are null": (answered(None, [[0.5]]), NO_ROWS),
    "of outputs that are null": (answered([[1, 2, 3]], None), NO_ROWS),
    "of outputs that are a number": (answered([[1, 2, 3]], 0.5), NO_ROWS),
}

NUMBERS: dict[str, tuple[Damage, str]] = {
    "of two columns": (answered([[1, 2]], [[0.5]]), NO_ROWS),
    "of text": (answered([["a", "b", "c"]], [[0.5]]), NO_ROWS),
    "of huge features": (answered([[HUGE, 2, 3]], [[0.5]]), NO_ROWS),
    "beyond float32": (answered([[1e300, 2, 3]], [[0.5]]), NO_ROWS),
    "of a huge output": (answered([[1, 2, 3]], [[HUGE]]), NO_ROWS),
    "flat": (answered([1, 2, 3], [[0.5]] * 3), NO_ROWS),
    "of flat outputs": (answered([[1, 2, 3]], [0.5]), NO_ROWS),
    "of nested outputs": (answered([[1, 2, 3]], [[[0.5]]]), NO_ROWS),
    "of more rows than outputs": (answered([[1, 2, 3]] * 2, [[0.5]]), NO_ROWS),
    "of an output that is no number": (answered([[1, 2, 3]], [[float("nan")]]), "off by nan"),
}

TEXTS: dict[str, tuple[Damage, str]] = {
    "of no texts": (answered([1], [[0, 0, 0]]), NO_ROWS),
    "of nested texts": (answered([["manta"]], [[0, 0, 1]]), NO_ROWS),
    "of one text in no list": (answered("manta", [[0, 0, 0]] * 5), NO_ROWS),
    "of an object": (answered({"manta": 1}, [[0, 0, 1]]), NO_ROWS),
    "of two classes": (answered(["manta"], [[0, 1]]), NO_ROWS),
    "of one class": (answered(["?"], [[0]]), NO_ROWS),
    "of outputs that are texts": (answered(["manta"], [["a", 0, 1]]), NO_ROWS),
    "of an output that is null": (answered(["manta"], [[None, 0, 1]]), "off by nan"),
}


@pytest.mark.parametrize("damage", EITHER)
def test_damaged_golden_rows_are_told(damage: str, either: Path) -> None:
    """Whatever the model is made of: each by the file's name and what is wrong with it."""
    _told(either, *EITHER[damage])


@pytest.mark.parametrize("damage", NUMBERS)
def test_golden_rows_that_are_none_of_numbers_are_told(damage: str, folder: Path) -> None:
    """By the file's name; what would be broadcast, read as numbers or overflow included."""
    _told(folder, *NUMBERS[damage])


@pytest.mark.parametrize("damage", TEXTS)
def test_golden_rows_that_are_none_of_texts_are_told(damage: str, tmp_path: Path) -> None:
    """By the file's name."""
    save_small(tmp_path / "model", words())
    _told(tmp_path / "model", *TEXTS[damage])


def _told(folder: Path, damage: Damage, said: str) -> None:
    damage(folder)
    sentence = refusal(folder)
    assert str(folder / GOLDEN) in sentence
    assert said in sentence


def test_outputs_of_another_width_are_not_stretched_to_fit(folder: Path) -> None:
    """Though numpy would compare one probability with three that are the same."""
    found: dict[str, Any] = json.loads((folder / GOLDEN).read_text())
    answered(found["features"], [output * 3 for output in found["outputs"]])(folder)
    assert NO_ROWS in refusal(folder)


@pytest.mark.parametrize("error", [-5e-7, 5e-7, -2e-6, 2e-6])
def test_golden_rows_may_differ_by_a_millionth(error: float, either: Path) -> None:
    """As another processor may round; not by more."""
    golden = json.loads((either / GOLDEN).read_text())
    golden["outputs"][1][-1] += error
    put_content(GOLDEN, golden)(either)
    if abs(error) < TOLERANCE:
        load(either)
    else:
        assert "at most 1e-06 expected" in refusal(either)


def test_missing_values_survive_in_golden_rows(tmp_path: Path) -> None:
    """Where a column may have them."""
    problem = replace(PROBLEM, columns=(Column("a", missing=True), *PROBLEM.columns[1:]))
    model = replace(trees(), problem=problem, encoder=Encoder.learn(problem, {}))
    rows = np.array([[np.nan, 1, 2]], np.float32)
    found = save(tmp_path / "model", model, rows, CARD_TEXT)
    assert json.loads((tmp_path / "model" / GOLDEN).read_text())["features"] == [[None, 1, 2]]
    assert np.array_equal(found.predictor.raw(rows), model.predictor.raw(rows))


def test_what_a_predictor_draws_is_answered_again(made: Build, tmp_path: Path) -> None:
    """Eight rows, as JSON has them, each with its raw outputs."""
    model = made(0)
    rows = model.predictor.examples(np.eye(3, dtype=np.float32))
    save(tmp_path / "model", model, rows, CARD_TEXT)
    found = json.loads((tmp_path / "model" / GOLDEN).read_text())
    assert found == {"features": rows.tolist(), "outputs": model.predictor.raw(rows).tolist()}
    assert len(rows) == 8
