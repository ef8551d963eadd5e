"""The names that users import from `tabserve`."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

import tabserve


@pytest.mark.parametrize("name", tabserve.__all__)
def test_each_listed_name_can_be_imported(name: str) -> None:
    """It is the object of that name in its module."""
    assert getattr(tabserve, name).__module__ == f"tabserve.{tabserve.WHERE[name]}"


def test_each_listed_name_has_a_module_and_no_other_name_has() -> None:
    """`__all__` and `WHERE` have the same names."""
    assert {*tabserve.__all__} == tabserve.WHERE.keys()


def test_any_other_name_is_an_attribute_error() -> None:
    """In the words of any module."""
    with pytest.raises(AttributeError, match="module 'tabserve' has no attribute 'nothing'"):
        tabserve.nothing  # noqa: B018  the access is the test


def test_the_package_alone_imports_nothing_heavy() -> None:
    """Libraries such as XGBoost are imported with the first name that needs them."""
    code = "import sys, tabserve; sys.exit(bool({'numpy', 'xgboost', 'sklearn', 'pyarrow'} & {*sys.modules}))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", tabserve.__all__)
def test_no_listed_name_is_that_of_a_module(name: str) -> None:
    """Importing that module would replace the name."""
    assert find_spec(f"tabserve.{name}") is None
