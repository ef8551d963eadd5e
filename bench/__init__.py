"""Benchmarks of speed and memory: `python -m bench` prints tables, whose ratios are measured in one run."""

import tabserve  # noqa: F401  before XGBoost: it sets how XGBoost's threads wait
