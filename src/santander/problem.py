"""Santander Customer Transaction Prediction: which customers will make a transaction?"""

from tabserve.problem.problem import Problem

PROBLEM = Problem(
    name="santander",
    features=tuple(f"var_{number}" for number in range(200)),
    target="target",
    id="ID_code",
)
