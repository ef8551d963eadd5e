"""No mutation of a model file, of any task and any kind of splits, crashes the process or gives wrong answers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FILES = 440


@pytest.mark.slow
def test_no_mutation_of_a_model_crashes_the_process_or_gives_wrong_answers() -> None:
    """Each file is refused, or answers what it says; one child process handles them all."""
    command = [sys.executable, "-m", "tests.predictors.mutations", "0", str(FILES)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)
    assert child.returncode == 0, (child.stdout[-200:], child.stderr)
    outcomes = ast.literal_eval(child.stdout.splitlines()[-1])
    assert set(outcomes) == {"refused", "same", "changed"}
    assert sum(outcomes.values()) == FILES
