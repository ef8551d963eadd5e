"""What a user of the package imports, by the names that `tabserve` lists."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

import tabserve


@pytest.mark.parametrize("name", tabserve.__all__)
def test_each_listed_name_is_there(name: str) -> None:
    """It is what the module that holds it calls by the same name."""
    assert getattr(tabserve, name).__module__ == f"tabserve.{tabserve.WHERE[name]}"


def test_the_list_and_the_places_agree() -> None:
    """Nothing is listed that is nowhere, and nothing is somewhere without being listed."""
    assert {*tabserve.__all__} == tabserve.WHERE.keys()


def test_no_other_name_is_there() -> None:
    """It is told as of any module."""
    with pytest.raises(AttributeError, match="module 'tabserve' has no attribute 'nothing'"):
        tabserve.nothing  # noqa: B018  to look at it is the test


def test_the_package_alone_imports_nothing_heavy() -> None:
    """No library that trains, nor XGBoost, until something is asked for that needs it."""
    code = "import sys, tabserve; sys.exit(bool({'numpy', 'xgboost', 'sklearn', 'pyarrow'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", tabserve.__all__)
def test_no_listed_name_is_a_modules(name: str) -> None:
    """Which would stand in its place once that module is imported."""
    assert find_spec(f"tabserve.{name}") is None
