"""A device that XGBoost cannot use is refused."""

import pytest

from tabserve.errors import UsageError
from tabserve.training.device import check_device


def test_the_cpu_is_accepted() -> None:
    """No error is raised."""
    check_device("cpu")


def test_a_device_that_xgboost_would_replace_is_refused() -> None:
    """No machine has a GPU with this number."""
    with pytest.raises(UsageError, match="XGBoost finds no 'cuda:999' device on this machine"):
        check_device("cuda:999")
