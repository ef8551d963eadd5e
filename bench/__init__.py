"""How fast and how large this project is: `python -m bench` prints tables, their ratios measured in one run."""

import tabserve  # noqa: F401  before XGBoost, as it says how XGBoost's threads wait
