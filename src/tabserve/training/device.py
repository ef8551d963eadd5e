"""The device that XGBoost trains on."""

import json
import warnings

import numpy as np
import xgboost as xgb

from tabserve.errors import UsageError


def check_device(device: str) -> None:
    """Refuse a device that XGBoost would silently replace by the CPU.

    Raises:
        UsageError: XGBoost was built without support for it, or finds no such device.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XGBoost warns of the same device
        booster = xgb.train({"device": device}, xgb.DMatrix(np.zeros((2, 1)), np.zeros(2)), 1)
    used = json.loads(booster.save_config())["learner"]["generic_param"]["device"]  # for example cuda:0
    if not used.startswith(device):
        raise UsageError(
            f"XGBoost finds no {device!r} device on this machine; leave out --device, to train on the CPU."
        )
