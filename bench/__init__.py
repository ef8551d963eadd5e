"""How fast and how large this project is: `python -m bench` prints tables, their ratios measured in one run."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read at import: threads that wait leave busy cores to others
