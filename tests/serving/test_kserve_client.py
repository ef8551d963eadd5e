"""KServe's own client gets the model's answers and true health, over REST and gRPC."""

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
"""That the client may take: it is slow to import."""


@pytest.fixture(scope="module")
def told(served: Server, sample_frame: Frame, tmp_path_factory: pytest.TempPathFactory) -> Any:  # noqa: ANN401  any JSON
    """What KServe's client was told."""
    rows = tmp_path_factory.mktemp("kserve") / "rows"
    rows.write_bytes(sample_frame.features[:20].tobytes())
    words: list[str | Path] = [KSERVE, Path(__file__).with_name("kserve_asks.py"), served.url, served.grpc, rows]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_kserves_client_learns_that_server_and_model_are_ready(told: Any, transport: str) -> None:  # noqa: ANN401
    """Live, ready, and the model as well."""
    assert [told[transport][name] for name in ("live", "ready", "model")] == [True, True, True]


@pytest.mark.parametrize(
    ("transport", "form"), [("rest", "json"), ("rest", "binary"), ("grpc", "typed"), ("grpc", "raw")]
)
def test_kserves_client_gets_the_models_answers(
    told: Any,  # noqa: ANN401
    transport: str,
    form: str,
    model: Model,
    sample_frame: Frame,
) -> None:
    """To the bit, as numbers and as bytes."""
    expected = model.score(sample_frame.features[:20])
    found = told[transport][form]
    assert found["predict"] == expected.label[:, np.newaxis].tolist()
    assert [row[1] for row in found["predict_proba"]] == expected.probability.tolist()


def test_kserves_messages_bring_the_metadata(told: Any) -> None:  # noqa: ANN401
    """One input of 200 columns."""
    assert told["grpc"]["metadata"] == [["predict", "FP32", [-1, 200]]]
