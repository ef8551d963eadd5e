"""The folder of a model over texts: written whole, verified at each load."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tabserve.errors import ArtifactError
from tabserve.model.folder import _sha256
from tabserve.model.model import check_place, load, save, versions
from tabserve.model.text_artifact import CARD, GOLDEN, MANIFEST, MODEL, Model
from tabserve.predictors.linear import Linear
from tabserve.problem.problem import Problem

PROBLEM = Problem("things", ("title",), "kind", "number", "seller", ("colar", "caixa", "manta"))


def small(shift: float = 0.0) -> Model:
    """A model of three words for three classes."""
    weights = np.eye(3, dtype=np.float32) * np.float32(1 + shift)
    model = Linear(("=caixa", "=colar", "=manta"), weights, np.ones(3, np.float32), np.zeros(3), 0.5)
    return Model(model, PROBLEM, {"winner": "small"}, {"synthetic": True}, versions())


def saved(folder: Path) -> Model:
    """The small model in a folder."""
    return save(folder, small(), "# Card\n")


def test_a_folder_gives_back_what_was_saved(tmp_path: Path) -> None:
    """The problem, the facts and the answers to the bit; the manifest names no threshold."""
    found, texts = saved(tmp_path / "model"), ["colar de caixa", "manta", "?"]
    assert (found.problem, found.metrics, found.data) == (PROBLEM, small().metrics, small().data)
    assert (found.score(texts).probability == small().score(texts).probability).all()
    manifest = json.loads((tmp_path / "model" / MANIFEST).read_text())
    assert "threshold" not in manifest
    assert sorted(manifest["files"]) == sorted([MODEL, GOLDEN, CARD])


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    """So that a training can be compared with another by its folder."""
    for name in ("one", "other"):
        saved(tmp_path / name)
    for file in (MODEL, GOLDEN, CARD, MANIFEST):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_a_folder_of_the_other_kind_is_no_place_and_no_model(tmp_path: Path) -> None:
    """Each kind's words refuse the other's folder, and leave it as it is."""
    saved(tmp_path / "texts")
    with pytest.raises(ArtifactError, match="expected a model over numbers"):
        load(tmp_path / "texts")
    with pytest.raises(ArtifactError, match="holds something other than a model"):
        check_place(tmp_path / "texts")
    with pytest.raises(ArtifactError, match=r"names no model\.npz; expected a model over texts"):
        load(Path(__file__).parents[2] / "deploy/model")
    with pytest.raises(ArtifactError, match="holds something other than a model"):
        check_place(Path(__file__).parents[2] / "deploy/model")


def signed(folder: Path, name: str, content: bytes) -> None:
    """Put another file in place, its checksum in the manifest."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"][name] = _sha256(content)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def golden(**members: object) -> bytes:
    """Golden texts that say something else."""
    return json.dumps({"texts": ["colar"], "probability": [[0.5, 0.3, 0.2]], **members}).encode()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "cannot be read"),
    "no model": (lambda folder: (folder / MODEL).unlink(), "cannot be read"),
    "no golden texts": (lambda folder: (folder / GOLDEN).unlink(), "cannot be read"),
    "a changed model": (lambda folder: (folder / MODEL).write_bytes(b"x"), "does not have the checksum"),
    "another model, signed": (
        lambda folder: signed(folder, MODEL, small(0.5).linear.written()),
        "differently than when it was saved",
    ),
    "no model, signed": (lambda folder: signed(folder, MODEL, b"x"), "is not a model of n-grams"),
    "golden texts that are none": (lambda folder: signed(folder, GOLDEN, golden(texts=[1])), "does not hold texts"),
    "no texts": (lambda folder: signed(folder, GOLDEN, golden(texts=[], probability=[])), "does not hold texts"),
    "texts in no list": (lambda folder: signed(folder, GOLDEN, golden(texts="colar")), "does not hold texts"),
    "probabilities of two classes": (
        lambda folder: signed(folder, GOLDEN, golden(probability=[[0.5, 0.5]])),
        "does not hold texts",
    ),
    "probabilities that are none": (
        lambda folder: signed(folder, GOLDEN, golden(probability=[["a", 1, 2]])),
        "does not hold texts",
    ),
    "a probability that is NaN": (
        lambda folder: signed(folder, GOLDEN, golden(probability=[[None, 0.5, 0.5]])),
        "differently than when it was saved",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused(damage: str, tmp_path: Path) -> None:
    """In one sentence that names the file."""
    saved(tmp_path / "model")
    done, said = DAMAGES[damage]
    done(tmp_path / "model")
    with pytest.raises(ArtifactError) as refused:
        load(tmp_path / "model")
    assert said in str(refused.value)
    assert str(tmp_path / "model") in str(refused.value)


def test_a_changed_card_only_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The model serves without it."""
    saved(tmp_path / "model")
    (tmp_path / "model" / CARD).write_text("other")
    load(tmp_path / "model")
    assert "was changed after the model was saved" in caplog.text


def test_golden_texts_are_nobodys(tmp_path: Path) -> None:
    """They are drawn word by word from what the model knows."""
    saved(tmp_path / "model")
    texts = json.loads((tmp_path / "model" / GOLDEN).read_text())["texts"]
    assert {word for text in texts for word in text.split()} <= {"caixa", "colar", "manta"}
    assert len(texts) == text_artifact.GOLDEN_TEXTS


def test_a_model_that_knows_parts_alone_has_golden_texts_of_them(tmp_path: Path) -> None:
    """As of a table in which no word occurs twice."""
    linear = Linear((" man", "ola"), np.eye(2, 3, dtype=np.float32), np.ones(2, np.float32), np.zeros(3))
    save(tmp_path / "model", replace(small(), linear=linear), "# Card\n")
    texts = json.loads((tmp_path / "model" / GOLDEN).read_text())["texts"]
    assert {word for text in texts for word in text.split()} == {"man", "ola"}


def test_an_earlier_folder_is_replaced(tmp_path: Path) -> None:
    """As a whole."""
    saved(tmp_path / "model")
    save(tmp_path / "model", small(0.5), "# Other\n")
    assert (load(tmp_path / "model").linear.weights == small(0.5).linear.weights).all()
