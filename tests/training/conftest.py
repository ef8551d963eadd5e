"""Fixtures of the tests of training."""

import pytest

from tabserve.training import bootstrap


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the bootstrap draw ten times, for tests that look at no interval."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 10)
