"""The committed model is as good as its card says, and the settings leave ports to the environment."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from santander.candidates import candidates
from santander.problem import PROBLEM
from santander.sample import log_odds, sample
from tabserve.model.decision import threshold_of
from tabserve.model.model import Model, load
from tabserve.predictors.booster import Booster
from tabserve.problem.criterion import Counts, f1
from tabserve.reports import card
from tabserve.table.frame_reader import read

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def model() -> Model:
    """The committed model, verified."""
    return load(DEPLOY / "model")


def test_the_committed_model_was_selected_on_the_full_synthetic_sample(model: Model) -> None:
    """All 200,000 rows, every candidate and the case's problem were used; the card says that the data are synthetic."""
    assert model.problem == PROBLEM
    assert (model.data["rows"], model.data["positives"], model.data["synthetic"]) == (200_000, 20_098, True)
    assert list(model.metrics["folds"]) == [*candidates(PROBLEM.seed, 1)]
    assert "synthetic" in "".join((DEPLOY / "model" / "MODEL_CARD.md").read_text().splitlines()[:5])


def test_the_committed_card_is_the_generated_one(model: Model) -> None:
    """The committed card is not edited by hand."""
    assert (DEPLOY / "model" / "MODEL_CARD.md").read_text() == card.render(model)


def test_the_committed_model_ranks_and_flags_real_rows(model: Model, shared: Path) -> None:
    """2,500 rows were never seen in training; with 255 positives, the sampling error of F1 is 0.025."""
    rows = read(shared / "data" / "santander" / "real_rows_2500.csv", PROBLEM)
    probability = model.score(rows.features).probability
    assert roc_auc_score(rows.target, probability) >= 0.88
    assert f1(Counts.at(threshold_of(model.decision), rows.target, probability.astype(np.float64))) >= 0.50


def test_the_committed_model_comes_close_to_the_samples_optimum(model: Model) -> None:
    """On new synthetic rows, its AUC is within 0.015 of the density ratio's."""
    rows = sample(20_000, seed=7)
    best, reached = (
        roc_auc_score(rows.target, scores) for scores in (log_odds(rows.features), model.score(rows.features)[0])
    )
    assert best - 0.015 <= reached


def test_the_committed_model_is_small(model: Model) -> None:
    """It has at most one tree for each feature and a constant one, so a row costs features times depth."""
    assert isinstance(model.predictor, Booster)
    trees = model.predictor.trees
    assert trees.num_boosted_rounds() <= len(model.problem.features) + 1
    assert max(tree.count("\t") for tree in "\n".join(trees.get_dump()).splitlines()) <= 8


def test_the_settings_leave_host_and_ports_to_the_environment() -> None:
    """A value in settings.json would silence its MLSERVER_* variable."""
    settings = json.loads((DEPLOY / "settings.json").read_text())
    assert not {"host", "http_port", "grpc_port", "metrics_port"} & set(settings)
    assert settings["parallel_workers"] == 0


def test_the_settings_have_the_documented_name_and_batching() -> None:
    """Both READMEs state the batching of the settings."""
    settings = json.loads((DEPLOY / "model-settings.json").read_text())
    assert settings["name"] == "xgboost-model"
    for name in ("README.md", "README.pt-BR.md"):
        text = (DEPLOY.parent / name).read_text()
        assert f"`max_batch_size` ({settings['max_batch_size']})" in text
        assert f"`max_batch_time` ({settings['max_batch_time']} " in text
