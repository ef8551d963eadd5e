"""Tests of many seconds each: `@pytest.mark.slow`. `pytest --quick` skips them, and names them as it ends.

They build and install wheels, run notebooks, benchmarks and words of the Makefile, or train on much.
"""

import pytest

REASON = "slow: --quick leaves it out, `make test-slow` runs it"
"""Why such a test is skipped; `tests.skipped` knows by it that the test could be run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the option."""
    parser.addoption("--quick", action="store_true", help="skip the tests that are marked as slow")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "slow: takes many seconds; skipped by --quick (tests/slow.py)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip them before their fixtures are made."""
    if config.getoption("quick"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason=REASON))
