"""Where XGBoost would train elsewhere than it was told, it is refused."""

import pytest

from tabserve.errors import UsageError
from tabserve.training.device import check_device


def test_the_cpu_is_always_there() -> None:
    """Whatever else is."""
    check_device("cpu")


def test_a_device_that_xgboost_would_replace_is_refused() -> None:
    """No graphics card has this number."""
    with pytest.raises(UsageError, match="XGBoost finds no 'cuda:999' device on this machine"):
        check_device("cuda:999")
