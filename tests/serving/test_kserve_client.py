"""KServe's own client gets the model's predictions and the server's health, over REST and gRPC."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.needs import KSERVE

from tabserve.client.local_server import Server
from tabserve.model.model import Model
from tabserve.table.frame import Frame

pytestmark = pytest.mark.needs("kserve")

SECONDS = 120
"""Deadline for the client, which is slow to import."""


@pytest.fixture(scope="module")
def answers(served: Server, sample_frame: Frame, tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401  any JSON
    """The answers that KServe's client got."""
    rows = tmp_path_factory.mktemp("kserve") / "rows"
    rows.write_bytes(sample_frame.features[:20].tobytes())
    command: list[str | Path] = [KSERVE, Path(__file__).with_name("kserve_asks.py"), served.url, served.grpc, rows]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_kserves_client_learns_that_server_and_model_are_ready(answers: Any, transport: str) -> None:  # noqa: ANN401
    """It reports the server live and ready, and the model ready."""
    assert [answers[transport][name] for name in ("live", "ready", "model")] == [True, True, True]


@pytest.mark.parametrize(
    ("transport", "form"), [("rest", "json"), ("rest", "binary"), ("grpc", "typed"), ("grpc", "raw")]
)
def test_kserves_client_gets_the_models_predictions(
    answers: Any,  # noqa: ANN401
    transport: str,
    form: str,
    model: Model,
    sample_frame: Frame,
) -> None:
    """Labels and probabilities are equal to the bit, whether values are sent as numbers or as bytes."""
    expected = model.score(sample_frame.features[:20])
    outputs = answers[transport][form]
    assert outputs["predict"] == expected.label[:, np.newaxis].tolist()
    assert [row[1] for row in outputs["predict_proba"]] == expected.probability.tolist()


def test_kserves_messages_get_the_metadata(answers: Any) -> None:  # noqa: ANN401
    """The model has one input of 200 columns."""
    assert answers["grpc"]["metadata"] == [["predict", "FP32", [-1, 200]]]
