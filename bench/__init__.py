"""How fast and how large the slow parts are: `python -m bench` prints one table, ratios measured in one run."""
