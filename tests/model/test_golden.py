"""A folder is refused if its model answers the golden rows differently than when it was saved."""

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
"""A number of valid JSON that no float can hold."""

NO_ROWS = "does not hold rows for this model, with their raw outputs."
OTHERWISE = "differently than when it was saved: off by"


def put_rows(features: object, outputs: object) -> Damage:
    """Replace the golden rows and their outputs."""
    return put_content(GOLDEN, {"features": features, "outputs": outputs})


EITHER: dict[str, tuple[Damage, str]] = {
    "missing": (remove(GOLDEN), "cannot be read: No such file or directory"),
    "truncated": (truncate(GOLDEN), "does not have the checksum in manifest.json"),
    "swapped": (swap(GOLDEN), "does not have the checksum in manifest.json"),
    "swapped and signed": (with_checksums(swap(GOLDEN)), OTHERWISE),
    "truncated and signed": (with_checksums(truncate(GOLDEN)), "is not JSON"),
    "a list": (put_content(GOLDEN, [1, 2]), "needs one JSON object, found a list"),
    "without anything": (put_content(GOLDEN, {}), NO_ROWS),
    "without rows": (put_rows([], []), NO_ROWS),
    "without features": (put_content(GOLDEN, {"outputs": [[0.5]]}), NO_ROWS),
    "of features that are null": (put_rows(None, [[0.5]]), NO_ROWS),
    "of outputs that are null": (put_rows([[1, 2, 3]], None), NO_ROWS),
    "of outputs that are a number": (put_rows([[1, 2, 3]], 0.5), NO_ROWS),
}

NUMBERS: dict[str, tuple[Damage, str]] = {
    "of two columns": (put_rows([[1, 2]], [[0.5]]), NO_ROWS),
    "of text": (put_rows([["a", "b", "c"]], [[0.5]]), NO_ROWS),
    "of huge features": (put_rows([[HUGE, 2, 3]], [[0.5]]), NO_ROWS),
    "beyond float32": (put_rows([[1e300, 2, 3]], [[0.5]]), NO_ROWS),
    "of a huge output": (put_rows([[1, 2, 3]], [[HUGE]]), NO_ROWS),
    "flat": (put_rows([1, 2, 3], [[0.5]] * 3), NO_ROWS),
    "of flat outputs": (put_rows([[1, 2, 3]], [0.5]), NO_ROWS),
    "of nested outputs": (put_rows([[1, 2, 3]], [[[0.5]]]), NO_ROWS),
    "of more rows than outputs": (put_rows([[1, 2, 3]] * 2, [[0.5]]), NO_ROWS),
    "of an output that is no number": (put_rows([[1, 2, 3]], [[float("nan")]]), "off by nan"),
}

TEXTS: dict[str, tuple[Damage, str]] = {
    "of no texts": (put_rows([1], [[0, 0, 0]]), NO_ROWS),
    "of nested texts": (put_rows([["manta"]], [[0, 0, 1]]), NO_ROWS),
    "of one text in no list": (put_rows("manta", [[0, 0, 0]] * 5), NO_ROWS),
    "of an object": (put_rows({"manta": 1}, [[0, 0, 1]]), NO_ROWS),
    "of two classes": (put_rows(["manta"], [[0, 1]]), NO_ROWS),
    "of one class": (put_rows(["?"], [[0]]), NO_ROWS),
    "of outputs that are texts": (put_rows(["manta"], [["a", 0, 1]]), NO_ROWS),
    "of an output that is null": (put_rows(["manta"], [[None, 0, 1]]), "off by nan"),
}


@pytest.mark.parametrize("damage", EITHER)
def test_damaged_golden_rows_are_refused(damage: str, either: Path) -> None:
    """The message names the file and what is wrong with it, for each kind of model."""
    _check_refusal(either, *EITHER[damage])


@pytest.mark.parametrize("damage", NUMBERS)
def test_invalid_golden_rows_of_numbers_are_refused(damage: str, folder: Path) -> None:
    """Also those that numpy would broadcast, convert to numbers or overflow."""
    _check_refusal(folder, *NUMBERS[damage])


@pytest.mark.parametrize("damage", TEXTS)
def test_invalid_golden_rows_of_texts_are_refused(damage: str, tmp_path: Path) -> None:
    """The message names the file."""
    save_small(tmp_path / "model", words())
    _check_refusal(tmp_path / "model", *TEXTS[damage])


def _check_refusal(folder: Path, damage: Damage, message: str) -> None:
    damage(folder)
    sentence = refusal(folder)
    assert str(folder / GOLDEN) in sentence
    assert message in sentence


def test_outputs_of_another_width_are_not_broadcast(folder: Path) -> None:
    """Numpy would compare one probability with three equal ones."""
    golden: dict[str, Any] = json.loads((folder / GOLDEN).read_text())
    put_rows(golden["features"], [output * 3 for output in golden["outputs"]])(folder)
    assert NO_ROWS in refusal(folder)


@pytest.mark.parametrize("error", [-5e-7, 5e-7, -2e-6, 2e-6])
def test_golden_rows_may_differ_by_a_millionth(error: float, either: Path) -> None:
    """Another processor may round differently; a larger error is refused."""
    golden = json.loads((either / GOLDEN).read_text())
    golden["outputs"][1][-1] += error
    put_content(GOLDEN, golden)(either)
    if abs(error) < TOLERANCE:
        load(either)
    else:
        assert "at most 1e-06 expected" in refusal(either)


def test_golden_rows_can_have_missing_values(tmp_path: Path) -> None:
    """In columns that may have them."""
    problem = replace(PROBLEM, columns=(Column("a", missing=True), *PROBLEM.columns[1:]))
    model = replace(trees(), problem=problem, encoder=Encoder.learn(problem, {}))
    rows = np.array([[np.nan, 1, 2]], np.float32)
    loaded = save(tmp_path / "model", model, rows, CARD_TEXT)
    assert json.loads((tmp_path / "model" / GOLDEN).read_text())["features"] == [[None, 1, 2]]
    assert np.array_equal(loaded.predictor.raw(rows), model.predictor.raw(rows))


def test_a_predictors_example_rows_are_saved_with_their_outputs(build: Build, tmp_path: Path) -> None:
    """Eight rows as JSON, each with its raw outputs."""
    model = build(0)
    rows = model.predictor.examples(np.eye(max(1, len(model.encoder.names)), dtype=np.float32))
    save(tmp_path / "model", model, rows, CARD_TEXT)
    golden = json.loads((tmp_path / "model" / GOLDEN).read_text())
    assert golden == {"features": rows.tolist(), "outputs": model.predictor.raw(rows).tolist()}
    assert len(rows) == 8
