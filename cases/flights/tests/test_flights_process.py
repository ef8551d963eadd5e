"""The process of the API says what stops it, and starts without training libraries."""

import subprocess
import sys
from pathlib import Path

import pytest
from cases.flights.tests.served import API
from tests.case_api import environ

NUMBERS = Path(__file__).parents[3] / "deploy/model"


def run_api(model: Path | None, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the API until it ends."""
    command = [sys.executable, str(API), *words]
    environment = {**environ(model), **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)


def test_help_names_variables_and_routes() -> None:
    """Every variable and route."""
    text = run_api(None, "--help").stdout
    names = ("MODEL_PATH", "HOST", "PORT", "TABSERVE_HISTORY", "TABSERVE_LOAD", "/model/predict/", "/health/", "/v2")
    assert all(name in text for name in names)


@pytest.mark.parametrize(
    ("variables", "code", "sentence"),
    [
        ({"PORT": "none"}, 2, "PORT is 'none'; expected a whole number from 1 to 65535."),
        ({"MODEL_PATH": "/nowhere"}, 4, "/nowhere/manifest.json cannot be read"),
        ({"MODEL_PATH": str(NUMBERS)}, 4, f"{NUMBERS} holds a model over the columns 'var_0: number', "),
        ({"TABSERVE_LOAD": "everyone"}, 5, "A TABSERVE_* variable is wrong: load"),
        ({"TABSERVE_LOAD": "token"}, 5, "TABSERVE_LOAD is token, which needs one of at least 16 characters"),
        (
            {"TABSERVE_HISTORY": "/nowhere/history.db"},
            5,
            "The setting `history` (TABSERVE_HISTORY) is /nowhere/history.db",
        ),
    ],
)
def test_an_api_that_cannot_serve_ends_with_one_sentence(variables: dict[str, str], code: int, sentence: str) -> None:
    """The exit code tells the kind of mistake, and there is no traceback."""
    finished = run_api(None, **variables)
    assert (finished.returncode, finished.stdout) == (code, "")
    assert finished.stderr.startswith(sentence)
    assert finished.stderr.count("\n") == 1


NEEDLESS = ["sklearn", "scipy", "pandas", "pyarrow", "matplotlib", "pyspark", "mlserver"]
"""Libraries that take seconds to import, or are not in the image."""


def test_it_imports_no_training_libraries_and_no_mlserver() -> None:
    """The contract and all that serves it."""
    imports = "import flights.contract, tabserve.serving.api.process"
    script = f"import sys; sys.modules.update(dict.fromkeys({NEEDLESS})); {imports}"
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (child.returncode, child.stderr) == (0, "")
