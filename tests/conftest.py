"""Fixtures that tests share: a synthetic sample, model folders, a server, scripts, and the real data if it is there."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")  # read when matplotlib is imported, which takes a second
os.environ.setdefault("TABSERVE_DRAIN_SECONDS", "0.01")  # a server without requests ends at once

import numpy as np
import pytest
from hypothesis import settings

from santander.sample import sample
from tabserve.client.local_server import Server, running
from tabserve.encoding.encoder import Encoder
from tabserve.encoding.ngrams import grams
from tabserve.model.decision import MostProbable
from tabserve.model.model import Model, save, versions
from tabserve.predictors.linear import Linear
from tabserve.problem.columns import Column
from tabserve.problem.problem import Problem
from tabserve.problem.task import Multiclass
from tabserve.stations import TrainingData, train
from tabserve.table.frame import Frame
from tabserve.training import bootstrap
from tabserve.training.candidate import Candidate
from tabserve.training.stumps import AveragedStumps

# Machines differ in speed, so examples have no deadline; a failure prints a blob that reproduces it on any machine.
settings.register_profile("tabserve", deadline=None, print_blob=True)
settings.load_profile("tabserve")


@pytest.fixture(scope="session")
def sample_frame() -> Frame:
    """A few thousand synthetic rows, read-only."""
    frame = sample(4_000, seed=1)
    for array in (frame.ids, frame.features, frame.target):
        array.flags.writeable = False
    return frame


@pytest.fixture(scope="session")
def model_folder(sample_frame: Frame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder trained on the sample by the real stations; copy it before changing it."""
    frame = replace(sample_frame, problem=replace(sample_frame.problem, folds=2))
    data = TrainingData.of(frame, "synthetic sample: santander.sample(4000, seed=1)", synthetic=True)
    folder = tmp_path_factory.mktemp("stations") / "model"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 50)
        train(data, [Candidate("stumps", AveragedStumps(n_estimators=100, n_jobs=1))], folder)
    return folder


GOODS = Problem(
    "goods",
    (Column("title", "text"), Column("tags", "text", missing=True)),
    "category",
    Multiclass(("Bebê", "Decoração", "Papel e Cia")),
    "product_id",
)
"""The problem of a small model over texts."""

TEXT = "carrinho de bebê azul ursinho quadro decorativo para sala convite de papel casamento"


@pytest.fixture(scope="session")
def texts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a small model over texts with random weights; copy it before changing it."""
    known, rng = tuple(dict.fromkeys(grams(TEXT))), np.random.default_rng(3)
    weights, squares = rng.normal(0, 2, (len(known), 3)), rng.uniform(1, 9, len(known))
    linear = Linear(known, weights.astype(np.float32), squares.astype(np.float32), rng.normal(size=3))
    model = Model(GOODS, Encoder.learn(GOODS, {}), linear, MostProbable(0.7), metrics={}, data={}, versions=versions())
    folder = tmp_path_factory.mktemp("texts") / "model"
    save(folder, model, linear.examples(), "# A small model over texts\n")
    return folder


@pytest.fixture(scope="session")
def served(model_folder: Path) -> Iterator[Server]:
    """That model folder, served by `tabserve serve`, for tests that leave the server as it was."""
    with running(Path(__file__).parents[1] / "deploy", {"TABSERVE_MODEL": str(model_folder)}) as server:
        yield server


@pytest.fixture
def script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run a script in this process, which saves the seconds of its imports; the result is that of a process."""

    def run(path: Path, *options: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [str(path), *map(str, options)]
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", command)
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as exiting:
                runpy.run_path(str(path), run_name="__main__")
        return subprocess.CompletedProcess(command, int(exiting.value.code or 0), *capsys.readouterr())

    return run


ODD = "Área de trabalho, d'água"
"""A folder's name with spaces, a quote and accents, which break commands that do not quote it."""


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that `make run` needs, in a folder with an odd name; it shares this environment."""
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
