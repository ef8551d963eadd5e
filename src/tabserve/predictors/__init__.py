"""Weights that answer, read from files that are not trusted."""
