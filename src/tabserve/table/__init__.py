"""A file in, typed columns out."""
