"""The benchmark runs and prints what the documents quote; how fast anything is, is not tested."""

import subprocess
import sys
from pathlib import Path

from bench.work import RATIOS, WORK


def test_it_prints_every_piece_of_work_and_every_ratio() -> None:
    """On few rows."""
    command = [sys.executable, "-m", "bench", "--rows", "500", "--repeats", "1"]
    root = Path(__file__).parents[1]
    finished = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=200)
    assert finished.returncode == 0, finished.stderr
    assert all(name in finished.stdout for name in (*WORK, "committed model", "folding gains"))
    assert finished.stdout.count(" × ") >= len(RATIOS)
