"""From an imbalanced table to an honest classifier behind the KServe V2 inference protocol."""
