"""The problem of Kaggle's competition Santander Customer Transaction Prediction: who will make a transaction?"""

from tabserve.problem.columns import numbers
from tabserve.problem.problem import Problem

PROBLEM = Problem(
    name="santander",
    columns=numbers(*(f"var_{number}" for number in range(200))),
    target="target",
    id="ID_code",
)
