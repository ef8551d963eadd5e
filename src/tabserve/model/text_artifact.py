"""The folder of a model over texts: saved whole or not at all, and verified whenever it is loaded."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tabserve.encoding.ngrams import WHOLE
from tabserve.errors import ArtifactError
from tabserve.model import folder as folders
from tabserve.model.folder import CARD, GOLDEN, MANIFEST, check_card, opened, placed, seal
from tabserve.model.golden import TOLERANCE
from tabserve.model.manifest import Manifest, parsed
from tabserve.model.scoring import Scores, most_probable
from tabserve.predictors import linear
from tabserve.predictors.linear import Linear
from tabserve.problem.problem import Problem

__all__ = ["CARD", "GOLDEN", "MANIFEST", "MODEL", "TextModel", "check_place", "load", "save", "versions"]

MODEL = "model.npz"

GOLDEN_TEXTS, GOLDEN_WORDS = 8, 4


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model over texts and all that its folder says about it.

    Attributes:
        linear: answers.
        problem: the problem it answers; its features name the columns of texts.
        metrics: what the evaluation found; no times, so that the same run gives the same bytes.
        data: what the model was trained on.
        versions: of the libraries that made it.
    """

    linear: Linear
    problem: Problem
    metrics: Mapping[str, Any]
    data: Mapping[str, Any]
    versions: Mapping[str, str]

    def score(self, texts: Iterable[str]) -> Scores:
        """The most probable label of each text, as its place among the problem's, and the probability of every one."""
        return most_probable(self.linear.probability(texts))


def save(folder: Path, model: TextModel, card: str) -> TextModel:
    """Write a model folder beside its place, verify it there, then move it in.

    Args:
        folder: where it goes, or a link to there; an earlier model folder is replaced, anything else is left alone.
        model: what to write.
        card: the model card, in Markdown.

    Returns:
        The model as loaded from the new folder.

    Raises:
        ArtifactError: the folder cannot be written, or holds something that is not a model folder.
    """
    return placed(folder, MODEL, lambda fresh: _write(fresh, model, card), load)


def check_place(folder: Path) -> None:
    """Refuse a place where a model folder could not be moved in; see `folder.check_place`."""
    folders.check_place(folder, MODEL)


def versions() -> dict[str, str]:
    """Versions of Python, this package and the libraries that make a model."""
    return folders.versions("scikit-learn", "numpy")


def load(folder: Path) -> TextModel:
    """Read a model folder and verify it: format, checksums, weights and golden texts.

    Raises:
        ArtifactError: naming the file that is missing, damaged or foreign.
    """
    manifest = Manifest.read(folder / MANIFEST)
    if MODEL not in manifest.files:
        raise ArtifactError(f"{folder / MANIFEST} names no {MODEL}; expected a model over texts.")
    model, rows = (opened(folder, manifest, name) for name in (MODEL, GOLDEN))
    answering = linear.read(folder / MODEL, model, len(manifest.problem.labels))
    _check_golden(folder / GOLDEN, rows, answering)
    check_card(folder, manifest)
    return TextModel(answering, manifest.problem, manifest.metrics, manifest.data, manifest.versions)


def _write(folder: Path, model: TextModel, card: str) -> None:
    folder.mkdir()
    (folder / MODEL).write_bytes(model.linear.written())
    texts = _drawn(model.linear)
    golden = {"texts": texts, "probability": model.score(texts).probability.tolist()}
    (folder / GOLDEN).write_text(json.dumps(golden, ensure_ascii=False) + "\n", encoding="utf-8")
    seal(folder, MODEL, Manifest(model.problem, None, model.metrics, model.data, model.versions), card)


def _drawn(model: Linear, seed: int = 0) -> list[str]:
    """Golden texts: each of their words is drawn on its own, so that no text of the table leaves it.

    Where the model knows no whole word, they are parts of words.
    """
    whole = [gram.removeprefix(WHOLE) for gram in model.grams if gram.startswith(WHOLE)]
    known = whole or [gram.strip() for gram in model.grams]
    drawn = np.random.default_rng(seed).choice(known, (GOLDEN_TEXTS, GOLDEN_WORDS))
    return [" ".join(words) for words in drawn.tolist()]


def _check_golden(path: Path, text: bytes, model: Linear) -> None:
    """Score the texts of a file again.

    Raises:
        ArtifactError: it does not hold texts for this model, or they are answered differently.
    """
    texts, expected = _golden(path, parsed(path, text), len(model.intercept))
    worst = float(np.max(np.abs(model.probability(texts).astype(np.float32) - expected)))
    if not worst <= TOLERANCE:
        raise ArtifactError(
            f"The model answers {path} differently than when it was saved: off by {worst:.3g},"
            f" at most {TOLERANCE:g} expected; its files do not belong together."
        )


def _golden(path: Path, document: Mapping[str, Any], classes: int) -> tuple[list[str], NDArray[np.float64]]:
    """The texts, and their probabilities, shape (texts, classes)."""
    texts = document.get("texts")
    try:
        expected = np.array(document.get("probability"), dtype=np.float64)
    except (OverflowError, TypeError, ValueError):
        expected = np.empty(0)
    if (
        not isinstance(texts, list)
        or not all(isinstance(text, str) for text in texts)
        or expected.shape != (len(texts), classes)
        or not texts
    ):
        raise ArtifactError(f"{path} does not hold texts with their probabilities of {classes} classes.")
    return texts, expected
