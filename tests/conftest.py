"""What tests share: a synthetic sample, a model folder made from it, and the real data where it is at hand."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # the environment of the tests on Spark has no matplotlib
os.environ.setdefault("TABSERVE_DRAIN_SECONDS", "0.01")  # a server that nobody asks any more ends at once

import numpy as np
import pytest
from hypothesis import settings

from santander.sample import sample
from tabserve.client.local_server import Server, running
from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import grams
from tabserve.model.decision import MostProbable, class_scores, threshold_of
from tabserve.model.model import Model, save, versions
from tabserve.model.reference import Reference
from tabserve.predictors.linear import Linear
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass
from tabserve.reports import card, tables
from tabserve.table.frame import Frame
from tabserve.training import binary, bootstrap
from tabserve.training.selection import Candidate, select
from tabserve.training.split import hold_out
from tabserve.training.stumps import AveragedStumps

# Machines differ in speed, so no example has a deadline; a failure prints what reproduces it anywhere.
settings.register_profile("tabserve", deadline=None, print_blob=True)
settings.load_profile("tabserve")


@pytest.fixture(scope="session")
def sample_frame() -> Frame:
    """A few thousand synthetic rows, to read and not to change."""
    frame = sample(4_000, seed=1)
    for array in (frame.ids, frame.features, frame.target):
        array.flags.writeable = False
    return frame


@pytest.fixture(scope="session")
def model_folder(sample_frame: Frame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder trained on the sample by the real stations; copy it before changing it."""
    frame = replace(sample_frame, problem=replace(sample_frame.problem, folds=2))
    development, holdout = hold_out(frame)
    selection = select(development, [Candidate("stumps", AveragedStumps(n_estimators=100, n_jobs=1))])
    predictor, decision = selection.refit(), selection.decision
    probability = class_scores(decision.scores(predictor.raw(holdout.features))).probability
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 50)
        threshold, criterion = threshold_of(decision), frame.problem.criterion
        measured = binary.evaluate(holdout.target, probability, threshold, criterion)
    model = Model(
        frame.problem,
        frame.encoder,
        predictor,
        decision,
        metrics=tables.metrics(selection, measured) | binary.curve(holdout.target, probability),
        data=tables.provenance(frame, "synthetic sample: santander.sample(4000, seed=1)", synthetic=True)
        | Reference.of(holdout.problem, holdout.encoder, holdout.features, probability).described(),
        versions=versions("xgboost"),
    )
    folder = tmp_path_factory.mktemp("stations") / "model"
    save(folder, model, predictor.examples(development.features), card.written(model))
    return folder


GOODS = Problem(
    "goods",
    (Column("title", "text"), Column("tags", "text", missing=True)),
    "category",
    Multiclass(("Bebê", "Decoração", "Papel e Cia")),
    "product_id",
)
"""What a small model over texts is for."""

KNOWN = "carrinho de bebê azul ursinho quadro decorativo para sala convite de papel casamento"


@pytest.fixture(scope="session")
def texts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a small model over texts, its weights drawn; copy it before changing it."""
    known, drawn = tuple(dict.fromkeys(grams(KNOWN))), np.random.default_rng(3)
    weights, squares = drawn.normal(0, 2, (len(known), 3)), drawn.uniform(1, 9, len(known))
    linear = Linear(known, weights.astype(np.float32), squares.astype(np.float32), drawn.normal(size=3))
    model = Model(GOODS, Encoder.learn(GOODS, {}), linear, MostProbable(0.7), metrics={}, data={}, versions=versions())
    folder = tmp_path_factory.mktemp("texts") / "model"
    save(folder, model, linear.examples(), "# A small model over texts\n")
    return folder


@pytest.fixture(scope="session")
def served(model_folder: Path) -> Iterator[Server]:
    """That model folder, served by `tabserve serve` to whoever does it no harm."""
    with running(Path(__file__).parents[1] / "deploy", {"TABSERVE_MODEL": str(model_folder)}) as started:
        yield started


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a script in this process, which saves the seconds that its imports take; it ends as a process would."""

    def run(path: Path, *options: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        words = [str(path), *map(str, options)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", words)
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                runpy.run_path(str(path), run_name="__main__")
        return subprocess.CompletedProcess(words, int(ended.value.code or 0), *capsys.readouterr())

    return run


ODD = "Área de trabalho, d'água"
"""A folder's name, with all that breaks commands which do not quote it."""


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make run` takes, in a folder with an odd name; the environment and its package are the present ones."""
    root, folder = Path(__file__).parents[1], tmp_path_factory.mktemp("clone") / ODD / "tabserve"
    for part in ("cases", "deploy", "scripts"):
        shutil.copytree(root / part, folder / part)
    shutil.copy(root / "Makefile", folder)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository."""
    folder = Path(__file__).parents[2] / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("the real data is not at hand: no folder `shared` beside the repository")
    return folder
