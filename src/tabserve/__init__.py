"""From a table to an honest model behind the KServe V2 inference protocol.

These are the names that a user imports; each is loaded at its first use, so that a server loads no training library.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tabserve.model.model import Model as Model
    from tabserve.model.model import load as load
    from tabserve.model.model import save as save
    from tabserve.problem.columns import Column as Column
    from tabserve.problem.columns import numbers as numbers
    from tabserve.problem.criterion import F1 as F1
    from tabserve.problem.criterion import MAE as MAE
    from tabserve.problem.criterion import RMSE as RMSE
    from tabserve.problem.criterion import Accuracy as Accuracy
    from tabserve.problem.criterion import BalancedAccuracy as BalancedAccuracy
    from tabserve.problem.criterion import Costs as Costs
    from tabserve.problem.problem import Problem as Problem
    from tabserve.problem.task import Binary as Binary
    from tabserve.problem.task import Multiclass as Multiclass
    from tabserve.problem.task import Regression as Regression
    from tabserve.score import score_file as score_file
    from tabserve.stations import TrainingData as TrainingData
    from tabserve.table.frame_reader import read as read
    from tabserve.trained import train as train
    from tabserve.training.candidate import Candidate as Candidate
    from tabserve.training.selection import select as select
    from tabserve.training.split import hold_out as hold_out

# Set before XGBoost is imported: spinning threads made training 6 times slower on shared cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

WHERE = {
    "Binary": "problem.task",
    "Candidate": "training.candidate",
    "Column": "problem.columns",
    "Accuracy": "problem.criterion",
    "BalancedAccuracy": "problem.criterion",
    "Costs": "problem.criterion",
    "F1": "problem.criterion",
    "MAE": "problem.criterion",
    "Model": "model.model",
    "Multiclass": "problem.task",
    "Problem": "problem.problem",
    "RMSE": "problem.criterion",
    "Regression": "problem.task",
    "TrainingData": "stations",
    "hold_out": "training.split",
    "load": "model.model",
    "numbers": "problem.columns",
    "read": "table.frame_reader",
    "save": "model.model",
    "score_file": "score",
    "select": "training.selection",
    "train": "trained",
}
"""The module of each name."""

__all__ = [*WHERE]  # noqa: PLE0604  these are strings


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever has the name
    """Load a name at its first use."""
    if name not in WHERE:
        raise AttributeError(f"module 'tabserve' has no attribute {name!r}")
    return getattr(import_module(f"tabserve.{WHERE[name]}"), name)
