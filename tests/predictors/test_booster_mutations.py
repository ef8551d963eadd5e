"""No change of a model file, of any task and any splits, ends the process or is answered wrong."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FILES = 440


@pytest.mark.slow
def test_no_mutation_of_any_kind_of_model_ends_the_process_or_is_answered_wrong() -> None:
    """Each file is refused, or answers what it says; in one child that must outlive them all."""
    command = [sys.executable, "-m", "tests.predictors.mutations", "0", str(FILES)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)
    assert child.returncode == 0, (child.stdout[-200:], child.stderr)
    fates = ast.literal_eval(child.stdout.splitlines()[-1])
    assert set(fates) == {"refused", "same", "changed"}
    assert sum(fates.values()) == FILES
