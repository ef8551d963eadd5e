"""From an imbalanced table to an honest classifier behind the KServe V2 inference protocol."""

import os

# XGBoost's threads wait by spinning unless told otherwise before it is imported: on shared cores that made training 6
# times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
