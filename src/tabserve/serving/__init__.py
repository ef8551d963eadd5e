"""A model folder behind the KServe V2 inference protocol."""
