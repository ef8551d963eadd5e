"""Tests of many seconds each: `@pytest.mark.slow`. `pytest --quick` skips them, and lists them in its summary.

They build and install wheels, run notebooks, benchmarks and targets of the Makefile, or train on many rows.
"""

import pytest

REASON = "slow: --quick leaves it out, `make test-slow` runs it"
"""The reason for skipping a slow test, by which `tests.skipped` recognises that the test could be run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--quick", action="store_true", help="skip the tests that are marked as slow")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "slow: takes many seconds; skipped by --quick (tests/slow.py)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests before their fixtures are set up, if the option is used."""
    if config.getoption("quick"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason=REASON))
